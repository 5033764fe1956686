"""Plots of runs and datasets; they need the extra ``plot``."""

from .bars import bars
from .curves import curves
from .distributions import distributions
from .embeddings import embeddings
from .heat_map import Grid, heat_map, read_grid
from .history import History, read_history, run_names
from .sample import ItemSample, sample_items
from .sensitivity import sensitivity
from .style import save_figure
from .trade_off import TradeOff, trade_off

__all__ = [
    "Grid",
    "History",
    "ItemSample",
    "TradeOff",
    "bars",
    "curves",
    "distributions",
    "embeddings",
    "heat_map",
    "read_grid",
    "read_history",
    "run_names",
    "sample_items",
    "save_figure",
    "sensitivity",
    "trade_off",
]
