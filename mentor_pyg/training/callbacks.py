"""Callbacks of the training loop: the base class, progress bar and log."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from mentor_pyg._util.progress import progress_bar

if TYPE_CHECKING:
    from mentor_pyg.training.trainer import Trainer

logger = logging.getLogger("mentor_pyg")

POSTFIX_EVERY = 10
"""Steps between updates of the losses on the progress bar, each of which synchronises the GPU."""


class Callback:
    """Base class of callbacks; subclasses override the methods they need.

    Each method receives the :class:`~mentor_pyg.training.Trainer`, with ``model``, ``data``,
    ``config``, ``result`` (history so far), ``epoch`` (from 1), ``step`` (batches of the epoch
    so far), ``optimizers``, ``schedulers`` and ``is_best``. ``trainer.should_stop = True`` ends
    the training after the epoch; an exception ends it immediately. Reading losses in each step
    synchronises the GPU.

    :meth:`state_dict` is stored in checkpoints. It may hold plain values and tensors, in
    dictionaries and lists.
    """

    def on_fit_start(self, trainer: "Trainer") -> None:
        """Called before the first epoch, also when training is resumed."""

    def on_epoch_start(self, trainer: "Trainer") -> None:
        """Called before an epoch. If the epoch is resumed, ``trainer.step`` is not 0."""

    def on_step_start(self, trainer: "Trainer") -> None:
        """Called before an optimiser step."""

    def on_step_end(self, trainer: "Trainer", losses: Mapping[str, Tensor]) -> None:
        """Called after a step, with its detached, weighted loss terms."""

    def on_epoch_end(self, trainer: "Trainer") -> None:
        """Called after an epoch and its validation, when the history has its row."""

    def on_fit_end(self, trainer: "Trainer") -> None:
        """Called after training, even if an exception ended it. After success, the model has
        the weights of the best validation."""

    def state_dict(self) -> dict[str, Any]:
        """State to save for resuming; empty by default."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what :meth:`state_dict` returned."""


class ProgressBar(Callback):
    """A progress bar per epoch, with the loss terms."""

    def __init__(self) -> None:
        self.bar: Any = None

    def on_epoch_start(self, trainer: "Trainer") -> None:
        self.bar = progress_bar(
            None, f"epoch {trainer.epoch}", total=trainer.num_batches, initial=trainer.step
        )

    def on_step_end(self, trainer: "Trainer", losses: Mapping[str, Tensor]) -> None:
        if self.bar.disable:
            return
        before = self.bar.n
        if -(-before // POSTFIX_EVERY) < -(-trainer.step // POSTFIX_EVERY):
            self.bar.set_postfix({name: f"{loss.item():.4f}" for name, loss in losses.items()})
        self.bar.update(trainer.step - before)

    def on_epoch_end(self, trainer: "Trainer") -> None:
        self.bar.close()

    def on_fit_end(self, trainer: "Trainer") -> None:
        if self.bar is not None:
            self.bar.close()


class EpochLog(Callback):
    """Logs one line per epoch with a validation."""

    def on_epoch_end(self, trainer: "Trainer") -> None:
        row, monitor = trainer.result.history[-1], trainer.config.monitor
        if monitor not in row:
            return
        terms = [k for k in row if "@" not in k and k not in ("epoch", "seconds")]
        losses = "  ".join(f"{name} {row[name]:.4f}" for name in terms)
        logger.info(
            f"epoch {row['epoch']:>4}  {row['seconds']:.1f} s  {losses}  "
            f"val {monitor} {row[monitor]:.4f}{' *' if trainer.is_best else ''}"
        )
