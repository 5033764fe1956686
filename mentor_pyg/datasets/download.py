"""Fetches published files: resumed where they were cut, checked before they are put in place."""

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
"""Environment variable: address of a server's folder with a folder for each dataset."""

PART = ".part"
"""Ends the name of a file that isn't complete, or not checked yet."""

CHUNK = 2**18
PAUSE = 1.0
"""Seconds before the second attempt; doubled before each further one."""

PASSING = (408, 425, 429, 500, 502, 503, 504)
"""Status codes of servers that may do better in a moment."""


class RemoteFile(NamedTuple):
    """A published file.

    Attributes:
        name: What it is called in its folder.
        size: Its bytes.
        sha256: Of its content; of a ``.inter`` table, by lines that end in LF or in CRLF.
        url: Where its authors publish it; None if it has no address of its own.
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
    """Gets the files that a folder lacks; those that are there are left as they are.

    What was received before a failure or an interrupt is kept as ``<name>.part``, and the
    next call goes on from there. A file gets its name when its checksum fits.

    Args:
        files: What to get, in this order.
        folder: Where to put it.
        page: Where a person finds the files, for messages.
        mirror: Address that has ``<name of the folder>/<file>``, used in place of the
            files' own; if not given, ``$MENTOR_PYG_MIRROR``.
        progress: Whether to draw bars.
        attempts: How often in a row a transfer may fail without a new byte. A server
            that was never reached is asked once.
        timeout: Seconds to wait for a server's next bytes.

    Raises:
        InputError: If a file can't be had or doesn't have the checksum, the folder can't
            take it, or another process downloads to it; the message says how to get it by
            hand.
    """
    if not _missing(files, folder):
        return
    mirror = mirror or os.environ.get(MIRROR)
    urls = {file: _address(file, folder, page, mirror) for file in _missing(files, folder)}
    check_writable(folder)
    with sole_writer(folder):  # two that append to one part would spoil it, even once checked
        missing = _missing(files, folder)
        _check_space(missing, folder)
        for file in missing:
            path, url = folder / file.name, urls[file]
            logger.info("downloading %s from %s", path, url)
            try:
                _fetch(file, url, path, progress, attempts, timeout)
            except _Failed as error:
                raise InputError(
                    f"{path}: can't be downloaded from {url} ({error}); expected it there, or "
                    f"put in place by hand from {page}"
                ) from None


def _missing(files: Sequence[RemoteFile], folder: Path) -> list[RemoteFile]:
    return [file for file in files if not (folder / file.name).exists()]


class _Failed(Exception):
    """A download that is given up."""


class _Cut(Exception):
    """A transfer that another attempt may complete."""


class _Unreachable(_Cut):
    """No answer from a server."""


def _address(file: RemoteFile, folder: Path, page: str, mirror: str | None) -> str:
    url = f"{mirror.rstrip('/')}/{folder.name}/{file.name}" if mirror else file.url
    if url is None:
        raise InputError(
            f"{folder / file.name}: not found, and no address of it is known; expected it by "
            f"hand from {page}, or a mirror in ${MIRROR}"
        )
    if not url.startswith(("http://", "https://")):
        raise InputError(f"{url}: isn't an address on the web; expected http:// or https://")
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
    """Receives a file, from the part of an earlier call if there is one, and checks it."""
    part = _part(path)
    resumed = part.exists()
    _receive(url, part, progress, attempts, timeout)
    found = _digests(file, part, progress)
    if resumed and file.sha256 not in found:  # what was here is of another file
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
    """The checksums that a file may go by: tables come with both kinds of line ends."""
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
    """Makes a part complete, in as many transfers as it takes."""
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
    """Appends what a part lacks; a server that knows no ranges sends everything anew."""
    start = _size(part)
    headers = {"User-Agent": "mentor_pyg"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        response = urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=timeout
        )
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # nothing lies behind what is here
            return
        raise (_Cut if error.code in PASSING else _Failed)(f"status {error.code}") from None
    except (OSError, http.client.HTTPException) as error:
        raise _Unreachable(getattr(error, "reason", error)) from None
    with response:
        if response.headers.get_content_type() == "text/html":
            raise _Failed("a web page in place of the file")
        start = start if response.status == 206 else 0
        rest = response.headers["Content-Length"]
        total = None if rest is None else start + int(rest)
        with _byte_bar(part.stem, progress, total, start) as bar:
            _write(_chunks(response), part, "ab" if start else "wb", bar)
    if total is not None and _size(part) < total:
        raise _Cut(f"cut after {_size(part):,} of {total:,} bytes")


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while chunk := response.read1(CHUNK):  # what has come, so that no byte is lost
            yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise _Cut(reason(error)) from None


def _write(chunks: Iterator[bytes], part: Path, mode: str, bar: "tqdm[Any]") -> None:
    try:
        with open(part, mode) as out:
            for chunk in chunks:
                out.write(chunk)
                bar.update(len(chunk))
    except OSError as error:  # of the disk: those of the network are _Cut
        raise InputError(
            f"{part}: can't be written ({error.strerror}); expected a disk with room for it"
        ) from None
