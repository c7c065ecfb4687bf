"""What is slow to parse is parsed once: its arrays are kept below the data root, named by a digest of their origin."""

from __future__ import annotations

import hashlib
import json
import logging
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from bayesreg.files import write_atomically

from .files import digest_of

log = logging.getLogger(__name__)

Arrays = dict[str, np.ndarray]


def cached(root: Path, name: str, made_of: Iterable[Path], parse: Callable[[], Arrays], **options: Any) -> Arrays:
    """The arrays that `parse` returns, from root/cache/ where they are already.

    The file is named after the content of the files `made_of` and the options, which include the loader's `version`:
    other content, options or code never get old arrays. A damaged file is made again, and where none can be written the
    arrays are parsed on every start; the log says so.
    """
    made = hashlib.sha256(json.dumps(options, sort_keys=True).encode())
    for path in made_of:
        made.update(digest_of(path).encode())
    path = root / "cache" / f"{name}-{made.hexdigest()[:16]}.npz"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, TypeError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        log.warning("%s is damaged (%s) and is made again", path, error)
    arrays = parse()
    try:
        write_atomically(path, lambda part: _save(part, arrays))
    except OSError as error:
        log.warning("%s cannot be written (%s): %s is parsed on every start", path, error, name)
    return arrays


def _save(path: Path, arrays: dict[str, Any]) -> None:
    with path.open("wb") as file:  # given a path, savez would add a suffix to it
        np.savez(file, **arrays)
