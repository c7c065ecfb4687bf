"""The reports that are committed: what makes each, and whether it is older than the code."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from bayesreg.cli.command import Verbosity, command, read, refused
from bayesreg.cli.compare import Compare, run

CIFAR = "--width 16 --augment --train-size 10000 --epochs 10"
TASKS = ["housing", "synthetic", "mnist", "flowers", "imdb", "beijing", "beijing --net transformer"]
TASKS += [f"cifar {CIFAR}", f"cifar --dataset cifar100 --imbalance 10 {CIFAR}"]

COMPARISONS = {
    "compare": Compare(),
    "tasks": Compare(tasks=TASKS, methods=["none"], seeds=1, folds=1, threads=1),
}
MEASUREMENTS = {"performance": "benchmarks.step_time", "smoothness": "benchmarks.smoothness"}  # on a quiet machine
MEASUREMENTS |= {"engine": "benchmarks.engine", "statistics": "benchmarks.statistics"}
MADE = "made.json"  # beside the page: what it was made from


def made(compare: Compare) -> dict[str, Any]:
    """What the report of a comparison depends on: its grid, the metrics, the wording of page and tables."""
    from bayesreg.metrics import METRICS
    from bayesreg.report.wording import wording

    comparison = compare.comparison()
    candidates = {method.name: [each.text for each in method.candidates] for method in comparison.methods}
    grid = {name: value for name, value in comparison.record().items() if name not in ("format", "version")}
    return {"grid": grid | {"methods": candidates}, "metrics": list(METRICS), "wording": wording()}


def stale(name: str, folder: Path) -> list[str]:
    """In what the report in a folder is older than the code; nothing where it is not."""
    now = json.loads(json.dumps(made(COMPARISONS[name])))
    try:
        then = json.loads((folder / MADE).read_text())
    except (FileNotFoundError, ValueError):
        return [f"it has no {MADE} that can be read"]
    return [part for part in now if then.get(part) != now[part]]


@dataclass(frozen=True)
class Reports(Verbosity):
    """Make the committed reports again, from runs of their own. An interrupted one goes on where it was."""

    names: Annotated[list[str], tyro.conf.Positional] = field(default_factory=lambda: ["compare"])
    """Which: compare, tasks (40 minutes, with the published data), and on a quiet machine engine, statistics (minutes),
    performance, smoothness (hours; their pages again from the tables that are there: python -m benchmarks.pages)."""
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
    status = run(replace(compare, output=own, report=output / name))
    if status == 0:
        (output / name / MADE).write_text(json.dumps(made(compare), indent=2) + "\n")
    return status


@command
def main() -> None:
    """Make what is asked for, then say what is older than the code."""
    asked = read(Reports, "python -m experiments.reports")
    with refused((ValueError,)):
        status = 0 if asked.check else max([make(name, asked.output, asked.runs) for name in asked.names])
    old = {name: parts for name in COMPARISONS if (parts := stale(name, asked.output / name))}
    for name, parts in old.items():
        print(f"{asked.output / name} is older than the code ({', '.join(parts)}): make reports NAME={name}")
    sys.exit(1 if asked.check and old else status)


if __name__ == "__main__":
    main()
