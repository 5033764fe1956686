"""Plots of runs and datasets; they need the extra ``plot``."""

from .dataset import distributions
from .history import History, curves, read_history, run_names
from .items import embeddings
from .models import TradeOff, bars, trade_off
from .sample import ItemSample, sample_items
from .settings import Grid, heat_map, read_grid, sensitivity
from .style import save_figure

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
