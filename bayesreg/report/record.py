"""What one run directory holds, checked: config.json, result.json and baselines.json."""

import logging
import math
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from bayesreg.report import outside
from bayesreg.runs import STATUS

log = logging.getLogger(__name__)

ROLES = ("task", "candidate", "replicate")  # the groups of options in config.json
FOLD = ("folds", "partition", "fold")


class Run(NamedTuple):
    """A run that ended: its options by their role, and a row of everything else."""

    task: dict[str, Any]
    candidate: dict[str, Any]
    replicate: dict[str, Any]
    row: dict[str, Any]


def record(folder: Path) -> Run:
    """The run in a folder. FileNotFoundError where it did not end, ValueError for a malformed file."""
    result = outside.read_json(folder / "result.json")
    if result.get("status") == "failed":
        raise FileNotFoundError("it did not end")
    config = outside.read_json(folder / "config.json")
    if not set(config) >= {"task", "candidate", "replicate"}:
        raise ValueError(
            "config.json was made by another version, and does not say what identifies the run (it lacks the groups "
            "task, candidate and replicate)"
        )
    groups = {role: outside.table(config[role], f"{role} in config.json") for role in ROLES}
    identity = _identity(**groups)
    roles = {role: outside.options(own, f"{role} in config.json") for role, own in groups.items()}
    return Run(**roles, row=identity | _result(result) | _options(roles) | {"path": str(folder)})


def _identity(task: dict[str, Any], candidate: dict[str, Any], replicate: dict[str, Any]) -> dict[str, Any]:
    """What every run must have, checked by type."""
    for option in ("dataset", "net"):
        outside.name(task.get(option), f"task.{option} in config.json")
    tuned = outside.strengths(candidate.get("strengths"), "candidate.strengths in config.json")
    stage = replicate.get("stage")
    if stage not in (None, "tune", "test"):
        raise ValueError("replicate.stage in config.json is neither tune nor test")
    return {
        "metric": outside.metric(task.get("metric"), "task.metric in config.json"),
        "method": outside.name(candidate.get("method"), "candidate.method in config.json"),
        "candidate": outside.name(candidate.get("text"), "candidate.text in config.json"),
        "strength": tuned[0] if tuned else math.nan,
        "tuned": tuned,
        "seed": outside.whole(replicate.get("seed"), "replicate.seed in config.json"),
        "stage": stage,
        **_fold(replicate),
    }


def _fold(replicate: dict[str, Any]) -> dict[str, int]:
    """Which of how many folds of which partition; 1, −1 and −1 where there are none, as `statistics` takes them."""
    place = "replicate.{} in config.json".format
    given = {name: replicate.get(name) for name in FOLD}
    if all(value is None for value in given.values()):
        return {"folds": 1, "partition": -1, "fold": -1}
    found = {name: outside.whole(value, place(name)) for name, value in given.items()}
    if not 0 <= found["fold"] < found["folds"]:
        raise ValueError(f"{place('fold')} is {found['fold']}, not one of {found['folds']} from 0")
    return found


def _options(roles: dict[str, dict[str, Any]]) -> dict[str, Any]:
    known = [f"replicate.{name}" for name in ("seed", "stage", *FOLD)]
    known += [f"candidate.{name}" for name in ("method", "text", "strengths")]
    flat = {f"{role}.{name}": value for role, own in roles.items() for name, value in own.items()}
    return {name: value for name, value in flat.items() if name not in known}


def _result(result: dict[str, Any]) -> dict[str, Any]:
    missing = [key for key in ("status", "metrics", "seconds") if key not in result]
    if missing:
        raise ValueError(f"result.json lacks {', '.join(missing)}")
    if result["status"] not in STATUS:
        raise ValueError(f"status in result.json is none of {', '.join(STATUS)}")
    seconds, data = (
        outside.table(result["seconds"], "seconds in result.json"),
        outside.table(result.get("data"), "data in result.json"),
    )
    metrics = outside.table(result["metrics"], "metrics in result.json")
    about = {
        "parameters": None
        if result.get("parameters") is None
        else outside.whole(result["parameters"], "parameters in result.json"),
        "sizes": words(data.get("sizes"), " "),
        "provenance": words(data.get("provenance"), ": "),
        "device": outside.message(result.get("device"), "device in result.json"),
        "machine": outside.message(result.get("machine"), "machine in result.json"),
        "versions": words(result.get("versions"), " "),
    }
    return {
        "status": result["status"],
        "message": outside.message(result.get("message"), "message in result.json") or None,
        **{
            f"{split}_{name}": score
            for split in ("train", "validation", "test")
            for name, score in outside.metrics(metrics.get(split), f"{split} metrics of result.json").items()
        },
        "seconds_epoch": outside.number(seconds.get("epoch"), "seconds.epoch in result.json"),
        "seconds_training": outside.number(seconds.get("training"), "seconds.training in result.json"),
        "seconds_warmup": outside.number(seconds.get("warmup"), "seconds.warmup in result.json"),
        **_numbers(result, "memory", ("main", "gpu")),
        **_numbers(result, "sparsity", ("zero", "small")),
        **_convergence(outside.table(result.get("convergence"), "convergence in result.json")),
        "size": outside.number(outside.table(data.get("sizes"), "sizes in result.json").get("train"), "sizes.train"),
        "natural": natural(result.get("priors") or [result.get("prior") or {}]),
        **{f"about.{name}": value for name, value in about.items()},
    }


def _numbers(result: dict[str, Any], name: str, parts: tuple[str, ...]) -> dict[str, float]:
    """A table of numbers of result.json as columns; NaN where they were not recorded."""
    known = outside.table(result.get(name), f"{name} in result.json")
    return {f"{name}_{part}": outside.number(known.get(part), f"{name}.{part} in result.json") for part in parts}


def _convergence(judged: dict[str, Any]) -> dict[str, Any]:
    """Whether the loss had stopped falling, None where that was not judged, and by how much it fell, nats per epoch."""
    converged = judged.get("converged")
    if converged is not None and not isinstance(converged, bool):
        raise ValueError("convergence.converged in result.json is neither true nor false")
    return {"converged": converged, "falling": outside.number(judged.get("fall"), "convergence.fall in result.json")}


def unfinished(config: Path) -> str:
    """Which run did not end, as far as its config.json says."""
    try:
        run = {role: outside.table(own, role) for role, own in outside.read_json(config).items()}
        task, candidate, replicate = (run[role] for role in ROLES)
        why = failure(config.parent) or "not finished"
        return outside.prose(f"{task['dataset']}, {candidate['text']}, seed {replicate['seed']}: {why}")
    except (OSError, ValueError, KeyError, RecursionError):
        return "not finished"


def failure(folder: Path) -> str | None:
    """What stopped a run that did not end, where that was recorded."""
    with suppress(OSError, ValueError):
        result = outside.read_json(folder / "result.json")
        if result.get("status") == "failed":
            return outside.message(result.get("message"), "message in result.json")
    return None


def natural(terms: Any) -> str:
    """The natural parameters of a prior; those of a sum with the names of its terms."""
    if not isinstance(terms, list):
        raise ValueError("priors in result.json is not a list")
    tables = [outside.table(term, "a prior in result.json") for term in terms]
    named = [
        f"{outside.name(term.get('name'), 'the name of a prior in result.json')}: " if len(tables) > 1 else ""
        for term in tables
    ]
    return outside.prose(" + ".join(name + words(_own(term)) for name, term in zip(named, tables, strict=True)))


def _own(term: dict[str, Any]) -> dict[str, Any]:
    # Where a weight prior acts is stated unless it is the default; λ stands for a strength.
    values = outside.options(term.get("natural"), "natural in result.json")
    named = {"λ" if k == "strength" and "lambda" in term else k: v for k, v in values.items()}
    kept = {k: v for k, v in named.items() if v is not None and (k, v) != ("on", "weights")}
    return kept | {"λ": outside.number(term["lambda"], "lambda in result.json")} if "λ" in kept else kept


def words(value: Any, sign: str = "=") -> str:
    """{"a": 1.0, "b": 2.0} as "a=1, b=2"; nothing for None."""
    flat = outside.options(value, "a table in result.json")
    return ", ".join(f"{key}{sign}{v:.4g}" if isinstance(v, float) else f"{key}{sign}{v}" for key, v in flat.items())


def baselines(folder: Path) -> dict[str, dict[str, float]]:
    """{name: {metric: value on test}}, empty where there is no file; a broken one gives one line of warning."""
    file = folder / "baselines.json"
    try:
        known = outside.read_json(file)
        return {name: outside.metrics(own, name) for name, own in known.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        log.warning("%s cannot be read (%s); its baselines are left out.", outside.prose(file), outside.prose(error))
        return {}
