"""Streams the lines of text files, gzipped or not."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from mentor_pyg.errors import InputError, reason
from mentor_pyg.files import check_file
from mentor_pyg.preparation.problems import BadValue, Problems
from mentor_pyg.progress import progress_bar

LINES_PER_UPDATE = 1024


def read_lines(path: Path, problems: Problems, progress: bool = True) -> Iterator[tuple[int, str]]:
    """Lines that aren't blank with their numbers, from 1.

    Args:
        path: A UTF-8 file; it is unpacked on the way if its name ends in ``.gz``.
        problems: What happens to lines that aren't UTF-8.
        progress: Whether to show a bar of the bytes read.

    Raises:
        FileNotFoundError: If there is no such file.
        InputError: If it is a folder, is empty, isn't a gzip file in spite of its name or
            ends early.
    """
    check_file(path)
    number = 0
    with (
        open(path, "rb") as raw,
        progress_bar(
            None, path.name, progress, total=path.stat().st_size, unit="B", unit_scale=True
        ) as bar,
    ):
        lines = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
        try:
            for number, line in enumerate(lines, 1):
                if number % LINES_PER_UPDATE == 0:
                    bar.update(raw.tell() - bar.n)
                try:
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    bad = BadValue("not UTF-8", f"isn't UTF-8 at byte {error.start + 1}", "text")
                    problems.add(f"{path}: line {number}", bad)
                    continue
                if text.strip():
                    yield number, text
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(
                f"{path}: can't be unpacked after line {number} ({reason(error)}); "
                "expected a complete gzip file"
            ) from None
    if not number:
        raise InputError(f"{path}: is empty; expected lines")
