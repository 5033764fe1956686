"""Packages that are optional, and the extras that install them."""

import importlib
import importlib.util
from importlib.metadata import version
from typing import Any

from mentor_pyg.errors import InputError, reason

EXTRAS = {
    "torch_scatter": "ext",
    "torch_sparse": "ext",
    "torch_cluster": "ext",
    "faiss": "faiss",
    "pyarrow": "parquet",
    "sentence_transformers": "text",
    "transformers": "text",
    "huggingface_hub": "text",
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
        InputError: If the package isn't installed or can't be imported.
    """
    package = module.partition(".")[0]
    try:
        importlib.import_module(package)
        return importlib.import_module(module)
    except Exception as error:  # whatever a package raises where something of it is missing
        if isinstance(error, ModuleNotFoundError) and error.name == package:
            raise InputError(
                f"{package} isn't installed; expected {pip_install(package)}"
            ) from None
        raise InputError(
            f"{package} is installed but can't be imported ({reason(error)}); "
            f"expected a build for torch {version('torch')} with everything that it needs, "
            f"as by {pip_install(package)}"
        ) from None


def pip_install(package: str) -> str:
    """The command that installs an optional package, quoted for every shell."""
    return f"`pip install 'mentor_pyg[{EXTRAS[package]}]'`"
