"""Downloads against a small server of our own: whole, resumed, changed, broken, refused."""

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from crossrec.data.download import fetch
from crossrec.errors import UserError

CONTENT = bytes(range(256)) * 2000


class Server(ThreadingHTTPServer):
    """Serves `content` at any path but /missing; keeps the Range header of each request."""

    content = CONTENT
    etag = '"v1"'
    cut_after = len(CONTENT)  # bytes of an answer after which the connection breaks off
    ranges: list[str | None]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/data.gz"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        content = self.server.content
        if self.path == "/missing":
            self.send_error(404)
            return
        start = 0
        if wanted and self.headers.get("If-Range") == self.server.etag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
        if start and start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", self.server.etag)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:][: self.server.cut_after])

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        running.ranges = []
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_whole_file_is_fetched_once(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "data.gz"
    for _ in range(2):
        path = fetch(server.url, target, sha256=hashlib.sha256(CONTENT).hexdigest())
        assert path.read_bytes() == CONTENT
    assert server.ranges == [None]
    assert names(target.parent) == ["data.gz"]


def test_a_broken_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.cut_after = 100_000
    target = tmp_path / "data.gz"
    with pytest.raises(UserError, match=r"cut off .100,000 of 512,000 bytes.*run again"):
        fetch(server.url, target)
    assert names(tmp_path) == ["data.gz.part", "data.gz.part.etag"]
    server.cut_after = len(CONTENT)
    assert fetch(server.url, target, md5=hashlib.md5(CONTENT).hexdigest()).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=100000-"]
    assert names(tmp_path) == ["data.gz"]


def test_halves_of_two_versions_are_never_joined(server: Server, tmp_path: Path) -> None:
    server.cut_after = 100_000
    with pytest.raises(UserError, match="cut off"):
        fetch(server.url, tmp_path / "data.gz")
    server.cut_after, server.etag, server.content = len(CONTENT), '"v2"', CONTENT[::-1]
    assert fetch(server.url, tmp_path / "data.gz").read_bytes() == CONTENT[::-1]


def test_a_part_that_is_whole_only_gets_its_name(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.gz.part").write_bytes(CONTENT)
    (tmp_path / "data.gz.part.etag").write_text(server.etag)
    assert fetch(server.url, tmp_path / "data.gz").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.gz.part").write_bytes(CONTENT + b"more")
    (tmp_path / "data.gz.part.etag").write_text(server.etag)
    assert fetch(server.url, tmp_path / "data.gz").read_bytes() == CONTENT


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_a_wrong_checksum_leaves_nothing(server: Server, tmp_path: Path, algorithm: str) -> None:
    with pytest.raises(UserError, match=f"has {algorithm} .*, expected 00ff"):
        fetch(server.url, tmp_path / "data.gz", **{algorithm: "00ff"})
    assert names(tmp_path) == []


def test_a_file_that_the_server_does_not_have(server: Server, tmp_path: Path) -> None:
    url = server.url.replace("data.gz", "missing")
    with pytest.raises(UserError, match=r"cannot download .*/missing: the server says 404"):
        fetch(url, tmp_path / "data.gz")
    assert names(tmp_path) == []


def test_no_server(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot download http://127\.0\.0\.1:1/x: .*refused"):
        fetch("http://127.0.0.1:1/x", tmp_path / "x")
    with pytest.raises(UserError, match=r"cannot download http://nowhere\.invalid/x: "):
        fetch("http://nowhere.invalid/x", tmp_path / "x")


def test_a_folder_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"cannot write .*data\.gz"):
        fetch(server.url, tmp_path / "file" / "data.gz")


def test_a_full_disk_is_said_before_the_download(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(UserError, match=r"disk is full; 512,000 bytes needed, 1,000 free"):
        fetch(server.url, tmp_path / "data.gz")


def test_two_that_need_a_file_at_once_fetch_it_once(server: Server, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        fetched = list(pool.map(fetch, [server.url] * 4, [tmp_path / "data.gz"] * 4))
    assert {file.read_bytes() for file in fetched} == {CONTENT}
    assert server.ranges == [None]
    assert [path.name for path in tmp_path.iterdir()] == ["data.gz"]
