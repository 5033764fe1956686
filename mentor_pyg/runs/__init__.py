"""Complete runs: presets, training, a single evaluation on test, and the run's folder."""

from .config import RunConfig, load_config
from .run import TrainedRun, load_run, train

__all__ = ["RunConfig", "TrainedRun", "load_config", "load_run", "train"]
