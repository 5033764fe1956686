"""Multimodal recommendation on PyTorch Geometric: MENTOR, its layers and its baselines."""

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .analysis import evaluate_runs
    from .datasets.source import Source, open_source
    from .errors import InputError
    from .evaluation import Evaluator, evaluate, top_k
    from .experiments import compare, read_plan
    from .nn.models import BaseRecommender
    from .preparation.run import prepare
    from .report import write_report
    from .runs import RunConfig, TrainedRun, load_config, load_run, train
    from .serving import Recommendations, Recommender
    from .sparse import Adjacency
    from .training import FitResult, TrainConfig, fit
    from .tuning.run import tune
    from .tuning.search import Search
    from .typing import Batch

try:
    __version__ = metadata.version(__name__)
except metadata.PackageNotFoundError:  # a checkout that isn't installed: no number would be true
    __version__ = "0+unknown"

__all__ = [
    "Adjacency",
    "BaseRecommender",
    "Batch",
    "Evaluator",
    "FitResult",
    "InputError",
    "Recommendations",
    "Recommender",
    "RunConfig",
    "Search",
    "Source",
    "TrainConfig",
    "TrainedRun",
    "compare",
    "evaluate",
    "evaluate_runs",
    "fit",
    "load_config",
    "load_run",
    "open_source",
    "prepare",
    "read_plan",
    "top_k",
    "train",
    "tune",
    "write_report",
]

_ROOMS = {
    "analysis": "evaluate_runs",
    "datasets.source": "Source open_source",
    "errors": "InputError",
    "evaluation": "Evaluator evaluate top_k",
    "experiments": "compare read_plan",
    "nn.models": "BaseRecommender",
    "preparation": "prepare",
    "report": "write_report",
    "runs": "RunConfig TrainedRun load_config load_run train",
    "serving": "Recommendations Recommender",
    "sparse": "Adjacency",
    "training": "FitResult TrainConfig fit",
    "tuning": "Search tune",
    "typing": "Batch",
}
_MODULES = {name: room for room, names in _ROOMS.items() for name in names.split()}


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
