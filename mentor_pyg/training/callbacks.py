"""What takes part in a training at its events: the base class, and what always does."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from mentor_pyg._util.progress import progress_bar

if TYPE_CHECKING:
    from mentor_pyg.training.trainer import Trainer

logger = logging.getLogger("mentor_pyg")

POSTFIX_EVERY = 10
"""Steps between updates of the loss terms on the progress bar; each waits for the GPU."""


class Callback:
    """Takes part in a training at its events; a subclass overrides those that it needs.

    Every method is given the :class:`~mentor_pyg.training.Trainer`, with ``model``, ``data``,
    ``config``, ``result`` (the history so far), ``epoch`` (from 1), ``step`` (batches of the
    epoch so far), ``optimizers``, ``schedulers`` and ``is_best``. ``trainer.should_stop =
    True`` ends the training after the epoch; an exception ends it at once. Reading a loss in
    every step waits for the GPU.

    What :meth:`state_dict` returns is part of checkpoints: plain values and tensors, in
    dictionaries and lists.
    """

    def on_fit_start(self, trainer: "Trainer") -> None:
        """Before the first epoch, also of a training that is resumed."""

    def on_epoch_start(self, trainer: "Trainer") -> None:
        """Before an epoch, or the rest of one: then ``trainer.step`` isn't 0."""

    def on_step_start(self, trainer: "Trainer") -> None:
        """Before a step of the optimisers."""

    def on_step_end(self, trainer: "Trainer", losses: Mapping[str, Tensor]) -> None:
        """After a step, with the weighted loss terms before it, detached."""

    def on_epoch_end(self, trainer: "Trainer") -> None:
        """After an epoch and its validation; the last row of the history is about it."""

    def on_fit_end(self, trainer: "Trainer") -> None:
        """After the training, also where an exception ended it. After a success, the model has
        the weights of the best validation."""

    def state_dict(self) -> dict[str, Any]:
        """What has to be saved to resume, or nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from what :meth:`state_dict` returned."""


class ProgressBar(Callback):
    """A bar for every epoch, with the loss terms."""

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
    """A line in the log for every epoch with a validation."""

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
