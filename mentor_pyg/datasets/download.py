"""Download of published files, with resuming and checksums."""

import hashlib
import http.client
import logging
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from mentor_pyg._util.files import check_writable
from mentor_pyg._util.locks import sole_writer
from mentor_pyg._util.progress import progress_bar
from mentor_pyg.errors import InputError, reason

logger = logging.getLogger("mentor_pyg")

MIRROR = "MENTOR_PYG_MIRROR"
"""Environment variable with the address of a mirror, which has a folder per dataset."""

PART = ".part"
"""Suffix of incomplete or unchecked files."""

CHUNK = 2**18
PAUSE = 1.0
"""Seconds before the first retry; doubled for each further one."""

PASSING = (408, 425, 429, 500, 502, 503, 504)
"""HTTP status codes worth a retry."""


class RemoteFile(NamedTuple):
    """A published file.

    Attributes:
        name: File name.
        size: Size in bytes.
        sha256: SHA-256 of its content; for a ``.inter`` table with LF or CRLF line ends.
        url: The authors' download address, if there is one.
    """

    name: str
    size: int
    sha256: str
    url: str | None = None


def download(
    files: Sequence[RemoteFile],
    folder: Path,
    page: str,
    mirror: str | None = None,
    progress: bool = True,
    attempts: int = 5,
    timeout: float = 30.0,
) -> None:
    """Downloads the missing files of a folder; existing files are not changed.

    Partial downloads are kept as ``<name>.part``, and the next call resumes them. Files are
    renamed once their checksum matches.

    Args:
        files: Files to download, in this order.
        folder: Target folder.
        page: Web page of the files, for messages.
        mirror: Address with ``<name of the folder>/<file>`` to use instead of the files'
            own addresses; ``$MENTOR_PYG_MIRROR`` if not given.
        progress: Whether to show progress bars.
        attempts: Maximum number of consecutive failures without progress. Unreachable servers
            are not retried.
        timeout: Seconds to wait for data.

    Raises:
        InputError: If a file cannot be downloaded or has another checksum, the folder is not
            writable, or another process downloads to it; the message says how to get the file
            manually.
    """
    if not _missing(files, folder):
        return
    mirror = mirror or os.environ.get(MIRROR)
    urls = {file: _address(file, folder, page, mirror) for file in _missing(files, folder)}
    check_writable(folder)
    with sole_writer(folder):  # two writers would corrupt a partial file
        missing = _missing(files, folder)
        _check_space(missing, folder)
        for file in missing:
            path, url = folder / file.name, urls[file]
            logger.info("downloading %s from %s", path, url)
            try:
                _fetch(file, url, path, progress, attempts, timeout)
            except _Failed as error:
                raise InputError(
                    f"{path}: can't be downloaded from {url} ({error}); expected a download, or "
                    f"the file placed there by hand from {page}"
                ) from None


def _missing(files: Sequence[RemoteFile], folder: Path) -> list[RemoteFile]:
    return [file for file in files if not (folder / file.name).exists()]


class _Failed(Exception):
    """A failed download."""


class _Cut(Exception):
    """A transfer that may succeed when repeated."""


class _Unreachable(_Cut):
    """A server that does not respond."""


def _address(file: RemoteFile, folder: Path, page: str, mirror: str | None) -> str:
    url = f"{mirror.rstrip('/')}/{folder.name}/{file.name}" if mirror else file.url
    if url is None:
        raise InputError(
            f"{folder / file.name}: not found, and has no download address; expected it by "
            f"hand from {page}, or a mirror in ${MIRROR}"
        )
    if not url.startswith(("http://", "https://")):
        raise InputError(f"{url}: is no web address; expected http:// or https://")
    return url


def _check_space(files: Sequence[RemoteFile], folder: Path) -> None:
    needed = sum(file.size - _size(_part(folder / file.name)) for file in files)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(f"{folder}: has {free:,} bytes free; expected {needed:,} for the download")


def _part(path: Path) -> Path:
    return path.with_name(path.name + PART)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _fetch(
    file: RemoteFile, url: str, path: Path, progress: bool, attempts: int, timeout: float
) -> None:
    """Downloads a file, resuming an earlier part, and checks it."""
    part = _part(path)
    resumed = part.exists()
    _receive(url, part, progress, attempts, timeout)
    found = _digests(file, part, progress)
    if resumed and file.sha256 not in found:  # the part may belong to another file
        part.unlink()
        _receive(url, part, progress, attempts, timeout)
        found = _digests(file, part, progress)
    if file.sha256 not in found:
        size = _size(part)
        part.unlink()
        raise _Failed(
            f"{size:,} bytes with sha256 {found[0][:12]}..., not {file.size:,} with "
            f"{file.sha256[:12]}..."
        )
    os.replace(part, path)


def _digests(file: RemoteFile, path: Path, progress: bool) -> list[str]:
    """Valid checksums of a file; tables may have either kind of line ends."""
    if file.name.endswith(".inter"):
        lines = path.read_bytes().replace(b"\r\n", b"\n")
        return [hashlib.sha256(x).hexdigest() for x in (lines, lines.replace(b"\n", b"\r\n"))]
    digest = hashlib.sha256()
    with open(path, "rb") as content, _byte_bar("checking", progress, _size(path)) as bar:
        while chunk := content.read(CHUNK):
            digest.update(chunk)
            bar.update(len(chunk))
    return [digest.hexdigest()]


def _byte_bar(what: str, show: bool, total: int | None, done: int = 0) -> "tqdm[Any]":
    return progress_bar(None, what, show, total=total, initial=done, unit="B", unit_scale=True)


def _receive(url: str, part: Path, progress: bool, attempts: int, timeout: float) -> None:
    """Completes a partial file, with retries."""
    failures, longest, reached = 0, _size(part), False
    while True:
        try:
            return _transfer(url, part, progress, timeout)
        except _Cut as error:
            reached = reached or not isinstance(error, _Unreachable)
            failures = 1 if _size(part) > longest else failures + 1
            longest = max(longest, _size(part))
            if not reached or failures >= attempts:
                raise _Failed(f"{error}, {failures} times" if reached else str(error)) from None
            pause = PAUSE * 2 ** (failures - 1)
            logger.info("%s: %s; trying again in %g s", part.name, error, pause)
        time.sleep(pause)


def _transfer(url: str, part: Path, progress: bool, timeout: float) -> None:
    """Appends the missing bytes; servers without range support send the whole file."""
    start = _size(part)
    headers = {"User-Agent": "mentor_pyg"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        response = urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=timeout
        )
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # the part is complete
            return
        raise (_Cut if error.code in PASSING else _Failed)(f"status {error.code}") from None
    except (OSError, http.client.HTTPException) as error:
        raise _Unreachable(getattr(error, "reason", error)) from None
    with response:
        if response.headers.get_content_type() == "text/html":
            raise _Failed("received a web page instead of the file")
        start = start if response.status == 206 else 0
        rest = response.headers["Content-Length"]
        total = None if rest is None else start + int(rest)
        with _byte_bar(part.stem, progress, total, start) as bar:
            _write(_chunks(response), part, "ab" if start else "wb", bar)
    if total is not None and _size(part) < total:
        raise _Cut(f"cut after {_size(part):,} of {total:,} bytes")


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while chunk := response.read1(CHUNK):  # returns available bytes, so that none are lost
            yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise _Cut(reason(error)) from None


def _write(chunks: Iterator[bytes], part: Path, mode: str, bar: "tqdm[Any]") -> None:
    try:
        with open(part, mode) as out:
            for chunk in chunks:
                out.write(chunk)
                bar.update(len(chunk))
    except OSError as error:  # from the disk; network errors are _Cut
        raise InputError(
            f"{part}: can't be written ({error.strerror}); expected a disk with room for it"
        ) from None
