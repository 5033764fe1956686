"""Packages that are optional, and the extras that install them."""

import importlib
import importlib.util
from typing import Any

import torch

from mentor_pyg.errors import InputError, reason

EXTRAS = {
    "torch_scatter": "ext",
    "torch_sparse": "ext",
    "torch_cluster": "ext",
    "faiss": "faiss",
    "pyarrow": "parquet",
    "scipy": "stats",
    "sentence_transformers": "text",
    "transformers": "text",
    "torchvision": "image",
    "timm": "image",
    "PIL": "image",
    "optuna": "tune",
    "matplotlib": "plot",
    "sklearn": "plot",
    "threadpoolctl": "plot",
    "jinja2": "plot",
    "tensorboard": "tensorboard",
}


def is_installed(package: str) -> bool:
    """Whether a package is there to be imported."""
    return importlib.util.find_spec(package) is not None


def optional(module: str) -> Any:
    """A module of an optional package.

    Args:
        module: Its full name.

    Raises:
        InputError: If the package isn't installed, or is built for another PyTorch.
    """
    package = module.partition(".")[0]
    try:
        importlib.import_module(package)
        return importlib.import_module(module)
    except ModuleNotFoundError:
        raise InputError(
            f"{package} isn't installed; expected `pip install mentor_pyg[{EXTRAS[package]}]`"
        ) from None
    except RuntimeError as error:  # torchvision, if built for another torch
        raise InputError(
            f"{package} can't be imported ({reason(error)}); "
            f"expected a build for torch {torch.__version__}"
        ) from None
