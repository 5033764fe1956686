"""The state of a training run on disk, from which it can go on."""

import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from torch import Tensor

from mentor_pyg._util.formats import Kind
from mentor_pyg._util.interrupts import handling
from mentor_pyg._util.tensor_files import load_tensors, save_tensors
from mentor_pyg.errors import InputError, shown
from mentor_pyg.training.callbacks import Callback
from mentor_pyg.training.divergence import check_weights

if TYPE_CHECKING:
    from mentor_pyg.training.trainer import Trainer

STATE = Kind("state of a training run", 2)


class Checkpoint(Callback):
    """Keeps ``last.pt`` of a run up to date: after every epoch and, if these are long, within.

    The first Ctrl-C or SIGTERM waits for a save.

    Args:
        path: The file; it is replaced as a whole or not at all.
        identity: What a run must agree in to go on from this file, by name: its
            settings, and what its data hold.
        about: What else is good to know of the run.
        minutes: Time between saves within an epoch.
    """

    def __init__(
        self,
        path: Path,
        identity: Mapping[str, Any],
        about: Mapping[str, Any] | None = None,
        minutes: float = 5.0,
    ) -> None:
        self.path, self.minutes = path, minutes
        self.identity, self.about = dict(identity), dict(about or {})
        self.is_interrupted = False
        self._saved_at = time.monotonic()
        self._stack = ExitStack()

    def on_fit_start(self, trainer: "Trainer") -> None:
        self._stack.enter_context(self.catching_interrupts())

    def on_step_end(self, trainer: "Trainer", losses: Mapping[str, Tensor]) -> None:
        if self.is_due():
            if trainer.can_be_saved:
                check_weights(trainer.model, trainer.epoch)
                self.save(trainer.state_dict())
            self._end_if_interrupted()

    def on_epoch_end(self, trainer: "Trainer") -> None:
        self.save(trainer.state_dict())
        self._end_if_interrupted()

    def on_fit_end(self, trainer: "Trainer") -> None:
        self._stack.close()

    def _end_if_interrupted(self) -> None:
        if self.is_interrupted:
            raise KeyboardInterrupt

    def is_due(self) -> bool:
        """Whether it is time to save, or there is no more."""
        return self.is_interrupted or time.monotonic() - self._saved_at > 60 * self.minutes

    def save(self, state: Mapping[str, Any]) -> None:
        """Saves tensors in plain containers."""
        content = {"identity": self.identity, "about": self.about, "state": dict(state)}
        save_tensors(content, self.path, STATE)
        self._saved_at = time.monotonic()

    def load(self) -> dict[str, Any]:
        """The saved state.

        Raises:
            FileNotFoundError: If there is none.
            InputError: If the file is damaged, or of another run; the message names the
                first difference.
        """
        content = read_checkpoint(self.path)
        try:
            found = next(differences(self.identity, content["identity"]), None)
        except RuntimeError:  # a tensor is neither equal nor different
            raise InputError(
                f"{self.path}: its identity holds tensors; expected plain values"
            ) from None
        if found is not None:
            name, ours, theirs = found
            raise InputError(
                f"{self.path}: was saved with {name} = {shown(theirs)}, this run has "
                f"{shown(ours)}; expected the same run to go on"
            )
        return content["state"]

    @contextmanager
    def catching_interrupts(self) -> Iterator[None]:
        """Lets the first Ctrl-C or SIGTERM wait for a save; the second one ends at once."""

        def note(signum: int, frame: FrameType | None) -> None:
            if self.is_interrupted:
                raise KeyboardInterrupt
            self.is_interrupted = True

        with handling(note, signal.SIGINT, signal.SIGTERM):
            yield


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a :class:`Checkpoint` saved: ``identity``, ``about`` and ``state``.

    Raises:
        FileNotFoundError: If there is no such file.
        InputError: If it is damaged, holds something else, or is of another format.
    """
    content = load_tensors(path, STATE, "identity", "about", "state")
    for name, part in content.items():
        if not isinstance(part, dict):
            raise InputError(f"{path}: {name} is a {type(part).__name__}; expected a mapping")
    return content


def differences(ours: Any, theirs: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Names of what isn't equal in two nested mappings, and both values."""
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        for key in [*ours, *(k for k in theirs if k not in ours)]:
            path = f"{name}.{key}" if name else str(key)
            yield from differences(ours.get(key), theirs.get(key), path)
    elif ours != theirs:
        yield name, ours, theirs


def epoch_state(model: Any) -> dict[str, Tensor]:
    """Buffers that a model leaves out of its ``state_dict``, by name: what holds for an epoch."""
    weights = model.state_dict().keys()
    return {name: x for name, x in model.named_buffers() if name not in weights}


def set_epoch_state(model: Any, state: Mapping[str, Tensor]) -> None:
    """Sets these buffers, whatever size they had, to what :func:`epoch_state` returned."""
    device = next(model.parameters()).device
    for name, value in state.items():
        owner, _, buffer = name.rpartition(".")
        setattr(model.get_submodule(owner), buffer, value.to(device))
