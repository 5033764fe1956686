"""What trained models are good at, and which differences between them are more than chance."""

from .findings import Difference, Findings, Section, find
from .groups import GROUPINGS, MMSSL_BOUNDS, Group, held_out_groups
from .intervals import Estimate, Sampling, mean_intervals, metric_intervals
from .per_user import UserMetrics, mean_over_runs, write_user_metrics
from .report import make_tables
from .runs import RunEvaluation, evaluate_run, evaluate_runs
from .seeds import SeedGroup, aggregate
from .significance import TESTS, Comparison, compare, holm, paired_test
from .tables import FORMATS, Cell, Column, Table
from .variance import MeanVariance, mean_variance

__all__ = [
    "FORMATS",
    "GROUPINGS",
    "MMSSL_BOUNDS",
    "TESTS",
    "Cell",
    "Column",
    "Comparison",
    "Difference",
    "Estimate",
    "Findings",
    "Group",
    "MeanVariance",
    "RunEvaluation",
    "Sampling",
    "Section",
    "SeedGroup",
    "Table",
    "UserMetrics",
    "aggregate",
    "compare",
    "evaluate_run",
    "evaluate_runs",
    "find",
    "held_out_groups",
    "holm",
    "make_tables",
    "mean_intervals",
    "mean_over_runs",
    "mean_variance",
    "metric_intervals",
    "paired_test",
    "write_user_metrics",
]
