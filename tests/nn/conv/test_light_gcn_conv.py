import math

import pytest
import torch
from torch_geometric import EdgeIndex
from torch_geometric.data import HeteroData
from torch_geometric.nn import HeteroConv, LGConv, Sequential, to_hetero
from torch_geometric.testing import withPackage
from torch_geometric.typing import SparseTensor
from torch_geometric.utils import dense_to_sparse

from mentor_pyg import Adjacency
from mentor_pyg.nn import LightGCNConv, light_gcn_norm

# What PyG and PyTorch say to COO and CSC matrices:
pytestmark = pytest.mark.filterwarnings(
    "ignore:Converting sparse tensor to CSR format", "ignore:Sparse CSC tensor support is in beta"
)


def random_weights(num_targets, num_sources):
    """A matrix [targets, sources] of edge weights, with a node without edges each."""
    torch.manual_seed(num_targets + num_sources)
    dense = (torch.rand(num_targets, num_sources) + 0.1) * (
        torch.rand(num_targets, num_sources) < 0.4
    )
    dense[1], dense[:, 2] = 0, 0
    return dense


def edges(dense):
    """Edges from sources to targets, in random order, and their weights."""
    edge_index, weight = dense_to_sparse(dense.t())
    perm = torch.randperm(weight.numel())
    return edge_index[:, perm], weight[perm]


def dense_formula(dense, normalize=True):
    if not normalize:
        return dense
    degrees = torch.outer(dense.sum(1), dense.sum(0))
    return dense / torch.where(degrees > 0, degrees, 1).sqrt()


def as_edge_index(dense, normalize):
    return edges(dense)


def as_sorted_edge_index(dense, normalize):
    edge_index, weight = edges(dense)
    size = (dense.size(1), dense.size(0))
    edge_index, perm = EdgeIndex(edge_index, sparse_size=size).sort_by("col")
    return edge_index, weight[perm]


def as_adjacency(dense, normalize):
    edge_index, weight = edges(dense)
    size = (dense.size(1), dense.size(0))
    if normalize:
        weight = light_gcn_norm(edge_index, weight, *size)
    return Adjacency.from_edge_index(edge_index, weight, size), None


@withPackage("torch_sparse")
def as_sparse_tensor(dense, normalize):
    return SparseTensor.from_dense(dense, has_value=True), None


FORMATS = {
    "edge_index": as_edge_index,
    "EdgeIndex": as_sorted_edge_index,
    "csr": lambda dense, _: (dense.to_sparse_csr(), None),
    "csc": lambda dense, _: (dense.to_sparse_csc(), None),
    "coo": lambda dense, _: (dense.to_sparse_coo(), None),
    "SparseTensor": as_sparse_tensor,
    "Adjacency": as_adjacency,
}
params = [pytest.param(f, id=n, marks=getattr(f, "pytestmark", ())) for n, f in FORMATS.items()]
parametrize_formats = pytest.mark.parametrize("convert", params)


@parametrize_formats
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("num_sources", [None, 5, 11])
def test_formats_equal_the_dense_formula(convert, normalize, weighted, num_sources):
    dense = random_weights(8, num_sources or 8)
    if not weighted:
        dense = (dense > 0).float()
    adj, edge_weight = convert(dense, normalize)
    if not weighted:
        edge_weight = None
    x = torch.randn(dense.size(1), 4, requires_grad=True)
    given = x if num_sources is None else (x, torch.randn(8, 4))
    upstream = torch.randn(8, 4)

    out = LightGCNConv(normalize)(given, adj, edge_weight)
    matrix = dense_formula(dense, normalize)
    assert torch.allclose(out, matrix @ x, atol=1e-6)
    (grad,) = torch.autograd.grad(out, x, upstream)
    assert torch.allclose(grad, matrix.t() @ upstream, atol=1e-6)


@parametrize_formats
@pytest.mark.parametrize("num_sources", [None, 5])
@pytest.mark.parametrize("rows", [[], [3], [7, 0, 3, 0]], ids=str)
def test_rows(convert, num_sources, rows):
    dense = random_weights(8, num_sources or 8)
    adj, edge_weight = convert(dense, True)
    x = torch.randn(dense.size(1), 4, requires_grad=True)
    given = x if num_sources is None else (x, torch.randn(8, 4))
    rows = torch.tensor(rows, dtype=torch.long)
    conv = LightGCNConv()
    outs = conv(given, adj, edge_weight, rows), conv(given, adj, edge_weight)[rows]
    assert outs[0].shape == (len(rows), 4)
    assert torch.equal(*outs)
    upstream = torch.randn(len(rows), 4)
    assert torch.allclose(*(torch.autograd.grad(y, x, upstream)[0] for y in outs), atol=1e-6)


@pytest.mark.parametrize("convert", [as_edge_index, as_sorted_edge_index])
@pytest.mark.parametrize("normalize", [True, False])
def test_gradient_of_edge_weights(convert, normalize):
    dense = random_weights(6, 5)
    adj, edge_weight = convert(dense, normalize)
    edge_weight.requires_grad_()
    x, upstream = torch.randn(5, 3), torch.randn(6, 3)
    out = LightGCNConv(normalize)((x, torch.empty(6, 3)), adj, edge_weight)
    (grad,) = torch.autograd.grad(out, edge_weight, upstream)

    dense.requires_grad_()
    (expected,) = torch.autograd.grad(dense_formula(dense, normalize) @ x, dense, upstream)
    src, dst = adj.as_tensor() if isinstance(adj, EdgeIndex) else adj
    assert torch.allclose(grad, expected[dst, src], atol=1e-6)


@parametrize_formats
@pytest.mark.parametrize("normalize", [True, False])
def test_no_edges(convert, normalize):
    adj, edge_weight = convert(torch.zeros(3, 2), normalize)
    x = torch.randn(2, 4, requires_grad=True)
    out = LightGCNConv(normalize)((x, torch.randn(3, 4)), adj, edge_weight)
    assert torch.equal(out, torch.zeros(3, 4))
    if convert is not as_sparse_tensor:  # PyG multiplies it without a graph
        out.sum().backward()
        assert torch.equal(x.grad, torch.zeros(2, 4))


def test_naive_loop_on_bipartite_graph():
    dense = random_weights(7, 5)
    edge_index, _ = edges(dense)
    x = torch.randn(5, 3)
    pairs = edge_index.t().tolist()
    expected = torch.zeros(7, 3)
    for src, dst in pairs:
        out_degree = sum(s == src for s, _ in pairs)
        in_degree = sum(d == dst for _, d in pairs)
        expected[dst] += x[src] / math.sqrt(out_degree * in_degree)
    out = LightGCNConv()((x, torch.empty(7, 3)), edge_index)
    assert torch.allclose(out, expected, atol=1e-6)


@pytest.mark.parametrize("weighted", [True, False])
def test_equals_lgconv_on_undirected_graph(weighted):
    dense = random_weights(9, 9)
    edge_index, weight = edges(dense + dense.t())
    weight = weight if weighted else None
    x = torch.randn(9, 4)
    out, expected = (conv(x, edge_index, weight) for conv in (LightGCNConv(), LGConv()))
    assert torch.allclose(out, expected, atol=1e-6)


@pytest.mark.parametrize("convert", params[1:])
def test_targets_may_be_left_out_if_the_adjacency_knows_them(convert):
    dense = random_weights(8, 5)
    dense[-1] = 0
    adj, edge_weight = convert(dense, True)
    x = torch.randn(5, 4)
    out = LightGCNConv()((x, None), adj, edge_weight)
    assert torch.allclose(out, dense_formula(dense) @ x, atol=1e-6)


def test_an_edge_index_alone_does_not_tell_the_targets():
    with pytest.raises(ValueError, match="features of the targets"):
        LightGCNConv()((torch.randn(5, 4), None), torch.tensor([[0, 4], [1, 2]]))


@pytest.mark.parametrize("normalize", [True, False])
def test_edge_index_class_of_unknown_size(normalize):
    """The last node has no edges, so that it can't be guessed from them."""
    edge_index = torch.tensor([[0, 1, 2], [1, 2, 0]])
    x = torch.randn(5, 3)
    outs = [LightGCNConv(normalize)(x, e) for e in (edge_index, EdgeIndex(edge_index))]
    outs.append(LightGCNConv(normalize)(x, EdgeIndex(edge_index).sort_by("col")[0]))
    assert all(torch.equal(out, outs[0]) for out in outs)


def test_float64():
    dense = random_weights(6, 6)
    edge_index, _ = edges(dense)
    x = torch.randn(6, 3, dtype=torch.float64)
    out = LightGCNConv()(x, edge_index)
    assert out.dtype == torch.float64
    assert torch.allclose(out, dense_formula((dense > 0).double()) @ x, atol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_popular_nodes_in_half_precision(dtype, weighted):
    """Product of the degrees: 90,000, which float16 does not hold."""
    edge_index = torch.ones(300, 300).nonzero().t()
    weight = torch.ones(90_000, dtype=dtype) if weighted else None
    normalized = light_gcn_norm(edge_index, weight, 300, 300, dtype)
    assert normalized.dtype == dtype
    torch.testing.assert_close(normalized, torch.full((90_000,), 1 / 300, dtype=dtype))


def test_repr():
    assert repr(LightGCNConv()) == "LightGCNConv()"


def test_sequential():
    dense = random_weights(6, 6)
    edge_index, _ = edges(dense)
    conv, call = LightGCNConv(), "x, edge_index -> x"
    model = Sequential("x, edge_index", [(conv, call), torch.nn.ReLU(), (conv, call)])
    x = torch.randn(6, 3)
    matrix = dense_formula((dense > 0).float())
    assert torch.allclose(model(x, edge_index), matrix @ (matrix @ x).relu(), atol=1e-6)


TYPES = (("user", "interacts", "item"), ("item", "rev_interacts", "user"), ("item", "is", "item"))


@pytest.fixture
def hetero():
    """Graph with 6 users and 5 items, and its matrices by edge type."""
    torch.manual_seed(0)
    data = HeteroData()
    sizes = {"user": 6, "item": 5}
    for name, size in sizes.items():
        data[name].x = torch.randn(size, 3)
    matrices = {}
    for src, rel, dst in TYPES:
        dense = (torch.rand(sizes[dst], sizes[src]) < 0.5).float()
        data[src, rel, dst].edge_index, _ = edges(dense)
        matrices[src, rel, dst] = dense_formula(dense)
    return data, matrices


def dense_hop(x, matrices):
    out = {name: torch.zeros_like(value) for name, value in x.items()}
    for (src, _, dst), matrix in matrices.items():
        out[dst] += matrix @ x[src]
    return out


def assert_equal_by_type(out, expected):
    assert out.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.allclose(out[name], value, atol=1e-6)


def test_hetero_conv(hetero):
    data, matrices = hetero
    conv = HeteroConv({edge_type: LightGCNConv() for edge_type in TYPES}, aggr="sum")
    out = conv(data.x_dict, data.edge_index_dict)
    assert_equal_by_type(out, dense_hop(data.x_dict, matrices))


class TwoHops(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = LightGCNConv(), LightGCNConv()

    def forward(self, x, edge_index):
        return self.conv2(self.conv1(x, edge_index).relu(), edge_index)


def test_to_hetero(hetero):
    data, matrices = hetero
    out = to_hetero(TwoHops(), data.metadata())(data.x_dict, data.edge_index_dict)
    hidden = {name: value.relu() for name, value in dense_hop(data.x_dict, matrices).items()}
    assert_equal_by_type(out, dense_hop(hidden, matrices))


@pytest.mark.parametrize("convert", [as_edge_index, as_adjacency])
@pytest.mark.parametrize("bipartite", [False, True])
def test_compiles_in_one_graph(convert, bipartite):
    dense = random_weights(8, 5 if bipartite else 8)
    adj, _ = convert(dense, True)
    x = torch.randn(dense.size(1), 4, requires_grad=True)
    given = (x, torch.randn(8, 4)) if bipartite else x
    conv = LightGCNConv()
    compiled = torch.compile(conv, fullgraph=True, backend="aot_eager")
    outs = [f(given, adj) for f in (compiled, conv)]
    assert torch.allclose(*outs, atol=1e-6)
    assert torch.allclose(*(torch.autograd.grad(out.exp().sum(), x)[0] for out in outs), atol=1e-6)
