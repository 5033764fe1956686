import copy
import math

import pytest
import torch
import torch.nn.functional as F

from mentor_pyg import InputError, Recommender, TrainConfig, evaluate, fit
from mentor_pyg.evaluation import Evaluator, encode
from mentor_pyg.nn import BPRLoss, DirectAULoss, SoftmaxLoss, models, softmax
from mentor_pyg.nn.ranking import LOSSES
from mentor_pyg.runs.build import build_model
from mentor_pyg.runs.config import load_config
from mentor_pyg.testing import add_graphs
from mentor_pyg.typing import Batch

USERS, ITEMS, SIZE = 7, 9, 12


@pytest.fixture
def parts():
    generator = torch.Generator().manual_seed(0)
    user = torch.randn(USERS, 5, generator=generator, dtype=torch.double)
    item = torch.randn(ITEMS, 5, generator=generator, dtype=torch.double)
    ids = (torch.randint(n, (SIZE,), generator=generator) for n in (USERS, ITEMS, ITEMS))
    return user.requires_grad_(), item.requires_grad_(), Batch(*ids)


def scores(user, item, cosine):
    """All of them, [U, I]."""
    return F.normalize(user) @ F.normalize(item).t() if cosine else user @ item.t()


def check_with_gradients(loss, expected, *parts):
    torch.testing.assert_close(loss, expected)
    ours, theirs = (torch.autograd.grad(x, parts, retain_graph=True) for x in (loss, expected))
    for a, b in zip(ours, theirs):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize("negatives", [4, 12, 1000])
def test_softmax_equals_a_loop_over_triples(parts, cosine, negatives):
    user, item, batch = parts
    s, expected = scores(user, item, cosine), 0.0
    shared = batch.neg_item.tolist()[:negatives]
    assert set(shared) & set(batch.pos_item.tolist())  # some are left out of their own row
    for u, i in zip(batch.user.tolist(), batch.pos_item.tolist()):
        others = [s[u, j] / 0.3 for j in shared if j != i]
        logits = torch.stack([s[u, i] / 0.3, *others])
        expected = expected - logits.log_softmax(0)[0] / SIZE
    loss = SoftmaxLoss(0.3, cosine, num_negatives=negatives)(user, item, batch)
    check_with_gradients(loss, expected, user, item)


@pytest.mark.parametrize("cosine", [False, True])
def test_softmax_over_all_items_equals_the_dense_one(parts, cosine):
    user, item, batch = parts
    log = (scores(user, item, cosine) / 0.3).log_softmax(dim=1)
    expected = -log[batch.user, batch.pos_item].mean()
    loss = SoftmaxLoss(0.3, cosine, "all")(user, item, batch)
    check_with_gradients(loss, expected, user, item)


@pytest.mark.parametrize("log_q", [False, True])
def test_softmax_over_the_batch_equals_a_loop(parts, log_q):
    user, item, batch = parts
    counts = torch.arange(ITEMS)  # the first item has no pair
    bias = -(counts.clamp(min=1) / counts.sum()).log() if log_q else torch.zeros(ITEMS)
    s = scores(user, item, True) / 0.3 + bias
    expected = 0.0
    for u, i in zip(batch.user.tolist(), batch.pos_item.tolist()):
        others = [s[u, j] for j in batch.pos_item.tolist() if j != i]
        expected = expected - torch.stack([s[u, i], *others]).log_softmax(0)[0] / SIZE
    loss = SoftmaxLoss(0.3, negatives="batch", log_q=log_q, item_counts=counts)
    check_with_gradients(loss(user, item, batch), expected, user, item)


@pytest.mark.parametrize("cosine", [False, True])
def test_softmax_over_own_negatives_equals_a_loop(parts, cosine):
    user, item, batch = parts
    pairs = (x[::3].repeat_interleave(3) for x in batch[:2])
    batch = Batch(*pairs, batch.neg_item)
    s, expected = scores(user, item, cosine) / 0.3, 0.0
    for n in range(0, SIZE, 3):
        u, i = int(batch.user[n]), int(batch.pos_item[n])
        row = s[u, [i, *batch.neg_item[n : n + 3].tolist()]]
        expected = expected - row.log_softmax(0)[0] / (SIZE / 3)
    loss = SoftmaxLoss(0.3, cosine, "own", num_negatives=3)
    check_with_gradients(loss(user, item, batch), expected, user, item)
    loss.num_negatives = 5
    with pytest.raises(InputError, match=r"is 5, but the batch has 12 triples; expected the samp"):
        loss(user, item, batch)


def test_blocks_of_the_softmax_equal_the_whole(parts, monkeypatch):
    user, item, batch = parts
    whole = SoftmaxLoss(0.02, negatives="all")(user, item, batch)
    grads = torch.autograd.grad(whole, (user, item))
    monkeypatch.setattr(softmax, "block_rows", lambda *_: 5)
    blocks = SoftmaxLoss(0.02, negatives="all")(user, item, batch)
    torch.testing.assert_close(blocks, whole)
    for ours, theirs in zip(torch.autograd.grad(blocks, (user, item)), grads):
        torch.testing.assert_close(ours, theirs)


def test_softmax_of_huge_and_of_certain_scores_is_finite():
    user = torch.tensor([[1e4], [-1e4]], requires_grad=True)
    item = torch.tensor([[1.0], [-1.0], [0.0]])
    batch = Batch(torch.tensor([0, 1]), torch.tensor([0, 0]), torch.tensor([1, 2]))
    loss = SoftmaxLoss(0.1, cosine=False)(user, item, batch)
    torch.testing.assert_close(loss, torch.tensor(1e5))  # (0 + 2e5) / 2
    loss.backward()
    torch.testing.assert_close(user.grad, torch.tensor([[0.0], [-10.0]]))


def test_softmax_compiles_without_a_break(parts):
    user, item, batch = parts
    loss = SoftmaxLoss(0.3)
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    check_with_gradients(compiled(user, item, batch), loss(user, item, batch), user, item)


def test_losses_that_need_all_items_refuse_a_sampled_part(tiny):
    data = add_graphs(tiny)
    model = models.LightGCN.from_data(data)
    users = torch.arange(3)
    part = data.subgraph({"user": users})
    part["user"].n_id = users
    part["item"].n_id = torch.arange(data["item"].num_nodes)
    batch = Batch(users, users, users + 1)
    for refused in (
        SoftmaxLoss(negatives="all"),
        SoftmaxLoss.from_data(data, negatives="batch", log_q=True),
    ):
        model.ranking = refused
        with pytest.raises(InputError, match="SoftmaxLoss needs all users and items at once"):
            model.losses(part, batch)
    model.ranking = SoftmaxLoss()
    assert model.losses(part, batch)["softmax"] > 0


def test_item_counts_come_from_the_data(tiny):
    data = add_graphs(tiny)
    loss = SoftmaxLoss.from_data(data, negatives="batch", log_q=True)
    counts = torch.zeros(data["item"].num_nodes)
    for item in data["user", "interacts", "item"].edge_index[1].tolist():
        counts[item] += 1
    torch.testing.assert_close(loss.log_q, (counts.clamp(min=1) / counts.sum()).log())
    assert not loss.state_dict()


@pytest.mark.parametrize("cosine", [False, True])
def test_bpr_equals_its_definition(parts, cosine):
    user, item, batch = parts
    s = scores(user, item, cosine)
    margin = 3 * (s[batch.user, batch.pos_item] - s[batch.user, batch.neg_item])
    expected = -torch.sigmoid(margin).log2().mean()
    torch.testing.assert_close(BPRLoss(3.0, 2.0, cosine)(user, item, batch), expected)


def test_directau_equals_its_definition(parts):
    user, item, batch = parts
    u, i = F.normalize(user)[batch.user], F.normalize(item)[batch.pos_item]
    expected = (u - i).norm(dim=1).square().mean()
    for x in (u, i):
        expected = expected + 0.7 / 2 * (-2 * torch.pdist(x + 0).square()).exp().mean().log()
    torch.testing.assert_close(DirectAULoss(0.7)(user, item, batch), expected)
    assert DirectAULoss(0.0)(user, item, batch) < (u - i).norm(dim=1).square().mean() + 1e-9


@pytest.mark.parametrize("loss", [BPRLoss(), SoftmaxLoss(), DirectAULoss()])
def test_losses_are_lower_for_better_embeddings(loss):
    """Each user likes the item of its own number."""
    eye = torch.eye(8)
    batch = Batch(torch.arange(8), torch.arange(8), torch.arange(8).roll(1))
    assert loss(eye, eye, batch) < loss(eye, eye.roll(1, 0), batch)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    "loss", [SoftmaxLoss(0.05), SoftmaxLoss(0.05, False, "all"), DirectAULoss()]
)
def test_half_precision_is_summed_in_float32(parts, dtype, loss):
    user, item, batch = parts
    low = loss(user.to(dtype), item.to(dtype), batch)
    assert low.dtype == torch.float32
    wide = loss(user.to(dtype).float(), item.to(dtype).float(), batch)
    torch.testing.assert_close(low, wide, rtol=2e-2, atol=1e-2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SoftmaxLoss(0.0), "temperature: is 0.0; expected more than 0"),
        (lambda: SoftmaxLoss(negatives="full"), "negatives: is 'full'; expected one of 'shared'"),
        (lambda: SoftmaxLoss(log_q=True), "log_q: corrects in-batch negatives, not 'shared'"),
        (lambda: SoftmaxLoss(negatives="batch", log_q=True), "log_q: has no 'item_counts'"),
        (lambda: SoftmaxLoss(num_negatives=0), "num_negatives: is 0; expected"),
        (lambda: BPRLoss(scale=-1.0), "scale: is -1.0; expected"),
        (lambda: DirectAULoss(math.nan), "uniformity: is nan; expected"),
    ],
)
def test_options_are_checked(make, message):
    with pytest.raises(InputError, match=message):
        make()


SOLVED = {n for n in models.classes if issubclass(getattr(models, n), models.SolvedRecommender)}
OWN = {"BM3", "SLMRec", "CLCRec"} | SOLVED


@pytest.mark.parametrize("name", models.classes)
def test_the_loss_of_every_model_that_ranks_can_be_replaced(tiny, name):
    data = add_graphs(tiny)
    model = getattr(models, name).from_data(data)
    assert (model.ranking is None) == (name in OWN)
    if name in OWN:
        return
    model.ranking = SoftmaxLoss(0.2)
    model.start_epoch(data)
    pairs = data["user", "interacts", "item"].edge_index[:, :32]
    losses = model.losses(data, Batch(*pairs, pairs[1].roll(3)))
    assert "softmax" in losses
    assert "bpr" not in losses
    torch.stack(list(losses.values())).sum().backward()
    user, item = encode(model, data)
    for x in (user, item):
        torch.testing.assert_close(x.norm(dim=1), torch.ones(len(x)), atol=1e-4, rtol=0)


def test_lists_are_those_of_the_cosines(tiny):
    data = add_graphs(tiny)
    model = models.LightGCN.from_data(data)
    model.ranking = SoftmaxLoss(0.2)
    fit(model, data, TrainConfig(epochs=2, lr=1e-2), progress=False)
    user, item = (F.normalize(x) for x in model.eval()(data))
    assert evaluate(model, data, "val") == Evaluator(data, "val")(user, item)
    rec = Recommender(model, data, progress=False)
    torch.testing.assert_close(rec.user_emb, user)


def test_a_preset_chooses_the_loss(tiny):
    data = add_graphs(tiny)
    config = load_config("lightgcn", ["ranking={loss: softmax, temperature: 0.3, cosine: false}"])
    loss = build_model(config, data).ranking
    assert isinstance(loss, SoftmaxLoss)
    assert (loss.temperature, loss.cosine, loss.num_negatives) == (0.3, False, 1024)
    own = ["ranking={loss: softmax, negatives: own}", "train.num_negatives=8"]
    assert build_model(load_config("lightgcn", own), data).ranking.num_negatives == 8
    corrected = ["ranking={loss: softmax, negatives: batch, log_q: true}"]
    loss = build_model(load_config("lightgcn", corrected), data).ranking
    assert loss.log_q.shape == (data["item"].num_nodes,)
    again = load_config("lightgcn", ["ranking.loss=directau"])
    assert isinstance(build_model(again, data).ranking, LOSSES["directau"])
    assert isinstance(build_model(load_config("lightgcn"), data).ranking, BPRLoss)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("ranking=softmax", "ranking: is 'softmax'; expected a mapping"),
        ("ranking.loss=hinge", "ranking.loss: is 'hinge'; expected one of bpr, softmax, directau"),
        ("ranking={temperature: 0.1}", "ranking.loss: is None; expected one of bpr"),
        ("ranking={loss: bpr, temperature: 0.1}", "ranking.temperature: unknown option; expected"),
        ("ranking={loss: softmax, temperature: 0}", "ranking.temperature: is 0; expected"),
        ("ranking={loss: softmax, negatives: own, num_negatives: 4}", "expected train.num_negat"),
    ],
)
def test_a_wrong_section_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        load_config("lightgcn", [change])


def test_models_with_a_loss_of_their_own_refuse_another(tiny):
    config = load_config("bm3", ["ranking.loss=softmax"])
    with pytest.raises(InputError, match=r"^ranking: BM3 has no ranking loss; exp"):
        build_model(config, add_graphs(tiny))


@pytest.mark.parametrize("change", ["options.score_scale=2.0", "options.bpr_log=binary"])
def test_options_of_a_replaced_loss_are_refused(tiny, change):
    data = add_graphs(tiny)
    assert build_model(load_config("paper", [change]), data).ranking is not None
    config = load_config("paper", [change, "ranking.loss=softmax"])
    with pytest.raises(InputError, match="ranking: replaces the BPR loss, which the options of M"):
        build_model(config, data)


def test_models_can_be_copied(tiny):
    model = models.LightGCN.from_data(add_graphs(tiny))
    model.ranking = SoftmaxLoss(0.2)
    assert copy.deepcopy(model).ranking.temperature == 0.2
