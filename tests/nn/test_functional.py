import pytest
import torch
import torch.nn.functional as F

from mentor_pyg import InputError
from mentor_pyg.nn import functional
from mentor_pyg.nn.functional import (
    at_least_float,
    mean_and_squares,
    neighbor_products,
    normalize,
    pad_rows,
    refine,
    select,
)

parametrize_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@parametrize_dtypes
@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1.0, 1e6])
def test_normalize_equals_that_of_pytorch(dtype, scale):
    x = (scale * torch.randn(7, 5, dtype=dtype)).requires_grad_()
    upstream = torch.randn(7, 5, dtype=dtype)
    out, expected = normalize(x), F.normalize(x)
    assert out.dtype == dtype
    torch.testing.assert_close(out, expected)
    grad, other = (torch.autograd.grad(y, x, upstream)[0] for y in (out, expected))
    torch.testing.assert_close(scale * grad, scale * other)  # grads are of the order 1 / scale


@parametrize_dtypes
@pytest.mark.parametrize("scale", [1e-33, 1e-20, 1e-13, 1e20, 1e37])
def test_normalize_at_any_scale(dtype, scale):
    x = torch.randn(7, 5, dtype=dtype)
    x[0] *= 1e-3
    expected = F.normalize(x)
    torch.testing.assert_close(normalize(scale * x), expected)
    mixed = x * torch.tensor([[1.0], [scale], [1.0], [scale], [1.0], [1.0], [scale]], dtype=dtype)
    torch.testing.assert_close(normalize(mixed), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_normalize_of_half_precision(dtype):
    x = (100 * torch.randn(7, 500)).to(dtype).requires_grad_()  # of squares beyond 65,504
    out = normalize(x)
    assert out.dtype == dtype
    torch.testing.assert_close(out.float(), F.normalize(x.float()), rtol=0.01, atol=0)
    out.sum().backward()
    assert x.grad.dtype == dtype


def test_short_rows_have_a_length_but_no_gradient():
    x = torch.full((2, 3), 1e-20, requires_grad=True)
    out = normalize(x)
    torch.testing.assert_close(out.norm(dim=1), torch.ones(2))
    (grad,) = torch.autograd.grad(out[0, 0], x)
    assert not grad.any()


@pytest.mark.parametrize("shape", [(0, 3), (3, 1)])
def test_normalize_of_few_entries(shape):
    x = torch.randn(shape, requires_grad=True)
    out = normalize(x)
    assert torch.equal(out, x.sign())
    out.sum().backward()
    torch.testing.assert_close(x.grad, torch.zeros(shape))


@parametrize_dtypes
def test_rows_of_zeros_stay_zero(dtype):
    x = torch.randn(4, 3, dtype=dtype)
    x[1] = 0
    x.requires_grad_()
    upstream = torch.randn(4, 3, dtype=dtype)
    out, expected = normalize(x), F.normalize(x)
    torch.testing.assert_close(out, expected)
    assert out.any(dim=1).tolist() == [True, False, True, True]
    grad, other = (torch.autograd.grad(y, x, upstream)[0] for y in (out, expected))
    assert not grad[1].any()  # where that of PyTorch is 1e12 times the upstream one
    other[1] = 0
    torch.testing.assert_close(grad, other)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_at_least_float(dtype, expected):
    assert at_least_float(torch.ones(2, dtype=dtype)).dtype == expected


def test_select():
    x = torch.randn(4, 3)
    assert select(x, None) is x
    assert torch.equal(select(x, torch.tensor([2, 0, 2])), x[[2, 0, 2]])


def test_normalize_of_a_slice():
    x = torch.randn(5, 7, requires_grad=True)
    outs = [f(x.t()[::2]) for f in (normalize, F.normalize)]
    torch.testing.assert_close(*outs)
    torch.testing.assert_close(*(torch.autograd.grad(y.pow(3).sum(), x)[0] for y in outs))


@pytest.mark.parametrize("function", [normalize, mean_and_squares])
def test_gradcheck(function):
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(function, x)


@pytest.mark.parametrize("function", [normalize, lambda x: torch.stack(mean_and_squares(x))])
def test_second_derivative(function):
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(function, x)


@pytest.mark.parametrize("function", [normalize, lambda x: torch.stack(mean_and_squares(x))])
def test_compiles_in_one_graph(function):
    x = torch.randn(4, 3, requires_grad=True)
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    outs = [f(x) for f in (compiled, function)]
    torch.testing.assert_close(*outs)
    torch.testing.assert_close(*(torch.autograd.grad(y.pow(3).sum(), x)[0] for y in outs))


INPUTS = {
    "scalar": lambda x: x[0, 0],
    "1-d": lambda x: x[0],
    "2-d": lambda x: x,
    "3-d": lambda x: x.view(3, 2, 4),
    "transposed": lambda x: x.t(),
    "strided": lambda x: x[::2, 1::3],
    "strided 1-d": lambda x: x[:, 1],
    "repeated": lambda x: x[:1].expand(5, 8),
    "empty": lambda x: x[:0],
}


@parametrize_dtypes
@pytest.mark.parametrize("cached", [1, 5, 2**16])
@pytest.mark.parametrize("view", INPUTS.values(), ids=INPUTS)
@pytest.mark.parametrize("factors", [(1.5, -2.0), (1.0, 0.0), (0.0, 1.0)])
def test_mean_and_squares(monkeypatch, dtype, cached, view, factors):
    monkeypatch.setattr(functional, "CACHED_ENTRIES", cached)
    x = torch.randn(3, 8, dtype=dtype, requires_grad=True)
    part = view(x)
    both = mean_and_squares(part), (part.mean(), (part - part.mean()).square().sum())
    for ours, other in zip(*both):
        assert ours.dtype == dtype
        torch.testing.assert_close(ours, other, equal_nan=True)
    grads = (torch.autograd.grad(sum(f * y for f, y in zip(factors, pair)), x) for pair in both)
    torch.testing.assert_close(*(grad for (grad,) in grads), equal_nan=True)


@pytest.mark.parametrize("shift", [0.0, 1e3, -1e5])
@pytest.mark.parametrize("scale", [1e-15, 1.0, 1e14])
def test_squares_of_entries_far_from_zero(shift, scale):
    """The sum of their squares would hold nothing of what differs."""
    x = (scale * (shift + torch.randn(300, 400))).requires_grad_()
    mean, squares = mean_and_squares(x)
    wide = x.detach().double()
    assert mean.item() == pytest.approx(wide.mean().item(), abs=1e-5 * scale * max(1, abs(shift)))
    expected = (wide - wide.mean()).square().sum()
    assert squares.item() == pytest.approx(expected.item(), rel=1e-4)
    (grad,) = torch.autograd.grad(squares, x)
    error = grad.double() - 2 * (wide - wide.mean())
    assert error.abs().max() < scale * max(1e-5, 1e-6 * abs(shift))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_squares_of_half_precision_are_summed_in_float32(dtype):
    x = (100 * torch.randn(300, 40)).to(dtype).requires_grad_()
    mean, squares = mean_and_squares(x)
    wide = x.detach().double()
    assert mean.dtype == squares.dtype == torch.float32
    torch.testing.assert_close(
        squares.double(), (wide - wide.mean()).square().sum(), rtol=1e-5, atol=0
    )
    (grad,) = torch.autograd.grad(squares, x)
    assert grad.dtype == dtype
    torch.testing.assert_close(grad.double(), 2 * (wide - wide.mean()), rtol=0.01, atol=1e-2)


def test_mean_and_squares_is_a_sound_custom_op():
    torch.library.opcheck(mean_and_squares, (torch.randn(3, 4, requires_grad=True),))


@parametrize_dtypes
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_refine_multiplies_rows_by_their_cosines(dtype, scale):
    x = (scale * torch.randn(7, 5, dtype=dtype)).requires_grad_()
    ego = torch.randn(7, 5, dtype=dtype, requires_grad=True)
    upstream = torch.randn(7, 5, dtype=dtype)
    out = refine(x, normalize(ego))
    expected = F.cosine_similarity(x, ego, eps=1e-20).unsqueeze(1) * x
    torch.testing.assert_close(out / scale, expected / scale)
    grads, others = (torch.autograd.grad(y, (x, ego), upstream) for y in (out, expected))
    torch.testing.assert_close(grads[0], others[0])
    torch.testing.assert_close(grads[1] / scale, others[1] / scale)


def test_refine_of_zeros_is_zero():
    x = torch.randn(4, 3)
    x[1] = 0
    x.requires_grad_()
    out = refine(x, normalize(torch.randn(4, 3)))
    assert torch.equal(out[1], torch.zeros(3))
    out.sum().backward()
    assert torch.equal(x.grad[1], torch.zeros(3))
    assert x.grad.isfinite().all()


def test_pad_rows():
    x = torch.randn(2, 3)
    assert pad_rows(x, 2) is x
    assert torch.equal(pad_rows(x, 4), torch.cat([x, torch.zeros(2, 3)]))


@parametrize_dtypes
def test_neighbor_products_equal_those_of_gathered_rows(dtype):
    x = torch.randn(7, 5, dtype=dtype, requires_grad=True)
    neighbor = torch.randint(7, (7, 3))
    neighbor[0] = 0  # itself, and more than once
    upstream = torch.randn(7, 3, dtype=dtype)
    out = neighbor_products(x, neighbor)
    expected = (x.unsqueeze(1) * x[neighbor]).sum(dim=2)
    torch.testing.assert_close(out, expected)
    grads = (torch.autograd.grad(y, x, upstream)[0] for y in (out, expected))
    torch.testing.assert_close(*grads)
    if dtype == torch.float64:
        torch.autograd.gradcheck(lambda x: neighbor_products(x, neighbor), x)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_refine_at_any_scale(scale):
    x, unit = torch.randn(4, 3), normalize(torch.randn(4, 3))
    torch.testing.assert_close(refine(scale * x, unit) / scale, refine(x, unit))


def test_shapes_that_would_broadcast_are_refused():
    x = torch.randn(4, 3)
    with pytest.raises(InputError, match=r"refine: 'unit' has shape \[1, 3\]; expected \[4, 3\]"):
        refine(x, x[:1])
    with pytest.raises(InputError, match=r"neighbor_products: .* expected \[4, k\]"):
        neighbor_products(x, torch.zeros(1, 2, dtype=torch.long))
    with pytest.raises(InputError, match="x has 4 rows; expected at most 3"):
        pad_rows(x, 3)
