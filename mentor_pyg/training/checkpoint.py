"""Checkpoints of training runs."""

import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import torch
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
    """Saves ``last.pt`` of a run after each epoch and, in long epochs, at intervals.

    The first Ctrl-C or SIGTERM waits for a save.

    Args:
        path: Path of the file, which is replaced atomically.
        identity: Settings and data fingerprints by name that must agree for a run to resume
            from this file.
        about: Further information on the run.
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
        """Whether to save now, because of the interval or an interrupt."""
        return self.is_interrupted or time.monotonic() - self._saved_at > 60 * self.minutes

    def save(self, state: Mapping[str, Any]) -> None:
        """Saves a state of tensors in plain containers."""
        content = {"identity": self.identity, "about": self.about, "state": dict(state)}
        save_tensors(content, self.path, STATE)
        self._saved_at = time.monotonic()

    def load(self) -> dict[str, Any]:
        """Loads the saved state.

        Raises:
            FileNotFoundError: If there is no file.
            InputError: If the file is damaged, or belongs to another run; the message names
                the first difference.
        """
        content = read_checkpoint(self.path)
        try:
            found = next(differences(self.identity, content["identity"]), None)
        except RuntimeError:  # comparing tensors
            raise InputError(
                f"{self.path}: its identity holds tensors; expected plain values"
            ) from None
        if found is not None:
            name, ours, theirs = found
            raise InputError(
                f"{self.path}: was saved with {name} = {shown(theirs)}, this run has "
                f"{shown(ours)}; expected the same settings to resume"
            )
        return content["state"]

    @contextmanager
    def catching_interrupts(self) -> Iterator[None]:
        """Makes the first Ctrl-C or SIGTERM wait for a save; the second interrupts at once."""

        def note(signum: int, frame: FrameType | None) -> None:
            if self.is_interrupted:
                raise KeyboardInterrupt
            self.is_interrupted = True

        with handling(note, signal.SIGINT, signal.SIGTERM):
            yield


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Reads the content of a :class:`Checkpoint`: ``identity``, ``about`` and ``state``.

    Raises:
        FileNotFoundError: If there is no such file.
        InputError: If it is damaged, of another kind, or of another format version.
    """
    content = load_tensors(path, STATE, "identity", "about", "state")
    for name, part in content.items():
        if not isinstance(part, dict):
            raise InputError(f"{path}: {name} is a {type(part).__name__}; expected a mapping")
    return content


def differences(ours: Any, theirs: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Names and values of all differences between two nested mappings."""
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        for key in [*ours, *(k for k in theirs if k not in ours)]:
            path = f"{name}.{key}" if name else str(key)
            yield from differences(ours.get(key), theirs.get(key), path)
    elif ours != theirs:
        yield name, ours, theirs


def epoch_state(model: Any) -> dict[str, Tensor]:
    """Buffers outside the ``state_dict`` of a model by name, which hold the state of an epoch."""
    weights = model.state_dict().keys()
    return {name: x for name, x in model.named_buffers() if name not in weights}


def set_epoch_state(model: Any, state: Mapping[str, Tensor], device: torch.device) -> None:
    """Restores the buffers of :func:`epoch_state` on a device, even if their sizes differ."""
    for name, value in state.items():
        owner, _, buffer = name.rpartition(".")
        setattr(model.get_submodule(owner), buffer, value.to(device))
