"""Logging to TensorBoard."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mentor_pyg._util.extras import optional
from mentor_pyg._util.files import naming
from mentor_pyg.options import checked
from mentor_pyg.training.callbacks import Callback

if TYPE_CHECKING:
    from mentor_pyg.training.trainer import Trainer


class TensorBoard(Callback):
    """Logs each epoch as scalars ``loss/<term>``, ``val/<metric>`` and ``seconds``.

    A resumed run logs its earlier epochs again and replaces their previous entries::

        train(config, source, out, callbacks=[TensorBoard(out / "tensorboard")])

    Args:
        folder: Output folder.

    Raises:
        InputError: If TensorBoard is not installed, or cannot write there.
    """

    @checked
    def __init__(self, folder: str | Path) -> None:
        optional("tensorboard")
        self.folder, self.written = Path(folder), 0
        self.writer: Any = None
        with naming(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)

    def on_fit_start(self, trainer: "Trainer") -> None:
        from torch.utils.tensorboard import SummaryWriter

        with naming(self.folder):
            self.writer = SummaryWriter(str(self.folder), purge_step=1)
        self.written = 0

    def on_epoch_end(self, trainer: "Trainer") -> None:
        with naming(self.folder):
            for row in trainer.result.history[self.written :]:
                for name, value in row.items():
                    if name != "epoch":
                        self.writer.add_scalar(_tag(name), value, int(row["epoch"]))
            self.written = trainer.result.epochs_run
            self.writer.flush()

    def on_fit_end(self, trainer: "Trainer") -> None:
        if self.writer is not None:
            with naming(self.folder):
                self.writer.close()


def _tag(name: str) -> str:
    if name == "seconds":
        return name
    return f"val/{name}" if "@" in name else f"loss/{name}"
