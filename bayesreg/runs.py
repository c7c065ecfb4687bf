"""One directory per run: its configuration, its progress, its result.

config.json     the whole configuration, written first: {"task": …, "candidate": …, "replicate": …}, each a table of
                options. Runs that differ in an option of the task are other tasks, of the candidate other candidates
                for it, of the replicate repeats of one candidate
checkpoint.pt   from which an interrupted run resumes
history.csv     one row per epoch: seconds, loss and its terms, validation metrics
posterior.pt    the weights, for `Posterior.load`
scores.npz      what each test example contributed to each metric, its row in the data, the confidence for
                reliability diagrams, and the −log p(y | x) of the best constant prediction
result.json     final metrics, seconds, the most memory that the process held (bytes), how many weights are zero or
                small, the prior in both conventions, versions, the key of the configuration; written last, so that a
                directory without it is a run that did not end
                A run that only helps to choose a strength has neither posterior.pt nor scores.npz
baselines.json  {name: {metric: value on test}} of what the data give without a network, where it was computed
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from bayesreg import baselines, memory
from bayesreg.claims import Claimed, Config, claimed
from bayesreg.datasets import Data, Dataset
from bayesreg.device import choose_device
from bayesreg.files import Unusable, are_numbers, check_tensors, read_json, write_atomically
from bayesreg.fit import Diverged, fit
from bayesreg.model import Model
from bayesreg.posterior import Posterior

log = logging.getLogger(__name__)

PACKAGES = ("torch", "pyro-ppl", "arviz", "numpy", "pandas", "scikit-learn")
STATUS = ("done", "diverged", "refused", "failed")  # in result.json; what was refused or failed is tried again
SMALL = 1e-3  # |θ| below which a weight counts as small, in the units of the network
WRITTEN = ("checkpoint.pt", "history.csv", "posterior.pt", "scores.npz", "result.json")  # under the claim
__all__ = ["Claimed", "Config", "describe", "done", "execute", "key", "load", "prepare", "refuse", "result", "scores"]


def key(config: Config) -> str:
    """Eight hexadecimal digits: a hash of the configuration."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:8]


def result(directory: str | Path, config: Config | None = None) -> dict[str, Any] | None:
    """The result of a run that ended; None where it did not, or where its files are damaged, foreign or missing.

    config: what its config.json says, where that has been read. The weights are compared with their digest, not read.
    """
    directory = Path(directory)
    if not (directory / "result.json").exists():
        return None
    try:
        done = read_json(directory / "result.json", "status", "message", "metrics", "seconds")
        _check(done, directory, read_json(directory / "config.json") if config is None else config)
        if done["status"] == "done" and done["metrics"]["test"]:
            check_tensors(directory / "posterior.pt", "posterior")
    except (Unusable, FileNotFoundError) as error:
        log.warning("%s; the run does not count as done", error)
        return None
    return done


def _check(done: dict[str, Any], directory: Path, config: Config) -> None:
    """Raise `Unusable` for a malformed result, or one of another configuration."""
    status, metrics, seconds = done["status"], done["metrics"], done["seconds"]
    scores = [metrics.get(split) for split in ("validation", "test")] if isinstance(metrics, dict) else [None]
    timed = status != "done" or (are_numbers(seconds) and "epoch" in seconds and isinstance(done.get("device"), str))
    if status not in STATUS or not all(map(are_numbers, scores)) or not timed:
        raise Unusable(f"{directory / 'result.json'} is malformed")
    own = key(config)
    if done.get("configuration", own) != own:
        raise Unusable(f"{directory / 'result.json'} is the result of another run")


def prepare(directory: str | Path, config: Config) -> None:
    """Claim the directory for this configuration. ValueError where it belongs to another, or cannot be written."""
    with claimed(Path(directory), config):
        pass


def execute(
    directory: str | Path,
    config: Config,
    model: Model,
    data: Data,
    wait: bool = False,
    test: bool = True,
    **options: Any,
) -> dict[str, Any]:
    """Fit, evaluate on validation and test, record; a finished run is not repeated.

    options: those of `fit`. wait: for another process that is working on the run, and take its result. test: False
    leaves the test split alone, as a run that helps to choose a strength must. A run whose loss becomes NaN or infinite
    is recorded with status "diverged". Returns the result.
    """
    directory = Path(directory)
    with claimed(directory, config, WRITTEN, wait):
        return _done(directory) or _execute(directory, config, model, data, test, options)


def done(directory: Path, config: Config) -> dict[str, Any] | None:
    """The result of exactly this run, if it has ended; None if it is still to be done."""
    try:
        known = read_json(directory / "config.json")
    except (Unusable, OSError):
        return None
    return _done(directory, known) if known == json.loads(json.dumps(config)) else None


def _done(directory: Path, config: Config | None = None) -> dict[str, Any] | None:
    """A refused run that can now be built is tried again; a failed one may resume from its checkpoint."""
    known = result(directory, config)
    return None if known is None or known["status"] in ("refused", "failed") else known


def refuse(directory: str | Path, config: Config, reason: str, wait: bool = False) -> None:
    """Record that this configuration cannot be run, and why, where a comparison continues without it."""
    _leave(Path(directory), config, "refused", reason, wait)


def fail(directory: str | Path, config: Config, reason: str) -> None:
    """Record what stopped a run that did not end. `Claimed` where another process is working on it by now."""
    _leave(Path(directory), config, "failed", reason, wait=False)


def _leave(directory: Path, config: Config, status: str, reason: str, wait: bool) -> None:
    """Record why there is no result, unless there is one."""
    with claimed(directory, config, ("result.json",), wait):
        if _done(directory) is None:
            metrics: dict[str, Any] = {"validation": {}, "test": {}}
            _write(directory, config, {"status": status, "message": reason, "metrics": metrics, "seconds": {}})


def _write(directory: Path, config: Config, outcome: dict[str, Any]) -> None:
    outcome["configuration"] = key(config)
    write_atomically(directory / "result.json", lambda part: part.write_text(json.dumps(outcome, indent=2)))


def _execute(
    directory: Path, config: Config, model: Model, data: Data, test: bool, options: dict[str, Any]
) -> dict[str, Any]:
    start, device = time.perf_counter(), choose_device(options.get("device"))
    memory.forget(device)
    outcome: dict[str, Any] = {"status": "done", "message": None, "metrics": {"validation": {}, "test": {}}}
    outcome["device"] = str(device)
    try:
        watched = test or options.get(
            "early_stopping", False
        )  # for a curve, or the best epoch; else only the end counts
        posterior = _fit(directory / "checkpoint.pt", model, data, data.validation if watched else None, options)
        outcome["seconds"] = {"training": time.perf_counter() - start}
        history, warmup = posterior.history, posterior.warmup_seconds
        outcome["metrics"]["validation"] = posterior.evaluate(data.validation, progress=False)
        outcome["convergence"] = posterior.convergence and posterior.convergence.record()
        if test:
            outcome["metrics"]["train"] = posterior.evaluate(_some(data.train, len(data.validation)), progress=False)
            outcome["metrics"]["test"] = _test(directory, posterior, data, options.get("progress", True))
            outcome["sparsity"] = sparsity(posterior)
    except (Diverged, FloatingPointError) as error:  # in training, or in the outputs after its last step
        known = getattr(error, "history", None) or {"epoch": [], "seconds": [], "loss": []}
        history, warmup = pd.DataFrame(known), 0.0
        terms = {name: repr(value) for name, value in getattr(error, "terms", {}).items()}
        outcome |= {"status": "diverged", "message": str(error), "terms": terms}
    write_atomically(directory / "history.csv", lambda part: history.to_csv(part, index=False))
    outcome["seconds"] = outcome.get("seconds", {}) | {
        "warmup": warmup,
        "epoch": float(history["seconds"].median()) if len(history) else None,
        "total": time.perf_counter() - start,
    }
    outcome["memory"] = memory.peak(device)._asdict()
    outcome |= describe(model, data)
    _write(directory, config, outcome)
    return outcome


def _test(directory: Path, posterior: Posterior, data: Data, progress: bool) -> dict[str, float]:
    """The metrics on test; writes what each example contributed, and the posterior."""
    judged = posterior.judged(data.test, progress=progress)
    columns = {name: values.numpy() for name, values in (judged.scores() | judged.reliability()).items()}
    if data.test.y.dim() <= 2:  # images that are their own targets have no constant prediction
        columns["constant"] = -baselines.log_likelihood("constant", data).float().numpy()
    columns["row"] = np.arange(len(data.test)) if data.rows is None else np.asarray(data.rows.test)
    posterior.save(directory / "posterior.pt")
    write_atomically(directory / "scores.npz", lambda part: _save(part, columns))
    return judged.metrics()


def _some(train: Dataset, most: int) -> Dataset:
    """At most so many examples, evenly spread, so that the gap to validation costs no more than validation."""
    return train if len(train) <= most else train.take(torch.arange(most) * len(train) // most)


def sparsity(posterior: Posterior) -> dict[str, float]:
    """The shares of the weights, tensors of two or more dimensions, that are zero, and below 1e-3 in size."""
    net = dict(posterior.model.net.named_parameters())
    own = [v.abs().flatten() for k, v in posterior.parameters().items() if k in net and net[k].dim() > 1]
    if not own:
        return {}
    weights = torch.cat(own)
    return {"zero": float((weights == 0).double().mean()), "small": float((weights < SMALL).double().mean())}


def _save(part: Path, columns: dict[str, Any]) -> None:
    with part.open("wb") as file:  # given a name, NumPy would append a suffix
        np.savez_compressed(file, **columns)


def scores(directory: str | Path) -> dict[str, np.ndarray]:
    """{column: [n]} of scores.npz. FileNotFoundError or `Unusable` where there are none."""
    path = Path(directory) / "scores.npz"
    try:
        with np.load(path, allow_pickle=False) as kept:
            return dict(kept)
    except FileNotFoundError:
        raise
    except Exception as error:  # of zipfile, zlib, NumPy
        raise Unusable(f"{path} cannot be read ({error})") from None


def _fit(checkpoint: Path, model: Model, data: Data, validation: Any, options: dict[str, Any]) -> Posterior:
    """Resume from the checkpoint, or start again where it is damaged, or of other data or code."""

    def once() -> Posterior:
        return fit(model, data.train, validation=validation, checkpoint=checkpoint, **options)

    try:
        return once()
    except Unusable as error:
        log.warning("%s; the run starts again", error)
        for path in checkpoint.parent.glob(f"{checkpoint.name}*"):  # an ensemble has several
            path.unlink()
        return once()


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
    """The posterior of a finished run; net: a network of the same architecture."""
    return Posterior.load(Path(directory) / "posterior.pt", net)
