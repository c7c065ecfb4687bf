"""Published files, fetched once: verified before they are in place, resumed where the connection broke."""

from __future__ import annotations

import http.client
import logging
import os
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from io import FileIO
from pathlib import Path
from time import sleep
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from filelock import FileLock

from bayesreg.progress import bar

from .files import UNPUBLISHED, Source, algorithm_of, digest_of
from .unpack import unpack

log = logging.getLogger(__name__)

ATTEMPTS = 5  # to resume after a broken connection, before giving up
PAUSE = 1.0  # seconds before the next of them
LONGEST = 60.0  # seconds that a busy server may ask us to wait
BUSY = {429, 502, 503, 504}  # responses of a server that may have the file later
CHUNK = 2**18  # bytes read at a time
TIMEOUT = 60.0  # seconds without a byte


class Unwritable(OSError):
    """What was received cannot be stored: no other attempt would help."""


def fetch(source: Source, root: Path) -> None:
    """Make sure that `root` has the files of `source`, verified: what is missing or corrupt is downloaded and unpacked.

    Of several processes at once, the first downloads and the others wait for it. Proxies are taken from the environment
    (http_proxy, https_proxy, no_proxy).

    Raises OSError where the connection breaks for good or the disk is full: what was received is kept in a .part file,
    from which the same call resumes. Raises ValueError where the content is not what was published, or is larger.
    """
    if _whole(source, root):
        return
    path = root / source.name
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        if _whole(source, root):
            return  # another process has fetched it meanwhile
        if not (path.is_file() and digest_of(path, algorithm_of(source.checksum)) == source.checksum):
            download(source, path)
        if source.members and not source.packed:
            unpack(source, root)


def download(source: Source, path: Path) -> None:
    """Download `source` to the file `path`, which appears when it is whole and its checksum is right.

    It grows in path.part, from where it was left. Raises OSError or ValueError, as `fetch` does.
    """
    part, again = (path.with_name(f"{path.name}.{end}") for end in ("part", "again"))
    for _ in range(2):
        resumed = part.exists()
        came = _complete(source, part, again)
        digest = digest_of(came, algorithm_of(source.checksum))
        if digest == source.checksum:
            os.replace(came, path)
            part.unlink(missing_ok=True)
            return
        with came.open("rb") as file:
            begins = file.read(20)
        came.unlink()
        if not (resumed and came == part):
            break
        # the partial file may be the beginning of something else
        log.warning("%s and what was added to it are not %s: it is downloaded from the beginning", part, path.name)
    raise ValueError(
        f"{source.url} is not what was published: got {algorithm_of(source.checksum)} {digest}, expected "
        f"{source.checksum}; it begins with {begins!r}. Try again later, or put a copy that you trust at {path}"
    )


def _complete(source: Source, part: Path, again: Path) -> Path:
    """Read on until the server has no more; after a broken connection from where it broke."""
    attempt = 0
    while True:
        attempt += 1
        try:
            return _append(source, part, again)
        except (OSError, http.client.HTTPException) as error:
            pause = _pause(error, attempt)
            if pause is None or attempt == ATTEMPTS:
                proxy = "" if isinstance(error, HTTPError | Unwritable) else ". Behind a proxy, set https_proxy"
                came = f"{part} keeps the {size} bytes that came" if (size := _size(part)) else "nothing came"
                raise OSError(
                    f"{source.url} cannot be downloaded: {error}. {came}; the same command resumes from there{proxy}"
                ) from error
            log.warning("%s: %s. Attempt %d of %d follows in %g s", source.url, error, attempt + 1, ATTEMPTS, pause)
            sleep(pause)


def _pause(error: Exception, attempt: int) -> float | None:
    """Seconds until the next attempt, for a busy server more each time or what it asks for; None: no use."""
    if isinstance(error, Unwritable):
        return None
    if not isinstance(error, HTTPError):
        return PAUSE
    asked = _retry_after(error.headers["Retry-After"])
    if asked > LONGEST:
        error.msg += f", asks to wait {asked:.0f} s"
    return max(asked, PAUSE * 2**attempt) if error.code in BUSY and asked <= LONGEST else None


def _retry_after(value: str | None) -> float:
    """Seconds, given in the header directly or as a date."""
    if value is None or value.strip().isdigit():
        return float(value or 0)
    try:
        return (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):  # not a date, or one without a time zone
        return 0.0


def _append(source: Source, part: Path, again: Path) -> Path:
    """One request for what `part` lacks. Returns the file that is then whole: `part`, or `again`.

    A server that ignores ranges sends all of it again, or something else, such as the login page of a network: that
    goes to `again`, and `part` stays until `again` is known to be right.
    """
    have = _size(part)
    try:
        response = urlopen(Request(source.url, headers={"Range": f"bytes={have}-"} if have else {}), timeout=TIMEOUT)
    except HTTPError as error:
        error.close()
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            return part  # there is no more; the checksum tells whether it is right
        raise
    with response:
        if not have or response.status == http.client.PARTIAL_CONTENT:
            _store(response, source, part, have)
            return part
        try:
            _store(response, source, again, 0)
        except BaseException:
            again.unlink(missing_ok=True)
            raise
        return again


def _store(response: Any, source: Source, path: Path, have: int) -> None:
    """Append what is received to the `have` bytes of `path`. ConnectionError if the connection ends before the content.

    Raises ValueError, and appends nothing, if it is more than `source` may have.
    """
    announced = response.headers["Content-Length"]
    total = have + int(announced) if announced else None
    _check_size(source, total or 0)
    start = have
    shown = bar(desc=f"downloading {path.stem}", total=total, initial=have, unit="B", unit_scale=True)
    with path.open("ab" if have else "wb", buffering=0) as file, shown:
        while chunk := response.read(CHUNK):
            have += len(chunk)
            try:
                _check_size(source, have)
            except ValueError:
                file.truncate(start)
                raise
            _write(file, chunk)
            shown.update(len(chunk))
    if total is not None and have < total:
        raise ConnectionError(f"{have} of {total} bytes came")


def _check_size(source: Source, size: int) -> None:
    if size > source.limit:
        raise ValueError(
            f"{source.url} is not what was published: it has {size} bytes or more, {source.name} at most {source.limit}"
        )


def _write(file: FileIO, chunk: bytes) -> None:
    try:
        while chunk:
            chunk = chunk[file.write(chunk) :]  # on a nearly full disk only part of it is written
    except OSError as error:
        raise Unwritable(f"there is no room at {file.name} ({error.strerror}): free some") from error


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _whole(source: Source, root: Path) -> bool:
    """Whether its files are there and each is vouched for."""
    try:
        return all(file.provenance != UNPUBLISHED for file in source.find(root).values())
    except (FileNotFoundError, ValueError):
        return False
