"""Multimodal recommendation on PyTorch Geometric: MENTOR, its layers and its baselines."""

from .adjacency import Adjacency
from .errors import InputError
from .evaluation import Evaluator, evaluate, top_k
from .serving import Recommendations, Recommender
from .train import fit
from .train_config import FitResult, TrainConfig
from .typing import Batch, RecommenderModel

__version__ = "0.1.0"

__all__ = [
    "Adjacency",
    "Batch",
    "Evaluator",
    "FitResult",
    "InputError",
    "Recommendations",
    "Recommender",
    "RecommenderModel",
    "TrainConfig",
    "evaluate",
    "fit",
    "top_k",
]
