import pytest
import torch
import torch.nn.functional as F
from naive import dense_graph, dense_mean, naive_contrast

from mentor_pyg.evaluation.metrics import encode
from mentor_pyg.nn.models import MMGCL
from mentor_pyg.training.checkpoint import epoch_state, set_epoch_state
from mentor_pyg.transforms import LightGCNNorm
from mentor_pyg.typing import INTERACTS, ITEM, modalities


@pytest.fixture
def data(tiny):
    mask = torch.rand(tiny[ITEM].num_nodes, generator=torch.Generator().manual_seed(0)) > 0.3
    tiny[ITEM].mask_visual = mask
    tiny[ITEM].x_visual[~mask] = 1e6  # which must never matter
    return LightGCNNorm()(tiny)


def naive_items(model, data):
    """What items start from, item by item."""
    channels = [model.embedding.item]
    for name, linear in zip(modalities(data), model.projections.linears):
        rows = []
        for i, x in enumerate(data[ITEM][f"x_{name}"]):
            here = f"mask_{name}" not in data[ITEM] or data[ITEM][f"mask_{name}"][i]
            row = linear.weight @ (x / x.norm()) + linear.bias
            rows.append(row if here else torch.zeros_like(row))
        channels.append(torch.stack(rows))
    return channels


def naive_encode(model, items, matrices):
    hops = model.propagation.num_layers
    channels = [
        dense_mean(model.embedding.user, item, hops * [matrix])
        for item, matrix in zip(items, matrices)
    ]
    user, item = (torch.cat(side, dim=1) for side in zip(*channels))
    return user @ model.read_user.weight.t(), item @ model.read_item.weight.t()


def test_losses_equal_the_formulas(data, batch):
    options = {"dropout": 0.4, "contrast_weight": 0.7, "temperature": 0.3, "reg_weight": 0.2}
    model = MMGCL.from_data(data, hidden_channels=8, num_layers=2, **options)
    model.start_epoch(data)
    edge_index = data[INTERACTS].edge_index
    items = naive_items(model, data)
    full = [dense_graph(edge_index)] * len(items)
    user, item = naive_encode(model, items, full)
    margin = (user[batch.user] * (item[batch.pos_item] - item[batch.neg_item])).sum(1)
    torch.manual_seed(3)
    channel = 1 + int(torch.randint(2, ()))
    masked = list(items)
    masked[channel] = torch.nn.init.xavier_uniform_(torch.empty(items[0].shape))
    views = (
        naive_encode(model, items, [dense_graph(edge_index[:, g.kept]) for g in model.graphs]),
        naive_encode(model, masked, full),
    )
    rows = [sorted(set(x.tolist())) for x in (batch.user, batch.pos_item)]
    contrast = [naive_contrast(a, b, r, 0.3) for a, b, r in zip(*views, rows)]
    free = model.embedding
    triple = [free.user[batch.user], free.item[batch.pos_item], free.item[batch.neg_item]]
    expected = {
        "bpr": -F.logsigmoid(margin).mean(),
        "contrast": 0.7 * sum(contrast),
        "reg": 0.2 / 2 * sum(x.pow(2).sum(1).mean() for x in triple),
    }
    torch.manual_seed(3)
    torch.testing.assert_close(model.losses(data, batch), expected, rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(encode(model, data), (user, item)):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_masking_replaces_one_modality_and_never_the_free_vectors(data):
    model = MMGCL.from_data(data)
    items, seen = model._start(data)[1], set()
    for _ in range(20):
        changed = [not torch.equal(a, b) for a, b in zip(items, model._mask(items))]
        assert sum(changed) == 1
        seen.add(changed.index(True))
    assert seen == {1, 2}


def test_every_channel_loses_pairs_of_its_own(data):
    model = MMGCL.from_data(data, dropout=0.3)
    model.start_epoch(data)
    masks = [graph.kept for graph in model.graphs]
    assert len({tuple(mask.tolist()) for mask in masks}) == len(masks) == 3
    deviation = (0.3 * 0.7 / masks[0].numel()) ** 0.5
    assert all(abs(mask.float().mean() - 0.7) < 5 * deviation for mask in masks)


def test_views_travel_with_the_state_of_the_epoch(data, batch):
    model, other = (MMGCL.from_data(data, dropout=0.4) for _ in range(2))
    model.start_epoch(data)
    other.start_epoch(data)
    other.load_state_dict(model.state_dict())
    set_epoch_state(other, epoch_state(model), torch.device("cpu"))
    terms = []
    for each in (model, other):
        torch.manual_seed(0)
        terms.append(each.losses(data, batch)["contrast"])
    assert torch.equal(*terms)


def test_a_new_item_is_embedded_by_its_content(data):
    model = MMGCL.from_data(data)
    before = encode(model, data)
    data[ITEM].num_nodes += 1
    for name in modalities(data):
        data[ITEM][f"x_{name}"] = torch.cat(
            [data[ITEM][f"x_{name}"], torch.ones(1, 1).expand(1, data[ITEM][f"x_{name}"].size(1))]
        )
    data[ITEM].mask_visual = torch.cat([data[ITEM].mask_visual, torch.tensor([True])])
    user, item = encode(model, LightGCNNorm()(data))
    torch.testing.assert_close(user, before[0])
    torch.testing.assert_close(item[:-1], before[1])
    assert item[-1].abs().sum() > 0


def test_terms_of_weight_zero_are_absent(data, batch):
    model = MMGCL.from_data(data, contrast_weight=0.0, reg_weight=0.0)
    model.start_epoch(data)
    assert list(model.losses(data, batch)) == ["bpr"]
    assert not model.graphs


def test_dropout_must_leave_something(data):
    with pytest.raises(ValueError, match="less than 1"):
        MMGCL.from_data(data, dropout=1.0)
