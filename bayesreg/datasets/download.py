"""Published files, fetched once: verified before they are in place, resumed where the connection broke."""

from __future__ import annotations

import http.client
import logging
import os
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from filelock import FileLock
from tqdm import tqdm

from .files import Source, algorithm_of, digest_of
from .unpack import unpack

log = logging.getLogger(__name__)

ATTEMPTS = 5  # to go on after a broken connection, before the user is asked to
PAUSE = 1.0  # seconds before the next of them
CHUNK = 2**18  # bytes read at a time
TIMEOUT = 60.0  # seconds without a byte


def fetch(source: Source, root: Path) -> None:
    """Have the files of `source` below `root`, verified: what is missing or corrupt is downloaded and unpacked.

    Of several processes at once the first downloads, the others wait for it. Proxies are taken from the
    environment (http_proxy, https_proxy, no_proxy).

    Raises OSError where the connection breaks for good: what came is kept in a .part file, from which the
    same call goes on. Raises ValueError where the content is not what was published.
    """
    if _whole(source, root):
        return
    path = root / source.name
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        if _whole(source, root):
            return  # another process has fetched it meanwhile
        if not (path.is_file() and digest_of(path, algorithm_of(source.checksum)) == source.checksum):
            download(source.url, path, source.checksum)
        if source.members and not source.packed:
            unpack(source, root)


def download(url: str, path: Path, checksum: str) -> Path:
    """What is at `url` in the file `path`, which appears when it is whole and its md5 or sha256 is right.

    It grows in path.part, from where it was left. Raises OSError or ValueError, as `fetch` does.
    """
    part = path.with_name(f"{path.name}.part")
    for fresh in (False, True):  # what was left there may be the beginning of something else
        if fresh:
            part.unlink(missing_ok=True)
        resumed = part.exists()
        _complete(url, part)
        digest = digest_of(part, algorithm_of(checksum))
        if digest == checksum:
            os.replace(part, path)
            return path
        if not resumed:
            break
        log.warning("%s and what was added to it are not %s: it is downloaded from the beginning", part, path.name)
    part.unlink()
    raise ValueError(
        f"{url} is not what was published: got {algorithm_of(checksum)} {digest}, expected {checksum}. Try again "
        f"later, or put a copy that you trust at {path}"
    )


def _complete(url: str, part: Path) -> None:
    """Read on until the server has no more; after a broken connection from where it broke."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _append(url, part)
        except HTTPError as error:
            raise OSError(f"{url} cannot be downloaded: {error}") from error
        except (OSError, http.client.HTTPException) as error:
            log.warning("the connection to %s broke (%s), attempt %d of %d", url, error, attempt, ATTEMPTS)
            if attempt == ATTEMPTS:
                have = part.stat().st_size if part.exists() else 0
                raise OSError(
                    f"{url} cannot be downloaded: {error}. {part} keeps the {have} bytes that came; the same command "
                    "goes on from there. Behind a proxy, set https_proxy"
                ) from error
            time.sleep(PAUSE)


def _append(url: str, part: Path) -> None:
    """One request for what `part` lacks. ConnectionError if the connection ends before the content does."""
    have = part.stat().st_size if part.exists() else 0
    try:
        response = urlopen(Request(url, headers={"Range": f"bytes={have}-"} if have else {}), timeout=TIMEOUT)
    except HTTPError as error:
        error.close()
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            return  # there is no more; whether it is right the checksum tells
        raise
    with response:
        if response.status != http.client.PARTIAL_CONTENT:
            have = 0  # the server ignores ranges: all of it comes again
        length = response.headers["Content-Length"]
        total = have + int(length) if length else None
        bar = tqdm(desc=part.stem, total=total, initial=have, unit="B", unit_scale=True, disable=None)
        with part.open("ab" if have else "wb") as file, bar:
            while chunk := response.read(CHUNK):
                bar.update(file.write(chunk))
            have = file.tell()
    if total is not None and have < total:
        raise ConnectionError(f"{have} of {total} bytes came")


def _whole(source: Source, root: Path) -> bool:
    try:
        source.find(root)
    except (FileNotFoundError, ValueError):
        return False
    return True
