from collections.abc import Mapping, Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from mentor_pyg.errors import InputError
from mentor_pyg.nn.functional import at_least_float, row_scale, zero_missing
from mentor_pyg.options import NonNegative, Probability, Seed, checked, different
from mentor_pyg.typing import ITEM, modalities

EARLY = "all"
"""Name of the modality that early fusion creates."""


@functional_transform("content_variant")
@checked
class ContentVariant(BaseTransform):
    r"""Reduces or perturbs the items' content, for ablations.

    Args:
        modalities: Modalities to keep; all if not given.
        noise: Strength :math:`\sigma` of Gaussian noise by modality, in standard deviations of
            its features. Missing content stays missing.
        missing: Share of items from which content is removed, by modality, in addition to
            those without it.
        early_fusion: Whether to L2-normalise the features of all modalities and concatenate
            them to a single modality. An item has it if it has at least one of them.
        seed: Random seed.

    Raises:
        InputError: If the data has no modality of a given name.
    """

    def __init__(
        self,
        modalities: Annotated[Sequence[str], different] | None = None,
        noise: Mapping[str, NonNegative] | None = None,
        missing: Mapping[str, Probability] | None = None,
        early_fusion: bool = False,
        seed: Seed = 0,
    ) -> None:
        self.modalities, self.early_fusion, self.seed = modalities, early_fusion, seed
        self.noise, self.missing = dict(noise or {}), dict(missing or {})

    def forward(self, data: HeteroData) -> HeteroData:
        store, names = data[ITEM], modalities(data)
        kept = names if self.modalities is None else list(self.modalities)
        for name in (*kept, *self.noise, *self.missing):
            if name not in names:
                raise InputError(
                    f"content.{name}: the data has no such modality; "
                    f"expected {', '.join(names) or 'features'}"
                )
        for name in set(names) - set(kept):
            del store[f"x_{name}"]
            store.pop(f"mask_{name}", None)
        generator = torch.Generator().manual_seed(self.seed)
        for name in kept:
            if name in self.noise:
                self._add_noise(data, name, generator)
            if name in self.missing:
                self._lose(data, name, generator)
        if self.early_fusion and len(kept) > 1:
            _fuse(data, kept)
        return data

    def _add_noise(self, data: HeteroData, name: str, generator: torch.Generator) -> None:
        x = data[ITEM][f"x_{name}"].clone()
        draws = torch.randn(x.shape, generator=generator).to(x)
        present = data[ITEM].get(f"mask_{name}", slice(None))
        x[present] += self.noise[name] * x[present].std() * draws[present]
        data[ITEM][f"x_{name}"] = x

    def _lose(self, data: HeteroData, name: str, generator: torch.Generator) -> None:
        x = data[ITEM][f"x_{name}"]
        present = torch.rand(x.size(0), generator=generator) >= self.missing[name]
        present = present.to(x.device)
        before = data[ITEM].get(f"mask_{name}")
        mask = present if before is None else present & before
        data[ITEM][f"mask_{name}"] = mask
        data[ITEM][f"x_{name}"] = zero_missing(x, mask)

    def __repr__(self) -> str:
        return (
            f"{self.__class__.__name__}(modalities={self.modalities}, noise={self.noise}, "
            f"missing={self.missing}, early_fusion={self.early_fusion}, seed={self.seed})"
        )


def _fuse(data: HeteroData, names: Sequence[str]) -> None:
    store = data[ITEM]
    masks = [store.get(f"mask_{name}") for name in names]
    parts = [zero_missing(store[f"x_{name}"], mask) for name, mask in zip(names, masks)]
    rows = [_unit_rows(x) for x in parts]
    for name in names:
        del store[f"x_{name}"]
        store.pop(f"mask_{name}", None)
    store[f"x_{EARLY}"] = torch.cat(rows, dim=1)
    if all(mask is not None for mask in masks):
        store[f"mask_{EARLY}"] = torch.stack(masks).any(dim=0)


def _unit_rows(x: Tensor) -> Tensor:
    wide = at_least_float(x)
    return F.normalize(wide * row_scale(wide)).to(x.dtype)
