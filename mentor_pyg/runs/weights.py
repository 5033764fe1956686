"""Files of trained weights, in the format that people share: safetensors."""

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
"""Of the metadata, under which everything but the tensors stands as JSON."""

ABOUT: dict[str, type] = {"config": dict, "source": dict, "data": str, "versions": dict}
"""What the file must say of the model."""


class Weights(NamedTuple):
    """A trained model's weights, and what they belong to.

    Attributes:
        state: The ``state_dict``.
        about: ``config``, ``source``, the fingerprint of the ``data``, ``versions``.
    """

    state: dict[str, Tensor]
    about: dict[str, Any]


@checked
def save_weights(path: Path | str, state: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Writes a ``.safetensors`` file, at once or not at all.

    The metadata have one key, ``mentor_pyg``, with ``about`` in JSON, the format, and a
    digest of all that and of all tensors.

    Raises:
        InputError: If the file can't be written.
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
    """Reads what :func:`save_weights` wrote.

    Raises:
        FileNotFoundError: If there is no such file.
        InputError: If it is damaged, of another kind or format, or has weights that aren't
            finite.
    """
    check_file(Path(path), "weights of a trained model")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            text = (file.metadata() or {}).get(KEY)
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about: Any = None if text is None else parse_json(text)
    except Exception as error:  # safetensors raises its own type, which isn't documented
        raise InputError(
            f"{path}: can't be loaded ({reason(error)}); expected weights in safetensors, undamaged"
        ) from None
    check_kind(path, WEIGHTS, about)
    digest = about.pop("digest", None)
    if digest != _digest(about, state):
        raise InputError(f"{path}: its digest is wrong; expected the file as it was written")
    for name, kind in ABOUT.items():
        if not isinstance(about.get(name), kind):
            raise InputError(
                f"{path}: {name} is {shown(about.get(name))}; expected a {kind.__name__}"
            )
    for name, value in state.items():
        if not bool(value.isfinite().all()):
            raise InputError(f"{path}: {name} isn't finite; expected weights of a sound training")
    return Weights(state, about)


def _digest(about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    contents = [(name, content_hash(value)) for name, value in sorted(tensors.items())]
    text = json.dumps([about, contents], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
