import pytest
import torch
import torch.nn.functional as F
from torch_geometric.utils import dense_to_sparse

from mentor_pyg import Adjacency, InputError
from mentor_pyg.nn import (
    LightGCNConv,
    ModalityEncoder,
    MultimodalEncoder,
    NoisyLightGCNConv,
    Propagation,
    modality_encoders,
)
from mentor_pyg.nn.conv import noisy_light_gcn_conv

USERS, ITEMS, WIDTH, HIDDEN = 6, 5, 7, 4
NODES = USERS + ITEMS
MASK = torch.tensor([True, False, True, True, False])


@pytest.fixture
def matrix():
    """A normalised dense graph of users and items."""
    torch.manual_seed(0)
    dense = torch.zeros(NODES, NODES)
    dense[:USERS, USERS:] = torch.rand(USERS, ITEMS) * (torch.rand(USERS, ITEMS) < 0.7)
    return dense + dense.t()


@pytest.fixture
def adj(matrix):
    return Adjacency.from_edge_index(*dense_to_sparse(matrix), (NODES, NODES), symmetric=True)


def dense_propagation(x, matrix, num_layers, readout):
    layers = [x]
    for _ in range(num_layers):
        layers.append(matrix @ layers[-1])
    stacked = torch.stack(layers)
    return stacked.sum(0) if readout == "sum" else stacked.mean(0)


@pytest.mark.parametrize("readout", ["sum", "mean"])
@pytest.mark.parametrize("num_layers", [0, 1, 3])
@pytest.mark.parametrize("plain", [False, True])
def test_propagation_equals_dense_loop(matrix, adj, readout, num_layers, plain):
    x = torch.randn(NODES, HIDDEN)
    expected = dense_propagation(x, matrix, num_layers, readout)
    if plain:
        propagation = Propagation(num_layers, readout, LightGCNConv(normalize=False))
        out = propagation(x, *dense_to_sparse(matrix))
    else:
        out = Propagation(num_layers, readout)(x, adj)
    assert torch.allclose(out, expected, atol=1e-5)


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("conv", [LightGCNConv(), NoisyLightGCNConv(0.2)], ids=["clean", "noisy"])
def test_known_first_hop_changes_nothing(matrix, adj, num_layers, conv):
    x = torch.randn(NODES, HIDDEN)
    propagation = Propagation(num_layers, conv=conv)
    noise = None
    if isinstance(conv, NoisyLightGCNConv):
        noise = [torch.rand(NODES, HIDDEN) for _ in range(num_layers)]
    out, expected = (
        propagation(x, adj, first_hop=first_hop, noise=noise)
        for first_hop in (LightGCNConv()(x, adj), None)
    )
    assert torch.equal(out, expected)
    is_clean = torch.allclose(out, dense_propagation(x, matrix, num_layers, "sum"), atol=1e-5)
    assert is_clean == (noise is None)


def test_noise_of_each_layer(adj):
    x = torch.randn(NODES, HIDDEN)
    noise = [torch.rand(NODES, HIDDEN) for _ in range(2)]
    conv = NoisyLightGCNConv(0.2)
    first = conv(x, adj, noise=noise[0])
    expected = x + first + conv(first, adj, noise=noise[1])
    assert torch.allclose(Propagation(2, conv=conv)(x, adj, noise=noise), expected, atol=1e-6)


ROWS = [[], [4], [9, 2, 0, 2, 10]]


def assert_equal_with_gradient(out, expected, x):
    assert out.shape == expected.shape
    assert torch.allclose(out, expected, atol=1e-6)
    upstream = torch.randn_like(out)
    grads = (torch.autograd.grad(y, x, upstream, retain_graph=True)[0] for y in (out, expected))
    assert torch.allclose(*grads, atol=1e-5)


@pytest.mark.parametrize("rows", ROWS, ids=str)
@pytest.mark.parametrize("readout", ["sum", "mean"])
@pytest.mark.parametrize("num_layers", [0, 1, 2, 3])
@pytest.mark.parametrize("hop_known", [False, True])
@pytest.mark.parametrize("noisy", [False, True])
def test_propagation_to_rows(adj, rows, readout, num_layers, hop_known, noisy):
    """Equals those rows of all, where the last layer's noise is that of the rows."""
    x = torch.randn(NODES, HIDDEN, requires_grad=True)
    rows = torch.tensor(rows, dtype=torch.long)
    propagation = Propagation(num_layers, readout, NoisyLightGCNConv(0.2) if noisy else None)
    noise = [torch.rand(NODES, HIDDEN) for _ in range(num_layers)] if noisy else None
    known = noise and [*noise[:-1], noise[-1][rows]]
    first_hop = adj.matmul(x) if hop_known else None
    out = propagation(x, adj, first_hop=first_hop, noise=known, rows=rows)
    expected = propagation(x, adj, first_hop=first_hop, noise=noise)[rows]
    assert_equal_with_gradient(out, expected, x)


def test_propagation_to_rows_of_an_edge_index(matrix):
    x = torch.randn(NODES, HIDDEN, requires_grad=True)
    graph = dense_to_sparse(matrix)
    rows = torch.tensor(ROWS[-1])
    propagation = Propagation(2, conv=LightGCNConv(normalize=False))
    out = propagation(x, *graph, rows=rows)
    assert_equal_with_gradient(out, dense_propagation(x, matrix, 2, "sum")[rows], x)


@pytest.mark.parametrize("hop_known", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_draws_of_the_last_layer_are_of_the_rows_alone(monkeypatch, adj, num_layers, hop_known):
    shapes = []

    def uniform(shape, *_):
        shapes.append(tuple(shape))
        return torch.rand(shape)

    monkeypatch.setattr(noisy_light_gcn_conv, "uniform", uniform)
    x = torch.randn(NODES, HIDDEN)
    first_hop = adj.matmul(x) if hop_known else None
    propagation = Propagation(num_layers, conv=NoisyLightGCNConv(0.2))
    propagation(x, adj, first_hop=first_hop, rows=torch.tensor([1, 1, 3]))
    assert shapes == [(NODES, HIDDEN)] * (num_layers - 1) + [(3, HIDDEN)]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"num_layers": -1}, "num_layers: is -1; expected at least 0"),
        ({"num_layers": 2, "readout": "max"}, "readout: is 'max'; expected one of 'sum', 'mean'"),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        Propagation(**kwargs)


@pytest.mark.parametrize("num_free_items", [0, ITEMS], ids=["zero", "free"])
@pytest.mark.parametrize("mask", [None, MASK], ids=["complete", "missing"])
@pytest.mark.parametrize("readout", ["sum", "mean"])
def test_encoder_equals_dense_formula(matrix, adj, num_free_items, mask, readout):
    encoder = ModalityEncoder(
        WIDTH, USERS, HIDDEN, num_layers=2, readout=readout, num_free_items=num_free_items
    )
    x = torch.randn(ITEMS, WIDTH)
    first, last = encoder.mlp.lins
    assert first.weight.shape == (4 * HIDDEN, WIDTH)
    hidden = x @ first.weight.t() + first.bias
    hidden = torch.where(hidden > 0, hidden, 0.01 * hidden)
    rows = [*encoder.user, *(hidden @ last.weight.t() + last.bias)]
    for item in [] if mask is None else (~mask).nonzero().flatten().tolist():
        rows[USERS + item] = encoder.free_item[item] if num_free_items else torch.zeros(HIDDEN)
    initial = torch.stack([row / row.square().sum().sqrt().clamp(min=1e-12) for row in rows])

    assert torch.allclose(encoder.initial(x, mask), initial, atol=1e-6)
    expected = dense_propagation(initial, matrix, 2, readout)
    assert torch.allclose(encoder(x, adj, mask), expected, atol=1e-5)


def test_encoder_passes_noise_on(adj):
    encoder = ModalityEncoder(WIDTH, USERS, HIDDEN, conv=NoisyLightGCNConv(0.2))
    x = torch.randn(ITEMS, WIDTH)
    noise = [torch.rand(NODES, HIDDEN) for _ in range(2)]
    expected = encoder.propagation(encoder.initial(x), adj, noise=noise)
    assert torch.equal(encoder(x, adj, noise=noise), expected)
    assert not torch.equal(encoder(x, adj), expected)


@pytest.mark.parametrize("rows", ROWS, ids=str)
@pytest.mark.parametrize("mask", [None, MASK], ids=["complete", "missing"])
@pytest.mark.parametrize("noisy", [False, True])
def test_encoder_of_rows(adj, rows, mask, noisy):
    encoder = ModalityEncoder(WIDTH, USERS, HIDDEN, conv=NoisyLightGCNConv(0.2) if noisy else None)
    x = torch.randn(ITEMS, WIDTH, requires_grad=True)
    rows = torch.tensor(rows, dtype=torch.long)
    noise = [torch.rand(NODES, HIDDEN) for _ in range(2)] if noisy else None
    known = noise and [noise[0], noise[1][rows]]
    out, full = encoder(x, adj, mask, known, rows), encoder(x, adj, mask, noise)
    assert_equal_with_gradient(out, full[rows], encoder.user)
    assert_equal_with_gradient(out, full[rows], x)


@pytest.fixture
def multimodal():
    """An encoder of two modalities, and features for it."""
    torch.manual_seed(0)
    widths = {"visual": WIDTH, "textual": 3}
    encoder = MultimodalEncoder(widths, USERS, ITEMS, HIDDEN, noise_eps=0.2)
    return encoder, {m: torch.randn(ITEMS, width) for m, width in widths.items()}


@pytest.mark.parametrize("rows", ROWS, ids=str)
def test_perturbed_views_of_rows(monkeypatch, adj, multimodal, rows):
    encoder, x = multimodal
    rows = torch.tensor(rows, dtype=torch.long)
    encodings = encoder.propagate(x, adj, {"visual": MASK, "textual": None})
    noise = torch.rand(4, NODES, HIDDEN)  # two layers of each modality
    full, some = [*noise], [noise[0], noise[1][rows], noise[2], noise[3][rows]]
    views = []
    for draws, given in ((some, (rows,)), (full, ())):
        monkeypatch.setattr(noisy_light_gcn_conv, "uniform", lambda *_, d=draws: d.pop(0))
        views.append(encoder.perturb(encodings, adj, *given))
    assert list(views[0]) == ["textual", "visual"]
    for name, view in views[0].items():
        user = encoder.encoders[name].user
        assert_equal_with_gradient(view, views[1][name][rows], user)
        if len(rows):
            assert not torch.allclose(view, encodings[name].out[rows], atol=0.05)


@pytest.mark.parametrize("rows", ROWS, ids=str)
def test_views_of_rows_without_noise_are_clean(adj, multimodal, rows):
    encoder, x = multimodal
    encodings = encoder.propagate(x, adj, {"visual": None, "textual": None})
    rows = torch.tensor(rows, dtype=torch.long)
    for name, view in encoder.eval().perturb(encodings, adj, rows).items():
        assert torch.allclose(view, encodings[name].out[rows], atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_features_in_half_precision(adj, dtype):
    """They are computed with as if stored in float32."""
    encoder = ModalityEncoder(WIDTH, USERS, HIDDEN)
    x = torch.randn(ITEMS, WIDTH).to(dtype)
    out = encoder(x, adj, MASK)
    assert out.dtype == torch.float32
    assert torch.equal(out, encoder(x.float(), adj, MASK))


def test_autocast_is_for_the_mlp_alone(adj):
    encoder = ModalityEncoder(WIDTH, USERS, HIDDEN)
    x = torch.randn(ITEMS, WIDTH)
    with torch.autocast("cpu", torch.bfloat16):
        out, item = encoder(x, adj), encoder.mlp(x)
    assert item.dtype == torch.bfloat16
    initial = F.normalize(torch.cat([encoder.user, item.float()]))
    assert out.dtype == torch.float32
    assert torch.allclose(out, encoder.propagation(initial, adj), atol=1e-6)


def test_content_of_masked_items_is_never_used(adj):
    encoder = ModalityEncoder(WIDTH, USERS, HIDDEN)
    x = torch.randn(ITEMS, WIDTH)
    other = torch.where(MASK.unsqueeze(1), x, 1e3)
    assert torch.equal(encoder(x, adj, MASK), encoder(other, adj, MASK))


def test_every_parameter_gets_a_gradient(adj):
    encoder = ModalityEncoder(WIDTH, USERS, HIDDEN, num_free_items=ITEMS)
    out = encoder(torch.randn(ITEMS, WIDTH), adj, MASK)
    (out * torch.randn_like(out)).sum().backward()
    assert {name for name, _ in encoder.named_parameters()} > {"user", "free_item"}
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    assert torch.equal(encoder.free_item.grad.abs().sum(1) > 0, ~MASK)


def test_reset_parameters():
    encoder = ModalityEncoder(WIDTH, USERS, HIDDEN, num_free_items=ITEMS)
    before = [p.clone() for p in encoder.parameters()]
    torch.manual_seed(1)
    encoder.reset_parameters()
    assert not any(torch.equal(a, b) for a, b in zip(before, encoder.parameters()))
    first = [p.clone() for p in encoder.parameters()]
    torch.manual_seed(1)
    encoder.reset_parameters()
    assert all(torch.equal(a, b) for a, b in zip(first, encoder.parameters()))


def test_modality_encoders():
    encoders = modality_encoders(
        {"visual": 7, "textual": 3}, USERS, ITEMS, free_items=["visual"], hidden_channels=HIDDEN
    )
    assert list(encoders) == ["textual", "visual"]
    assert [e.mlp.channel_list[0] for e in encoders.values()] == [3, 7]
    assert [e.free_item is None for e in encoders.values()] == [True, False]
    assert encoders["visual"].free_item.shape == (ITEMS, HIDDEN)
    assert encoders["textual"].user.shape == (USERS, HIDDEN)


@pytest.mark.parametrize("name", ["", "a.b", "keys"])
def test_modality_of_impossible_name(name):
    with pytest.raises(InputError, match="expected a name like 'visual'"):
        modality_encoders({name: 3}, USERS, ITEMS)


def test_parts_of_other_graphs_are_refused():
    edge_index, x = torch.tensor([[0, 1, 2], [1, 2, 0]]), torch.randn(3, 4)
    propagation = Propagation(2, conv=NoisyLightGCNConv())
    with pytest.raises(InputError, match="noise of 1 layers; expected 2"):
        propagation(x, edge_index, noise=[torch.rand(3, 4)])
    with pytest.raises(InputError, match=r"'first_hop' has shape \[1, 4\]; expected \[3, 4\]"):
        propagation(x, edge_index, first_hop=x[:1])
    with pytest.raises(InputError, match=r"'mask' has shape \[1\]; expected \[2\]"):
        ModalityEncoder(4, 1).initial(x[:2], torch.ones(1, dtype=torch.bool))
