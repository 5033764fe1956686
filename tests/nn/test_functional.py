import pytest
import torch
import torch.nn.functional as F

from mentor_pyg.nn.functional import (
    at_least_float,
    neighbor_products,
    normalize,
    pad_rows,
    refine,
    select,
    sum_and_square,
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


@pytest.mark.parametrize("function", [normalize, sum_and_square])
def test_gradcheck(function):
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(function, x)


@pytest.mark.parametrize("function", [normalize, lambda x: torch.stack(sum_and_square(x))])
def test_second_derivative(function):
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(function, x)


@pytest.mark.parametrize("function", [normalize, lambda x: torch.stack(sum_and_square(x))])
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
@pytest.mark.parametrize("view", INPUTS.values(), ids=INPUTS)
@pytest.mark.parametrize("factors", [(1.5, -2.0), (1.0, 0.0), (0.0, 1.0)])
def test_sum_and_square(dtype, view, factors):
    x = torch.randn(3, 8, dtype=dtype, requires_grad=True)
    part = view(x)
    both = sum_and_square(part), (part.sum(), (part * part).sum())
    for ours, other in zip(*both):
        assert ours.dtype == dtype
        torch.testing.assert_close(ours, other)
    grads = (torch.autograd.grad(sum(f * y for f, y in zip(factors, pair)), x) for pair in both)
    torch.testing.assert_close(*(grad for (grad,) in grads))


@pytest.mark.parametrize("which", [0, 1])
def test_one_of_both(which):
    x = torch.randn(3, 8, requires_grad=True)
    (grad,) = torch.autograd.grad(sum_and_square(x)[which], x)
    torch.testing.assert_close(grad, [torch.ones(3, 8), 2 * x.detach()][which])


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
