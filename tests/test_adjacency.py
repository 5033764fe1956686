import copy

import pytest
import torch
from torch_geometric.data import HeteroData
from torch_geometric.utils import dense_to_sparse

from mentor_pyg import Adjacency
from mentor_pyg.adjacency import spmm


def random_matrix(num_targets, num_sources, density=0.4):
    """A dense matrix [targets, sources] with first and last row and column empty."""
    torch.manual_seed(num_targets * num_sources)
    dense = torch.rand(num_targets, num_sources) + 0.1
    dense *= torch.rand_like(dense) < density
    dense[[0, -1]] = 0
    dense[:, [0, -1]] = 0
    return dense


def from_dense(dense, **kwargs):
    """From its edges in random order."""
    edge_index, weight = dense_to_sparse(dense.t())
    perm = torch.randperm(weight.numel())
    return Adjacency.from_edge_index(
        edge_index[:, perm], weight[perm], (dense.size(1), dense.size(0)), **kwargs
    )


@pytest.fixture
def adj():
    return from_dense(random_matrix(7, 9))


def symmetric(n):
    dense = random_matrix(n, n)
    return dense + dense.t()


CASES = {
    "bipartite": (random_matrix(7, 9), False),
    "tall": (random_matrix(40, 3), False),
    "square": (random_matrix(12, 12), False),
    "symmetric": (symmetric(12), True),
    "full": (random_matrix(6, 5, density=1.1), False),
    "no edges": (torch.zeros(4, 3), False),
    "no edges, symmetric": (torch.zeros(3, 3), True),
}


@pytest.mark.parametrize(("dense", "is_symmetric"), CASES.values(), ids=CASES)
def test_equals_dense(dense, is_symmetric):
    adj = from_dense(dense, symmetric=is_symmetric)
    assert (adj.num_targets, adj.num_sources) == dense.shape

    x = torch.randn(dense.size(1), 5, requires_grad=True)
    upstream = torch.randn(dense.size(0), 5)
    out = adj.matmul(x)
    assert torch.allclose(out, dense @ x, atol=1e-6)
    (grad,) = torch.autograd.grad(out, x, upstream)
    assert torch.allclose(grad, dense.t() @ upstream, atol=1e-6)


@pytest.mark.parametrize(("dense", "is_symmetric"), CASES.values(), ids=CASES)
def test_both_halves_are_sorted_csr(dense, is_symmetric):
    adj = from_dense(dense, symmetric=is_symmetric)
    for parts, matrix in ((adj[:3], dense), (adj[3:], dense.t())):
        csr = matrix.to_sparse_csr()
        expected = (csr.crow_indices(), csr.col_indices(), csr.values())
        assert all(torch.equal(a, b) for a, b in zip(parts, expected))


def test_symmetric_shares_tensors():
    adj = from_dense(symmetric(8), symmetric=True)
    assert all(a is b for a, b in zip(adj[:3], adj[3:]))


def test_derivatives_of_both_orders(adj):
    adj = Adjacency(*(t.double() if t.is_floating_point() else t for t in adj))
    x = torch.randn(adj.num_sources, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(adj.matmul, x)
    assert torch.autograd.gradgradcheck(adj.matmul, x)


def test_moves_with_data(adj):
    data = HeteroData()
    data["item", "similar", "item"].adjacency = adj
    moved = data.to("meta")["item", "similar", "item"].adjacency
    assert isinstance(moved, Adjacency)
    assert {t.device.type for t in moved} == {"meta"}


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, HeteroData.clone])
def test_survives_copy(adj, copied):
    data = HeteroData()
    data.adjacency = adj
    other = copied(data).adjacency
    assert isinstance(other, Adjacency)
    assert all(torch.equal(a, b) for a, b in zip(adj, other))


@pytest.mark.parametrize("requires_grad", [False, True])
def test_is_a_sound_custom_op(adj, requires_grad):
    x = torch.randn(adj.num_sources, 3, requires_grad=requires_grad)
    torch.library.opcheck(spmm, (*adj, x))


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compiles_in_one_graph(adj, backend):
    def step(adj, x):
        return adj.matmul(x.relu()).exp()

    x = torch.randn(adj.num_sources, 4, requires_grad=True)
    compiled = torch.compile(step, fullgraph=True, backend=backend)
    out, expected = compiled(adj, x), step(adj, x)
    assert torch.allclose(out, expected)
    grads = [torch.autograd.grad(o.sum(), x)[0] for o in (out, expected)]
    assert torch.allclose(*grads)


def test_keeps_dtype_under_autocast(adj):
    x = torch.randn(adj.num_sources, 4)
    weight = torch.randn(4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        hidden = x @ weight
        out = adj.matmul(hidden)
    assert hidden.dtype == torch.bfloat16
    assert out.dtype == torch.float32
    assert torch.equal(out, adj.matmul(hidden.float()))


def test_entries_of_rows():
    dense = random_matrix(7, 5)
    targets = torch.tensor([6, 3, 0, 1])
    found = torch.zeros(4, 5)
    found[from_dense(dense).entries(targets)] += 1
    assert torch.equal(found, (dense[targets] != 0).float())
    nothing = from_dense(dense).entries(targets[:0])
    assert [x.numel() for x in nothing] == [0, 0]
