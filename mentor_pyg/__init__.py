"""Multimodal recommendation on PyTorch Geometric: MENTOR, its layers and its baselines."""

from .adjacency import Adjacency
from .errors import InputError
from .evaluation import Evaluator, evaluate, top_k
from .train import FitResult, TrainConfig, fit
from .typing import Batch, Recommender

__version__ = "0.1.0"

__all__ = [
    "Adjacency",
    "Batch",
    "Evaluator",
    "FitResult",
    "InputError",
    "Recommender",
    "TrainConfig",
    "evaluate",
    "fit",
    "top_k",
]
