"""Parts of a run: graphs, model, and initial weights."""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch_geometric.data import HeteroData

from mentor_pyg._util.extras import pip_install
from mentor_pyg.errors import InputError, reason
from mentor_pyg.nn.ranking import LOSSES, BPRLoss
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
"""Expected features of a content-based model, for messages."""


def prepare_graphs(config: RunConfig, data: HeteroData, device: torch.device) -> HeteroData:
    """Moves ``data`` to a device and adds the graphs that the model needs."""
    data = data.to(device)
    features = dict(config.features or {})
    if config.train.precision == "bf16":
        features.setdefault("dtype", "bfloat16")  # otherwise each step would convert them
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
    """Creates the model for ``data``; :func:`~mentor_pyg.fit` seeds and resets it."""
    with _refusals_told(f"{config.model}: can't be built"):
        model = config.model_class.from_data(data, **config.options)
    if config.ranking is not None:
        if model.ranking is None:
            raise InputError(
                f"ranking: {config.model} has no ranking loss; expected no section 'ranking'"
            )
        replaced = model.ranking
        if isinstance(replaced, BPRLoss) and (replaced.scale, replaced.base) != (1.0, math.e):
            raise InputError(
                f"ranking: replaces the BPR loss, which the options of {config.model} change "
                f"(scale {replaced.scale}, base {replaced.base:.3g}); expected their defaults "
                "beside a section 'ranking'"
            )
        options = dict(config.ranking)
        loss = LOSSES[options.pop("loss")]
        if options.get("negatives") == "own":
            options["num_negatives"] = config.train.num_negatives
        model.ranking = loss.from_data(data, **options)
    return model


def load_init(config: RunConfig, model: Any, data_key: str | None = None) -> bool:
    """Loads the weights of ``config.init`` into a model; returns False if it is not set.

    Logs a warning if ``data_key`` is not the fingerprint of the data that they were trained on."""
    if config.init is None:
        return False
    path = Path(config.init) / BEST
    state, about = read_weights(config.init)
    check_layout(path, state, model.state_dict())
    model.load_state_dict(state)
    if data_key is not None and about["data"] != data_key:
        logger.warning(
            f"init: {path} was trained on other data; its users and items are matched to those "
            "with the same row numbers"
        )
    return True


@contextmanager
def _refusals_told(what: str) -> Iterator[None]:
    """Converts errors of layers and transforms for bad values to InputError."""
    try:
        yield
    except (InputError, torch.OutOfMemoryError):
        raise
    except (ValueError, RuntimeError, ArithmeticError) as error:
        raise InputError(
            f"{what} ({reason(error)}); expected data and options as documented"
        ) from error
