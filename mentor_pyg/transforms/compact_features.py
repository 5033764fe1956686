import logging
from typing import Literal

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from mentor_pyg.errors import InputError
from mentor_pyg.nn.functional import at_least_float, power_of_two, zero_missing
from mentor_pyg.options import Count, checked
from mentor_pyg.typing import ITEM, modalities

logger = logging.getLogger("mentor_pyg")


@functional_transform("compact_features")
@checked
class CompactFeatures(BaseTransform):
    r"""Stores the frozen item features in fewer columns, a smaller dtype, or both.

    Rows are projected on the leading right singular vectors, :math:`\mathbf{X} \mathbf{V}_c`.
    This is the best approximation of their inner products by c columns, and exact once c
    reaches the rank. Features are not centred, so rows of zeros stay zero. Apply it after
    :class:`~mentor_pyg.transforms.ItemKNN`, whose graph is built from the raw features.

    Args:
        channels: Number of columns c to keep. Modalities with at most c columns are unchanged.
        dtype: :obj:`"float32"`, :obj:`"float16"` or :obj:`"bfloat16"`. Encoders compute in
            their own dtype.
    """

    def __init__(
        self,
        channels: Count | None = None,
        dtype: Literal["float32", "float16", "bfloat16"] | None = None,
    ) -> None:
        self.channels = channels
        self.dtype = dtype

    def forward(self, data: HeteroData) -> HeteroData:
        for modality in modalities(data):
            x = zero_missing(data[ITEM][f"x_{modality}"], data[ITEM].get(f"mask_{modality}"))
            axes = self.axes(x, modality)
            if axes is not None or self.dtype is not None:
                data[ITEM][f"x_{modality}"] = self.project(x, axes)
        return data

    def axes(self, x: Tensor, name: str = "features") -> Tensor | None:
        """Projection V_c [D_m, c] for features [I, D_m]; None if they are unchanged.

        Args:
            x: Rows from which to compute it.
            name: Name for the log.
        """
        if self.channels is None or x.size(1) <= self.channels:
            return None
        axes, kept = principal_axes(x, self.channels)
        logger.info(
            f"{name}: {x.size(1)} to {self.channels} columns, {kept:.2%} of the squared length kept"
        )
        return axes

    def project(self, x: Tensor, axes: Tensor | None) -> Tensor:
        """Applies :meth:`axes` and the dtype to features [n, D_m].

        Raises:
            InputError: If features overflow the dtype, or an item's features all underflow.
        """
        if axes is not None:
            x = (x.to(axes.dtype) @ axes).to(x.dtype)
        if self.dtype is None:
            return x
        small = x.to(getattr(torch, self.dtype))
        if (small.isinf() & x.isfinite()).any():
            raise InputError(
                f"CompactFeatures: features reach {x.abs().max():.3g}, which {self.dtype} cannot "
                "represent; expected smaller ones, or another dtype"
            )
        if (x.any(dim=1) & ~small.any(dim=1)).any():
            raise InputError(
                f"CompactFeatures: {self.dtype} makes a row of features of at most "
                f"{x[~small.any(dim=1)].abs().max():.3g} zero; expected larger ones, or "
                "another dtype"
            )
        return small

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}(channels={self.channels}, dtype={self.dtype!r})"


def principal_axes(x: Tensor, channels: int) -> tuple[Tensor, float]:
    """The leading right singular vectors of x [N, F] as columns [F, channels], and their share
    of the squared norm of x. The entry of largest magnitude in each is positive, so that
    signs do not depend on the machine."""
    wide = at_least_float(x)
    wide = wide * power_of_two(wide.abs().amax())  # prevents overflow of squares
    is_wider = wide.size(1) > wide.size(0) >= channels  # use the smaller Gram matrix
    gram = wide @ wide.t() if is_wider else wide.t() @ wide
    eigenvalues, vectors = torch.linalg.eigh(gram)  # ascending
    squares = eigenvalues.clamp(min=0)
    kept = squares[-channels:].sum() / squares.sum().clamp(min=1e-12)
    axes = vectors[:, -channels:].flip(1).contiguous()
    if is_wider:
        axes = torch.linalg.qr(wide.t() @ axes).Q.contiguous()
    largest = axes.gather(0, axes.abs().argmax(dim=0, keepdim=True))
    return axes * torch.where(largest < 0, -1.0, 1.0).to(axes.dtype), float(kept)
