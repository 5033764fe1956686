"""Cross-entropy of observed items against candidates, in memory linear in their numbers."""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mentor_pyg._util.shapes import check_shapes
from mentor_pyg.nn.functional import at_least_float, check_temperature
from mentor_pyg.sparse.products import block_rows


def softmax_loss(
    anchor: Tensor,
    positive: Tensor,
    candidate: Tensor,
    positive_id: Tensor,
    candidate_id: Tensor,
    tau: float,
    positive_bias: Tensor | None = None,
    candidate_bias: Tensor | None = None,
) -> Tensor:
    r"""Mean cross-entropy of each row's positive against candidates that all rows share.

    .. math::
        \mathcal{L} = -\frac{1}{B} \sum_{b=1}^{B} \log \frac{\exp(p_b)}
        {\exp(p_b) + \sum_{j : \mathrm{id}_j \neq \mathrm{id}_b} \exp(s_{bj})}, \qquad
        s_{bj} = \langle \mathbf{a}_b, \mathbf{c}_j \rangle / \tau + \beta_j

    and p_b likewise with the positive's row and bias. The logits are computed block by block
    in the forward pass, together with the gradients, and are not kept.

    Args:
        anchor: Rows a [B, C].
        positive: Row of the positive of each anchor [B, C].
        candidate: Rows c [N, C].
        positive_id: Number of each positive item [B].
        candidate_id: Number of each candidate item [N]. An anchor's own positive is not one of
            its negatives.
        tau: Temperature.
        positive_bias: Added to the positives' logits [B].
        candidate_bias: Added to the candidates' logits [N].

    Raises:
        InputError: If the shapes do not fit, or tau is not positive and finite.
    """
    biases = {"positive_bias": (positive_bias, "B"), "candidate_bias": (candidate_bias, "N")}
    check_shapes(
        "softmax_loss",
        anchor=(anchor, ("B", "C")),
        positive=(positive, ("B", "C")),
        candidate=(candidate, ("N", "C")),
        positive_id=(positive_id, ("B",)),
        candidate_id=(candidate_id, ("N",)),
        **{name: (bias, (size,)) for name, (bias, size) in biases.items() if bias is not None},
    )
    check_temperature("softmax_loss", tau)
    with torch.autocast(anchor.device.type, enabled=False):
        rows = (at_least_float(x) for x in (anchor, positive, candidate))
        return _Softmax.apply(*rows, positive_id, candidate_id, tau, positive_bias, candidate_bias)


class _Softmax(torch.autograd.Function):
    """The loss is a scalar, so its gradients are known up to a factor in the forward pass."""

    @staticmethod
    def forward(ctx, anchor, positive, candidate, *rest):  # type: ignore[no-untyped-def]
        needs_grad = any(ctx.needs_input_grad[:3])
        loss, *grads = softmax_with_grads(anchor, positive, candidate, *rest, needs_grad)
        ctx.save_for_backward(*grads)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        return *(grad * x for x in ctx.saved_tensors), None, None, None, None, None


@torch.library.custom_op("mentor_pyg::softmax_loss", mutates_args=())
def softmax_with_grads(
    anchor: Tensor,
    positive: Tensor,
    candidate: Tensor,
    positive_id: Tensor,
    candidate_id: Tensor,
    tau: float,
    positive_bias: Tensor | None,
    candidate_bias: Tensor | None,
    needs_grad: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The loss and, if needed, the gradients of anchors, positives and candidates."""
    size, columns = anchor.size(0), candidate.size(0)
    scaled = anchor / tau
    logit = (scaled * positive).sum(dim=1, keepdim=True)
    if positive_bias is not None:
        logit += positive_bias.unsqueeze(1)
    grad_anchor = torch.empty_like(anchor)
    grad_candidate = torch.zeros_like(candidate)
    loss, pull = torch.empty_like(logit), torch.empty_like(logit)

    block = min(size, block_rows(columns, anchor.size(1), anchor.device))
    buffer = anchor.new_empty(block, columns)
    for start in range(0, size, block):
        rows = slice(start, min(start + block, size))
        logits = torch.mm(scaled[rows], candidate.t(), out=buffer[: len(scaled[rows])])
        if candidate_bias is not None:
            logits += candidate_bias
        _leave_out(logits, positive_id[rows], candidate_id)
        largest = torch.maximum(logits.amax(dim=1, keepdim=True), logit[rows])
        exp = logits.sub_(largest).exp_()
        others = exp.sum(dim=1, keepdim=True)
        total = others + (logit[rows] - largest).exp()
        loss[rows] = total.log() + largest - logit[rows]
        if needs_grad:
            pull[rows] = others / total  # 1 - the probability of the positive, without cancellation
            torch.mm(exp, candidate, out=grad_anchor[rows]).div_(total)
            grad_candidate.addmm_(exp.t(), scaled[rows] / total)
    if not needs_grad:
        none = anchor[:0]
        return loss.mean(), none.clone(), none.clone(), none.clone()
    grad_anchor.addcmul_(pull, positive, value=-1).div_(tau * size)
    return loss.mean(), grad_anchor, scaled.mul_(pull).div_(-size), grad_candidate.div_(size)


def _leave_out(logits: Tensor, positive_id: Tensor, candidate_id: Tensor) -> None:
    """Sets logits of a row's own positive to minus infinity.

    On a CPU the few places are found by sorting, in a twentieth of the time that a comparison
    of all pairs takes. Elsewhere this would wait for the device.
    """
    if logits.device.type != "cpu":
        logits.masked_fill_(candidate_id == positive_id.unsqueeze(1), -torch.inf)
        return
    ordered, order = candidate_id.sort()
    first = torch.searchsorted(ordered, positive_id)
    count = torch.searchsorted(ordered, positive_id, right=True) - first
    row = torch.arange(positive_id.numel()).repeat_interleave(count)
    place = torch.arange(row.numel()) + (first - count.cumsum(0) + count)[row]
    logits[row, order[place]] = -torch.inf


@softmax_with_grads.register_fake
def _(anchor, positive, candidate, *rest):  # type: ignore[no-untyped-def]
    rows = (x if rest[-1] else x[:0] for x in (anchor, positive, candidate))
    return anchor.new_empty(()), *(torch.empty_like(x) for x in rows)
