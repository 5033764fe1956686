import pytest
import torch
import torch.nn.functional as F

from mentor_pyg.evaluation.metrics import encode
from mentor_pyg.nn.loss import bpr_loss, score_triples
from mentor_pyg.nn.models import CLCRec
from mentor_pyg.transforms import LightGCNNorm
from mentor_pyg.typing import INTERACTS, ITEM, Batch, modalities


@pytest.fixture
def data(tiny):
    mask = torch.rand(tiny[ITEM].num_nodes, generator=torch.Generator().manual_seed(0)) > 0.3
    tiny[ITEM].mask_visual = mask
    tiny[ITEM].x_visual[~mask] = 1e6  # which must never matter
    train = tiny[INTERACTS].edge_index
    tiny[INTERACTS].edge_index = train[:, train[1] != 7]
    return LightGCNNorm()(tiny)


def naive_content(model, data):
    """Item by item, of concatenated features."""
    rows = []
    for i in range(data[ITEM].num_nodes):
        parts = []
        for name in modalities(data):
            x = data[ITEM][f"x_{name}"][i]
            here = f"mask_{name}" not in data[ITEM] or data[ITEM][f"mask_{name}"][i]
            parts.append(x / x.norm() if here else torch.zeros_like(x))
        rows.append(model.linear(F.leaky_relu(model.projection.weight @ torch.cat(parts))))
    return torch.stack(rows)


def test_encode_takes_content_for_items_without_pairs(data):
    model = CLCRec.from_data(data, hidden_channels=8)
    user, item = encode(model, data)
    assert torch.equal(user, model.embedding.user)
    expected = model.embedding.item.detach().clone()
    expected[7] = naive_content(model, data)[7]
    torch.testing.assert_close(item, expected)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_losses_equal_the_formulas(data, batch, share):
    tau = 0.7
    options = {"num_negatives": 5, "temperature": tau, "content_weight": 0.3}
    model = CLCRec.from_data(
        data, hidden_channels=8, content_share=share, reg_weight=0.2, **options
    )
    content, free = naive_content(model, data), model.embedding
    candidates = [*batch.pos_item.tolist(), *batch.neg_item[:5].tolist()]
    torch.manual_seed(3)
    by_content = (torch.rand(len(candidates), 1) < share).flatten().tolist()
    mixed = [content[i] if c else free.item[i] for i, c in zip(candidates, by_content)]
    ui, re = [], []
    for b, (u, i) in enumerate(zip(batch.user.tolist(), batch.pos_item.tolist())):
        scores = [free.user[u] @ x / tau for x in (mixed[b], *mixed[32:])]
        ui.append(-torch.stack(scores).log_softmax(0)[0])
        others = [i, *candidates[32:]]
        cosines = [F.cosine_similarity(free.item[i], content[j], dim=0) / tau for j in others]
        re.append(-torch.stack(cosines).log_softmax(0)[0])
    triple = [free.user[batch.user], free.item[batch.pos_item], free.item[batch.neg_item]]
    expected = {
        "bpr": 0.7 * sum(ui) / 32,
        "content": 0.3 * sum(re) / 32,
        "reg": 0.2 / 2 * sum(x.pow(2).sum(1).mean() for x in triple),
    }
    torch.manual_seed(3)
    torch.testing.assert_close(model.losses(data, batch), expected, rtol=1e-5, atol=1e-5)


def test_with_one_negative_it_is_bpr(data, batch):
    options = {"content_weight": 0.0, "content_share": 0.0, "reg_weight": 0.0}
    model = CLCRec.from_data(data, num_negatives=1, temperature=1.0, **options)
    single = Batch(batch.user[:1], batch.pos_item[:1], batch.neg_item[:1])
    expected = bpr_loss(*score_triples(model.embedding.user, model.embedding.item, single))
    losses = model.losses(data, single)
    assert list(losses) == ["bpr"]
    torch.testing.assert_close(losses["bpr"], expected)


def test_a_new_item_is_embedded_by_its_content(data):
    model = CLCRec.from_data(data)
    before = encode(model, data)
    data[ITEM].num_nodes += 1
    for name in modalities(data):
        x = data[ITEM][f"x_{name}"]
        data[ITEM][f"x_{name}"] = torch.cat([x, x[7:8]])
    data[ITEM].mask_visual = torch.cat([data[ITEM].mask_visual, data[ITEM].mask_visual[7:8]])
    user, item = encode(model, LightGCNNorm()(data))
    assert torch.equal(user, before[0])
    torch.testing.assert_close(item, torch.cat([before[1], before[1][7:8]]))


@pytest.mark.parametrize(
    ("option", "value"),
    [("num_negatives", 0), ("content_weight", 1.1), ("content_share", -0.1), ("temperature", 0.0)],
)
def test_bad_options(data, option, value):
    with pytest.raises(ValueError, match=option):
        CLCRec.from_data(data, **{option: value})
