"""Many models on many datasets under many seeds, and what comes of it."""

from .comparison import Comparison, collect
from .plan import Plan, Variant
from .plan_files import plan_names, read_plan
from .published import Published, published_figures
from .runner import compare

__all__ = [
    "Comparison",
    "Plan",
    "Published",
    "Variant",
    "collect",
    "compare",
    "plan_names",
    "published_figures",
    "read_plan",
]
