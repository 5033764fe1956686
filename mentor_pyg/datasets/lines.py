"""Streaming of lines from text files, gzipped or not."""

import gzip
import zlib
from collections.abc import Generator
from pathlib import Path

from mentor_pyg._util.files import check_file
from mentor_pyg._util.progress import progress_bar
from mentor_pyg.datasets.problems import BadValue, Problems
from mentor_pyg.errors import InputError, reason

LINES_PER_UPDATE = 1024
MAX_LINE = 2**22
"""Maximum bytes per line, to detect files without line ends and decompression bombs."""

NO_TEXT = {
    b"\xff\xfe": "UTF-16 or UTF-32",
    b"\xfe\xff": "UTF-16",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"PK\x03\x04": "a ZIP archive or a spreadsheet",
    b"PAR1": "Parquet",
    b"\x93NUMPY": "an array of NumPy",
}
"""First bytes of files that are not UTF-8."""


def read_lines(
    path: Path, problems: Problems, progress: bool = True, has_header: bool = False
) -> Generator[tuple[int, str], None, None]:
    """Yields lines that are not blank, with their numbers from 1.

    Args:
        path: A UTF-8 file, gzipped if its name ends in ``.gz``.
        problems: Handling of lines that are not UTF-8.
        progress: Whether to show a progress bar.
        has_header: Whether the first line is a header, which must be valid.

    Raises:
        FileNotFoundError: If there is no such file.
        InputError: If it is a folder, empty, not text or not valid gzip, or has a line of more
            than 4 MiB.
    """
    check_file(path)
    number, started = 0, False
    with (
        open(path, "rb") as raw,
        progress_bar(
            None, path.name, progress, total=path.stat().st_size, unit="B", unit_scale=True
        ) as bar,
    ):
        file = gzip.GzipFile(fileobj=raw) if path.suffix.lower() == ".gz" else raw
        try:
            for number, line in enumerate(iter(lambda: file.readline(MAX_LINE + 1), b""), 1):
                if number % LINES_PER_UPDATE == 0:
                    bar.update(raw.tell() - bar.n)
                if number == 1:
                    _check_text(path, line)
                if len(line) > MAX_LINE:
                    raise InputError(
                        f"{path}: line {number} has more than {MAX_LINE} bytes; "
                        "expected shorter lines, each a row"
                    )
                try:
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    bad = BadValue("not UTF-8", f"isn't UTF-8 at byte {error.start + 1}", "UTF-8")
                    fatal = has_header and not started
                    (Problems() if fatal else problems).add(f"{path}: line {number}", bad)
                    continue
                if text.strip():
                    started = True
                    yield number, text
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(
                f"{path}: can't be unpacked after line {number} ({reason(error)}); "
                "expected a complete gzip file"
            ) from None
    if not number:
        raise InputError(f"{path}: is empty; expected lines")


def _check_text(path: Path, start: bytes) -> None:
    for mark, kind in NO_TEXT.items():
        if start.startswith(mark):
            hint = ", or a name that ends in .gz" if kind == "gzip" else ""
            raise InputError(f"{path}: is {kind}; expected UTF-8{hint}")
