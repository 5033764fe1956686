"""Detection of diverged training, before results are measured or saved."""

import math
from collections.abc import Mapping

import torch

from mentor_pyg.errors import InputError
from mentor_pyg.nn.models.base import BaseRecommender

HINT = "a lower learning rate may help"


class Diverged(InputError):
    """Raised if losses, weights or embeddings are no longer finite."""


def check_losses(means: Mapping[str, float], epoch: int) -> None:
    """Raises :class:`Diverged` unless the mean losses of an epoch are finite."""
    for name, value in means.items():
        if not math.isfinite(value):
            raise Diverged(
                f"epoch {epoch}: loss term '{name}' is {value}; expected a finite number ({HINT})"
            )


def check_weights(model: BaseRecommender, epoch: int) -> None:
    """Raises :class:`Diverged` unless all weights are finite; synchronises the device once."""
    weights = {name: x for name, x in model.state_dict().items() if x.is_floating_point()}
    finite = torch.stack([x.isfinite().all() for x in weights.values()]).tolist()
    for name, is_finite in zip(weights, finite):
        if not is_finite:
            raise Diverged(
                f"epoch {epoch}: weights '{name}' aren't finite; expected finite numbers ({HINT})"
            )
