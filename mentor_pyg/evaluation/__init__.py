"""Full ranking of all items, the metrics of the ranked lists, and how sure they are."""

from mentor_pyg.choices import GROUPINGS, MMSSL_BOUNDS

from .groups import Group, held_out_groups
from .intervals import Estimate, Sampling, mean_intervals, metric_intervals
from .metrics import Evaluator, encode, evaluate, metric_names, popularity, top_k
from .per_user import UserMetrics, mean_over_runs, user_metrics, write_user_metrics
from .ranking import SeenItems, rank
from .significance import TESTS, Comparison, compare, holm, paired_test
from .variance import MeanVariance, mean_variance

__all__ = [
    "GROUPINGS",
    "MMSSL_BOUNDS",
    "TESTS",
    "Comparison",
    "Estimate",
    "Evaluator",
    "Group",
    "MeanVariance",
    "Sampling",
    "SeenItems",
    "UserMetrics",
    "compare",
    "encode",
    "evaluate",
    "held_out_groups",
    "holm",
    "mean_intervals",
    "mean_over_runs",
    "mean_variance",
    "metric_intervals",
    "metric_names",
    "paired_test",
    "popularity",
    "rank",
    "top_k",
    "user_metrics",
    "write_user_metrics",
]
