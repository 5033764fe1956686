"""Embeddings of a sample of the items, by modality."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mentor_pyg.choices import NUM_SAMPLED
from mentor_pyg.errors import InputError
from mentor_pyg.nn.models import MENTOR
from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.options import Seed, checked
from mentor_pyg.runs.run import TrainedRun
from mentor_pyg.typing import ITEM


@dataclass(frozen=True)
class ItemSample:
    """Embeddings of some items of a run.

    Attributes:
        name: Name of the run.
        embeddings: By modality, the same items in each [n, D].
    """

    name: str
    embeddings: dict[str, np.ndarray]


def has_modality_embeddings(model: BaseRecommender) -> bool:
    """Whether a model has an embedding of the items for each modality."""
    return isinstance(model, MENTOR)


@torch.no_grad()
def modality_embeddings(run: TrainedRun) -> dict[str, Tensor]:
    r"""Embeddings :math:`\hat{\mathbf{E}}_m` of all items [I, D] by modality, before fusion.

    Raises:
        InputError: If the model has none.
    """
    if not isinstance(run.model, MENTOR):
        raise InputError(
            f"{run.folder}: {run.config.model} has no embeddings of single modalities; "
            "expected a run of MENTOR"
        )
    return {m: item for m, (_, item) in run.model.modality_embeddings(run.data).items()}


@checked
def sample_items(
    run: TrainedRun, num_items: int = NUM_SAMPLED, seed: Seed = 0, name: str | None = None
) -> ItemSample:
    """Embeddings of random items that have content of every modality.

    Runs on the same data with the same seed give the same items.

    Args:
        run: A run of a model with an embedding for each modality.
        num_items: How many items; all if there are fewer.
        seed: Which ones.
        name: What to call the run, its folder's name if not given.

    Raises:
        InputError: If the model has no such embeddings, too few items have content, or the
            seed is out of range.
    """
    if num_items < 2:
        raise InputError(f"{num_items} items can't be mapped; expected 2 or more")
    embeddings = modality_embeddings(run)
    present = np.ones(run.data[ITEM].num_nodes, dtype=bool)
    for modality in embeddings:
        if f"mask_{modality}" in run.data[ITEM]:
            present &= run.data[ITEM][f"mask_{modality}"].cpu().numpy()
    items = np.random.default_rng(seed).permutation(np.flatnonzero(present))[:num_items]
    if len(items) < 2:
        raise InputError(
            f"{run.source.origin}: {len(items)} items have content of every modality; "
            "expected 2 or more"
        )
    rows = torch.from_numpy(items)
    return ItemSample(
        name or run.folder.resolve().name,
        {modality: z.cpu()[rows].numpy() for modality, z in embeddings.items()},
    )
