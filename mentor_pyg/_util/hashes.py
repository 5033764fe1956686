"""Keys of content."""

import hashlib
from pathlib import Path
from typing import Any

CHUNK = 2**20


def fingerprint(*parts: Any) -> str:
    """A short stable key of the ``repr`` of all parts."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def file_digest(path: Path) -> str:
    """A key of a file's content."""
    digest = hashlib.blake2b(digest_size=16)
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
