"""The models. ``classes`` is the registry: a model listed here can be trained by name."""

from .light_gcn import LightGCN
from .mentor import MENTOR

__all__ = classes = ["MENTOR", "LightGCN"]
