"""Multimodal recommendation on PyTorch Geometric: MENTOR, its layers and its baselines."""

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import InputError
    from .evaluation import Evaluator, evaluate, top_k
    from .serving import Recommendations, Recommender
    from .sparse import Adjacency
    from .training import FitResult, TrainConfig, fit
    from .typing import Batch, RecommenderModel

try:
    __version__ = metadata.version(__name__)
except metadata.PackageNotFoundError:  # a checkout that isn't installed: no number would be true
    __version__ = "0+unknown"

__all__ = [
    "Adjacency",
    "Batch",
    "Evaluator",
    "FitResult",
    "InputError",
    "Recommendations",
    "Recommender",
    "RecommenderModel",
    "TrainConfig",
    "evaluate",
    "fit",
    "top_k",
]

_MODULES = {
    "Adjacency": "sparse",
    "Batch": "typing",
    "Evaluator": "evaluation",
    "FitResult": "training",
    "InputError": "errors",
    "Recommendations": "serving",
    "Recommender": "serving",
    "RecommenderModel": "typing",
    "TrainConfig": "training",
    "evaluate": "evaluation",
    "fit": "training",
    "top_k": "evaluation",
}


def __getattr__(name: str) -> Any:
    """Imports what is asked for, so that a command can handle Ctrl-C before PyTorch is there."""
    if name in _MODULES:
        value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        globals()[name] = value
        return value
    if not name.startswith("_"):
        try:
            return import_module(f"{__name__}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
