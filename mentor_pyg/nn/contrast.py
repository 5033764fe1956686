"""InfoNCE over all pairs of rows in memory linear in the number of rows."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

BLOCK_ENTRIES = 2**23
"""Logits held at a time; 32 MiB in float32."""

MIN_PLAIN_TAU = 1 / 40
"""Temperature from which exponentials of cosines, and their sums, can't overflow."""


def info_nce(view1: Tensor, view2: Tensor, tau: float) -> Tensor:
    r"""InfoNCE between two views of the same rows (`"Representation Learning with
    Contrastive Predictive Coding" <https://arxiv.org/abs/1807.03748>`_).

    .. math::
        \mathcal{L} = -\frac{1}{N} \sum_{i=1}^{N} \log
        \frac{\exp(\hat{\mathbf{a}}_i^{\top} \hat{\mathbf{b}}_i / \tau)}
        {\sum_{j=1}^{N} \exp(\hat{\mathbf{a}}_i^{\top} \hat{\mathbf{b}}_j / \tau)}

    with L2-normalised rows. The matrix of logits is never held as a whole: forward
    and backward pass need O(N F) memory beside one block of rows.

    Args:
        view1: Anchors a [N, F].
        view2: Their positives b [N, F]; the other rows are the negatives.
        tau: Temperature, positive.

    Raises:
        ValueError: If the shapes differ, there are no rows, or tau is not positive.
    """
    if view1.shape != view2.shape or view1.dim() != 2 or view1.size(0) == 0:
        raise ValueError(
            "'view1' and 'view2' need the same shape [N, F] with N > 0 "
            f"(got {list(view1.shape)} and {list(view2.shape)})"
        )
    if not tau > 0:
        raise ValueError(f"'tau' must be positive (got {tau})")
    with torch.autocast(view1.device.type, enabled=False):
        return _InfoNCE.apply(F.normalize(view1), F.normalize(view2), tau)


class _InfoNCE(torch.autograd.Function):
    """Loss and both gradients in one sweep over blocks of rows.

    The loss is a scalar, so its gradients are known up to a factor as soon as a block's
    softmax is: nothing has to be computed twice, or kept, for backward. The softmax is
    never normalised as such; the sums of its rows divide the much smaller products.
    """

    @staticmethod
    def forward(ctx, anchors: Tensor, others: Tensor, tau: float) -> Tensor:  # type: ignore[no-untyped-def]
        num_rows = anchors.size(0)
        needs_grad = any(ctx.needs_input_grad)
        positive = (anchors * others).sum(dim=1, keepdim=True) / tau
        grad_anchors, grad_others = torch.zeros_like(anchors), torch.zeros_like(others)
        loss = anchors.new_zeros(())

        block = max(1, BLOCK_ENTRIES // num_rows)
        for start in range(0, num_rows, block):
            rows = slice(start, start + block)
            logits = (anchors[rows] / tau) @ others.t()
            # Unit rows give logits of 1 / tau at most, whose exponential fits as it is,
            # but for a very small tau:
            if tau < MIN_PLAIN_TAU:
                highest = logits.amax(dim=1, keepdim=True)
                logits -= highest
                loss += highest.sum()
            exp = logits.exp_()
            total = exp.sum(dim=1, keepdim=True)
            loss += (total.log() - positive[rows]).sum()
            if needs_grad:
                torch.mm(exp, others, out=grad_anchors[rows]).div_(total)
                grad_others.addmm_(exp.t(), anchors[rows] / total)

        if needs_grad:
            scale = 1 / (tau * num_rows)
            ctx.save_for_backward(
                grad_anchors.sub_(others).mul_(scale), grad_others.sub_(anchors).mul_(scale)
            )
        return loss / num_rows

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):  # type: ignore[no-untyped-def]
        grad_anchors, grad_others = ctx.saved_tensors
        return grad * grad_anchors, grad * grad_others, None
