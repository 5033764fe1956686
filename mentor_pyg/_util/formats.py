"""What the files of this package say of themselves: their kind, format and version."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import mentor_pyg
from mentor_pyg.errors import InputError, shown


class Kind(NamedTuple):
    """A kind of file.

    Attributes:
        name: What one is called in messages.
        format: A number that grows whenever the layout or the meaning of the content
            changes, so that no version misreads the files of another one.
    """

    name: str
    format: int


def label(kind: Kind) -> dict[str, Any]:
    """What a file of a kind begins with."""
    return {"kind": kind.name, "format": kind.format, "written_by": mentor_pyg.__version__}


def check_kind(path: Path | str, kind: Kind, content: Any) -> None:
    """Refuses other kinds of files, and those of versions with another format.

    Raises:
        InputError: If ``content`` isn't a mapping with the right :func:`label`.
    """
    version = mentor_pyg.__version__
    if not isinstance(content, Mapping) or content.get("kind") != kind.name:
        raise InputError(
            f"{path}: holds no {kind.name} that mentor_pyg {version} can read; "
            "expected one that the same version wrote"
        )
    found, written_by = content.get("format"), content.get("written_by")
    if type(found) is not int or found != kind.format:
        raise InputError(
            f"{path}: is in format {shown(found)} of mentor_pyg {shown(written_by)}; "
            f"expected format {kind.format}, which mentor_pyg {version} reads"
        )
