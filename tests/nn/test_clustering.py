import pytest
import torch
import torch.nn.functional as F

from mentor_pyg import InputError
from mentor_pyg.nn import Prototypes
from mentor_pyg.nn.clustering import kmeans, nearest_rows


def blobs(per_cluster=30):
    """Rows around four far corners, and the corner of each."""
    corners = 10 * torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    label = torch.arange(4).repeat_interleave(per_cluster)
    noise = torch.randn(len(label), 2, generator=torch.Generator().manual_seed(0))
    return corners[label] + noise, label


def test_finds_what_is_clearly_apart():
    x, label = blobs()
    best = None
    for seed in range(10):
        torch.manual_seed(seed)
        centers, cluster = kmeans(x, 4)
        cost = (x - centers[cluster]).square().sum()
        best = min(best or (cost, cluster), (cost, cluster), key=lambda pair: pair[0])
    pairs = set(zip(label.tolist(), best[1].tolist()))
    assert len(pairs) == 4


def test_ends_at_a_fixed_point():
    torch.manual_seed(0)
    x = torch.randn(60, 5)
    centers, cluster = kmeans(x, 6, num_iters=100)
    assert torch.equal(cluster, torch.cdist(x, centers).argmin(dim=1))
    means = torch.stack([x[cluster == j].mean(0) for j in range(6)])
    torch.testing.assert_close(centers, means)


def test_more_updates_never_cost_more():
    x = torch.randn(200, 8, generator=torch.Generator().manual_seed(1))
    costs = []
    for num_iters in (0, 1, 3, 10):
        torch.manual_seed(0)
        centers, cluster = kmeans(x, 12, num_iters)
        costs.append((x - centers[cluster]).square().sum().item())
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] < costs[0]


def test_is_deterministic_under_a_seed():
    x, _ = blobs()
    runs = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        runs.append(kmeans(x, 9, num_iters=1)[0])
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_equal_rows_leave_no_nan():
    centers, _ = kmeans(torch.ones(5, 3), 4)
    assert torch.equal(centers, torch.ones(4, 3))


@pytest.mark.parametrize("k", [0, 6])
def test_needs_as_many_rows_as_clusters(k):
    with pytest.raises(InputError, match=r"kmeans.*; expected at (least 1|most one per row)"):
        kmeans(torch.ones(5, 3), k)


def test_blocks_change_nothing(monkeypatch):
    x, others = torch.randn(50, 4), torch.randn(7, 4)
    whole = torch.cdist(x, others).argmin(dim=1)
    monkeypatch.setattr("mentor_pyg.nn.clustering.block_rows", lambda *_: 3)
    assert torch.equal(nearest_rows(x, others), whole)


def test_loss_equals_the_formula():
    torch.manual_seed(0)
    x, rows, tau = torch.randn(30, 6), torch.tensor([3, 8, 21]), 0.3
    prototypes = Prototypes(30, 5, 6)
    prototypes.fit(x)
    terms = []
    for i in rows.tolist():
        exps = [(F.cosine_similarity(x[i], c, dim=0) / tau).exp() for c in prototypes.centers]
        terms.append(-(exps[prototypes.cluster[i]] / sum(exps)).log())
    torch.testing.assert_close(prototypes(x, rows, tau), sum(terms) / 3)
    torch.testing.assert_close(prototypes.centers.norm(dim=1), torch.ones(5))


def test_before_a_fit_the_loss_is_a_constant():
    x = torch.randn(30, 6, requires_grad=True)
    prototypes = Prototypes(30, 5, 6)
    loss = prototypes(x, torch.arange(4), 0.1)
    loss.backward()
    torch.testing.assert_close(loss, torch.tensor(5.0).log())
    assert x.grad.abs().sum() == 0


def test_clusters_are_no_more_than_rows_and_travel_with_the_state():
    x = torch.randn(4, 6)
    prototypes, other = Prototypes(4, 100, 6), Prototypes(4, 100, 6)
    prototypes.fit(x)
    other.load_state_dict(prototypes.state_dict())
    assert sorted(prototypes.cluster.tolist()) == [0, 1, 2, 3]
    assert torch.equal(other(x, torch.arange(4), 0.1), prototypes(x, torch.arange(4), 0.1))
    prototypes.reset_parameters()
    assert prototypes.centers.abs().sum() == prototypes.cluster.sum() == 0


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1e-25), (0.0, 1e25), (1e3, 1.0)])
def test_place_and_scale_of_rows_make_no_difference(shift, scale):
    torch.manual_seed(0)
    x = 8 * torch.randn(5, 4).repeat(12, 1) + 0.3 * torch.randn(60, 4)
    results = []
    for rows in (x, scale * (shift + x)):
        torch.manual_seed(1)
        results.append(kmeans(rows, 5))
    (centers, nearest), (others, theirs) = results
    assert torch.equal(nearest, theirs)
    torch.testing.assert_close(others / scale, centers + shift, rtol=1e-5, atol=1e-4)


def test_rows_of_another_number_are_refused():
    prototypes = Prototypes(6, 2, 4)
    for x in (torch.randn(1, 4), torch.randn(6, 3)):
        with pytest.raises(InputError, match=r"Prototypes: 'x' has shape .*; expected \[6, 4\]"):
            prototypes.fit(x)
