"""InfoNCE over all pairs of rows in memory linear in the number of rows."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

BLOCK_ENTRIES = 2**23
"""Logits held at a time; 32 MiB in float32."""


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

    The loss is a scalar, so its gradients are known up to a factor as soon as the
    softmax of a block is: nothing has to be computed twice, or kept, for backward.
    """

    @staticmethod
    def forward(ctx, anchors: Tensor, others: Tensor, tau: float) -> Tensor:  # type: ignore[no-untyped-def]
        num_rows = anchors.size(0)
        needs_grad = any(ctx.needs_input_grad)
        grad_anchors, grad_others = torch.zeros_like(anchors), torch.zeros_like(others)
        loss = anchors.new_zeros(())

        block = max(1, BLOCK_ENTRIES // num_rows)
        for start in range(0, num_rows, block):
            rows = slice(start, start + block)
            scaled = anchors[rows] / tau
            softmax = scaled @ others.t()
            positive = softmax.diagonal(start).clone()
            highest = softmax.amax(dim=1, keepdim=True)
            softmax.sub_(highest).exp_()
            total = softmax.sum(dim=1, keepdim=True)
            loss += (total.log() + highest).sum() - positive.sum()
            if needs_grad:
                softmax.div_(total).diagonal(start).sub_(1)
                torch.mm(softmax, others, out=grad_anchors[rows])
                grad_others.addmm_(softmax.t(), scaled)

        if needs_grad:
            ctx.save_for_backward(grad_anchors.div_(tau * num_rows), grad_others.div_(num_rows))
        return loss / num_rows

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):  # type: ignore[no-untyped-def]
        grad_anchors, grad_others = ctx.saved_tensors
        return grad * grad_anchors, grad * grad_others, None
