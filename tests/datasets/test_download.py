"""Downloads from a server of the test's own, on a thread, which breaks the connection where it is told to."""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bayesreg.datasets import Source, download
from bayesreg.datasets.download import fetch

CONTENT = bytes(range(256)) * 4000  # several times what is read at once
MD5 = hashlib.md5(CONTENT).hexdigest()
NAME = "letters/letter.bin"


class Server(ThreadingHTTPServer):
    """Serves `content` at every path. breaks: after how many bytes the next answers end; requests: their ranges."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.ranges, self.status = CONTENT, True, 200
        self.breaks: list[int] = []
        self.requests: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/letter.bin"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        self.server.requests.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.ranges else 0
        if self.server.status != 200 or (start and start >= len(self.server.content)):
            self.send_error(416 if self.server.status == 200 else self.server.status)
            return
        body = self.server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.breaks.pop(0)] if self.server.breaks else body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "PAUSE", 0.0)
    with Server() as server:
        thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def source(server: Server) -> Source:
    return Source(NAME, server.url, MD5)


def visible(root: Path) -> set[str]:
    """The files below root that are not hidden, as locks are."""
    return {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file() and not p.name.startswith(".")}


@pytest.mark.parametrize("checksum", [MD5, hashlib.sha256(CONTENT).hexdigest()])
def test_fetches_what_is_missing_and_nothing_twice(server: Server, tmp_path: Path, checksum: str) -> None:
    source = Source(NAME, server.url, checksum)
    fetch(source, tmp_path)
    fetch(source, tmp_path)
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert visible(tmp_path) == {NAME}
    assert server.requests == [None]


def test_goes_on_where_the_connection_broke(server: Server, source: Source, tmp_path: Path) -> None:
    server.breaks = [300_000, 400_000]
    fetch(source, tmp_path)
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert server.requests == [None, "bytes=300000-", "bytes=700000-"]


def test_an_interrupted_download_leaves_a_part_and_the_next_call_goes_on(
    server: Server, source: Source, tmp_path: Path
) -> None:
    server.breaks = [300_000, 0, 0, 0, 0]
    with pytest.raises(OSError, match=rf"{server.url} cannot be downloaded.*letter.bin.part keeps the 300000 bytes"):
        fetch(source, tmp_path)
    assert visible(tmp_path) == {f"{NAME}.part"}
    with pytest.raises(FileNotFoundError):
        source.find(tmp_path)
    server.requests.clear()
    fetch(source, tmp_path)
    assert server.requests == ["bytes=300000-"]
    assert source.find(tmp_path)[NAME].provenance == "published checksum"
    assert visible(tmp_path) == {NAME}


def test_a_server_without_ranges_sends_all_of_it_again(server: Server, source: Source, tmp_path: Path) -> None:
    server.ranges, server.breaks = False, [300_000]
    fetch(source, tmp_path)
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert server.requests == [None, "bytes=300000-"]


@pytest.mark.parametrize(
    "part",
    [b"of something else", b"x" * len(CONTENT), CONTENT + b"and more"],
    ids=["shorter", "as long", "longer"],
)
def test_a_wrong_part_is_thrown_away(
    server: Server, source: Source, tmp_path: Path, part: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / NAME).parent.mkdir()
    (tmp_path / f"{NAME}.part").write_bytes(part)
    fetch(source, tmp_path)
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert "it is downloaded from the beginning" in caplog.text
    assert server.requests == [f"bytes={len(part)}-", None]


def test_a_whole_part_is_taken(server: Server, source: Source, tmp_path: Path) -> None:
    (tmp_path / NAME).parent.mkdir()
    (tmp_path / f"{NAME}.part").write_bytes(CONTENT)
    fetch(source, tmp_path)
    assert visible(tmp_path) == {NAME}


def test_other_content_is_refused_and_not_kept(server: Server, source: Source, tmp_path: Path) -> None:
    server.content = CONTENT + b"!"
    wrong = hashlib.md5(server.content).hexdigest()
    with pytest.raises(ValueError, match=f"{server.url} is not what was published: got md5 {wrong}, expected {MD5}"):
        fetch(source, tmp_path)
    assert visible(tmp_path) == set()


def test_a_corrupt_file_is_replaced_but_only_by_the_right_one(server: Server, source: Source, tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.parent.mkdir()
    path.write_bytes(b"mine")
    server.content = b"theirs"
    with pytest.raises(ValueError, match="is not what was published"):
        fetch(source, tmp_path)
    assert path.read_bytes() == b"mine"
    server.content = CONTENT
    fetch(source, tmp_path)
    assert path.read_bytes() == CONTENT


def test_a_refusal_of_the_server_is_told_at_once(server: Server, source: Source, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(OSError, match=f"{server.url} cannot be downloaded: HTTP Error 404"):
        fetch(source, tmp_path)
    assert len(server.requests) == 1


def test_no_server_at_all(server: Server, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"cannot be downloaded.*keeps the 0 bytes that came.*https_proxy"):
        fetch(Source(NAME, "http://127.0.0.1:1/letter.bin", MD5), tmp_path)


def test_goes_through_the_proxy_of_the_environment(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("urllib.request._opener", None)  # it has read the environment already
    monkeypatch.delenv("no_proxy")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/letter.bin"))
    fetch(Source(NAME, "http://example.invalid/letter.bin", MD5), tmp_path)
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_of_two_processes_one_downloads(server: Server, source: Source, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=fetch, args=(source, tmp_path)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    assert server.requests == [None]
    assert visible(tmp_path) == {NAME}


def tar(members: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, text in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    return content.getvalue()


def pack(members: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return content.getvalue()


def archive(server: Server, name: str, content: bytes, members: dict[str, str | None]) -> Source:
    server.content = content
    return Source(name, server.url, hashlib.sha256(content).hexdigest(), members)


TEXTS = {"letters/a.txt": b"dear", "letters/b.txt": b"reader"}


@pytest.mark.parametrize(
    "content", [tar(TEXTS), pack(TEXTS), pack({"README": b"", "inner.zip": pack(TEXTS)})], ids=["tar", "zip", "nested"]
)
@pytest.mark.parametrize("folder", ["", "post/"])
def test_unpacks_beside_the_archive(server: Server, tmp_path: Path, content: bytes, folder: str) -> None:
    members = {f"{folder}letters/a.txt": hashlib.md5(b"dear").hexdigest(), f"{folder}letters/b.txt": None}
    source = archive(server, f"{folder}all.archive", content, members)
    fetch(source, tmp_path)
    fetch(source, tmp_path)
    assert {name: found.path.read_bytes() for name, found in source.find(tmp_path).items()} == {
        f"{folder}{name}": text for name, text in TEXTS.items()
    }
    assert [found.provenance for found in source.find(tmp_path).values()] == ["published checksum", "SHA256SUMS"]
    assert visible(tmp_path) == {f"{folder}all.archive", *members, "SHA256SUMS"}
    assert len(server.requests) == 1


def test_what_is_missing_or_corrupt_is_unpacked_again_without_a_download(server: Server, tmp_path: Path) -> None:
    source = archive(server, "all.tgz", tar(TEXTS), dict.fromkeys(TEXTS))
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  letters/a.txt\n{'1' * 64}  mine.txt\n")
    fetch(source, tmp_path)
    (tmp_path / "letters/a.txt").unlink()
    (tmp_path / "letters/b.txt").write_text("corrupt")
    fetch(source, tmp_path)
    assert (tmp_path / "letters/b.txt").read_bytes() == b"reader"
    assert len(server.requests) == 1
    listed = (tmp_path / "SHA256SUMS").read_text().splitlines()
    assert [line.split()[1] for line in listed] == ["mine.txt", *TEXTS]


def test_an_archive_that_is_read_packed_is_not_unpacked(server: Server, tmp_path: Path) -> None:
    server.content = tar(TEXTS)
    source = Source("a.tgz", server.url, hashlib.md5(server.content).hexdigest(), dict.fromkeys(TEXTS), packed=True)
    fetch(source, tmp_path)
    assert visible(tmp_path) == {"a.tgz"}
    assert list(source.find(tmp_path)) == ["a.tgz"]


@pytest.mark.parametrize(
    "content",
    [b"no archive", tar({"letters/a.txt": b""}), tar({"../letters/a.txt": b"evil"})],
    ids=["no archive", "a member missing", "a member outside"],
)
def test_an_archive_without_its_members_is_refused(server: Server, tmp_path: Path, content: bytes) -> None:
    root = tmp_path / "root"
    source = archive(server, "all.tgz", content, dict.fromkeys(TEXTS))
    with pytest.raises(ValueError, match=r"all.tgz does not hold what it should"):
        fetch(source, root)
    assert not (tmp_path / "letters").exists()
    assert not (root / "SHA256SUMS").exists()


def test_whole_files_below_a_root_that_cannot_be_written(
    server: Server, source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch(source, tmp_path)
    monkeypatch.setattr(download, "FileLock", None)
    fetch(source, tmp_path)


def test_shows_progress_only_on_a_terminal(
    server: Server, source: Source, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch(source, tmp_path)
    assert capsys.readouterr().err == ""
