"""What a run trains: the graphs of its data, its model, and the weights to begin with."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch_geometric.data import HeteroData

from mentor_pyg._util.extras import pip_install
from mentor_pyg.errors import InputError, reason
from mentor_pyg.runs.config import RunConfig, presets_without_content
from mentor_pyg.runs.files import BEST, read_weights
from mentor_pyg.training.state import check_layout
from mentor_pyg.transforms import (
    CompactFeatures,
    ContentVariant,
    ItemKNN,
    LightGCNNorm,
    UserCooccurrence,
)
from mentor_pyg.typing import modalities

logger = logging.getLogger("mentor_pyg")

FEATURES = (
    "at least one <name>_feat.npy (mentor-pyg prepare makes them of texts, with "
    f"{pip_install('sentence_transformers')}, of images, with {pip_install('torchvision')}, "
    "or of arrays)"
)
"""What a model of content needs, and where it is from."""


def prepare_graphs(config: RunConfig, data: HeteroData, device: torch.device) -> HeteroData:
    """``data`` on a device with the graphs that the model needs.

    Raises:
        InputError: If they can't be made of such data or with such options.
    """
    data = data.to(device)
    features = dict(config.features or {})
    if config.train.precision == "bf16":
        features.setdefault("dtype", "bfloat16")  # else every step would convert them
    with _refusals_told("the data can't be prepared"):
        if config.content is not None:
            data = ContentVariant(**config.content)(data)
        if config.needs_content and not modalities(data):
            raise InputError(
                f"{config.model}: the items of the data have no features; "
                f"expected {FEATURES}; or a preset that needs none, "
                f"--preset {' or '.join(presets_without_content())}"
            )
        if config.graph is not None:
            data = ItemKNN(**config.graph)(data)
        if config.user_graph is not None:
            data = UserCooccurrence(**config.user_graph)(data)
        if features:
            data = CompactFeatures(**features)(data)
    return LightGCNNorm()(data)


def build_model(config: RunConfig, data: HeteroData) -> Any:
    """The model for ``data``; :func:`~mentor_pyg.fit` seeds and draws its parameters.

    Raises:
        InputError: If it can't be built for such data or with such options.
    """
    with _refusals_told(f"{config.model}: can't be built"):
        return config.model_class.from_data(data, **config.options)


def load_init(config: RunConfig, model: Any, data_key: str | None = None) -> bool:
    """Gives a model the weights that ``config.init`` names; whether there are any.

    Args:
        config: What is trained.
        model: What is about to be.
        data_key: Fingerprint of the data; where the weights are of other data, a warning says so.

    Raises:
        FileNotFoundError: If that run isn't there.
        InputError: If its weights are damaged, or of other names or shapes.
    """
    if config.init is None:
        return False
    path = Path(config.init) / BEST
    state, about = read_weights(config.init)
    check_layout(path, state, model.state_dict())
    model.load_state_dict(state)
    if data_key is not None and about["data"] != data_key:
        logger.warning(
            f"init: {path} was trained on other data; its users and items are taken for those "
            "of the same rows"
        )
    return True


@contextmanager
def _refusals_told(what: str) -> Iterator[None]:
    """Turns what layers and transforms raise for bad values into an InputError."""
    try:
        yield
    except (InputError, torch.OutOfMemoryError):
        raise
    except (ValueError, RuntimeError, ArithmeticError) as error:
        raise InputError(
            f"{what} ({reason(error)}); expected data and options as the documentation says"
        ) from error
