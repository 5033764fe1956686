import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from mentor_pyg import InputError
from mentor_pyg.nn import contrast, info_nce, joint_info_nce
from mentor_pyg.sparse import products


@pytest.fixture
def set_block(monkeypatch):
    return lambda entries: monkeypatch.setitem(products.ENTRIES, "cpu", entries)


def views(num_rows, dtype=torch.float32, width=6):
    torch.manual_seed(num_rows)
    return [torch.randn(num_rows, width, dtype=dtype, requires_grad=True) for _ in range(2)]


def dense(view1, view2, tau):
    logits = F.normalize(view1) @ F.normalize(view2).t() / tau
    return F.cross_entropy(logits, torch.arange(view1.size(0)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("num_rows", [1, 2, 7, 64, 300])
@pytest.mark.parametrize("block_entries", [1, 1000, 2**23])
@pytest.mark.parametrize("tau", [0.01, 0.05, 0.2, 1.0])
def test_equals_dense_cross_entropy(set_block, dtype, num_rows, block_entries, tau):
    set_block(block_entries)
    both = views(num_rows, dtype)
    loss, expected = info_nce(*both, tau), dense(*both, tau)
    tolerance = {"rtol": 1e-4, "atol": 1e-5} if dtype == torch.float32 else {"atol": 1e-12}
    assert loss.dtype == dtype
    assert torch.allclose(loss, expected, **tolerance)
    # An upstream gradient other than one:
    grads = torch.autograd.grad(-2.5 * loss, both)
    for grad, other in zip(grads, torch.autograd.grad(-2.5 * expected, both)):
        assert torch.allclose(grad, other, **tolerance)


@pytest.mark.parametrize("block_entries", [10, 2**23])
def test_gradcheck(set_block, block_entries):
    set_block(block_entries)
    assert torch.autograd.gradcheck(lambda a, b: info_nce(a, b, 0.3), views(5, torch.float64, 3))


@pytest.mark.parametrize("which", [0, 1])
def test_one_view_without_gradient(which):
    both = views(20)
    (expected,) = torch.autograd.grad(info_nce(*both, 0.2), both[which])
    both[1 - which] = both[1 - which].detach()
    info_nce(*both, 0.2).backward()
    assert torch.equal(both[which].grad, expected)
    assert both[1 - which].grad is None


def test_without_any_gradient():
    both = views(20)
    with torch.no_grad():
        loss = info_nce(*both, 0.2)
    assert not loss.requires_grad
    assert torch.equal(loss, info_nce(*(x.detach() for x in both), 0.2))
    assert torch.allclose(loss, dense(*both, 0.2))


def test_same_tensor_twice():
    x, _ = views(20)
    grads = [torch.autograd.grad(f(x, x, 0.2), x)[0] for f in (info_nce, dense)]
    assert torch.allclose(*grads, atol=1e-6)


def test_huge_logits_stay_finite():
    both = views(20)
    loss = info_nce(*both, 1e-4)
    loss.backward()
    assert torch.allclose(loss, dense(*both, 1e-4), rtol=1e-4)
    assert all(x.grad.isfinite().all() for x in both)


SWEEPS = [contrast._sweep_blocks, contrast._sweep_attention]


@pytest.mark.parametrize("sweep", SWEEPS)
@pytest.mark.parametrize("tau", [0.05, 0.2, 1.0])
@pytest.mark.parametrize("num_rows", [1, 7, 300])
def test_both_roads_give_the_same(set_block, sweep, num_rows, tau):
    set_block(1000)
    rows = [F.normalize(x.detach()) for x in views(num_rows)]
    a, b = (x.double() for x in rows)
    logits = a @ b.t() / tau
    difference = logits.softmax(dim=1) - torch.eye(num_rows)
    loss = (logits.logsumexp(dim=1) - logits.diagonal()).sum()
    expected = loss, difference @ b, difference.t() @ a
    for ours, other in zip(sweep(*rows, tau, True), expected):
        torch.testing.assert_close(ours.double(), other, rtol=1e-5, atol=1e-5)

    half = [x.bfloat16() for x in rows]
    for ours, other in zip(sweep(*half, tau, True), expected):
        assert (ours - other).norm() <= 0.02 * other.norm()


@pytest.mark.parametrize("tau", [0.005, 0.05, 0.2])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype, tau):
    both = [x.detach().to(dtype).requires_grad_() for x in views(300)]
    loss = info_nce(*both, tau)
    assert loss.dtype == torch.float32
    wide = [x.detach().double().requires_grad_() for x in both]
    expected = dense(*wide, tau)
    torch.testing.assert_close(loss.double(), expected, rtol=0.01, atol=0.02)
    grads = torch.autograd.grad(loss, both)
    for grad, other in zip(grads, torch.autograd.grad(expected, wide)):
        assert grad.dtype == dtype
        assert (grad - other).norm() < 0.05 * other.norm()


@pytest.mark.parametrize("tau", [0.05, 0.1, 0.2])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_of_views_that_agree(dtype, tau):
    """Where the softmax is nearly one-hot, gradients are small beside the rows."""
    torch.manual_seed(0)
    x = torch.randn(300, 64)
    both = [y.to(dtype).requires_grad_() for y in (x, x + 0.1 * torch.randn(300, 64))]
    wide = [y.detach().double().requires_grad_() for y in both]
    grads, expected = (
        torch.autograd.grad(1e6 * loss(*views, tau), views)  # float16 knows no small numbers
        for loss, views in ((info_nce, both), (dense, wide))
    )
    for grad, other in zip(grads, expected):
        assert (grad - other).norm() < 0.05 * other.norm()


@pytest.mark.parametrize("tau", [0.005, 0.026, 0.03, 0.1])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("noise", [0.0, 0.1, 1.0])
def test_rounding_makes_no_loss_negative(dtype, tau, noise):
    torch.manual_seed(0)
    x = F.normalize(torch.randn(100, 64)).to(dtype)
    y = F.normalize(x.float() + noise / 8 * torch.randn(100, 64)).to(dtype)
    expected = dense(x.double(), y.double(), tau).item()
    for view in (x, x.clone().requires_grad_()):  # whose roads differ
        loss = info_nce(view, y, tau).item()
        assert loss > -1e-6
        assert loss == pytest.approx(expected, rel=0.05, abs=1e-4)


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e-13, 1e20, 1e30])
def test_scale_of_views_makes_no_difference(scale):
    a, b = (x.detach() for x in views(20))
    torch.testing.assert_close(info_nce(scale * a, b, 0.2), info_nce(a, b, 0.2))


def test_autocast_computes_in_its_dtype():
    both = views(20)
    with torch.autocast("cpu", torch.bfloat16):
        loss = info_nce(*both, 0.2)
    expected = info_nce(*both, 0.2)
    assert not torch.equal(loss, expected)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected, rtol=0.01, atol=0)
    loss.backward()
    assert {x.grad.dtype for x in both} == {torch.float32}


def test_compiles_in_one_graph():
    both = views(20)
    compiled = torch.compile(info_nce, fullgraph=True, backend="aot_eager")
    loss, expected = (f(*both, 0.2) for f in (compiled, info_nce))
    assert torch.allclose(loss, expected)
    for grad, other in zip(*(torch.autograd.grad(x, both) for x in (loss, expected))):
        assert torch.allclose(grad, other)


class LargestTensor(TorchDispatchMode):
    """Records the size of the largest result of any operation."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        results = out if isinstance(out, tuple | list) else [out]
        sizes = [x.numel() for x in results if isinstance(x, torch.Tensor)]
        self.numel = max(self.numel, *sizes, 0)
        return out


def test_memory_is_linear_in_the_rows(set_block):
    set_block(900)
    both = views(300, width=4)
    with LargestTensor() as largest:
        contrast._sweep_blocks(*(F.normalize(x.detach()) for x in both), 0.2, True)
    assert largest.numel == 300 * 4
    with LargestTensor() as largest:
        dense(*both, 0.2).backward()
    assert largest.numel == 300 * 300


@pytest.mark.parametrize(
    ("shapes", "tau", "message"),
    [
        (((3, 4), (4, 4)), 0.2, r"'view2' has shape \[4, 4\]; expected \[3, 4\]"),
        (((3,), (3,)), 0.2, r"'view1' has shape \[3\]; expected \[N, F\]"),
        (((0, 4), (0, 4)), 0.2, "N > 0"),
        (((3, 4), (3, 4)), 0.0, r"info_nce\.tau: is 0\.0; expected more than 0"),
        (((3, 4), (3, 4)), -1.0, "more than 0 and finite"),
        (((3, 4), (3, 4)), float("inf"), "more than 0 and finite"),
        (((3, 4), (3, 4)), float("nan"), "more than 0 and finite"),
    ],
)
def test_bad_arguments(shapes, tau, message):
    with pytest.raises(ValueError, match=message):
        info_nce(*(torch.ones(shape) for shape in shapes), tau)


class Kernels(TorchDispatchMode):
    """Counts calls of the fused attention kernel."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += "flash_attention" in str(func)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("noise", "needs_grad", "count"),
    [(9.0, True, 2), (9.0, False, 1), (0.0, True, 1)],
    ids=["gradients", "loss alone", "views that agree, for which rounded gradients are too coarse"],
)
def test_the_kernel_runs_as_often_as_it_has_to(noise, needs_grad, count):
    torch.manual_seed(0)
    x = torch.randn(50, 64)
    rows = [F.normalize(y).bfloat16() for y in (x, x + noise * torch.randn(50, 64))]
    with Kernels() as kernels:
        contrast._sweep_attention(*rows, 0.1, needs_grad)
    assert kernels.count == count


@pytest.mark.parametrize(("tau", "is_fused"), [(0.0249, False), (1 / 40, True), (0.2, True)])
def test_the_kernel_needs_a_temperature_at_which_nothing_overflows(monkeypatch, tau, is_fused):
    taus = []

    def sweep(*args):
        taus.append(args[2])
        return contrast._sweep_blocks(*args)

    monkeypatch.setattr(contrast, "_sweep_attention", sweep)
    info_nce(*views(20, torch.bfloat16), tau)
    assert taus == [tau] * is_fused


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("needs_grad", [True, False])
def test_compilers_are_told_the_right_shapes_and_dtypes(dtype, needs_grad):
    rows = [F.normalize(x.detach()).to(dtype) for x in views(20)]
    torch.library.opcheck(
        contrast.info_nce_with_grads, (*rows, 0.2, needs_grad), test_utils="test_faketensor"
    )


def test_joint_contrast_has_negatives_in_both_views():
    torch.manual_seed(0)
    a, b = (torch.randn(7, 4) for _ in range(2))
    terms = []
    for i in range(7):
        others = [F.cosine_similarity(a[i], x, dim=0) for x in (*b, *a[:i], *a[i + 1 :])]
        exps = (torch.stack(others) / 0.3).exp()
        terms.append(-(exps[i] / exps.sum()).log())
    torch.testing.assert_close(joint_info_nce(a, b, 0.3), torch.stack(terms).mean())
    assert joint_info_nce(a[:1], b[:1], 0.3) == 0
    with pytest.raises(InputError, match=r"joint_info_nce: .*view2"):
        joint_info_nce(a, b[:6], 0.3)
    with pytest.raises(InputError, match="joint_info_nce"):
        joint_info_nce(a, b, 0.0)
