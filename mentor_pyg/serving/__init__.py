"""Recommendations from a trained model."""

from .recommendations import Recommendations
from .recommender import Recommender

__all__ = ["Recommendations", "Recommender"]
