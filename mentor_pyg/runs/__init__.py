"""Whole runs: presets, training, one look at test, and the folder that they leave."""

from .config import RunConfig, load_config
from .run import TrainedRun, load_run, train

__all__ = ["RunConfig", "TrainedRun", "load_config", "load_run", "train"]
