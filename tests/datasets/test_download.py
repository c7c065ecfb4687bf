"""Downloads from a server of the test's own, on a thread, which breaks the connection where it is told to."""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import resource
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
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
    """Serves `content` at every path. breaks: after how many bytes the next answers end; requests: their ranges.

    busy: how the next requests are refused, status and headers; announces: whether it tells the length.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.ranges, self.status = CONTENT, True, 200
        self.breaks: list[int] = []
        self.busy: list[tuple[int, dict[str, str]]] = []
        self.announces = True
        self.requests: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/letter.bin"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        self.server.requests.append(asked)
        if self.server.busy:
            status, headers = self.server.busy.pop(0)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.ranges else 0
        if self.server.status != 200 or (start and start >= len(self.server.content)):
            self.send_error(416 if self.server.status == 200 else self.server.status)
            return
        body = self.server.content[start:]
        self.send_response(206 if start else 200)
        if self.server.announces:
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


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that would have been waited."""
    waited: list[float] = []
    monkeypatch.setattr(download, "PAUSE", 1.0)
    monkeypatch.setattr(download, "sleep", waited.append)
    return waited


def test_a_busy_server_is_asked_again_later_each_time(
    server: Server, source: Source, tmp_path: Path, pauses: list[float]
) -> None:
    server.busy = [(status, {}) for status in (503, 429, 502, 504)]
    fetch(source, tmp_path)
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert pauses == [2, 4, 8, 16]


def test_a_server_that_stays_busy_is_left_in_peace(
    server: Server, source: Source, tmp_path: Path, pauses: list[float]
) -> None:
    server.busy = [(503, {})] * 9
    with pytest.raises(OSError, match=rf"{server.url} cannot be downloaded: HTTP Error 503: Service Unavailable"):
        fetch(source, tmp_path)
    assert len(server.requests) == download.ATTEMPTS


def test_waits_as_long_as_a_busy_server_asks(
    server: Server, source: Source, tmp_path: Path, pauses: list[float]
) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    server.busy = [(503, {"Retry-After": value}) for value in ("30", soon, "tomorrow")]
    fetch(source, tmp_path)
    assert pauses == [30, pytest.approx(39, abs=2), 8]


def test_does_not_wait_an_hour(server: Server, source: Source, tmp_path: Path, pauses: list[float]) -> None:
    server.busy = [(429, {"Retry-After": "3600"})]
    with pytest.raises(OSError, match="HTTP Error 429: Too Many Requests, asks to wait 3600 s"):
        fetch(source, tmp_path)
    assert pauses == []
    assert len(server.requests) == 1


@contextmanager
def room(size: int) -> Iterator[None]:
    """No file of this process grows beyond `size` bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_told_at_once_and_keeps_what_came(server: Server, source: Source, tmp_path: Path) -> None:
    with room(500_000), pytest.raises(OSError, match=r"letter.bin.part keeps the 500000 bytes that came") as error:
        fetch(source, tmp_path)
    assert str(error.value).startswith(f"{server.url} cannot be downloaded: there is no room at ")
    assert "proxy" not in str(error.value)
    assert server.requests == [None]
    fetch(source, tmp_path)
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert server.requests == [None, "bytes=500000-"]


@pytest.mark.parametrize("announces", [True, False], ids=["announced", "unannounced"])
@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no ranges"])
@pytest.mark.parametrize("have", [0, 300_000])
def test_more_than_there_may_be_is_not_taken(
    server: Server, source: Source, tmp_path: Path, announces: bool, ranges: bool, have: int
) -> None:
    server.announces, server.ranges, server.content = announces, ranges, CONTENT * 3
    part = tmp_path / f"{NAME}.part"
    part.parent.mkdir()
    if have:
        part.write_bytes(CONTENT[:have])
    message = rf"{server.url} is not what was published: it has \d+ bytes or more, {NAME} at most {len(CONTENT)}$"
    with pytest.raises(ValueError, match=message):
        fetch(replace(source, limit=len(CONTENT)), tmp_path)
    assert len(server.requests) == 1
    assert (part.read_bytes() if have else b"") == CONTENT[:have]
    assert visible(tmp_path) <= {f"{NAME}.part"}


@pytest.mark.parametrize("announces", [True, False], ids=["announced", "unannounced"])
def test_a_page_in_its_stead_leaves_what_came(server: Server, source: Source, tmp_path: Path, announces: bool) -> None:
    """As the network of a hotel answers every request."""
    server.breaks = [300_000, 0, 0, 0, 0]
    with pytest.raises(OSError, match="keeps the 300000 bytes"):
        fetch(source, tmp_path)
    server.ranges, server.announces, server.content = False, announces, b"<!DOCTYPE html><html>Log in"
    with pytest.raises(ValueError, match=r"is not what was published: .*; it begins with b'<!DOCTYPE html><html'"):
        fetch(source, tmp_path)
    assert visible(tmp_path) == {f"{NAME}.part"}
    assert (tmp_path / f"{NAME}.part").read_bytes() == CONTENT[:300_000]
    server.ranges, server.announces, server.content = True, True, CONTENT
    server.requests.clear()
    fetch(source, tmp_path)
    assert server.requests == ["bytes=300000-"]
    assert visible(tmp_path) == {NAME}


def test_a_line_that_breaks_while_all_of_it_comes_again(server: Server, source: Source, tmp_path: Path) -> None:
    server.ranges, server.breaks = False, [300_000, 200_000]
    fetch(source, tmp_path)
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert visible(tmp_path) == {NAME}
    assert server.requests == [None, "bytes=300000-", "bytes=300000-"]


def test_no_server_at_all(server: Server, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"cannot be downloaded.*nothing came; the same.*https_proxy"):
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
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
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


def test_what_nobody_vouches_for_is_fetched(server: Server, tmp_path: Path) -> None:
    """A loader takes it and says so; who asks for the published files gets them."""
    (tmp_path / "a").write_bytes(b"mine")
    source = Source("a.gz", server.url, MD5, {"a": None}, packed=True)
    assert [found.provenance for found in source.find(tmp_path).values()] == ["no published checksum"]
    fetch(source, tmp_path)
    assert [found.provenance for found in source.find(tmp_path).values()] == ["published checksum"]


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


LARGE = {"letters/a.txt": bytes(20_000), "letters/b.txt": b""}
BOMBS = {"tar": tar(LARGE), "zip": pack(LARGE), "nested": pack({"inner.zip": pack(LARGE)})}
MANY = {"letters/a.txt": bytes(6_000), "letters/b.txt": bytes(6_000)}  # each of them small enough


@pytest.mark.parametrize("content", [*BOMBS.values(), tar(MANY)], ids=[*BOMBS, "many"])
def test_a_bomb_is_refused_by_what_it_says_of_itself(
    server: Server, tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    if content != BOMBS["nested"]:  # its outer archive is unpacked
        monkeypatch.setattr(tarfile.TarFile, "extractall", None)
        monkeypatch.setattr(zipfile.ZipFile, "extractall", None)
    source = replace(archive(server, "all.archive", content, dict.fromkeys(TEXTS)), limit=10_000)
    with pytest.raises(ValueError, match=r"says that it unpacks to \d+ bytes or more, .* at most \d+"):
        fetch(source, tmp_path)
    assert visible(tmp_path) == {"all.archive"}


def test_a_disk_that_is_full_while_unpacking(server: Server, tmp_path: Path) -> None:
    source = archive(server, "all.zip", pack(LARGE), dict.fromkeys(TEXTS))
    with room(10_000), pytest.raises(OSError, match=r"all.zip cannot be unpacked next to it: .*File too large"):
        fetch(source, tmp_path)
    assert visible(tmp_path) == {"all.zip"}
    fetch(source, tmp_path)
    assert visible(tmp_path) == {"all.zip", *TEXTS, "SHA256SUMS"}
    assert len(server.requests) == 1


def test_whole_files_below_a_root_that_cannot_be_written(
    server: Server, source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch(source, tmp_path)
    monkeypatch.setattr(download, "FileLock", None)
    fetch(source, tmp_path)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_shows_progress_only_where_somebody_looks(
    server: Server, source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bayesreg.progress.QUIET", 0.0)
    for kind, shown in ((io.StringIO, False), (Terminal, True)):
        monkeypatch.setattr("sys.stderr", seen := kind())
        fetch(source, tmp_path)
        assert ("downloading letter.bin: 100%" in seen.getvalue()) == shown
        assert bool(seen.getvalue()) == shown
        (tmp_path / NAME).unlink()
