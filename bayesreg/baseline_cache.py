"""The baselines of exactly the data that a run trained on, computed once for all runs on them."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayesreg.baselines import Metrics, applicable, baseline

if TYPE_CHECKING:
    from bayesreg.datasets import Data

log = logging.getLogger(__name__)

FILE = "baselines.json"  # in the directory of a run


def record(directory: Path, shared: Path | None, data: Data, **options: dict[str, Any]) -> dict[str, Metrics]:
    """The baselines of the data, also written to `directory`/baselines.json for the report.

    shared: the folder where all runs on equal data find them, in a file named after the content of the data and the
    options; None: they are not shared.
    """

    def once() -> dict[str, Metrics]:
        if shared is None:
            return baseline(data, **options)
        return _kept(shared / f"{digest(data, options)}.json", lambda: baseline(data, **options))

    return _kept(directory / FILE, once)


def digest(data: Data, options: dict[str, Any]) -> str:
    """Sixteen hexadecimal digits: a hash of what the baselines are computed from."""
    made = hashlib.sha256(
        json.dumps([data.name, data.classes, list(applicable(data)), options], sort_keys=True).encode()
    )
    for part in (data.train, data.test):
        made.update(part.sha256().encode())
    return made.hexdigest()[:16]


def _kept(path: Path, make: Callable[[], dict[str, Metrics]]) -> dict[str, Metrics]:
    """The content of the file if it is there and intact; else made, by one process while the others wait."""
    from filelock import FileLock

    from bayesreg.files import Unusable, are_numbers, read_json, remove_parts, write_atomically

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        remove_parts(path)
        try:
            kept = read_json(path)
            if not all(map(are_numbers, kept.values())):
                raise Unusable(f"{path} is not {{name: {{metric: value}}}}")
            return kept
        except FileNotFoundError:
            pass
        except Unusable as error:
            log.warning("%s; it is made again", error)
        made = make()
        write_atomically(path, lambda part: part.write_text(json.dumps(made, indent=2)))
    return made
