"""Files of tensors in plain containers, from which nothing is executed.

Each says what kind of file it is and in which format, so that another version's is
refused, not misread.
"""

import hashlib
import io
import os
import pickletools
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import torch

from mentor_pyg._util.files import atomic_path, check_file
from mentor_pyg._util.formats import Kind, check_kind, label
from mentor_pyg.errors import InputError, reason


def content_hash(x: torch.Tensor) -> str:
    """A key of a tensor's dtype, shape and content."""
    content = x.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
    digest = hashlib.blake2b(repr((x.dtype, x.shape)).encode(), digest_size=16)
    digest.update(content.data)
    return digest.hexdigest()


class _Writer(io.RawIOBase):
    """Keeps the first error of a file, of which PyTorch's own would tell nothing."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        if self.error is None:
            try:
                self.file.write(data)
            except OSError as error:
                self.error = error
        return len(data)


def save_tensors(content: Mapping[str, Any], path: Path | str, kind: Kind) -> None:
    """:func:`torch.save` for tensors in plain containers, at once or not at all.

    The file is a mapping: ``content``, and what :func:`~mentor_pyg._util.formats.label` adds.

    Raises:
        InputError: If the file can't be written.
    """
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        writer = _Writer(file)
        torch.save({**label(kind), **content}, writer)  # type: ignore[arg-type]  # which it needs
        if writer.error is not None:
            raise writer.error


def load_tensors(path: Path | str, kind: Kind, *parts: str) -> dict[str, Any]:
    """What :func:`save_tensors` saved under the names of some parts.

    Raises:
        FileNotFoundError: If there is no such file.
        InputError: If it is damaged, of another kind or format, or has other parts.
    """
    content = load_torch(path)
    check_kind(path, kind, content)
    found = [name for name in content if name not in label(kind)]
    if sorted(map(str, found)) != sorted(parts):
        raise InputError(
            f"{path}: holds {', '.join(map(str, found)) or 'nothing'}; expected {', '.join(parts)}"
        )
    return {name: content[name] for name in parts}


def load_torch(path: Path | str) -> Any:
    """:func:`torch.load` that runs no code from the file, and checks it for damage.

    Raises:
        FileNotFoundError: If there is no such file.
        InputError: If it is damaged, or holds more than tensors in plain containers.
    """
    path = Path(path)
    check_file(path, "a saved file")
    try:
        if zipfile.is_zipfile(path):
            _check_archive(path)
        return torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # torch and zipfile raise half a dozen types for broken files
        raise InputError(
            f"{path}: can't be loaded ({reason(error)}); expected a file of tensors, undamaged"
        ) from None


def _check_archive(path: Path) -> None:
    """Checksums, and that reading takes no more memory than the file has bytes."""
    with zipfile.ZipFile(path) as archive:
        records = archive.infolist()
        is_packed = any(record.compress_type != zipfile.ZIP_STORED for record in records)
        if is_packed or sum(record.file_size for record in records) > os.path.getsize(path):
            raise ValueError("it claims more than it holds")
        damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"the checksum of {damaged} is wrong")
        for record in records:
            if record.filename.endswith("data.pkl"):
                _check_pickle(archive.read(record))


def _check_pickle(content: bytes) -> None:
    """Refuses the one thing that PyTorch would make as large as a mere number says."""
    for operation, argument, _ in pickletools.genops(content):
        if operation.name == "GLOBAL" and str(argument).endswith(" bytearray"):
            raise ValueError("it holds a bytearray")
