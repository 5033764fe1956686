"""What trained models are good at, and which differences between them are more than chance."""

from .findings import Findings, GroupFigures, find
from .runs import RunEvaluation, evaluate_run, evaluate_runs
from .seeds import SeedGroup, aggregate
from .tables import Cell, Column, Table
from .views import make_tables

__all__ = [
    "Cell",
    "Column",
    "Findings",
    "GroupFigures",
    "RunEvaluation",
    "SeedGroup",
    "Table",
    "aggregate",
    "evaluate_run",
    "evaluate_runs",
    "find",
    "make_tables",
]
