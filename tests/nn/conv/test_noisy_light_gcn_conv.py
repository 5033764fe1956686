import pytest
import torch

from mentor_pyg import Adjacency, InputError
from mentor_pyg.nn import LightGCNConv, NoisyLightGCNConv

EPS = 0.3


@pytest.fixture
def graph():
    """Features of 9 nodes, the last without edges, and the edges."""
    torch.manual_seed(0)
    edge_index = torch.randint(8, (2, 30))
    return torch.randn(9, 5), edge_index


@pytest.fixture
def clean(graph):
    return LightGCNConv()(*graph)


@pytest.mark.parametrize(
    "conv", [NoisyLightGCNConv(0.0), NoisyLightGCNConv(EPS).eval()], ids=["eps=0", "eval"]
)
def test_equals_clean_layer_bit_for_bit(conv, graph, clean):
    assert torch.equal(conv(*graph), clean)


def test_noise_has_length_eps_and_keeps_the_orthant(graph, clean):
    out = NoisyLightGCNConv(EPS)(*graph)
    assert torch.equal(out.sign(), clean.sign())
    length = torch.where(clean.any(dim=1), EPS, 0.0)
    assert length.unique().numel() == 2
    assert torch.allclose((out - clean).norm(dim=1), length, atol=1e-6)


def test_given_noise(graph, clean):
    noise = torch.rand_like(clean)
    out = NoisyLightGCNConv(EPS)(*graph, noise=noise)
    for i in range(9):
        delta = noise[i] / noise[i].square().sum().sqrt()
        assert torch.allclose(out[i], clean[i] + EPS * clean[i].sign() * delta, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_perturbed_in_float32(dtype):
    x = torch.randn(200, 64).to(dtype)
    conv = NoisyLightGCNConv(EPS)
    half, single = (
        conv.perturb(rows, generator=torch.Generator().manual_seed(0)) for rows in (x, x.float())
    )
    assert half.dtype == dtype
    assert torch.equal(half, single.to(dtype))


def test_perturb_is_the_noise_alone(graph, clean):
    conv = NoisyLightGCNConv(EPS)
    noise = torch.rand_like(clean)
    assert torch.equal(conv.perturb(clean, noise), conv(*graph, noise=noise))


@pytest.mark.parametrize("rows", [[2], [8, 0, 5, 0]], ids=str)
def test_noise_of_rows(graph, clean, rows):
    rows = torch.tensor(rows)
    conv = NoisyLightGCNConv(EPS)
    noise = torch.rand_like(clean)
    expected = conv(*graph, noise=noise)[rows]
    assert torch.allclose(conv(*graph, rows=rows, noise=noise[rows]), expected, atol=1e-6)
    assert torch.equal(conv.eval()(*graph, rows=rows, noise=noise[rows]), clean[rows])


def test_draws_for_rows_alone(graph, clean):
    rows = torch.tensor([0, 1, 0])
    conv, generators = NoisyLightGCNConv(EPS), [torch.Generator().manual_seed(1) for _ in "ab"]
    out = conv(*graph, rows=rows, generator=generators[0])
    assert torch.equal(out, conv.perturb(clean[rows], generator=generators[1]))
    assert torch.allclose((out - clean[rows]).norm(dim=1), torch.tensor(EPS), atol=1e-6)
    assert not torch.equal(out[0], out[2])


def test_generator(graph):
    conv = NoisyLightGCNConv(EPS)
    first, again, other = (
        conv(*graph, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(conv(*graph), conv(*graph))


def test_adjacency_equals_edge_index(graph):
    x, edge_index = graph
    weight = torch.rand(edge_index.size(1))
    conv = NoisyLightGCNConv(EPS, normalize=False)
    adj = Adjacency.from_edge_index(edge_index, weight, (9, 9))
    noise = torch.rand_like(x)
    outs = [conv(x, a, w, noise=noise) for a, w in ((edge_index, weight), (adj, None))]
    assert torch.allclose(*outs, atol=1e-6)


def test_gradient_is_that_of_the_clean_layer(graph):
    x, edge_index = graph
    x.requires_grad_()
    upstream = torch.randn_like(x)
    grads = [
        torch.autograd.grad(conv(x, edge_index), x, upstream)[0]
        for conv in (LightGCNConv(), NoisyLightGCNConv(EPS))
    ]
    assert torch.equal(*grads)


def test_compiles_in_one_graph(graph):
    conv = NoisyLightGCNConv(EPS)
    noise = torch.rand(9, 5)
    compiled = torch.compile(conv, fullgraph=True, backend="aot_eager")
    outs = [f(*graph, noise=noise) for f in (compiled, conv)]
    assert torch.allclose(*outs, atol=1e-6)
    assert not torch.equal(compiled(*graph), compiled(*graph))


def test_forms_of_a_graph(graph):
    x, edge_index = graph
    conv, noise = NoisyLightGCNConv(EPS), torch.rand_like(x)
    expected = conv(x, edge_index, noise=noise)
    adj = torch.sparse_coo_tensor(edge_index.flip(0), torch.ones(30), (9, 9))
    for matrix in (adj, adj.coalesce(), adj.coalesce().t().to_sparse_csr().t()):
        torch.testing.assert_close(conv(x, matrix, noise=noise), expected)


def test_noise_of_another_shape_is_refused(graph):
    with pytest.raises(InputError, match=r"'noise' has shape \[1, 5\]; expected \[9, 5\]"):
        NoisyLightGCNConv(EPS)(*graph, noise=torch.rand(1, 5))


def test_negative_eps_raises():
    with pytest.raises(ValueError, match=r"eps: is -0.1; expected at least 0"):
        NoisyLightGCNConv(-0.1)


def test_repr():
    assert repr(NoisyLightGCNConv(EPS)) == "NoisyLightGCNConv(eps=0.3)"
