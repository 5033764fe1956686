"""Random number streams of training, separate from the global generators."""

import random
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

WORDS = 624
"""Number of state words of the Mersenne Twister, used by NumPy and Python."""


class RandomStream:
    """A training's own states of the global generators of PyTorch, NumPy and Python.

    Within ``with stream:`` the global generators continue the stream; afterwards, their
    previous states are restored. Such blocks may be nested.

    Args:
        seed: Seed of the stream.
        device: Device whose generator is included, besides the CPU's.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self.device, self._depth = device, 0
        self._kept = global_states(device)
        with self:
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002  # models may draw from the global generator
            torch.default_generator.manual_seed(seed)
            if device.type == "cuda":
                with torch.cuda.device(device):
                    torch.cuda.manual_seed(seed)

    def __enter__(self) -> "RandomStream":
        if self._depth == 0:
            self._swap()
        self._depth += 1
        return self

    def __exit__(self, *error: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._swap()

    def _swap(self) -> None:
        mine, self._kept = self._kept, global_states(self.device)
        set_global_states(mine, self.device)

    def state_dict(self) -> dict[str, Tensor]:
        return global_states(self.device) if self._depth else self._kept

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        if self._depth:
            set_global_states(state, self.device)
        else:
            self._kept = dict(state)


def derived_seed(seed: int, stream: int) -> int:
    """Derives a seed for an independent stream of random numbers."""
    return int(np.random.SeedSequence([seed, stream]).generate_state(1)[0])


def global_states(device: torch.device) -> dict[str, Tensor]:
    """States of all global generators."""
    legacy: Any = np.random.get_state()  # noqa: NPY002
    _, key, place, has_gauss, gauss = legacy
    _, words, next_gauss = random.getstate()
    states = {
        "torch": torch.get_rng_state(),
        "numpy": _pack([*key.tolist(), place], gauss if has_gauss else None),
        "python": _pack(words, next_gauss),
    }
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_global_states(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Restores the states of :func:`global_states`."""
    torch.set_rng_state(states["torch"])
    words, gauss = _unpack(states["numpy"])
    legacy: Any = ("MT19937", words[:-1], words[-1], int(gauss is not None), gauss or 0.0)
    np.random.set_state(legacy)  # noqa: NPY002
    words, gauss = _unpack(states["python"])
    random.setstate((3, tuple(words), gauss))
    if "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)


def is_state(name: str, value: Tensor) -> bool:
    """Whether a tensor of the right shape and dtype is a valid generator state."""
    if name in ("numpy", "python"):
        *words, has_gauss, _ = value.tolist()
        fits = all(0 <= word < 2**32 for word in words) and words[-1] <= WORDS
        gauss = _unpack(value)[1]
        return fits and has_gauss in (0, 1) and (gauss is None or abs(gauss) < 1e3)
    if value.shape != torch.Generator().get_state().shape:  # from another device
        return True
    try:
        torch.Generator().set_state(value)
    except (RuntimeError, TypeError):
        return False
    return True


def _pack(words: Sequence[int], gauss: float | None) -> Tensor:
    """Packs the words of a Mersenne Twister, its position, and the cached normal number."""
    (bits,) = struct.unpack("q", struct.pack("d", gauss or 0.0))
    return torch.tensor([*words, int(gauss is not None), bits])


def _unpack(state: Tensor) -> tuple[list[int], float | None]:
    *words, has_gauss, bits = state.tolist()
    (gauss,) = struct.unpack("d", struct.pack("q", bits))
    return words, gauss if has_gauss else None
