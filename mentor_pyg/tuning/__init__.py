"""The search for hyper-parameters, which looks at validation alone."""

from .run import tune
from .search import Search, space_of
from .space import Range, SearchSpace, read_space
from .study import Study
from .trials import Trial, best_grid, best_trial

__all__ = [
    "Range",
    "Search",
    "SearchSpace",
    "Study",
    "Trial",
    "best_grid",
    "best_trial",
    "read_space",
    "space_of",
    "tune",
]
