"""The baselines of the very data that a run trained on, computed once for all runs on them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.baselines import Metrics, baseline

if TYPE_CHECKING:
    from torch import Tensor

    from bayesreg.datasets import Data, Dataset


def record(directory: Path, shared: Path | None, data: Data, **options: dict[str, Any]) -> dict[str, Metrics]:
    """The baselines of the data, left in `directory`/baselines.json for the report.

    `shared` is the folder where all runs on equal data find them, in a file named after the content of the
    data and the options; None: this run is alone.
    """

    def once() -> dict[str, Metrics]:
        if shared is None:
            return baseline(data, **options)
        return _kept(shared / f"{data.name}-{digest(data, options)}.json", lambda: baseline(data, **options))

    return _kept(directory / "baselines.json", once)


def digest(data: Data, options: dict[str, Any]) -> str:
    """Sixteen hexadecimal digits that stand for what the baselines are computed from."""
    made = hashlib.sha256(json.dumps([data.name, data.classes, options], sort_keys=True).encode())
    for tensor in (*_tensors(data.train), *_tensors(data.test)):
        made.update(f"{tensor.dtype} {list(tensor.shape)}".encode())
        made.update(tensor.contiguous().numpy().data)
    return made.hexdigest()[:16]


def _tensors(part: Dataset) -> Iterator[Tensor]:
    """x and y; of windows the rows and the ends, which are all of them."""
    from bayesreg.datasets import Windows

    yield from (part.x.rows, part.x.ends) if isinstance(part.x, Windows) else (part.x,)
    yield part.y


def _kept(path: Path, make: Callable[[], dict[str, Metrics]]) -> dict[str, Metrics]:
    """What is in the file, where it is there and whole; else made, by one process while the others wait."""
    from filelock import FileLock

    from bayesreg.files import write_atomically

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            made = make()
        write_atomically(path, lambda part: part.write_text(json.dumps(made, indent=2)))
    return made
