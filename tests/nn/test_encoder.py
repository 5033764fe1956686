import pytest
import torch
import torch.nn.functional as F
from torch_geometric.utils import dense_to_sparse

from mentor_pyg import Adjacency, InputError
from mentor_pyg.nn import (
    LightGCNConv,
    ModalityEncoder,
    MultimodalEncoder,
    Nodes,
    NoisyLightGCNConv,
    Propagation,
    modality_encoders,
)
from mentor_pyg.nn.conv import noisy_light_gcn_conv

USERS, ITEMS, WIDTH, HIDDEN = 6, 5, 7, 4
MASK = torch.tensor([True, False, True, True, False])


@pytest.fixture
def matrix():
    """A weighted dense graph [U, I] of users and items."""
    torch.manual_seed(0)
    return torch.rand(USERS, ITEMS) * (torch.rand(USERS, ITEMS) < 0.7)


@pytest.fixture
def adj(matrix):
    return Adjacency.from_edge_index(*dense_to_sparse(matrix.t()), (ITEMS, USERS))


def dense_propagation(x, matrix, num_layers, readout):
    """Of users and items x, each from the other of the layer before."""
    layers = [x]
    for _ in range(num_layers):
        user, item = layers[-1]
        layers.append((matrix @ item, matrix.t() @ user))
    stacked = [torch.stack(side) for side in zip(*layers)]
    return tuple(x.sum(0) if readout == "sum" else x.mean(0) for x in stacked)


def draw_pair(draw=torch.randn, **options):
    return draw(USERS, HIDDEN, **options), draw(ITEMS, HIDDEN, **options)


def draw_noise(num_layers):
    return [draw_pair(torch.rand) for _ in range(num_layers)]


def hop(x, adj):
    return adj @ x[1], adj.t() @ x[0]


def rows_of(x, rows):
    return tuple(side[index] for side, index in zip(x, rows, strict=True))


def close(found, expected, atol):
    return all(torch.allclose(a, b, atol=atol) for a, b in zip(found, expected, strict=True))


def equal(found, expected):
    return all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("readout", ["sum", "mean"])
@pytest.mark.parametrize("num_layers", [0, 1, 3])
@pytest.mark.parametrize("conv", [None, LightGCNConv(normalize=False)], ids=["default", "given"])
def test_propagation_equals_dense_loop(matrix, adj, readout, num_layers, conv):
    x = draw_pair()
    expected = dense_propagation(x, matrix, num_layers, readout)
    assert close(Propagation(num_layers, readout, conv)(*x, adj), expected, atol=1e-5)


@pytest.mark.parametrize("num_layers", [0, 1, 2, 3])
def test_gradients_of_a_propagation_equal_those_of_the_dense_loop(matrix, adj, num_layers):
    x = draw_pair(requires_grad=True)
    upstream, grads = draw_pair(), []
    for out in (
        Propagation(num_layers)(*x, adj),
        dense_propagation(x, matrix, num_layers, "sum"),
    ):
        grads.append(torch.autograd.grad(out, x, upstream))
    assert close(*grads, atol=1e-5)


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("conv", [LightGCNConv(), NoisyLightGCNConv(0.2)], ids=["clean", "noisy"])
def test_known_first_hop_changes_nothing(matrix, adj, num_layers, conv):
    x = draw_pair()
    propagation = Propagation(num_layers, conv=conv)
    noise = draw_noise(num_layers) if isinstance(conv, NoisyLightGCNConv) else None
    out, expected = (
        propagation(*x, adj, first_hop=first_hop, noise=noise) for first_hop in (hop(x, adj), None)
    )
    assert equal(out, expected)
    is_clean = close(out, dense_propagation(x, matrix, num_layers, "sum"), atol=1e-5)
    assert is_clean == (noise is None)


def test_noise_of_each_layer(adj):
    (user, item), noise = draw_pair(), draw_noise(2)
    conv = NoisyLightGCNConv(0.2)
    first_user = conv((item, None), adj, noise=noise[0][0])
    first_item = conv((user, None), adj.t(), noise=noise[0][1])
    expected = (
        user + first_user + conv((first_item, None), adj, noise=noise[1][0]),
        item + first_item + conv((first_user, None), adj.t(), noise=noise[1][1]),
    )
    assert close(Propagation(2, conv=conv)(user, item, adj, noise=noise), expected, atol=1e-6)


ROWS = [([], []), ([4], []), ([], [3]), ([2, 0, 2], [3, 4, 1])]
"""Of users, and of items."""


def as_tensors(rows):
    return tuple(torch.tensor(each, dtype=torch.long) for each in rows)


def assert_equal_with_gradient(out, expected, x):
    """Users and items as expected, and so are the gradients of both with respect to x."""
    for found, wanted in zip(out, expected, strict=True):
        assert found.shape == wanted.shape
        assert torch.allclose(found, wanted, atol=1e-6)
    upstream = [torch.randn_like(y) for y in out]
    grads = (
        torch.autograd.grad(y, x, upstream, retain_graph=True, allow_unused=True)
        for y in (out, expected)
    )
    for pair in zip(*grads):
        a, b = (torch.zeros(()) if grad is None else grad for grad in pair)
        assert torch.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("rows", ROWS, ids=str)
@pytest.mark.parametrize("readout", ["sum", "mean"])
@pytest.mark.parametrize("num_layers", [0, 1, 2, 3])
@pytest.mark.parametrize("hop_known", [False, True])
@pytest.mark.parametrize("noisy", [False, True])
def test_propagation_to_rows(adj, rows, readout, num_layers, hop_known, noisy):
    """Equals those rows of all, where the last layer's noise is that of the rows."""
    x, rows = draw_pair(requires_grad=True), as_tensors(rows)
    propagation = Propagation(num_layers, readout, NoisyLightGCNConv(0.2) if noisy else None)
    noise = draw_noise(num_layers) if noisy else None
    known = noise and [*noise[:-1], rows_of(noise[-1], rows)]
    first_hop = hop(x, adj) if hop_known else None
    out = propagation(*x, adj, first_hop=first_hop, noise=known, rows=rows)
    expected = propagation(*x, adj, first_hop=first_hop, noise=noise)
    assert_equal_with_gradient(out, rows_of(expected, rows), x)


def test_propagation_to_rows_equals_the_dense_loop(matrix, adj):
    x, rows = draw_pair(requires_grad=True), as_tensors(ROWS[-1])
    out = Propagation(2)(*x, adj, rows=rows)
    expected = rows_of(dense_propagation(x, matrix, 2, "sum"), rows)
    assert_equal_with_gradient(out, expected, x)


@pytest.mark.parametrize("hop_known", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_draws_of_the_last_layer_are_of_the_rows_alone(monkeypatch, adj, num_layers, hop_known):
    shapes = []

    def uniform(shape, *_):
        shapes.append(tuple(shape))
        return torch.rand(shape)

    monkeypatch.setattr(noisy_light_gcn_conv, "uniform", uniform)
    x = draw_pair()
    first_hop = hop(x, adj) if hop_known else None
    propagation = Propagation(num_layers, conv=NoisyLightGCNConv(0.2))
    propagation(*x, adj, first_hop=first_hop, rows=as_tensors(([1, 1, 3], [4, 0])))
    full = [(USERS, HIDDEN), (ITEMS, HIDDEN)] * (num_layers - 1)
    assert shapes == [*full, (3, HIDDEN), (2, HIDDEN)]


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
    items = list(hidden @ last.weight.t() + last.bias)
    for item in [] if mask is None else (~mask).nonzero().flatten().tolist():
        items[item] = encoder.free_item[item] if num_free_items else torch.zeros(HIDDEN)
    initial = tuple(
        torch.stack([row / row.square().sum().sqrt().clamp(min=1e-12) for row in rows])
        for rows in (encoder.user, items)
    )

    assert close(encoder.initial(x, mask), initial, atol=1e-6)
    expected = dense_propagation(initial, matrix, 2, readout)
    assert close(encoder(x, adj, mask), expected, atol=1e-5)


def test_encoder_of_a_part_takes_the_free_vectors_of_its_nodes():
    """Of a sampled graph; an item that came after training has none."""
    encoder = ModalityEncoder(WIDTH, USERS, HIDDEN, num_free_items=ITEMS)
    x, mask = torch.randn(ITEMS, WIDTH), torch.zeros(ITEMS, dtype=torch.bool)
    user, item = torch.tensor([4, 1]), torch.tensor([3, ITEMS, 0])
    nodes = Nodes(2, 3, user, item)
    found = encoder.initial(x[:3], mask[:3], nodes)
    expected = F.normalize(encoder.user[user]), F.normalize(encoder.free_item[[3, 0]])
    assert close((found[0], found[1][[0, 2]]), expected, atol=1e-6)
    assert not found[1][1].any()


def test_encoder_passes_noise_on(adj):
    encoder = ModalityEncoder(WIDTH, USERS, HIDDEN, conv=NoisyLightGCNConv(0.2))
    x = torch.randn(ITEMS, WIDTH)
    noise = draw_noise(2)
    expected = encoder.propagation(*encoder.initial(x), adj, noise=noise)
    assert equal(encoder(x, adj, noise=noise), expected)
    assert not any(torch.equal(a, b) for a, b in zip(encoder(x, adj), expected))


@pytest.mark.parametrize("rows", ROWS, ids=str)
@pytest.mark.parametrize("mask", [None, MASK], ids=["complete", "missing"])
@pytest.mark.parametrize("noisy", [False, True])
def test_encoder_of_rows(adj, rows, mask, noisy):
    encoder = ModalityEncoder(WIDTH, USERS, HIDDEN, conv=NoisyLightGCNConv(0.2) if noisy else None)
    x, rows = torch.randn(ITEMS, WIDTH, requires_grad=True), as_tensors(rows)
    noise = draw_noise(2) if noisy else None
    known = noise and [noise[0], rows_of(noise[1], rows)]
    out, full = encoder(x, adj, mask, known, rows), encoder(x, adj, mask, noise)
    assert_equal_with_gradient(out, rows_of(full, rows), (encoder.user, x))


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
    rows = as_tensors(rows)
    encodings = encoder.propagate(x, adj, {"visual": MASK, "textual": None})
    noise = draw_noise(4)  # two layers of each modality
    chosen = [noise[0], rows_of(noise[1], rows), noise[2], rows_of(noise[3], rows)]
    full, some = ([draw for pair in pairs for draw in pair] for pairs in (noise, chosen))
    views = []
    for draws, given in ((some, (rows,)), (full, ())):
        monkeypatch.setattr(noisy_light_gcn_conv, "uniform", lambda *_, d=draws: d.pop(0))
        views.append(encoder.perturb(encodings, adj, *given))
    assert list(views[0]) == ["textual", "visual"]
    for name, view in views[0].items():
        user = encoder.encoders[name].user
        assert_equal_with_gradient(view, rows_of(views[1][name], rows), user)
        for perturbed, clean in zip(view, rows_of(encodings[name].out, rows), strict=True):
            assert not len(clean) or not torch.allclose(perturbed, clean, atol=0.05)


@pytest.mark.parametrize("rows", ROWS, ids=str)
def test_views_of_rows_without_noise_are_clean(adj, multimodal, rows):
    encoder, x = multimodal
    encodings = encoder.propagate(x, adj, {"visual": None, "textual": None})
    rows = as_tensors(rows)
    for name, view in encoder.eval().perturb(encodings, adj, rows).items():
        assert close(view, rows_of(encodings[name].out, rows), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_features_in_half_precision(adj, dtype):
    """They are computed with as if stored in float32."""
    encoder = ModalityEncoder(WIDTH, USERS, HIDDEN)
    x = torch.randn(ITEMS, WIDTH).to(dtype)
    out = encoder(x, adj, MASK)
    assert [side.dtype for side in out] == [torch.float32] * 2
    assert equal(out, encoder(x.float(), adj, MASK))


def test_autocast_is_for_the_mlp_alone(adj):
    encoder = ModalityEncoder(WIDTH, USERS, HIDDEN)
    x = torch.randn(ITEMS, WIDTH)
    with torch.autocast("cpu", torch.bfloat16):
        out, item = encoder(x, adj), encoder.mlp(x)
    assert item.dtype == torch.bfloat16
    initial = F.normalize(encoder.user), F.normalize(item.float())
    assert [side.dtype for side in out] == [torch.float32] * 2
    assert close(out, encoder.propagation(*initial, adj), atol=1e-6)


def test_content_of_masked_items_is_never_used(adj):
    encoder = ModalityEncoder(WIDTH, USERS, HIDDEN)
    x = torch.randn(ITEMS, WIDTH)
    other = torch.where(MASK.unsqueeze(1), x, 1e3)
    assert equal(encoder(x, adj, MASK), encoder(other, adj, MASK))


def test_every_parameter_gets_a_gradient(adj):
    encoder = ModalityEncoder(WIDTH, USERS, HIDDEN, num_free_items=ITEMS)
    out = encoder(torch.randn(ITEMS, WIDTH), adj, MASK)
    sum((side * torch.randn_like(side)).sum() for side in out).backward()
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


def test_parts_of_other_graphs_are_refused(adj):
    user, item = x = draw_pair()
    propagation = Propagation(2, conv=NoisyLightGCNConv())
    with pytest.raises(InputError, match="noise of 1 layers; expected 2"):
        propagation(*x, adj, noise=draw_noise(1))
    with pytest.raises(InputError, match=r"'first_hop user' has shape \[1, 4\]; .* \[6, 4\]"):
        propagation(*x, adj, first_hop=(user[:1], item))
    with pytest.raises(InputError, match=r"'first_hop item' has shape \[1, 4\]; .* \[5, 4\]"):
        propagation(*x, adj, first_hop=(user, item[:1]))
    for wrong in ((user[1:], item), (user, item[1:]), (item, user)):
        with pytest.raises(InputError, match=r"has shape \[[645], 4\]; expected \[[56], "):
            propagation(*wrong, adj)
    with pytest.raises(InputError, match=r"'mask' has shape \[1\]; expected \[2\]"):
        ModalityEncoder(4, 1).initial(user[:2], torch.ones(1, dtype=torch.bool))
    with pytest.raises(InputError, match=r"the graph has 5 users, and the model 6; expected"):
        ModalityEncoder(4, USERS).initial(user, nodes=Nodes(5, USERS))
