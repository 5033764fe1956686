from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Linear, ModuleList, Parameter
from torch_geometric.typing import OptTensor

from mentor_pyg._util.shapes import check_mask, check_shapes
from mentor_pyg.nn.initialization import Init, draw_weight, reset_linear
from mentor_pyg.options import Count, Widths, checked


@checked
class ContentProjection(torch.nn.Module):
    r"""Projects the concatenated features of all modalities, without concatenating them in
    memory.

    .. math::
        \mathbf{y}_i = \mathbf{W} \, \Vert_m \, \mathbf{x}_i^m
        = \sum_m \mathbf{W}_m \mathbf{x}_i^m

    Missing content contributes nothing.

    Args:
        in_channels: Width D_m of the features by modality.
        out_channels: Width F of the result.
        init: Initialisation of the weights; see :func:`~mentor_pyg.nn.draw_weight`.

    Shapes:
        ``x`` [I, D_m] by modality; ``mask`` bool [I], False where an item has no content,
        or None; result [I, F]
    """

    def __init__(
        self, in_channels: Widths, out_channels: Count, init: Init = "xavier_uniform"
    ) -> None:
        super().__init__()
        self.modalities = sorted(in_channels)
        self.widths = [in_channels[m] for m in self.modalities]
        self.weight = Parameter(torch.empty(out_channels, sum(self.widths)))
        self.init = init
        self.reset_parameters()

    def reset_parameters(self) -> None:
        draw_weight(self.weight, self.init)

    def forward(self, x: Mapping[str, Tensor], mask: Mapping[str, OptTensor]) -> Tensor:
        parts = [
            _project(x[m], weight, None, mask[m])
            for m, weight in zip(self.modalities, self.weight.split(self.widths, dim=1))
        ]
        return torch.stack(parts).sum(dim=0).to(self.weight.dtype)


@checked
class ModalityProjections(torch.nn.Module):
    r"""Projects the features of each modality by its own linear layer.

    .. math::
        \mathbf{y}_i^m = \mathbf{W}_m \mathbf{x}_i^m + \mathbf{b}_m

    Rows of missing content are zero.

    Args:
        in_channels: Width D_m of the features by modality.
        out_channels: Width F of the results.
        bias: Whether to add :math:`\mathbf{b}_m`.
        init: Initialisation of the weights; see :func:`~mentor_pyg.nn.reset_linear`.

    Shapes:
        ``x`` [I, D_m] by modality; ``mask`` bool [I], False where an item has no content,
        or None; results [I, F] by modality, sorted by name
    """

    def __init__(
        self,
        in_channels: Widths,
        out_channels: Count,
        bias: bool = True,
        init: Init = "xavier_uniform",
    ) -> None:
        super().__init__()
        self.modalities = sorted(in_channels)
        self.linears = ModuleList(
            Linear(in_channels[m], out_channels, bias) for m in self.modalities
        )
        self.init = init
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for linear in self.linears:
            assert isinstance(linear, Linear)
            reset_linear(linear, self.init)

    def forward(self, x: Mapping[str, Tensor], mask: Mapping[str, OptTensor]) -> dict[str, Tensor]:
        results = {}
        for name, linear in zip(self.modalities, self.linears):
            assert isinstance(linear, Linear)
            out = _project(x[name], linear.weight, linear.bias, mask[name])
            results[name] = out.to(linear.weight.dtype)
        return results


def _project(x: Tensor, weight: Tensor, bias: OptTensor, mask: OptTensor) -> Tensor:
    check_shapes("projection", x=(x, ("I", weight.size(1))))
    check_mask("projection", x.size(0), mask=mask)
    if not torch.is_autocast_enabled(x.device.type):
        x = x.to(weight.dtype)  # features may be stored in half precision
    out = F.linear(x, weight, bias)
    return out if mask is None else torch.where(mask.unsqueeze(-1), out, 0.0)
