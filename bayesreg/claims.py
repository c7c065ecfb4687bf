"""Who owns a run's directory: one configuration for good, and one process at a time."""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bayesreg.files import FULL, Unusable, read_json, remove_parts, write_atomically

log = logging.getLogger(__name__)

Config = dict[str, Any]


class Claimed(ValueError):
    """Another process is working on this run."""


@contextmanager
def claimed(directory: Path, config: Config, files: tuple[str, ...] = (), wait: bool = False) -> Iterator[None]:
    """Claim the directory for this configuration and keep other processes out until this one ends, however it ends.

    files: what is written under the claim; partial files that a killed process has left are removed. wait: for another
    process that is working on the run; else that raises `Claimed`. ValueError where the directory belongs to another
    configuration, or cannot be written.
    """
    try:
        _make(directory)
        lock = _lock(directory, wait)
    except OSError as error:
        if error.errno in FULL:
            raise
        raise ValueError(
            f"output directory {directory} cannot be written ({error.strerror}): choose another with --output"
        ) from None
    try:
        for name in ("config.json", *files):
            remove_parts(directory / name)
        _configure(directory / "config.json", config)
        yield
    finally:
        lock.release()


def is_held(directory: Path) -> bool:
    """Whether a process is working on the run in the directory now."""
    lock = FileLock(directory / ".claim")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def _make(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    there = {path.name for path in directory.iterdir() if not path.name.startswith(".")}  # a claim is not work
    if there and "config.json" not in there:
        raise ValueError(f"output directory {directory} holds other files: choose an empty or a new one")
    if not os.access(directory, os.W_OK):
        raise PermissionError(errno.EACCES, "not writable")


def _lock(directory: Path, wait: bool) -> FileLock:
    lock = FileLock(directory / ".claim")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise Claimed(
                f"another process is working on the run in {directory}: wait for it, or choose another"
            ) from None
        log.warning("waiting for another process, which is working on the run in %s", directory)
        lock.acquire()
    return lock


def _configure(path: Path, config: Config) -> None:
    if not path.exists():
        write_atomically(path, lambda part: part.write_text(json.dumps(config, indent=2)))
    try:
        there = read_json(path)
    except Unusable as error:
        raise ValueError(f"{error}: move the directory away, or choose another") from None
    ours = json.loads(json.dumps(config))
    if there != ours:
        there, ours = flat(there), flat(ours)
        first = min(name for name in there.keys() | ours.keys() if there.get(name) != ours.get(name))
        raise ValueError(
            f"output directory {path.parent} holds the run of another configuration "
            f"({first}: {there.get(first)} there, {ours.get(first)} here): choose another with --output"
        )


def flat(config: Config, above: str = "") -> Config:
    """The options in all groups as one table, with dotted names."""
    found: Config = {}
    for name, value in config.items():
        found |= flat(value, f"{above}{name}.") if isinstance(value, dict) else {f"{above}{name}": value}
    return found
