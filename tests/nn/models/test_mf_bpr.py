import torch

from mentor_pyg.evaluation.metrics import encode
from mentor_pyg.nn.models import MFBPR
from mentor_pyg.training.sampler import BPRSampler


def test_losses_equal_the_formulas_triple_by_triple(tiny):
    model = MFBPR.from_data(tiny, hidden_channels=8, reg_weight=0.3)
    batch = next(iter(BPRSampler(tiny, 32, torch.Generator().manual_seed(0))))
    user, item = model.embedding.user, model.embedding.item
    bpr = reg = 0.0
    for u, i, j in zip(*(x.tolist() for x in batch)):
        bpr -= (user[u] @ item[i] - user[u] @ item[j]).sigmoid().log() / 32
        reg += 0.3 * sum(x @ x for x in (user[u], item[i], item[j])) / 64
    losses = model.losses(tiny, batch)
    torch.testing.assert_close(losses, {"bpr": bpr, "reg": reg})


def test_norms_in_place_of_squares(tiny):
    model = MFBPR.from_data(tiny, regularizer="norms", reg_weight=0.3)
    batch = next(iter(BPRSampler(tiny, 32)))
    user, item = model.embedding.user, model.embedding.item
    norms = [
        sum(x @ x for x in matrix[list(rows)]) ** 0.5
        for matrix, rows in ((user, batch.user), (item, batch.pos_item), (item, batch.neg_item))
    ]
    torch.testing.assert_close(model.losses(tiny, batch)["reg"], 0.3 * sum(norms) / 32)


def test_scores_need_no_graph_and_results_are_copies(tiny):
    model = MFBPR.from_data(tiny, reg_weight=0.0)
    user, item = encode(model, tiny)
    assert torch.equal(user, model.embedding.user)
    assert torch.equal(item, model.embedding.item)
    user.zero_()
    assert model.embedding.user.abs().sum() > 0
    batch = next(iter(BPRSampler(tiny, 8)))
    assert list(model.losses(tiny, batch)) == ["bpr"]
