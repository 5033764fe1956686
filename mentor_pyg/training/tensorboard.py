"""The history of a run, to be watched in TensorBoard."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mentor_pyg._util.extras import optional
from mentor_pyg._util.files import naming
from mentor_pyg.options import checked
from mentor_pyg.training.config import FitResult
from mentor_pyg.training.trainer import OnEpoch


@contextmanager
@checked
def tensorboard_logger(folder: str | Path) -> Iterator[OnEpoch]:
    """Writes every epoch as scalars: ``loss/<term>``, ``val/<metric>`` and ``seconds``.

    A run that goes on writes its earlier epochs again and takes the place of what was
    written of them before::

        with tensorboard_logger(out / "tensorboard") as on_epoch:
            train(config, source, out, on_epoch=on_epoch)

    Args:
        folder: Where to write.

    Returns:
        A context with a callback for :func:`~mentor_pyg.runs.run.train` and
        :func:`~mentor_pyg.fit`.

    Raises:
        InputError: If TensorBoard isn't installed.
    """
    optional("tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    with naming(folder):
        writer = SummaryWriter(str(folder), purge_step=1)
    written = 0

    def on_epoch(result: FitResult, is_best: bool) -> None:
        nonlocal written
        with naming(folder):
            for row in result.history[written:]:
                for name, value in row.items():
                    if name != "epoch":
                        writer.add_scalar(_tag(name), value, int(row["epoch"]))
            written = result.epochs_run
            writer.flush()

    try:
        yield on_epoch
    finally:
        with naming(folder):
            writer.close()


def _tag(name: str) -> str:
    if name == "seconds":
        return name
    return f"val/{name}" if "@" in name else f"loss/{name}"
