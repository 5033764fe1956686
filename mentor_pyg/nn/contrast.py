"""InfoNCE over all pairs of rows."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from mentor_pyg._util.shapes import check_shapes
from mentor_pyg.nn.functional import at_least_float, check_temperature, normalize
from mentor_pyg.sparse.products import block_rows

MIN_PLAIN_TAU = 1 / 40
"""Smallest temperature at which exponentials of cosines, and their sums, cannot overflow."""

MAX_CERTAINTY = 0.7
"""Mean probability of the positives up to which rounding P b to bfloat16 keeps gradients
within 3 % of the exact ones (7 % off at 0.76, 18 % at 0.9)."""


def info_nce(view1: Tensor, view2: Tensor, tau: float) -> Tensor:
    r"""InfoNCE between two views of the same rows (`"Representation Learning with
    Contrastive Predictive Coding" <https://arxiv.org/abs/1807.03748>`_).

    .. math::
        \mathcal{L} = -\frac{1}{N} \sum_{i=1}^{N} \log
        \frac{\exp(\hat{\mathbf{a}}_i^{\top} \hat{\mathbf{b}}_i / \tau)}
        {\sum_{j=1}^{N} \exp(\hat{\mathbf{a}}_i^{\top} \hat{\mathbf{b}}_j / \tau)}

    with L2-normalised rows. The logits are computed block by block, so the forward and
    backward pass need O(N F) memory beside one block.

    Products use the dtype of the views, or of autocast where it is on. Exponentials, sums
    and the result are at least float32. The positive logit is the same in the numerator and
    the sum, so rounding cannot make the loss negative.

    Args:
        view1: Anchors a [N, F].
        view2: Positives b [N, F]; the other rows are in-batch negatives.
        tau: Temperature.

    Raises:
        InputError: If the shapes differ, or tau is not positive and finite.
        ValueError: If there are no rows.
    """
    check_shapes("info_nce", view1=(view1, ("N", "F")), view2=(view2, ("N", "F")))
    # Compiled code cannot branch on the number of rows, which may depend on the batch.
    torch._check_value(view1.size(0) > 0, lambda: "info_nce: there are no rows; expected N > 0")
    check_temperature("info_nce", tau)
    device, dtype = view1.device.type, view1.dtype
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
    with torch.autocast(device, enabled=False):
        rows = (normalize(at_least_float(view)) for view in (view1, view2))
        return _InfoNCE.apply(*(x.to(dtype) for x in rows), tau)


def joint_info_nce(view1: Tensor, view2: Tensor, tau: float) -> Tensor:
    r"""InfoNCE in which the other rows of the anchors' own view are negatives as well, one
    direction of the `"Deep Graph Contrastive Representation Learning"
    <https://arxiv.org/abs/2006.04131>`_ paper.

    .. math::
        \mathcal{L} = -\frac{1}{N} \sum_{i=1}^{N} \log
        \frac{\exp(\hat{\mathbf{a}}_i^{\top} \hat{\mathbf{b}}_i / \tau)}
        {\sum_{j=1}^{N} \exp(\hat{\mathbf{a}}_i^{\top} \hat{\mathbf{b}}_j / \tau) +
        \sum_{j \ne i} \exp(\hat{\mathbf{a}}_i^{\top} \hat{\mathbf{a}}_j / \tau)}

    with L2-normalised rows. Unlike :func:`info_nce`, it needs O(N^2) memory.

    Args:
        view1: Anchors a [N, F].
        view2: Positives b [N, F].
        tau: Temperature.

    Raises:
        InputError: If the shapes differ, or tau is not positive and finite.
    """
    check_shapes("joint_info_nce", view1=(view1, ("N", "F")), view2=(view2, ("N", "F")))
    check_temperature("joint_info_nce", tau)
    a, b = (normalize(at_least_float(view)) for view in (view1, view2))
    rows = torch.arange(a.size(0), device=a.device)
    own = (a @ a.t()).masked_fill(rows == rows.unsqueeze(1), -torch.inf)
    return F.cross_entropy(torch.cat([a @ b.t(), own], dim=1) / tau, rows)


class _InfoNCE(torch.autograd.Function):
    """Computes the gradients in the forward pass: the loss is a scalar, so they are known up
    to a factor, and backward need not recompute the softmax."""

    @staticmethod
    def forward(ctx, anchors: Tensor, others: Tensor, tau: float) -> Tensor:  # type: ignore[no-untyped-def]
        loss, *grads = info_nce_with_grads(anchors, others, tau, any(ctx.needs_input_grad))
        ctx.scale = 1 / (tau * anchors.size(0))
        ctx.save_for_backward(*grads)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):  # type: ignore[no-untyped-def]
        grad_anchors, grad_others = ctx.saved_tensors
        grad = grad * ctx.scale
        return grad * grad_anchors, grad * grad_others, None


@torch.library.custom_op("mentor_pyg::info_nce", mutates_args=())
def info_nce_with_grads(
    anchors: Tensor, others: Tensor, tau: float, needs_grad: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """InfoNCE of unit rows [N, F] and, if needed, both gradients times N tau."""
    in_cache = anchors.device.type == "cpu" and anchors.dtype == torch.bfloat16
    sweep = _sweep_attention if in_cache and tau >= MIN_PLAIN_TAU else _sweep_blocks
    total, grad_anchors, grad_others = sweep(anchors, others, tau, needs_grad)
    if not needs_grad:
        grad_anchors, grad_others = (total.new_empty(0, anchors.size(1)) for _ in range(2))
    return total / anchors.size(0), grad_anchors, grad_others


@info_nce_with_grads.register_fake
def _(anchors, others, tau, needs_grad):  # type: ignore[no-untyped-def]
    dtype = torch.promote_types(anchors.dtype, torch.float32)
    rows = anchors.size(0) if needs_grad else 0
    grads = (x.new_empty(rows, x.size(1), dtype=dtype) for x in (anchors, others))
    return anchors.new_empty((), dtype=dtype), *grads


def _sweep_blocks(
    anchors: Tensor, others: Tensor, tau: float, needs_grad: bool
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Computes, block by block, :math:`-\sum_i \log P_{ii}` of the softmax P and the
    gradients :math:`(P - I)` b and :math:`(P - I)^{\top}` a.

    In float32 P is not normalised: the much smaller products are divided by its row sums Z,
    and b and a are subtracted from them. In half precision this difference would be mostly
    rounding error where P is nearly I, so there P is normalised first.
    """
    num_rows, dtype = anchors.size(0), anchors.dtype
    wide = torch.promote_types(dtype, torch.float32)
    grad_anchors = torch.empty_like(anchors, dtype=wide)
    grad_others = torch.zeros_like(grad_anchors)
    loss = torch.zeros((), dtype=wide, device=anchors.device)

    block = min(num_rows, block_rows(num_rows, anchors.size(1), anchors.device))
    buffer = anchors.new_empty(block, num_rows)  # allocating each time costs a sixth more
    for start in range(0, num_rows, block):
        rows = slice(start, min(start + block, num_rows))
        scaled = anchors[rows] / tau
        logits = torch.mm(scaled, others.t(), out=buffer[: len(scaled)]).to(wide)
        # Logits of unit rows are at most 1 / tau; exp() overflows only if tau is very small.
        if tau < MIN_PLAIN_TAU:
            logits -= logits.amax(dim=1, keepdim=True)
        positive = logits.diagonal(start).clone()
        exp = logits.exp_()
        total = exp.sum(dim=1, keepdim=True)
        loss += (total.log().squeeze(1) - positive).sum()
        if needs_grad and dtype == wide:
            torch.mm(exp, others, out=grad_anchors[rows]).div_(total).sub_(others[rows])
            grad_others.addmm_(exp.t(), anchors[rows] / total)
        elif needs_grad:
            softmax = exp.div_(total)
            softmax.diagonal(start).sub_(1)
            difference = softmax.to(dtype)
            grad_anchors[rows] = (difference @ others).to(wide)
            grad_others += (difference.t() @ anchors[rows]).to(wide)
    if dtype == wide:
        grad_others -= anchors
    return loss, grad_anchors, grad_others


def _sweep_attention(
    anchors: Tensor, others: Tensor, tau: float, needs_grad: bool
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Computes the same with the CPU's fused attention kernel, which keeps logits in cache.

    Attention of a to b gives P b and :math:`\log Z`. With the roles swapped and values
    :math:`\mathbf{a}_i / Z_i` it gives :math:`P^{\top}` a up to the softmax's own
    denominator, which is known. It takes half the time of the blocks in bfloat16, and a tenth
    more in float32. It rounds P b, though, so it falls back to blocks where P is nearly I.
    """
    a, b = anchors[None, None], others[None, None]
    attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    mean_others, log_total = (x[0, 0] for x in attention(a, b, b, scale=1 / tau))
    wide_anchors, wide_others = at_least_float(anchors), at_least_float(others)
    positive = (wide_anchors * wide_others).sum(dim=1) / tau
    loss = (log_total - positive).clamp(min=0).sum()  # the kernel rounds its exponentials
    if not needs_grad:
        return loss, mean_others, mean_others
    if (positive - log_total).exp().mean() > MAX_CERTAINTY:
        return _sweep_blocks(anchors, others, tau, needs_grad)
    center = log_total.mean()
    values = (anchors * (center - log_total).exp().unsqueeze(1)).to(anchors.dtype)
    mean_values, own_total = (x[0, 0] for x in attention(b, a, values[None, None], scale=1 / tau))
    mean_anchors = mean_values * (own_total - center).exp().unsqueeze(1)
    return loss, mean_others - wide_others, mean_anchors - wide_anchors
