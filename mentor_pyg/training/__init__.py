"""The training loop: it knows models by their contract alone."""

from .checkpoint import Checkpoint
from .config import FitResult, TrainConfig
from .sampler import BPRSampler, NegativeSampler
from .trainer import Trainer, fit

__all__ = [
    "BPRSampler",
    "Checkpoint",
    "FitResult",
    "NegativeSampler",
    "TrainConfig",
    "Trainer",
    "fit",
]
