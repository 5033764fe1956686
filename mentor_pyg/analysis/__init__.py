"""What trained models are good at, and which differences between them are more than chance."""

from mentor_pyg.choices import GROUPINGS, MMSSL_BOUNDS
from mentor_pyg.evaluation.groups import Group, held_out_groups
from mentor_pyg.evaluation.intervals import Estimate, Sampling, mean_intervals, metric_intervals
from mentor_pyg.evaluation.per_user import UserMetrics, mean_over_runs, write_user_metrics
from mentor_pyg.evaluation.significance import TESTS, Comparison, compare, holm, paired_test
from mentor_pyg.evaluation.variance import MeanVariance, mean_variance

from .findings import Difference, Findings, Section, find
from .report import make_tables
from .runs import RunEvaluation, evaluate_run, evaluate_runs
from .seeds import SeedGroup, aggregate
from .tables import FORMATS, Cell, Column, Table

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
