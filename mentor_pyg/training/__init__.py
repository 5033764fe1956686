"""The training loop. It only relies on the contract of models."""

from .batches import BatchLike
from .callbacks import Callback
from .checkpoint import Checkpoint
from .config import FitResult, TrainConfig
from .fitting import fit
from .sampler import BPRSampler, NegativeSampler
from .tensorboard import TensorBoard
from .trainer import Trainer

__all__ = [
    "BPRSampler",
    "BatchLike",
    "Callback",
    "Checkpoint",
    "FitResult",
    "NegativeSampler",
    "TensorBoard",
    "TrainConfig",
    "Trainer",
    "fit",
]
