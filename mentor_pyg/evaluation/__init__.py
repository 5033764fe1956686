"""Full ranking, metrics of the ranked lists, and their confidence."""

from .groups import Group, held_out_groups
from .intervals import Estimate, Sampling, mean_intervals, metric_intervals
from .metrics import Evaluator, encode, evaluate, metric_names, popularity, top_k
from .per_user import UserMetrics, mean_over_runs, user_metrics, write_user_metrics
from .ranking import SeenItems, rank
from .significance import Difference, holm, metric_differences, paired_test
from .variance import MeanVariance, mean_variance

__all__ = [
    "Difference",
    "Estimate",
    "Evaluator",
    "Group",
    "MeanVariance",
    "Sampling",
    "SeenItems",
    "UserMetrics",
    "encode",
    "evaluate",
    "held_out_groups",
    "holm",
    "mean_intervals",
    "mean_over_runs",
    "mean_variance",
    "metric_differences",
    "metric_intervals",
    "metric_names",
    "paired_test",
    "popularity",
    "rank",
    "top_k",
    "user_metrics",
    "write_user_metrics",
]
