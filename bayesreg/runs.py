"""One directory a run: its configuration, its progress, its result.

config.json     the whole configuration, written first: {"task": …, "candidate": …, "replicate": …}, each a table of
                options. Runs that differ in one of the task are other tasks, of the candidate other candidates
                for it, of the replicate repeats of one candidate
checkpoint.pt   from which an interrupted run goes on
history.csv     one row an epoch: seconds, loss and its terms, validation metrics
posterior.pt    the weights, for `Posterior.load`
result.json     final metrics, seconds, the prior in both conventions, versions; written last, so that a
                directory without it is a run that did not end
baselines.json  {name: {metric: value on test}} of what the data give without a network, where it was computed
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from filelock import FileLock, Timeout

from bayesreg.datasets import Data
from bayesreg.device import choose_device
from bayesreg.files import write_atomically
from bayesreg.fit import Diverged, fit
from bayesreg.model import Model
from bayesreg.posterior import Posterior

Config = dict[str, Any]
PACKAGES = ("torch", "pyro-ppl", "arviz", "numpy", "pandas", "scikit-learn")


class Claimed(ValueError):
    """Another process is at this run."""


def key(config: Config) -> str:
    """Eight hexadecimal digits that stand for the configuration."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:8]


def result(directory: str | Path) -> dict[str, Any] | None:
    """The result of a run that ended; None where it did not, or is not there."""
    path = Path(directory) / "result.json"
    return json.loads(path.read_text()) if path.exists() else None


def prepare(directory: str | Path, config: Config) -> None:
    """Make the directory this configuration's. ValueError where it is another's, or cannot be written."""
    directory = Path(directory)
    path = directory / "config.json"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            if any(directory.iterdir()):
                raise ValueError(f"output directory {directory} holds other files: choose an empty or a new one")
            write_atomically(path, lambda part: part.write_text(json.dumps(config, indent=2)))
        elif not os.access(directory, os.W_OK):
            raise PermissionError(13, "not writable")
    except OSError as error:
        raise ValueError(
            f"output directory {directory} cannot be written ({error.strerror}): choose another with --output"
        ) from None
    _refuse_another(path, config)


def _refuse_another(path: Path, config: Config) -> None:
    try:
        there = json.loads(path.read_text())
    except json.JSONDecodeError:
        raise ValueError(f"{path} is not readable as JSON: move the directory away, or choose another") from None
    ours = json.loads(json.dumps(config))
    if there != ours:
        there, ours = flat(there), flat(ours)
        differ = [name for name in there.keys() | ours.keys() if there.get(name) != ours.get(name)]
        first = sorted(differ)[0]
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


@contextmanager
def _claimed(directory: Path) -> Iterator[None]:
    """Keep other processes out; the claim ends with this process, however it ends."""
    lock = FileLock(directory / ".claim")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise Claimed(f"another process is at the run in {directory}: wait for it, or choose another") from None
    try:
        yield
    finally:
        lock.release()


def execute(directory: str | Path, config: Config, model: Model, data: Data, **options: Any) -> dict[str, Any]:
    """Fit, evaluate on validation and test, record; what is done already is not done again.

    options: those of `fit`. A run whose loss becomes NaN or infinite is recorded with status "diverged".
    Returns the result.
    """
    directory = Path(directory)
    prepare(directory, config)
    with _claimed(directory):
        done = result(directory)
        if done is None or done["status"] == "refused":  # what was refused and could be built now has a meaning now
            done = _execute(directory, config, model, data, options)
        return done


def refuse(directory: str | Path, config: Config, reason: str) -> None:
    """Record that this configuration has no meaning, and why, where a comparison goes on without it."""
    directory = Path(directory)
    prepare(directory, config)
    with _claimed(directory):
        if result(directory) is None:
            metrics: dict[str, Any] = {"validation": {}, "test": {}}
            _write(directory, {"status": "refused", "message": reason, "metrics": metrics, "seconds": {}})


def _write(directory: Path, outcome: dict[str, Any]) -> None:
    write_atomically(directory / "result.json", lambda part: part.write_text(json.dumps(outcome, indent=2)))


def _execute(directory: Path, config: Config, model: Model, data: Data, options: dict[str, Any]) -> dict[str, Any]:
    start = time.perf_counter()
    checkpoint = directory / "checkpoint.pt"
    outcome: dict[str, Any] = {"status": "done", "message": None, "metrics": {"validation": {}, "test": {}}}
    outcome["device"] = str(choose_device(options.get("device")))
    try:
        posterior = fit(model, data.train, validation=data.validation, checkpoint=checkpoint, **options)
        history, warmup = posterior.history, posterior.warmup_seconds
        outcome["metrics"] = {"validation": _last(history), "test": posterior.evaluate(data.test)}
        posterior.save(directory / "posterior.pt")
    except Diverged as error:
        history, warmup = pd.DataFrame(error.history or {"epoch": [], "seconds": [], "loss": []}), 0.0
        outcome |= {
            "status": "diverged",
            "message": str(error),
            "terms": {k: repr(v) for k, v in error.terms.items()},
        }
    write_atomically(directory / "history.csv", lambda part: history.to_csv(part, index=False))
    outcome["seconds"] = {
        "warmup": warmup,
        "epoch": float(history["seconds"].median()) if len(history) else None,
        "total": time.perf_counter() - start,
    }
    outcome |= describe(model, data)
    _write(directory, outcome)
    checkpoint.unlink(missing_ok=True)
    return outcome


def _last(history: pd.DataFrame) -> dict[str, float]:
    """The validation metrics after the last epoch, which are those of the posterior."""
    columns = [name for name in map(str, history) if name.startswith("validation_")]
    return {name.removeprefix("validation_"): float(history[name].iloc[-1]) for name in columns}


def describe(model: Model, data: Data) -> dict[str, Any]:
    """The record of what ran: the prior in both conventions, the data's provenance, versions, machine."""
    from bayesreg import __version__

    return {
        "priors": [_printable(term.describe(model.size)) for term in model.prior.terms],
        "data": {
            "name": data.name,
            "target": data.target,
            "provenance": dict(data.provenance),
            "sizes": {split: len(getattr(data, split)) for split in ("train", "validation", "test")},
        },
        "parameters": sum(shape.numel() for block in model.blocks for shape in block.shapes.values()),
        "versions": {"bayesreg": __version__, "python": platform.python_version()}
        | {name: version(name) for name in PACKAGES},
        "machine": f"{platform.platform()}, {os.cpu_count()} cores"
        + (f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""),
    }


def _printable(record: dict[str, Any]) -> dict[str, Any]:
    on = record["natural"].get("on")
    return record | {"natural": record["natural"] | {"on": repr(on)}} if callable(on) else record


def load(directory: str | Path, net: torch.nn.Module) -> Posterior:
    """The posterior of a run that is done; net: a network of the same architecture."""
    return Posterior.load(Path(directory) / "posterior.pt", net)
