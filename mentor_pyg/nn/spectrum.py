"""Filtering and fusion of features in the frequency domain."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import Parameter
from torch_geometric.typing import OptTensor

from mentor_pyg._util.shapes import check_mask, check_shapes
from mentor_pyg.errors import InputError
from mentor_pyg.options import Count, checked


@checked
class SpectrumFusion(torch.nn.Module):
    r"""Filters each modality in the frequency domain, and fuses them by the product of their
    spectra, from the `"Spectrum-based Modality Representation Fusion Graph Convolutional
    Network for Multimodal Recommendation" <https://arxiv.org/abs/2412.14978>`_ paper.

    .. math::
        \hat{\mathbf{h}}^m = \mathcal{F}^{-1}(\mathbf{c}_m \odot \mathcal{F}(\mathbf{h}^m)),
        \qquad \hat{\mathbf{h}}^f = \mathcal{F}^{-1}(\mathbf{c}_f \odot \textstyle\prod_m
        \mathcal{F}(\mathbf{h}^m))

    with the orthonormal Fourier transform of rows and trainable complex filters
    :math:`\mathbf{c}`. Missing modalities are left out of an item's product. Items without
    any content get zeros.

    Args:
        num_modalities: Number of modalities M.
        channels: Width D.

    Shapes:
        ``x`` [I, D] by modality, zeros where missing; ``mask`` bool [I], False where an item
        has no content, or None; results [I, D] by modality, and the fused result [I, D]
    """

    def __init__(self, num_modalities: Count, channels: Count) -> None:
        super().__init__()
        # Complex numbers are stored as pairs, which all optimisers and checkpoints support.
        self.weight = Parameter(torch.empty(num_modalities + 1, channels // 2 + 1, 2))
        self.channels = channels
        self.reset_parameters()

    def reset_parameters(self) -> None:
        torch.nn.init.normal_(self.weight)

    def forward(
        self, x: Mapping[str, Tensor], mask: Mapping[str, OptTensor]
    ) -> tuple[dict[str, Tensor], Tensor]:
        num_modalities = self.weight.size(0) - 1
        if len(x) != num_modalities:
            raise InputError(
                f"SpectrumFusion: features of {len(x)} modalities; expected {num_modalities}"
            )
        check_mask("SpectrumFusion", next(iter(x.values())).size(0), **mask)
        check_shapes("SpectrumFusion", **{m: (h, ("I", self.channels)) for m, h in x.items()})
        *filters, fused_filter = torch.view_as_complex(self.weight).unbind()
        spectra = {m: torch.fft.rfft(h, norm="ortho") for m, h in x.items()}
        filtered = {
            m: torch.fft.irfft(c * z, n=self.channels, norm="ortho")
            for c, (m, z) in zip(filters, spectra.items())
        }
        product = fused_filter * _product(spectra, mask)
        return filtered, torch.fft.irfft(product, n=self.channels, norm="ortho")


def _product(spectra: Mapping[str, Tensor], mask: Mapping[str, OptTensor]) -> Tensor:
    """Product of the spectra of an item's modalities; zero if it has none."""
    factors = []
    for m, z in spectra.items():
        present = mask[m]
        factors.append(z if present is None else torch.where(present.unsqueeze(1), z, 1.0))
    product = factors[0]
    for factor in factors[1:]:
        product = product * factor
    masks = [present for m in spectra if (present := mask[m]) is not None]
    if len(masks) < len(spectra):
        return product
    return torch.where(torch.stack(masks).any(dim=0).unsqueeze(1), product, 0.0)
