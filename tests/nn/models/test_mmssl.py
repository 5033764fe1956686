import copy
import math

import pytest
import torch
import torch.nn.functional as F
from naive import dense_mean

from mentor_pyg import TrainConfig, fit
from mentor_pyg.nn.adversarial import gradient_penalty, gumbel_rows
from mentor_pyg.nn.models.mmssl import MMSSL
from mentor_pyg.training.sampler import BPRSampler
from mentor_pyg.transforms import LightGCNNorm
from mentor_pyg.typing import INTERACTS, ITEM

WEIGHTS = {"contrast_weight": 0.3, "augmentation_weight": 0.7, "penalty_weight": 0.2}
PLAIN = {"gumbel": False, "critic_limit": None, "num_neighbors": 3} | WEIGHTS
U, I, D = 60, 40, 8  # noqa: E741


@pytest.fixture
def data(tiny):
    mask = torch.rand(I, generator=torch.Generator().manual_seed(0)) > 0.3
    tiny[ITEM].mask_textual = mask
    tiny[ITEM].x_acoustic = torch.rand(I, 5, generator=torch.Generator().manual_seed(1))
    return LightGCNNorm()(tiny)


@pytest.fixture
def batch(data):
    return next(iter(BPRSampler(data, 64, torch.Generator().manual_seed(0))))


@pytest.fixture
def make(data):
    def make(**options):
        torch.manual_seed(0)
        model = MMSSL.from_data(data, **({"hidden_channels": D, "num_heads": 2} | options))
        model.start_epoch(data)
        return model

    return make


def graph(data):
    """The training pairs [U, I], and the roots of both degrees as columns and rows."""
    pairs = torch.zeros(U, I)
    pairs[tuple(data[INTERACTS].edge_index)] = 1
    root_u, root_i = (pairs.sum(dim, keepdim=True).clamp(min=1).sqrt() for dim in (1, 0))
    return pairs, root_u, root_i


def dense_parts(model, data):
    """Eq. 2-12 of the paper with dense matrices: f, A before its rows are normalised, e, h."""
    pairs, root_u, root_i = graph(data)
    free = model.embedding
    content, relations, modal = [], [], []
    for m, projection in zip(model.graphs, model.content.projections.linears):
        x = data[ITEM][f"x_{m}"] @ projection.weight.t() + projection.bias
        if f"mask_{m}" in data[ITEM]:
            x = x * data[ITEM][f"mask_{m}"][:, None]
        user = pairs @ x / root_u
        item = (pairs / root_i).t() @ user
        relation = F.normalize(user) @ F.normalize(item).t() * (1 - pairs)
        cosine = F.normalize(user) @ F.normalize(item).t()
        if not model.link_observed:
            cosine = cosine.masked_fill(pairs > 0, -torch.inf)
        top = cosine.topk(model.graphs[m].neighbor.size(1))
        links = torch.zeros(U, I).scatter(1, top.indices, (top.values > 0).float())
        counts = links.sum(1, keepdim=True), links.sum(0, keepdim=True)
        by_user, by_item = (links / count.clamp(min=1).sqrt() for count in counts)
        content.append((user, item))
        relations.append(relation)
        modal.append((by_user @ free.item, by_item.t() @ free.user))
    hidden = [
        x + model.attention_weight * F.normalize(model.attention(torch.stack(parts, dim=1)))
        for x, parts in zip(free(), zip(*modal))
    ]
    out = dense_mean(*hidden, 2 * [pairs / root_u / root_i])
    for part in content:
        out = [x + model.content_weight * F.normalize(side) for x, side in zip(out, part)]
    return content, relations, modal, out


@pytest.mark.parametrize("link_observed", [False, True])
def test_encode_equals_the_dense_equations(make, data, link_observed):
    model = make(num_neighbors=3, link_observed=link_observed).eval()
    _, _, _, out = dense_parts(model, data)
    for ours, theirs in zip(model(data), out, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_losses_equal_the_dense_equations(make, data, batch):
    model = make(**PLAIN).eval()
    _, relations, modal, (user, item) = dense_parts(model, data)
    found = model.losses(data, batch)
    assert found.keys() == {"bpr", "contrast", "adversarial"}

    triples = zip(*(x.tolist() for x in batch))
    margins = [(user[u] @ item[i] - user[u] @ item[j]).item() for u, i, j in triples]
    bpr = sum(math.log1p(math.exp(-x)) for x in margins) / len(margins)
    assert found["bpr"].item() == pytest.approx(bpr, rel=1e-4)

    users = batch.user.unique()
    contrast = 0.0
    for part, _ in modal:
        logits = (
            F.normalize(user[users]) @ F.normalize(part[users]).t() / model.contrast.temperature
        )
        contrast += F.cross_entropy(logits, torch.arange(len(users))).item()
    assert found["contrast"].item() == pytest.approx(0.3 * contrast, rel=1e-4)

    rows = torch.cat([F.normalize(relation[users]) for relation in relations])
    score = model.adversary.critic.judge(rows).mean().item()
    assert found["adversarial"].item() == pytest.approx(-0.7 * score, rel=1e-4)


@pytest.mark.parametrize("gumbel", [False, True])
def test_critic_losses_equal_the_dense_equations(make, data, batch, gumbel):
    model = make(**(PLAIN | {"gumbel": gumbel, "collaborative_weight": 0.4})).eval()
    pairs, _, _ = graph(data)
    _, relations, _, (user, item) = dense_parts(model, data)
    users = batch.user.unique()
    fake = torch.cat([F.normalize(relation[users]) for relation in relations])

    torch.manual_seed(5)
    found = model.critic_losses(data, batch)
    torch.manual_seed(5)
    real = gumbel_rows(pairs[users], 0.5) if gumbel else pairs[users]
    real = F.normalize(real + 0.4 * F.normalize(user[users]) @ F.normalize(item).t())
    judge = model.adversary.critic.judge
    expected = judge(fake).mean() - judge(real).mean()
    assert found["critic"].item() == pytest.approx(expected.item(), rel=1e-3, abs=1e-6)
    penalty = 0.2 * gradient_penalty(judge, real.repeat(3, 1), fake)
    assert found["penalty"].item() == pytest.approx(penalty.item(), rel=1e-3)


def test_autoencoder_equals_a_loop(make, data, batch):
    model = make(augmentation="autoencoder", **WEIGHTS).eval()
    content, _, _, _ = dense_parts(model, data)
    total = 0.0
    for user, item in content:
        for u, i, j in zip(*(x.tolist() for x in batch)):
            likely, unlikely = ((user[u] @ item[row]).item() for row in (i, j))
            total += math.log1p(math.exp(-likely)) + math.log1p(math.exp(unlikely))
    found = model.losses(data, batch)
    assert found.keys() == {"bpr", "contrast", "autoencoder"}
    assert found["autoencoder"].item() == pytest.approx(0.7 * total / 64, rel=1e-4)


@pytest.mark.parametrize(
    ("options", "terms"),
    [
        ({}, {"bpr", "contrast", "adversarial", "critic", "penalty"}),
        ({"augmentation": "none"}, {"bpr", "contrast"}),
        ({"augmentation_weight": 0.0}, {"bpr", "contrast"}),
        ({"contrast_weight": 0.0}, {"bpr", "adversarial", "critic", "penalty"}),
        ({"penalty_weight": 0.0}, {"bpr", "contrast", "adversarial", "critic"}),
        ({"augmentation": "autoencoder"}, {"bpr", "contrast", "autoencoder"}),
    ],
)
def test_terms_of_the_options(make, data, options, terms):
    result = fit(make(**options), data, TrainConfig(epochs=1), progress=False)
    row = result.history[0]
    assert {k for k in row if "@" not in k} - {"epoch", "seconds"} == terms


def changed_by(model, data, batch, index):
    """Names in the state that a step of one objective changes."""
    before = copy.deepcopy(model.state_dict())
    objective = model.objectives()[index]
    torch.stack(list(objective.losses(data, batch).values())).sum().backward()
    objective.optimizer(objective.parameters, lr=1e-2).step()
    return {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}


def test_objectives_change_what_is_theirs(make, data, batch):
    model = make(num_neighbors=3)
    critic = {f"adversary.critic.{name}" for name in model.adversary.critic.state_dict()}
    counters = {k for k in critic if k.endswith("num_batches_tracked")}
    assert changed_by(model, data, batch, 0) == critic - counters
    others = {name for name, _ in model.named_parameters()} - critic
    assert changed_by(make(num_neighbors=3), data, batch, 1) == others


def test_weight_decay_is_for_all_but_the_critic(make):
    critic, main = make(weight_decay=0.3, critic_lr=0.02).objectives()
    assert (critic.optimizer, critic.options["lr"]) == (torch.optim.Adam, 0.02)
    assert (main.optimizer, main.options) == (torch.optim.AdamW, {"weight_decay": 0.3})
    assert len(make(augmentation="none").objectives()) == 1


def test_generator_gets_a_gradient_from_the_critic_alone(make, data, batch):
    model = make(**PLAIN)
    model.losses(data, batch)["adversarial"].backward()
    reached = {name for name, p in model.named_parameters() if p.grad is not None}
    assert {name.split(".")[0] for name in reached} == {"adversary", "content"}
    assert all(p.grad.abs().sum() > 0 for p in model.content.projections.parameters())


@pytest.mark.parametrize(("limit", "expected"), [(None, None), (5, 5), (1000, None)])
def test_critic_sees_no_more_users_than_its_limit(make, data, batch, limit, expected):
    users, observed = make(critic_limit=limit)._observe(data, batch)
    pairs, _, _ = graph(data)
    assert len(users) == (expected or len(batch.user.unique()))
    assert set(users.tolist()) <= set(batch.user.tolist())
    assert torch.equal(observed, pairs[users])


def test_graphs_follow_the_content_of_the_epoch(make, data):
    model = make()
    first = [graph.neighbor.clone() for graph in model.graphs.values()]
    model.start_epoch(data)
    assert all(torch.equal(a, g.neighbor) for a, g in zip(first, model.graphs.values()))
    torch.nn.init.normal_(model.content.projections.linears[2].weight)
    model.start_epoch(data)
    changed = {
        m for a, (m, g) in zip(first, model.graphs.items()) if not torch.equal(a, g.neighbor)
    }
    assert changed == {"visual"}


def test_encode_with_loaded_weights_uses_their_graphs(make, data):
    model, other = make(), make()
    torch.nn.init.normal_(model.content.projections.linears[2].weight)
    model.start_epoch(data)
    other.load_state_dict(model.state_dict())
    expected, found = model.eval()(data), other.eval()(data)
    assert all(torch.equal(a, b) for a, b in zip(expected, found))


def test_without_modalities_or_with_heads_that_do_not_fit():
    with pytest.raises(ValueError, match="at least one modality"):
        MMSSL(3, 3, {})
    with pytest.raises(ValueError, match="5 heads for 64 hidden channels; expected"):
        MMSSL(3, 3, {"visual": 2}, num_heads=5)


def test_bf16_trains(make, data):
    config = TrainConfig(epochs=2, lr=1e-2, batch_size=128, precision="bf16")
    result = fit(make(), data, config, progress=False)
    assert all(math.isfinite(x) for row in result.history for x in row.values())
