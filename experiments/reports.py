"""The reports that are committed: what makes each, and whether it is older than the code."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from experiments import options
from experiments.base import Experiment, command, refuse
from experiments.compare import Compare
from experiments.stopping import stoppable

CIFAR = "--width 16 --augment --train-size 10000 --epochs 10 --threads 1"
TASKS = [f"{name} --threads 1" for name in ("housing", "synthetic", "mnist", "flowers", "imdb", "beijing")]
TASKS += ["beijing --net transformer --threads 1", f"cifar {CIFAR}", f"cifar --dataset cifar100 --imbalance 10 {CIFAR}"]

COMPARISONS = {
    "compare": Compare(),
    "tasks": Compare(experiments=TASKS, priors=["none"], seeds=1),
}
MEASUREMENTS = {"performance": "benchmarks.step_time", "smoothness": "benchmarks.smoothness"}  # on a quiet machine
MADE = "made.json"  # beside the page: what it was made from


def made(compare: Compare) -> dict[str, Any]:
    """What the report of a comparison depends on: its runs, the metrics, the wording of page and tables."""
    from bayesreg.metrics import METRICS
    from bayesreg.report.wording import wording

    grid: dict[str, list[str]] = {}
    for run in compare.runs():
        grid.setdefault(_task(run), []).append(f"{run.prior}, seed {run.seed}")
    return {"grid": grid, "metrics": list(METRICS), "wording": wording()}


def _task(run: Experiment) -> str:
    own = {"dataset": run.data_set, "net": run.net} | options.with_role(run, options.TASK)
    return f"{run.name}: " + ", ".join(f"{name} {value}" for name, value in own.items())


def stale(name: str, folder: Path) -> list[str]:
    """In what the report in a folder is older than the code; nothing where it is not."""
    now = made(COMPARISONS[name])
    try:
        then = json.loads((folder / MADE).read_text())
    except (FileNotFoundError, ValueError):
        return [f"it has no {MADE} that can be read"]
    return [part for part in now if then.get(part) != now[part]]


@dataclass(frozen=True)
class Reports:
    """Make the committed reports again, from runs of their own. An interrupted one goes on where it was."""

    names: Annotated[list[str], tyro.conf.Positional] = field(default_factory=lambda: ["compare"])
    """Which: compare, tasks (40 minutes, with the published data), performance, smoothness (hours, a quiet machine)."""
    check: bool = False
    """Only say which are older than the code; exit status 1 where one is."""
    output: Path = Path("reports")
    """Where the reports go, a folder each."""
    runs: Path = Path("runs/reports")
    """Where their runs go; delete them where the code has changed what a run gives."""


def make(name: str, output: Path, runs: Path) -> int:
    """Make one report; the exit status."""
    if name in MEASUREMENTS:
        return subprocess.call([sys.executable, "-m", MEASUREMENTS[name], "--output", str(output / name)])
    if name not in COMPARISONS:
        raise ValueError(f"unknown report {name!r}. Reports: {', '.join([*COMPARISONS, *MEASUREMENTS])}")
    from bayesreg.runs import key

    compare = COMPARISONS[name]
    own = runs / f"{name}_{key(made(compare)['grid'])}"  # a grid that has changed starts with no run of another
    line = ["--experiments", *compare.experiments, "--priors", *compare.priors, "--seeds", str(compare.seeds)]
    line += ["--output", str(own), "--report", str(output / name)]
    status = subprocess.call([sys.executable, "-m", "experiments.compare", *line])
    if status == 0:
        (output / name / MADE).write_text(json.dumps(made(compare), indent=2) + "\n")
    return status


def main() -> None:
    """Make what is asked for, then say what is older than the code."""
    asked = command(Reports, "experiments.reports")
    try:
        status = 0 if asked.check else max([make(name, asked.output, asked.runs) for name in asked.names])
    except ValueError as error:
        refuse(error)
    old = {name: parts for name in COMPARISONS if (parts := stale(name, asked.output / name))}
    for name, parts in old.items():
        print(f"{asked.output / name} is older than the code ({', '.join(parts)}): make reports NAME={name}")
    sys.exit(1 if asked.check and old else status)


if __name__ == "__main__":
    with stoppable():
        main()
