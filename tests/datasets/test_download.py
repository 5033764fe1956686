import hashlib
import logging
import resource
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from mentor_pyg.datasets import download as module
from mentor_pyg.datasets.download import RemoteFile, download
from mentor_pyg.errors import InputError

PAGE = "https://example.org/by-hand"
CONTENT = np.random.default_rng(0).bytes(1_000_000)


class Server:
    """A server on this machine that serves ``files`` and misbehaves on demand.

    Attributes:
        ranges: Whether it knows ranges.
        cut: How many bytes of an answer it sends before it hangs up, for each of the
            next answers.
        codes: Status codes of the next answers.
        no_length: Whether it keeps to itself how long an answer is.
        stall: Whether it falls silent at the end of the next answer.
        kind: What it says its files are.
        sent: For each answer its path, its first byte and how many bytes were sent.
    """

    def __init__(self):
        self.files, self.ranges, self.kind = {}, True, "application/octet-stream"
        self.cut, self.codes, self.sent = [], [], []
        self.no_length = self.stall = False
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.answer(self)

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()

    def answer(self, request):
        content = self.files.get(request.path)
        code = self.codes.pop(0) if self.codes else 200 if content is not None else 404
        if code != 200:
            return request.send_error(code)
        asked = request.headers["Range"] if self.ranges else None
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if start >= len(content):
            return request.send_error(416)
        request.send_response(206 if asked else 200)
        request.send_header("Content-Type", self.kind)
        if not self.no_length:
            request.send_header("Content-Length", str(len(content) - start))
        if asked:
            total = len(content)
            request.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        request.end_headers()
        body = content[start:][: self.cut.pop(0) if self.cut else None]
        self.sent.append((request.path, start, len(body)))
        request.wfile.write(body)
        request.wfile.flush()
        if self.stall:
            self.stall = False
            self.resume = threading.Event()
            self.resume.wait()

    def close(self):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(module, "PAUSE", 0.001)
    monkeypatch.delenv("MENTOR_PYG_MIRROR", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    server.files["/toy/x_feat.npy"] = CONTENT
    yield server
    server.close()


def remote(name="x_feat.npy", content=CONTENT, url=None):
    return RemoteFile(name, len(content), hashlib.sha256(content).hexdigest(), url)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "toy"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def error_of(call, *args, **kwargs):
    """The message of the InputError of a call, which is one line."""
    with pytest.raises(InputError) as error:
        call(*args, **kwargs)
    message = str(error.value)
    assert "\n" not in message
    assert "; expected " in message
    return message


# What goes well #########################################################


def test_plain(server, folder):
    download([remote()], folder, PAGE, server.url)
    assert (folder / "x_feat.npy").read_bytes() == CONTENT
    assert names(folder) == ["x_feat.npy"]
    assert server.sent == [("/toy/x_feat.npy", 0, len(CONTENT))]


def test_own_address_and_mirrors(server, folder, tmp_path, monkeypatch):
    server.files["/own"] = CONTENT
    file = remote(url=f"{server.url}/own")
    download([file], folder, PAGE)
    monkeypatch.setenv("MENTOR_PYG_MIRROR", f"{server.url}/mirror/")
    server.files["/mirror/other/x_feat.npy"] = CONTENT
    download([file], tmp_path / "other", PAGE)
    download([file], tmp_path / "again" / "toy", PAGE, server.url)
    assert [path for path, _, _ in server.sent] == [
        "/own",
        "/mirror/other/x_feat.npy",
        "/toy/x_feat.npy",
    ]


def test_what_is_there_is_left_alone(server, folder):
    folder.mkdir()
    (folder / "x_feat.npy").write_bytes(b"my own")
    server.files["/toy/y_feat.npy"] = b"y"
    download([remote(), remote("y_feat.npy", b"y")], folder, PAGE, server.url)
    download([remote(), remote("y_feat.npy", b"y")], folder, PAGE, "no address at all")
    assert (folder / "x_feat.npy").read_bytes() == b"my own"
    assert [path for path, _, _ in server.sent] == ["/toy/y_feat.npy"]


def test_no_byte_is_sent_twice_after_cuts(server, folder, caplog):
    server.cut = [300_000, 123_456, 1]
    with caplog.at_level(logging.INFO, logger="mentor_pyg"):
        download([remote()], folder, PAGE, server.url)
    assert (folder / "x_feat.npy").read_bytes() == CONTENT
    assert [start for _, start, _ in server.sent] == [0, 300_000, 423_456, 423_457]
    assert sum(size for _, _, size in server.sent) == len(CONTENT)
    assert "cut after 423,456 of 1,000,000 bytes; trying again" in caplog.text


def test_the_next_call_goes_on(server, folder):
    server.cut = [400_000, 0, 0]
    message = error_of(download, [remote()], folder, PAGE, server.url, attempts=3)
    assert "cut after 400,000 of 1,000,000 bytes, 3 times" in message
    assert names(folder) == ["x_feat.npy.part"]
    download([remote()], folder, PAGE, server.url)
    assert server.sent[-1] == ("/toy/x_feat.npy", 400_000, 600_000)
    assert (folder / "x_feat.npy").read_bytes() == CONTENT
    assert names(folder) == ["x_feat.npy"]


def test_new_bytes_give_new_attempts(server, folder):
    server.cut = [100_000] * 9
    download([remote()], folder, PAGE, server.url, attempts=2)
    assert (folder / "x_feat.npy").read_bytes() == CONTENT


def test_a_server_without_ranges_starts_over(server, folder):
    server.ranges, server.cut = False, [300_000, 200_000]
    download([remote()], folder, PAGE, server.url)
    assert (folder / "x_feat.npy").read_bytes() == CONTENT
    assert [size for _, _, size in server.sent] == [300_000, 200_000, 1_000_000]


def test_a_server_without_ranges_that_always_cuts_is_given_up(server, folder):
    server.ranges, server.cut = False, [300_000, 200_000] * 50
    error_of(download, [remote()], folder, PAGE, server.url, attempts=4)
    assert len(server.sent) == 4


def test_a_server_that_tells_no_length(server, folder):
    server.no_length = True
    download([remote()], folder, PAGE, server.url)
    assert (folder / "x_feat.npy").read_bytes() == CONTENT


def test_a_complete_part_is_only_checked(server, folder):
    folder.mkdir()
    (folder / "x_feat.npy.part").write_bytes(CONTENT)
    download([remote()], folder, PAGE, server.url)
    assert server.sent == []
    assert names(folder) == ["x_feat.npy"]


@pytest.mark.parametrize("part", [b"old", CONTENT + b"more"])
def test_a_part_of_another_file_is_replaced(server, folder, part):
    folder.mkdir()
    (folder / "x_feat.npy.part").write_bytes(part)
    download([remote()], folder, PAGE, server.url)
    assert (folder / "x_feat.npy").read_bytes() == CONTENT
    assert server.sent[-1] == ("/toy/x_feat.npy", 0, len(CONTENT))


def test_servers_that_are_busy_or_silent(server, folder):
    server.codes = [503, 429]
    server.stall, server.cut = True, [500_000]
    download([remote()], folder, PAGE, server.url, timeout=1)
    server.resume.set()
    assert (folder / "x_feat.npy").read_bytes() == CONTENT
    assert server.sent[0][1:] == (0, 500_000)
    assert server.sent[-1][1] >= 500_000  # later where a busy machine let more time run out


@pytest.mark.parametrize("published", [b"a\tb\n1\t2\n", b"a\tb\r\n1\t2\r\n"])
@pytest.mark.parametrize("sent", [b"a\tb\n1\t2\n", b"a\tb\r\n1\t2\r\n"])
def test_tables_with_either_line_ends(server, folder, published, sent):
    server.files["/toy/toy.inter"] = sent
    download([remote("toy.inter", published)], folder, PAGE, server.url)
    assert (folder / "toy.inter").read_bytes() == sent


# What goes wrong ########################################################


def test_a_wrong_checksum_is_not_put_in_place(server, folder):
    wrong = bytes([CONTENT[0] ^ 1]) + CONTENT[1:]
    server.files["/toy/x_feat.npy"] = wrong
    message = error_of(download, [remote()], folder, PAGE, server.url)
    assert hashlib.sha256(wrong).hexdigest()[:12] in message
    assert remote().sha256[:12] in message
    assert PAGE in message
    assert names(folder) == []
    assert len(server.sent) == 1


def test_a_wrong_table(server, folder):
    server.files["/toy/toy.inter"] = b"a\tb\n1\t3\n"
    table = remote("toy.inter", b"a\tb\n1\t2\n")
    assert "sha256" in error_of(download, [table], folder, PAGE, server.url)
    assert names(folder) == []


@pytest.mark.parametrize(("code", "times"), [(404, 1), (403, 1), (500, 3), (429, 3)])
def test_status_codes(server, folder, code, times):
    server.codes = [code] * 9
    message = error_of(download, [remote()], folder, PAGE, server.url, attempts=3)
    assert f"status {code}" in message
    assert f"{folder}/x_feat.npy: can't be downloaded from {server.url}/toy/x_feat.npy" in message
    assert f"by hand from {PAGE}" in message
    assert len(server.codes) == 9 - times
    assert names(folder) == []


def test_a_web_page_is_no_file(server, folder):
    server.kind = "text/html; charset=utf-8"
    assert "web page" in error_of(download, [remote()], folder, PAGE, server.url)
    assert names(folder) == []


def test_without_an_address(server, folder):
    message = error_of(download, [remote()], folder, PAGE)
    assert f"by hand from {PAGE}, or a mirror in $MENTOR_PYG_MIRROR" in message
    assert not folder.exists()


@pytest.mark.parametrize("mirror", ["file:///etc", "ftp://example.org", "/srv/data"])
def test_addresses_are_of_the_web(folder, mirror):
    assert "expected http:// or https://" in error_of(download, [remote()], folder, PAGE, mirror)


def test_a_closed_port_fails_at_once(server, folder, monkeypatch):
    monkeypatch.setattr(module, "PAUSE", 3600)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        assert "refused" in error_of(download, [remote()], folder, PAGE, url)


def test_no_network_fails_at_once(folder, monkeypatch):
    def fail(*args, **kwargs):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(module, "PAUSE", 3600)
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    message = error_of(download, [remote()], folder, PAGE, "https://mirror.example")
    assert "(Temporary failure in name resolution)" in message.replace("[Errno -3] ", "")
    assert PAGE in message


@pytest.fixture
def little_room():
    """The system lets no file grow beyond 600,000 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, before[1]))
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_takes_no_more(server, folder, little_room):
    message = error_of(download, [remote()], folder, PAGE, server.url)
    assert f"{folder}/x_feat.npy.part: can't be written (File too large)" in message
    assert len(server.sent) == 1  # it isn't tried again
    assert names(folder) == ["x_feat.npy.part"]
    kept = (folder / "x_feat.npy.part").stat().st_size
    assert 300_000 < kept <= 600_000
    little_room()
    download([remote()], folder, PAGE, server.url)
    assert (folder / "x_feat.npy").read_bytes() == CONTENT
    assert server.sent[-1] == ("/toy/x_feat.npy", kept, len(CONTENT) - kept)


def test_asks_for_room_before_it_begins(server, folder):
    huge = remote()._replace(size=10**18)
    message = error_of(download, [huge], folder, PAGE, server.url)
    assert "expected 1,000,000,000,000,000,000 for the download" in message
    assert server.sent == []


def test_a_folder_that_cant_be_written(server, tmp_path):
    (tmp_path / "file").write_text("")
    message = error_of(download, [remote()], tmp_path / "file" / "toy", PAGE, server.url)
    assert "can't be written to" in message
    assert server.sent == []


def test_one_process_downloads_at_a_time(server, folder, monkeypatch):
    """Another one that appends to the same part would spoil it, even after its check."""
    monkeypatch.setattr("mentor_pyg._util.locks.GRACE", 0)
    fetch, errors = module._fetch, []

    def fetch_twice(*args):
        monkeypatch.setattr(module, "_fetch", fetch)
        other = threading.Thread(
            target=lambda: errors.append(
                error_of(download, [remote()], folder, PAGE, server.url, progress=False)
            )
        )
        other.start()
        other.join()
        return fetch(*args)

    monkeypatch.setattr(module, "_fetch", fetch_twice)
    download([remote()], folder, PAGE, server.url)
    assert "toy: is being written by process" in errors[0]
    assert names(folder) == ["x_feat.npy"]
    assert (folder / "x_feat.npy").read_bytes() == CONTENT
