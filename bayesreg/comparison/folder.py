"""The folder of a comparison: study.json says what the study is, study.pkl has its tasks and methods themselves.

Beside them are the folders of the runs, by task, and baselines/, which the runs share.
"""

from __future__ import annotations

import errno
import functools
import os
import pickle
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayesreg.files import FULL, Unusable, read_json

if TYPE_CHECKING:
    from bayesreg.comparison.comparison import Comparison

FORMAT = 1
SETTINGS, PICKLED, SHARED = "study.json", "study.pkl", "baselines"
KINDS = {"format": int, "version": str, "tasks": dict, "methods": list, "seeds": dict, "folds": dict}  # in study.json
KINDS |= {"select": str, "runs": list, "complete": bool}


def settings(folder: Path) -> dict[str, Any]:
    """The content of study.json. FileNotFoundError or ValueError where there is none, or one of another version."""
    path = folder / SETTINGS
    if not path.exists():
        raise FileNotFoundError(f"{folder} holds no study (it has no {SETTINGS}): give the output of a comparison")
    try:
        known = read_json(path, *KINDS)
        if wrong := [name for name, kind in KINDS.items() if not isinstance(known[name], kind)]:
            raise Unusable(f"{path} is malformed ({wrong[0]})")
    except Unusable as error:
        raise ValueError(f"{error}: move it away and make the comparison again; runs that are done are kept") from None
    if known["format"] != FORMAT:
        raise ValueError(
            f"{folder} holds a study of bayesreg {known['version']}, which this version cannot read: choose another "
            "folder and make it again"
        )
    return known


def pickled(folder: Path) -> Comparison:
    """The comparison in a folder of your own: a pickle is code. ValueError where it cannot be read."""
    path = (folder / PICKLED).resolve()
    try:
        return _pickled(path, path.stat().st_mtime_ns)
    except Exception as error:  # whatever the code in it raises
        raise ValueError(f"{path} cannot be read ({in_words(error)}): make the comparison again") from None


@functools.lru_cache(maxsize=1)
def _pickled(path: Path, written: int) -> Comparison:
    return pickle.loads(path.read_bytes())


def make_writable(*directories: Path) -> None:
    """Make the directories. ValueError, before the first run, for one that cannot be written."""
    for directory in directories:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=directory):
                pass
        except OSError as error:
            raise _not_writable(directory, error.strerror) from None


def check_writable(*directories: Path) -> None:
    """Check that each could be made, without making it. ValueError for one that could not."""
    for directory in directories:
        there = next(path for path in (directory, *directory.absolute().parents) if path.exists())
        if not there.is_dir():
            raise _not_writable(directory, os.strerror(errno.ENOTDIR))
        if not os.access(there, os.W_OK | os.X_OK):
            raise _not_writable(directory, os.strerror(errno.EACCES))


def _not_writable(directory: Path, why: str | None) -> ValueError:
    return ValueError(f"{directory} cannot be written ({why}): choose another directory")


def in_words(error: BaseException) -> str:
    """The text of an error, after its type unless it is plain bad input; for a full disk, with what to do."""
    if isinstance(error, OSError) and error.errno in FULL:
        return f"{error}; nothing that was finished is lost: make room, and the same command resumes"
    return str(error) if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: {error}"
