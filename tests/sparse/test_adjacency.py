import copy

import pytest
import torch
from torch_geometric import EdgeIndex
from torch_geometric.data import HeteroData
from torch_geometric.utils import dense_to_sparse

from mentor_pyg import Adjacency, InputError
from mentor_pyg.sparse import adjacency
from mentor_pyg.sparse.adjacency import spmm


def random_matrix(num_targets, num_sources, density=0.4):
    """A dense matrix [targets, sources] with first and last row and column empty."""
    torch.manual_seed(num_targets * num_sources)
    dense = torch.rand(num_targets, num_sources) + 0.1
    dense *= torch.rand_like(dense) < density
    dense[[0, -1]] = 0
    dense[:, [0, -1]] = 0
    return dense


def from_dense(dense):
    """From its edges in random order."""
    edge_index, weight = dense_to_sparse(dense.t())
    perm = torch.randperm(weight.numel())
    size = dense.size(1), dense.size(0)
    return Adjacency.from_edge_index(edge_index[:, perm], weight[perm], size)


@pytest.fixture
def adj():
    return from_dense(random_matrix(7, 9))


def symmetric(n):
    dense = random_matrix(n, n)
    return dense + dense.t()


CASES = {
    "bipartite": random_matrix(7, 9),
    "tall": random_matrix(40, 3),
    "square": random_matrix(12, 12),
    "symmetric": symmetric(12),
    "full": random_matrix(6, 5, density=1.1),
    "no edges": torch.zeros(4, 3),
}


@pytest.mark.parametrize("dense", CASES.values(), ids=CASES)
@pytest.mark.parametrize("transposed", [False, True])
def test_equals_dense(dense, transposed):
    """In both directions, and their gradients."""
    adj = from_dense(dense)
    if transposed:
        adj, dense = adj.t(), dense.t()
    assert adj.shape == (adj.num_targets, adj.num_sources) == dense.shape

    x = torch.randn(dense.size(1), 5, requires_grad=True)
    upstream = torch.randn(dense.size(0), 5)
    out = adj @ x
    assert torch.allclose(out, dense @ x, atol=1e-6)
    (grad,) = torch.autograd.grad(out, x, upstream)
    assert torch.allclose(grad, dense.t() @ upstream, atol=1e-6)


@pytest.mark.parametrize("dense", CASES.values(), ids=CASES)
def test_both_halves_are_sorted_csr(dense):
    adj = from_dense(dense)
    for parts, matrix in ((adj[:3], dense), (adj[3:], dense.t())):
        csr = matrix.to_sparse_csr()
        expected = (csr.crow_indices(), csr.col_indices(), csr.values())
        assert all(torch.equal(a, b) for a, b in zip(parts, expected))


def test_the_transpose_is_the_same_tensors_the_other_way_round(adj):
    other = adj.t()
    assert other.shape == (9, 7) == adj.shape[::-1]
    assert all(a is b for a, b in zip(other, (*adj[3:], *adj[:3]), strict=True))
    assert all(a is b for a, b in zip(other.t(), adj, strict=True))


def test_a_product_is_that_of_matmul(adj):
    x = torch.randn(9, 3)
    assert torch.equal(adj @ x, adj.matmul(x))
    with pytest.raises(InputError, match=r"'x' has shape \[9, 3\]; expected \[7, F\]"):
        adj.t() @ x


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
    adj = adj._replace(weight=adj.weight.requires_grad_(requires_grad))
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


EDGES = torch.tensor([[0, 3, 1], [2, 0, 1]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"edge_index": EDGES + 1}, "row 0 of 'edge_index' has entries from 1 to 4; .* 0 to 3"),
        ({"edge_index": -EDGES}, "entries from -3 to 0"),
        ({"edge_index": EDGES.t()}, r"'edge_index' has shape \[3, 2\]; expected \[2, E\]"),
        ({"edge_index": EDGES.float()}, r"dtype torch\.float32"),
        ({"edge_weight": torch.ones(2)}, r"'edge_weight' has shape \[2\]; expected \[3\]"),
        ({"edge_weight": torch.ones(3, 1)}, r"'edge_weight' has shape \[3, 1\]"),
    ],
)
def test_edges_and_weights_that_make_no_matrix(change, message):
    given = {"edge_index": EDGES, "edge_weight": torch.ones(3), "size": (4, 3)}
    with pytest.raises(InputError, match=f"^Adjacency.from_edge_index: .*{message}"):
        Adjacency.from_edge_index(**(given | change))


def test_edges_that_come_twice_add_up():
    weight = torch.rand(6)
    adj = Adjacency.from_edge_index(EDGES.repeat(1, 2), weight, (4, 3))
    once = Adjacency.from_edge_index(EDGES, weight[:3] + weight[3:], (4, 3))
    torch.testing.assert_close(adj.matmul(torch.eye(4)), once.matmul(torch.eye(4)))


def test_indices_of_few_bits():
    """The product of the sizes is beyond them."""
    edge_index = torch.tensor([[60_000, 5, 60_001], [60_000, 50_000, 7]])
    adjs = [
        Adjacency.from_edge_index(e, torch.rand(3, generator=torch.Generator()), (70_000, 70_000))
        for e in (edge_index, edge_index.int())
    ]
    assert all(torch.equal(a, b) for a, b in zip(*adjs))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64, torch.bool])
def test_weights_are_float32_at_least(dtype):
    weight = torch.tensor([1, 0, 1]).to(dtype)
    adj = Adjacency.from_edge_index(EDGES, weight, (4, 3))
    assert adj.weight.dtype == adj.weight_t.dtype == torch.float32
    expected = Adjacency.from_edge_index(EDGES, weight.float(), (4, 3))
    assert torch.equal(adj.matmul(torch.eye(4)), expected.matmul(torch.eye(4)))
    half = adj._replace(weight=adj.weight.half(), weight_t=adj.weight_t.half())
    assert torch.equal(half.matmul(torch.eye(4).half()), adj.matmul(torch.eye(4)))


@pytest.mark.parametrize("shape", [(8, 3), (10, 3), (9,), (1, 3), (9, 3, 1)])
def test_features_of_other_sources_are_refused(adj, shape):
    x = torch.randn(shape, requires_grad=True)
    message = rf"Adjacency.matmul: 'x' has shape \[{shape[0]}.*\]; expected \[9, F\]"
    with pytest.raises(InputError, match=message):
        adj.matmul(x)


@pytest.mark.parametrize("part", ["weight", "weight_t", "col_t"])
def test_parts_of_another_graph_are_refused(adj, part):
    other = adj._replace(**{part: getattr(adj, part)[:-1]})
    with pytest.raises(InputError, match=f"'{part}' has shape"):
        other.matmul(torch.randn(9, 3))


@pytest.mark.parametrize("dense", CASES.values(), ids=CASES)
@pytest.mark.parametrize("transposed", [False, True])
def test_gradient_of_weights_equals_dense(dense, transposed):
    adj = from_dense(dense)
    if transposed:
        adj, dense = adj.t(), dense.t()
    weight = adj.weight.clone().requires_grad_()
    x = torch.randn(adj.num_sources, 4, requires_grad=True)
    upstream = torch.randn(adj.num_targets, 4)
    grads = torch.autograd.grad(adj.with_weight(weight).matmul(x), (weight, x), upstream)
    dense = dense.clone().requires_grad_()
    expected = torch.autograd.grad(dense @ x, (dense, x), upstream)
    row = torch.arange(adj.num_targets).repeat_interleave(adj.rowptr.diff())
    torch.testing.assert_close(grads[0], expected[0][row, adj.col])
    torch.testing.assert_close(grads[1], expected[1])


def test_gradients_of_weights_of_both_orders(adj):
    x = torch.randn(adj.num_sources, 2, dtype=torch.float64, requires_grad=True)
    weight = adj.weight.double().requires_grad_()

    def multiply(weight, x):
        return adj.with_weight(weight).matmul(x)

    assert torch.autograd.gradcheck(multiply, (weight, x))
    assert torch.autograd.gradgradcheck(multiply, (weight, x))
    assert torch.autograd.gradcheck(lambda w: multiply(w, x.detach()), weight)


def test_weights_that_reach_the_matrix_by_its_edges():
    weight = torch.rand(3, requires_grad=True)
    adj = Adjacency.from_edge_index(EDGES, weight, (4, 3))
    x, upstream = torch.randn(4, 2), torch.randn(3, 2)
    (grad,) = torch.autograd.grad(adj.matmul(x), weight, upstream)
    torch.testing.assert_close(grad, (x[EDGES[0]] * upstream[EDGES[1]]).sum(dim=1))


def test_a_gradient_of_weights_is_computed_only_where_one_is_asked_for(adj, monkeypatch):
    def fail(*args):
        raise AssertionError

    monkeypatch.setattr(adjacency, "edge_dot", fail)
    x = torch.randn(adj.num_sources, 3, requires_grad=True)
    adj.matmul(x).sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize("which", [{"weight"}, {"x"}, {"weight", "x"}])
def test_gradients_of_weights_compile(adj, which):
    given = {"weight": adj.weight.clone(), "x": torch.randn(adj.num_sources, 3)}
    wanted = [given[name].requires_grad_() for name in which]

    def multiply(weight, x):
        return adj.with_weight(weight).matmul(x).exp()

    compiled = torch.compile(multiply, fullgraph=True, backend="aot_eager")
    grads = [torch.autograd.grad(f(**given).sum(), wanted) for f in (compiled, multiply)]
    for pair in zip(*grads):
        torch.testing.assert_close(*pair)


@pytest.mark.parametrize("sort_order", ["row", "col"])
def test_of_an_edge_index_of_pyg(sort_order):
    edge_index, weight = EDGES, torch.rand(3)
    given, perm = EdgeIndex(edge_index, sparse_size=(4, 3)).sort_by(sort_order)
    adj = Adjacency.from_edge_index(given, weight if perm is None else weight[perm], (4, 3))
    expected = Adjacency.from_edge_index(edge_index, weight, (4, 3))
    assert all(type(a) is torch.Tensor and torch.equal(a, b) for a, b in zip(adj, expected))


@pytest.mark.parametrize("rows", [[], [3], [5, 0, 2, 5], [6, 5, 4, 3, 2, 1, 0]])
def test_entries_of_rows_are_those_of_the_dense_matrix(rows):
    dense = random_matrix(7, 9)
    position, col = from_dense(dense).entries(torch.tensor(rows, dtype=torch.long))
    found = sorted(zip(position.tolist(), col.tolist()))
    expected = [(i, j) for i, row in enumerate(rows) for j in range(9) if dense[row, j] > 0]
    assert found == expected


def test_other_graphs_are_no_adjacency(adj):
    adjacency.check_adjacency("here", adj)
    with pytest.raises(InputError, match=r"^here: the graph has type .*Tensor.*an Adjacency$"):
        adjacency.check_adjacency("here", torch.eye(3))


def test_kernels_read_nothing_beyond_their_tensors(adj):
    """Nor do those that gradients use, which no product of ours calls with other shapes."""
    graph = adj.rowptr, adj.col, adj.rowptr_t, adj.col_t
    for query, key in ((torch.ones(6, 3), torch.ones(9, 3)), (torch.ones(7, 3), torch.ones(9, 2))):
        with pytest.raises(InputError, match=r"edge_dot: '(query|key)' has shape"):
            adjacency.edge_dot(*graph, query, key)
    with pytest.raises(InputError, match=r"csr_entries: 'rows' has shape \[2, 1\]"):
        adj.entries(torch.tensor([[1], [2]]))
