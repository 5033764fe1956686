"""Results kept on disk, under keys of the content of all that they depend on.

No key is of a time, a size or a ``repr``, which other content may have too.
"""

import hashlib
import logging
import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch_geometric
from torch import Tensor
from torch_geometric.transforms import BaseTransform

import mentor_pyg
from mentor_pyg._util.files import check_file
from mentor_pyg._util.formats import Kind
from mentor_pyg._util.hashes import file_digest, fingerprint
from mentor_pyg._util.tensor_files import content_hash, load_tensors, save_tensors
from mentor_pyg.errors import InputError

logger = logging.getLogger("mentor_pyg")

VARIABLE = "MENTOR_PYG_CACHE"
"""Environment variable: the folder of all that is kept."""

PACKAGES = ("mentor_pyg", "torch_geometric")
"""Whose transforms do what their class and their attributes say, in a given version."""

CACHE, VALUE = Kind("cached result", 1), "value"


def cache_dir() -> Path:
    """Where results are kept: ``$MENTOR_PYG_CACHE``, or ``~/.cache/mentor_pyg`` if that is
    not set or empty. A ``~`` at its start is the home folder.

    Raises:
        InputError: If there is no home folder, and none else is named.
    """
    named = os.environ.get(VARIABLE) or "~/.cache/mentor_pyg"
    try:
        return Path(named).expanduser()
    except RuntimeError:
        raise InputError(
            f"{named}: this user has no home folder; expected a folder in ${VARIABLE}"
        ) from None


def cached(name: str, make: Callable[[], Any], refresh: bool = False) -> Any:
    """What is kept under a name, or what ``make()`` returns, which is then kept.

    A cache never costs a result. What is damaged is made again, and where nothing can be
    written, as in a read-only or full folder, the work goes on without, both with a warning.
    Several processes may make the same result; each of them puts it in place as a whole.

    Args:
        name: Path below :func:`cache_dir`, with a key of all that the result depends on.
        make: Computes it.
        refresh: Whether to make it even if it is there.
    """
    try:
        path = cache_dir() / name
    except InputError as error:
        warnings.warn(f"{error}; going on without a cache", stacklevel=2)
        return make()
    if not refresh:
        try:
            return load_tensors(path, CACHE, VALUE)[VALUE]
        except FileNotFoundError:
            pass
        except (InputError, OSError) as error:
            warnings.warn(f"{error}; making it again", stacklevel=2)
            with suppress(OSError):
                path.unlink()
    value = make()
    try:
        save_tensors({VALUE: value}, path, CACHE)
    except (InputError, OSError) as error:
        warnings.warn(
            f"{error}; going on without a cache, whose folder ${VARIABLE} names", stacklevel=2
        )
        return value
    try:
        return load_tensors(path, CACHE, VALUE)[VALUE]  # as the next one will
    except InputError as error:
        logger.info("not kept: %s", error)
        path.unlink(missing_ok=True)
        return value


def file_hash(path: Path, expected: str = "a file") -> str:
    """A key of a file's content.

    Raises:
        FileNotFoundError: If there is no such file.
        InputError: If it is none that can be read; ``expected`` says what should be there.
    """
    check_file(path, expected)
    return file_digest(path)


class _Unsure(Exception):
    """Something whose whole state can't be seen."""


def transform_key(transform: Callable[..., Any] | None) -> str | None:
    """A key of all that decides what a transform makes of its input, or None if not all of
    it can be seen.

    Seen are transforms of PyG and of this package, by their class, the packages' versions
    and the content of all attributes, and lists and compositions of such. What a function,
    a lambda or a class from elsewhere does depends on its code and on whatever that
    refers to, which may change unseen.
    """
    try:
        return fingerprint(mentor_pyg.__version__, torch_geometric.__version__, _state(transform))
    except (_Unsure, RecursionError):
        return None


def _state(value: Any) -> Any:
    """A value with equal ``repr`` for equal content alone."""
    kind = type(value)
    if value is None or kind in (bool, int, float, complex, str, bytes, torch.dtype, torch.device):
        return value
    if kind in (list, tuple):
        return kind.__name__, [_state(item) for item in value]
    if kind in (set, frozenset):
        return kind.__name__, sorted(repr(_state(item)) for item in value)
    if kind is dict:
        return [(_state(key), _state(item)) for key, item in value.items()]
    if kind is Tensor and value.layout == torch.strided:
        return content_hash(value)
    if isinstance(value, np.ndarray | np.generic) and not value.dtype.hasobject:
        return value.dtype.str, value.shape, hashlib.blake2b(value.tobytes()).hexdigest()
    if isinstance(value, BaseTransform) and kind.__module__.partition(".")[0] in PACKAGES:
        return kind.__module__, kind.__qualname__, _state(vars(value))
    raise _Unsure
