"""The search for hyper-parameters, which looks at validation alone."""

from .search import Search, space_of
from .space import Range, SearchSpace, read_space
from .study import Study
from .trials import HeatMap, Trial, best_trial, heat_map
from .tune import tune_run

__all__ = [
    "HeatMap",
    "Range",
    "Search",
    "SearchSpace",
    "Study",
    "Trial",
    "best_trial",
    "heat_map",
    "read_space",
    "space_of",
    "tune_run",
]
