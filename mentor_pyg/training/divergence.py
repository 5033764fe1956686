"""Training that diverges is noticed before anything is measured or saved."""

import math
from collections.abc import Mapping

import torch

from mentor_pyg.errors import InputError
from mentor_pyg.nn.models.base import BaseRecommender

HINT = "a lower learning rate may help"


class Diverged(InputError):
    """Losses, weights or embeddings that aren't finite any more."""


def check_losses(means: Mapping[str, float], epoch: int) -> None:
    """Refuses an epoch whose mean losses aren't finite.

    Raises:
        Diverged: If one isn't.
    """
    for name, value in means.items():
        if not math.isfinite(value):
            raise Diverged(
                f"epoch {epoch}: loss term '{name}' is {value}; expected a finite number ({HINT})"
            )


def check_weights(model: BaseRecommender, epoch: int) -> None:
    """Refuses weights that aren't finite; it waits for the device once.

    Raises:
        Diverged: If one isn't.
    """
    weights = {name: x for name, x in model.state_dict().items() if x.is_floating_point()}
    finite = torch.stack([x.isfinite().all() for x in weights.values()]).tolist()
    for name, is_finite in zip(weights, finite):
        if not is_finite:
            raise Diverged(
                f"epoch {epoch}: weights '{name}' aren't finite; expected finite numbers ({HINT})"
            )
