import torch
from torch import Tensor
from torch.nn import Linear

from mentor_pyg.errors import InputError
from mentor_pyg.options import Count, checked


@checked
class ModalityAttention(torch.nn.Module):
    r"""Multi-head attention between the modalities of a node, averaged over modalities,
    Eq. 9 of the `"MMSSL" <https://arxiv.org/abs/2302.10632>`_ paper.

    .. math::
        \tilde{\mathbf{e}} = \frac{1}{M} \sum_m \big\Vert_{h=1}^{H} \sum_{m'}
        \mathrm{softmax}_{m'} \left( \frac{(\mathbf{W}^Q_h \mathbf{e}^m)^{\top}
        \mathbf{W}^K_h \mathbf{e}^{m'}}{\sqrt{D / H}} \right) \mathbf{e}^{m'}_h

    Values are not transformed: :math:`\mathbf{e}_h` are the D / H entries of head h.

    Args:
        hidden_channels: Width D of a modality.
        num_heads: Number of heads H; must divide D.

    Shapes:
        ``x`` [N, M, D] for N nodes and M modalities; result [N, D]
    """

    def __init__(self, hidden_channels: Count, num_heads: Count = 4) -> None:
        super().__init__()
        if hidden_channels % num_heads > 0:
            raise InputError(
                f"{num_heads} heads for {hidden_channels} hidden channels; "
                "expected 'num_heads' that divides 'hidden_channels'"
            )
        self.num_heads = num_heads
        self.query = Linear(hidden_channels, hidden_channels, bias=False)
        self.key = Linear(hidden_channels, hidden_channels, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        torch.nn.init.xavier_uniform_(self.query.weight)
        torch.nn.init.xavier_uniform_(self.key.weight)

    def forward(self, x: Tensor) -> Tensor:
        # M is small, and elementwise products take half the time of batched matrix products.
        query, key, value = (self._heads(z) for z in (self.query(x), self.key(x), x))
        scale = value.size(-1) ** -0.5
        scores = (scale * query.unsqueeze(2) * key.unsqueeze(1)).sum(dim=-1, keepdim=True)
        weight = scores.softmax(dim=2).mean(dim=1)
        return (weight * value).sum(dim=1).flatten(1)

    def _heads(self, x: Tensor) -> Tensor:
        """Reshapes [N, M, D] to [N, M, H, D / H]."""
        return x.unflatten(2, (self.num_heads, -1))
