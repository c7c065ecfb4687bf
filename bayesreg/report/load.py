"""All runs below a folder as one table, each with labels that distinguish it."""

import itertools
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from bayesreg import statistics
from bayesreg.labels import labels
from bayesreg.report import outside
from bayesreg.report.record import Run, baselines, record, unfinished

log = logging.getLogger(__name__)


class Problem(NamedTuple):
    """A run that is left out of the report, and why."""

    path: str
    reason: str
    broken: bool


def load(root: str | Path, tasks: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """One row per complete run below `root`: its identity, options, `status`, metrics, seconds, baselines, `path`.

    tasks: {name: its options in config.json}; runs of other tasks are left out. None: all, with names that are
    made from the options in which they differ. The options are `task.<name>` and so on, metrics `validation_<metric>`
    and `test_<metric>`, NaN where the run diverged, and `about.<name>` is what else is known. A malformed file costs
    only its own run, and one line of warning.

    Raises ValueError when no run below `root` is complete.
    """
    runs, problems = _read(Path(root), tasks)
    broken = sorted((problem for problem in problems if problem.broken), key=lambda problem: problem.reason)
    for reason, group in itertools.groupby(broken, key=lambda problem: problem.reason):
        first, *others = [outside.prose(problem.path) for problem in group]
        where = f"{len(others) + 1} runs, the first {first}" if others else first
        log.warning("%s: %s; left out of the report. Run it again, or delete its folder.", where, reason)
    if runs.empty:
        found = (
            f"{len(problems)} run(s) begun or left out, none finished" if problems else "no config.json in it or below"
        )
        raise ValueError(
            f"no complete run in {str(root)!r}: {found}. Give the folder that runs were written to "
            "(a finished run holds config.json and result.json), or run one first."
        )
    return runs.assign(baselines=[baselines(Path(path)) for path in runs["path"]])


def left_out(root: str | Path) -> list[Problem]:
    """The runs below `root` that `load` leaves out: unfinished, unreadable, or there twice."""
    return _read(Path(root))[1]


def _read(root: Path, tasks: Mapping[str, Any] | None = None) -> tuple[pd.DataFrame, list[Problem]]:
    found, problems = [], []
    for config in sorted(root.rglob("config.json")):
        folder = config.parent
        try:
            found.append(record(folder))
        except FileNotFoundError:
            problems.append(Problem(str(folder), unfinished(config), broken=False))
        except OSError as error:
            problems.append(Problem(str(folder), f"cannot be read ({error.strerror})", broken=True))
        except (ValueError, RecursionError) as error:
            problems.append(Problem(str(folder), outside.prose(error), broken=True))
    runs = _frame(found, tasks)
    if runs.empty:
        return runs, problems
    again = runs.duplicated(statistics.RUN)
    problems += [Problem(path, "repeats another run", broken=True) for path in runs.loc[again, "path"]]
    return runs[~again].reset_index(drop=True), problems


def _frame(runs: Sequence[Run], tasks: Mapping[str, Any] | None) -> pd.DataFrame:
    """The rows, with a name for each task and candidate."""
    if tasks is None:
        divided = [run.task | {"folds": run.replicate.get("folds")} for run in runs]  # so are the data that it learns
        names = labels([run.task["dataset"] for run in runs], divided)
    else:
        known = {_key(outside.options(own, name)): name for name, own in tasks.items()}
        runs = [run for run in runs if _key(run.task) in known]
        names = [known[_key(run.task)] for run in runs]
    texts = labels([run.row["candidate"] for run in runs], [run.candidate for run in runs])
    return pd.DataFrame([run.row for run in runs]).assign(task=names, candidate=texts)


def _key(options: Mapping[str, Any]) -> str:
    return json.dumps(options, sort_keys=True)
