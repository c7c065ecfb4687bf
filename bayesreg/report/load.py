"""Read run directories: each holds config.json, history.csv and, written last, result.json."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from bayesreg import statistics

log = logging.getLogger(__name__)

NEEDED = ("dataset", "net", "guide", "metric", "prior", "prior_name", "seed")
IDENTITY = ["task", "prior_name", "prior", "strength", "seed"]


class Problem(NamedTuple):
    """A run that is left out of the report, and why."""

    path: str
    reason: str
    broken: bool


def load(root: str | Path) -> pd.DataFrame:
    """One row a complete run below `root`: its configuration, `status`, metrics, seconds and `path`.

    Metrics are `validation_<metric>` and `test_<metric>`, NaN where the run diverged; `task` is the label
    of what it is compared on. A file that cannot be read costs its own run and one line of warning.

    Raises ValueError when no run below `root` is complete.
    """
    runs, problems = _read(Path(root))
    for problem in problems:
        if problem.broken:
            log.warning("%s; this run is left out. Run it again, or delete its folder.", problem.reason)
    if runs.empty:
        found = f"{len(problems)} run(s) begun, none finished" if problems else "no config.json in it or below"
        raise ValueError(
            f"no complete run in {str(root)!r}: {found}. Give the folder that the experiments wrote to "
            "(a finished run holds config.json and result.json), or run one first."
        )
    return runs


def left_out(root: str | Path) -> list[Problem]:
    """The runs below `root` that `load` leaves out: unfinished, unreadable, or there twice."""
    return _read(Path(root))[1]


def histories(runs: pd.DataFrame) -> pd.DataFrame:
    """One row a run and epoch: what identifies the run, then the columns of its history.csv."""
    frames = [_history(run) for run in runs.to_dict("records")]
    frames = [frame for frame in frames if not frame.empty]
    if not frames:
        return pd.DataFrame(columns=[*IDENTITY, "metric", "path", "epoch"])
    return pd.concat(frames, ignore_index=True)


def _history(run: Mapping[Any, Any]) -> pd.DataFrame:
    file = Path(run["path"]) / "history.csv"
    try:
        history = pd.read_csv(file)
    except (OSError, ValueError) as error:
        log.warning("%s cannot be read (%s); its curve is left out.", file, _first_line(error))
        return pd.DataFrame()
    keys = {key: run[key] for key in [*IDENTITY, "metric", "path"]}
    return pd.concat([pd.DataFrame(keys, index=history.index), history.drop(columns=keys, errors="ignore")], axis=1)


def _read(root: Path) -> tuple[pd.DataFrame, list[Problem]]:
    records, problems = [], []
    for config in sorted(root.rglob("config.json")):
        try:
            records.append(_record(config.parent))
        except FileNotFoundError:
            problems.append(Problem(str(config.parent), _unfinished(config), broken=False))
        except (OSError, ValueError) as error:
            problems.append(Problem(str(config.parent), _first_line(error), broken=True))
        except (AttributeError, TypeError) as error:
            reason = f"{config.with_name('result.json')} has another shape ({error})"
            problems.append(Problem(str(config.parent), reason, broken=True))
    runs = pd.DataFrame(records)
    if runs.empty:
        return runs, problems
    runs = _typed(runs)
    runs = runs.assign(task=statistics.tasks(runs))
    again = runs.duplicated(IDENTITY)
    problems += [Problem(path, f"{path} repeats another run", broken=True) for path in runs.loc[again, "path"]]
    return runs[~again].reset_index(drop=True), problems


def _typed(runs: pd.DataFrame) -> pd.DataFrame:
    measured = [c for c in map(str, runs) if c.startswith(("validation_", "test_", "seconds_"))]
    # A sum of priors may have no single strength; its text and natural parameters tell it apart.
    numbers: dict[str, Any] = {
        c: pd.to_numeric(runs[c], errors="coerce").astype(float) for c in ["strength", *measured]
    }
    return runs.assign(**numbers)


def _record(folder: Path) -> dict[str, Any]:
    result = _json(folder / "result.json", ("status", "metrics", "seconds"))
    config = _json(folder / "config.json", NEEDED)
    seconds, data, strength = result["seconds"], result.get("data") or {}, config.get("strength")
    metrics = {
        f"{split}_{name}": value
        for split in ("validation", "test")
        for name, value in (result["metrics"].get(split) or {}).items()
    }
    return flat(config) | {
        "strength": strength if isinstance(strength, int | float) else None,
        "status": result["status"],
        "message": result.get("message"),
        **metrics,
        "seconds_epoch": seconds.get("epoch"),
        "seconds_warmup": seconds.get("warmup"),
        "natural": natural(result.get("priors") or [result.get("prior") or {}]),
        "parameters": result.get("parameters"),
        "sizes": words(data.get("sizes"), " "),
        "provenance": words(data.get("provenance"), ": "),
        "device": result.get("device"),
        "versions": words(result.get("versions"), " "),
        "machine": words(result.get("machine"), " "),
        "path": str(folder),
    }


def _json(file: Path, needed: tuple[str, ...]) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is not valid JSON ({_first_line(error)})") from None
    missing = [key for key in needed if key not in value] if isinstance(value, dict) else list(needed)
    if missing:
        raise ValueError(f"{file} lacks {', '.join(missing)}")
    return value


def _unfinished(config: Path) -> str:
    try:
        run = _json(config, NEEDED)
        return f"{run['dataset']}, {run['prior']}, seed {run['seed']}: not finished"
    except (OSError, ValueError):
        return "not finished"


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Nested tables as one, with dotted names."""
    if not isinstance(value, dict):
        return {name: value}
    return {k: v for key, item in value.items() for k, v in flat(item, f"{name}.{key}".lstrip(".")).items()}


def natural(terms: list[dict[str, Any]]) -> str:
    """The natural parameters of a prior; those of a sum with the names of its terms."""
    kept = [_own(t) for t in terms]
    named = [f"{t.get('name')}: " if len(terms) > 1 else "" for t in terms]
    return " + ".join(name + words(values) for name, values in zip(named, kept, strict=True))


def _own(term: dict[str, Any]) -> dict[str, Any]:
    # Where a weight prior acts is said when it is not where every weight prior acts; λ stands for a strength.
    named = {"λ" if k == "strength" and "lambda" in term else k: v for k, v in (term.get("natural") or {}).items()}
    kept = {k: v for k, v in named.items() if v is not None and (k, v) != ("on", "weights")}
    return kept | {"λ": term["lambda"]} if "λ" in kept else kept


def words(value: Any, sign: str = "=") -> str:
    """{"a": 1.0, "b": 2.0} as "a=1, b=2"; a text as it is; nothing for None."""
    if isinstance(value, dict):
        return ", ".join(f"{key}{sign}{words(item)}" for key, item in flat(value).items())
    if isinstance(value, list):
        return "; ".join(words(item, sign) for item in value)
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
