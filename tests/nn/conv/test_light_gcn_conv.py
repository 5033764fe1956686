import math
from itertools import product

import pytest
import torch
from torch_geometric import EdgeIndex
from torch_geometric.data import HeteroData
from torch_geometric.nn import HeteroConv, LGConv, Sequential, to_hetero
from torch_geometric.testing import withPackage
from torch_geometric.typing import SparseTensor
from torch_geometric.utils import dense_to_sparse

from mentor_pyg import Adjacency, InputError
from mentor_pyg.nn import LightGCNConv, light_gcn_norm

# What PyTorch says to layouts other than COO:
pytestmark = pytest.mark.filterwarnings(
    "ignore:Sparse CSC tensor support is in beta",
    "ignore:Sparse BSR tensor support is in beta",
    "ignore:Sparse BSC tensor support is in beta",
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


def as_unsorted_coo(dense, normalize):
    """Each entry twice, under a quarter and under three quarters of its weight."""
    edge_index, weight = edges(dense)
    index = edge_index.flip(0).repeat(1, 2)
    values = torch.cat([weight / 4, weight * 3 / 4])
    return torch.sparse_coo_tensor(index, values, dense.shape), None


def as_unsorted_csr(dense, normalize):
    """The columns of a row in falling order."""
    row, col = dense.flip(1).nonzero().t()
    col = dense.size(1) - 1 - col
    count = (dense != 0).sum(dim=1)
    rowptr = torch.cat([count.new_zeros(1), count.cumsum(0)])
    values = dense[row, col]
    return torch.sparse_csr_tensor(rowptr, col, values, dense.shape, check_invariants=False), None


FORMATS = {
    "edge_index": as_edge_index,
    "EdgeIndex": as_sorted_edge_index,
    "csr": lambda dense, _: (dense.to_sparse_csr(), None),
    "csc": lambda dense, _: (dense.to_sparse_csc(), None),
    "coo": lambda dense, _: (dense.to_sparse_coo(), None),
    "transposed coo": lambda dense, _: (dense.t().to_sparse_coo().t(), None),
    "unsorted coo": as_unsorted_coo,
    "unsorted csr": as_unsorted_csr,
    "bsr": lambda dense, _: (dense.to_sparse_bsr((1, 1)), None),
    "bsc": lambda dense, _: (dense.to_sparse_bsc((1, 1)), None),
    "SparseTensor": as_sparse_tensor,
    "Adjacency": as_adjacency,
}
MARKS = {name: getattr(convert, "pytestmark", ()) for name, convert in FORMATS.items()}
params = [pytest.param(f, id=n, marks=MARKS[n]) for n, f in FORMATS.items()]
parametrize_formats = pytest.mark.parametrize("convert", params)


def parametrize_names(*names):
    """For some of the formats, which may need a package."""
    return pytest.mark.parametrize("name", [pytest.param(n, marks=MARKS[n]) for n in names])


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


@parametrize_names("csr", "csc", "coo", "unsorted coo", "bsr", "SparseTensor")
@pytest.mark.parametrize("normalize", [True, False])
def test_gradient_of_the_entries_of_a_matrix(name, normalize):
    dense = random_weights(6, 5)
    adj, _ = FORMATS[name](dense, normalize)
    entries = adj.requires_grad_() if name != "SparseTensor" else adj.storage.value()
    entries.requires_grad_()
    x, upstream = torch.randn(5, 3), torch.randn(6, 3)
    (grad,) = torch.autograd.grad(LightGCNConv(normalize)((x, None), adj), entries, upstream)
    dense.requires_grad_()
    (expected,) = torch.autograd.grad(dense_formula(dense, normalize) @ x, dense, upstream)
    expected = expected[dense != 0]
    if name != "SparseTensor":
        grad = grad.to_dense()[dense != 0]
    assert torch.allclose(grad, expected, atol=1e-6)


def test_gradient_of_the_weights_of_an_adjacency():
    dense = random_weights(6, 5)
    edge_index, weight = edges(dense)
    weight.requires_grad_()
    adj = Adjacency.from_edge_index(edge_index, light_gcn_norm(edge_index, weight, 5, 6), (5, 6))
    x, upstream = torch.randn(5, 3), torch.randn(6, 3)
    (grad,) = torch.autograd.grad(LightGCNConv()((x, None), adj), weight, upstream)
    dense.requires_grad_()
    (expected,) = torch.autograd.grad(dense_formula(dense) @ x, dense, upstream)
    assert torch.allclose(grad, expected[edge_index[1], edge_index[0]], atol=1e-6)


FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@parametrize_names("edge_index", "EdgeIndex", "csr", "coo", "SparseTensor")
@pytest.mark.parametrize("dtype", [*FLOATS, torch.int64, torch.bool])
def test_dtypes(name, dtype):
    """Of features and of weights, which are ones."""
    dense = (random_weights(9, 9) > 0).float()
    adj, weight = FORMATS[name](dense, True)
    adj, weight = (adj.to(dtype), None) if weight is None else (adj, weight.to(dtype))
    for x_dtype, normalize in product(FLOATS, (True, False)):
        x = torch.randn(9, 3).to(x_dtype)
        out = LightGCNConv(normalize)(x, adj, weight)
        is_float = dtype.is_floating_point
        assert out.dtype == (torch.promote_types(x_dtype, dtype) if is_float else x_dtype)
        expected = dense_formula(dense, normalize).double() @ x.double()
        epsilon = max(1e-6, torch.finfo(out.dtype).eps)
        assert torch.allclose(out.double(), expected, rtol=epsilon, atol=epsilon)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_messages_in_half_precision_are_summed_in_float32(dtype):
    """Of 3,000 neighbours, whose number bfloat16 does not even count."""
    edge_index = torch.stack([torch.arange(3000), torch.zeros(3000, dtype=torch.long)])
    x = torch.rand(3000, 2).to(dtype)
    out = LightGCNConv(normalize=False)((x, x[:1]), edge_index)
    torch.testing.assert_close(out, x.float().sum(0, keepdim=True).to(dtype))


@pytest.mark.parametrize("convert", params)
def test_autocast_changes_nothing(convert):
    dense = random_weights(8, 8)
    adj, edge_weight = convert(dense, True)
    x = torch.randn(8, 4)
    with torch.autocast("cpu", torch.bfloat16):
        out = LightGCNConv()(x, adj, edge_weight)
    assert torch.allclose(out, dense_formula(dense) @ x, atol=1e-6)


def test_matrix_without_values():
    sparse = pytest.importorskip("torch_sparse").SparseTensor
    dense = (random_weights(8, 5) > 0).float()
    row, col = dense.nonzero().t()
    adj = sparse(row=row, col=col, sparse_sizes=(8, 5))
    x = torch.randn(5, 3)
    for normalize in (True, False):
        out = LightGCNConv(normalize)((x, None), adj)
        assert torch.allclose(out, dense_formula(dense, normalize) @ x, atol=1e-6)


@pytest.mark.parametrize("sort_order", [None, "row", "col"])
@pytest.mark.parametrize("is_undirected", [False, True])
@pytest.mark.parametrize("size", [None, (9, 9)])
def test_flags_of_the_edge_index_class(sort_order, is_undirected, size):
    """Weights, and degrees of weights, may differ in both directions of an edge."""
    dense = random_weights(9, 9)
    dense = (dense > 0).float() + dense.t()
    dense *= (dense * dense.t()) > 0  # of symmetric pattern
    edge_index, weight = edges(dense)
    edge_index = EdgeIndex(edge_index, sparse_size=size, is_undirected=is_undirected)
    if sort_order is not None:
        edge_index, perm = edge_index.sort_by(sort_order)
        weight = weight[perm]
    x = torch.randn(9, 4, requires_grad=True)
    upstream = torch.randn(9, 4)
    out = LightGCNConv()(x, edge_index, weight)
    assert torch.allclose(out, dense_formula(dense) @ x, atol=1e-6)
    (grad,) = torch.autograd.grad(out, x, upstream)
    assert torch.allclose(grad, dense_formula(dense).t() @ upstream, atol=1e-6)


@pytest.mark.parametrize("convert", params[2:])
def test_weights_beside_a_matrix_are_refused(convert):
    adj, _ = convert(random_weights(8, 8), True)
    for x in (torch.randn(8, 4), (torch.randn(8, 4), None)):
        with pytest.raises(InputError, match=r"LightGCNConv: 'edge_weight' .* beside a matrix"):
            LightGCNConv()(x, adj, torch.rand(5))


@pytest.mark.parametrize("convert", params[2:])
@pytest.mark.parametrize("rows", [10, 1, 4])
def test_features_of_other_nodes_are_refused(convert, rows):
    adj, _ = convert(random_weights(8, 5), True)
    with pytest.raises(InputError, match=rf"'x' has shape \[{rows}, 4\]; expected \[5, F\]"):
        LightGCNConv()((torch.randn(rows, 4), None), adj)
    with pytest.raises(InputError, match=rf"'x_dst' has shape \[{rows}, 4\]; expected \[8, F\]"):
        LightGCNConv()((torch.randn(5, 4), torch.randn(rows, 4)), adj)


NO_GRAPH = {
    "a dense matrix": (torch.rand(8, 8), None, r"'edge_index' has shape \[8, 8\]"),
    "floats": (torch.zeros(2, 3), None, "'edge_index' has dtype"),
    "of blocks": (torch.rand(8, 8, 2).to_sparse_coo(), None, r"matrix has shape \[8, 8, 2\]"),
    "of vectors": (torch.rand(8, 8, 2).to_sparse(2), None, r"matrix has shape \[8, 8, 2\]"),
    "weights of others": (torch.zeros(2, 3).long(), torch.rand(4), "'edge_weight' has shape"),
    "weights in a column": (torch.zeros(2, 3).long(), torch.rand(3, 1), "'edge_weight' has shape"),
}


@pytest.mark.parametrize(("graph", "weight", "message"), NO_GRAPH.values(), ids=NO_GRAPH)
@pytest.mark.parametrize("normalize", [True, False])
def test_what_is_no_graph_is_refused(graph, weight, message, normalize):
    with pytest.raises(InputError, match=f"^LightGCNConv: .*{message}.*; expected"):
        LightGCNConv(normalize)(torch.randn(8, 4), graph, weight)


def test_an_adjacency_is_summed_alone():
    adj, _ = as_adjacency(random_weights(8, 8), True)
    with pytest.raises(InputError, match="aggr='mean' with an Adjacency; expected 'add'"):
        LightGCNConv(aggr="mean")(torch.randn(8, 4), adj)


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1.0, 1e20, 1e30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scale_of_weights_makes_no_difference(scale, dtype):
    dense = random_weights(8, 8).to(dtype)
    edge_index, weight = edges(dense)
    expected = light_gcn_norm(edge_index, weight, 8, 8)
    torch.testing.assert_close(light_gcn_norm(edge_index, scale * weight, 8, 8), expected)


def test_degrees_of_every_scale():
    """A product of two of them leaves float32, and no edge does."""
    size = torch.tensor([1e-18, 1e18, 1.0, 1e-12])
    weight = torch.rand(4, 4) * size * size[:, None]
    edge_index = torch.ones(4, 4).nonzero().t()
    found = light_gcn_norm(edge_index, weight.flatten(), 4, 4)
    wide = weight.double()
    expected = wide / torch.outer(wide.sum(1), wide.sum(0)).sqrt()
    torch.testing.assert_close(found.double(), expected.flatten(), rtol=1e-5, atol=0)


@parametrize_formats
@pytest.mark.parametrize("normalize", [True, False])
def test_no_edges(convert, normalize):
    adj, edge_weight = convert(torch.zeros(3, 2), normalize)
    x = torch.randn(2, 4, requires_grad=True)
    out = LightGCNConv(normalize)((x, torch.randn(3, 4)), adj, edge_weight)
    assert torch.equal(out, torch.zeros(3, 4))
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
    with pytest.raises(ValueError, match="the targets' features"):
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
