"""Files of trained weights in the safetensors format."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from mentor_pyg._util.files import atomic_path, check_file
from mentor_pyg._util.formats import Kind, check_kind, label
from mentor_pyg._util.json_files import parse_json
from mentor_pyg._util.tensor_files import content_hash
from mentor_pyg.errors import InputError, reason, shown
from mentor_pyg.options import checked

WEIGHTS = Kind("trained model", 1)

KEY = "mentor_pyg"
"""Metadata key of the description, in JSON."""

ABOUT: dict[str, type] = {"config": dict, "source": dict, "data": str, "versions": dict}
"""Required entries of the description, with their types."""


class Weights(NamedTuple):
    """Weights of a trained model, with their description.

    Attributes:
        state: The ``state_dict``.
        about: ``config``, ``source``, ``data`` (a fingerprint) and ``versions``.
    """

    state: dict[str, Tensor]
    about: dict[str, Any]


@checked
def save_weights(path: Path | str, state: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Writes a ``.safetensors`` file atomically.

    Its metadata has one key, ``mentor_pyg``: JSON of ``about``, the format version, and a
    digest of everything including the tensors.

    Raises:
        InputError: If the file cannot be written.
    """
    tensors = {
        name: value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, value in state.items()
    }
    description = json.loads(json.dumps({**label(WEIGHTS), **about}))
    description["digest"] = _digest(description, tensors)
    content = save(tensors, {KEY: json.dumps(description)})
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


@checked
def load_weights(path: Path | str) -> Weights:
    """Reads a file of :func:`save_weights`.

    Raises:
        FileNotFoundError: If there is no such file.
        InputError: If it is damaged, has another kind or format version, or weights are not
            finite.
    """
    check_file(Path(path), "weights of a trained model")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            text = (file.metadata() or {}).get(KEY)
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about: Any = None if text is None else parse_json(text)
    except Exception as error:  # safetensors raises an undocumented type
        raise InputError(
            f"{path}: can't be loaded ({reason(error)}); expected weights in safetensors, undamaged"
        ) from None
    check_kind(path, WEIGHTS, about)
    digest = about.pop("digest", None)
    if digest != _digest(about, state):
        raise InputError(f"{path}: its digest does not match; expected an unmodified file")
    for name, kind in ABOUT.items():
        if not isinstance(about.get(name), kind):
            raise InputError(
                f"{path}: {name} is {shown(about.get(name))}; expected a {kind.__name__}"
            )
    for name, value in state.items():
        if not bool(value.isfinite().all()):
            raise InputError(f"{path}: {name} isn't finite; expected finite weights")
    return Weights(state, about)


def _digest(about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    contents = [(name, content_hash(value)) for name, value in sorted(tensors.items())]
    text = json.dumps([about, contents], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
