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
from experiments.compare import PRIORS

CIFAR = "--width 16 --augment --train-size 10000 --epochs 10"
TASKS = ["housing", "synthetic", "mnist", "flowers", "imdb", "beijing", "beijing --net transformer"]
TASKS += [f"cifar {CIFAR}", f"cifar --dataset cifar100 --imbalance 10 {CIFAR}"]

REPORTS = Path(__file__).parents[1] / "reports"
TECHNIQUES = ["dropout", "early_stopping", "label_smoothing", "adamw"]
IMBALANCED = "cifar --dataset cifar100 --imbalance 10 --metric macro_f1"
IMBALANCED += " --train-size 10000 --width 8 --epochs 10 --batch-size 64 --lr 5e-3"
PAPER = Compare(tasks=[str(REPORTS / "paper/tasks.py")], methods=PRIORS, seeds=5, folds=1, threads=1)

COMPARISONS = {
    "compare": Compare(),
    "tasks": Compare(tasks=TASKS, methods=["none"], seeds=1, folds=1, threads=1),
    "paper": PAPER,
    "imbalance": replace(PAPER, tasks=[IMBALANCED], select="macro_f1"),
    "tables": Compare(
        tasks=[str(REPORTS / "tables/tasks.py")],
        methods=[*PRIORS, "elastic_net", *TECHNIQUES],
        seeds=8,
        threads=1,
    ),
}
SCRIPTS = {"performance": "benchmarks.step_time", "smoothness": "benchmarks.smoothness"}  # on an idle machine
SCRIPTS |= {"engine": "benchmarks.engine", "statistics": "benchmarks.statistics"}
SCRIPTS |= {name: f"experiments.{name}" for name in ("across", "ard", "guides")}
HELP = (
    "Which: compare (6 minutes on two cores); with the published data, tasks (40 minutes), paper (5 hours), imbalance "
    "(2 hours) and tables (1 hour); on an idle machine, engine and statistics (minutes), performance and smoothness "
    "(hours; their pages alone: python -m benchmarks.pages); across (seconds, from paper and tables), ard and guides. "
    "Without a name: each of the first five, the comparisons, that is older than the code."
)
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
    """The parts in which the report in a folder is older than the code; none where it is up to date."""
    try:
        then = json.loads((folder / MADE).read_text())
    except (FileNotFoundError, ValueError):
        return [f"it has no readable {MADE}"]
    now = json.loads(json.dumps(made(COMPARISONS[name])))
    return [part for part in now if then.get(part) != now[part]]


def older(output: Path) -> list[str]:
    """Which reports are older than the code, or were never made; prints why, and which cannot be judged here."""
    found = []
    for name in COMPARISONS:
        try:
            parts = stale(name, output / name)
        except FileNotFoundError as error:
            print(f"{output / name}: whether it is older than the code cannot be said without its data: {error}")
            continue
        if parts:
            found.append(name)
            print(f"{output / name} is older than the code ({', '.join(parts)}): make reports NAME={name}")
    return found


@dataclass(frozen=True)
class Reports(Verbosity):
    """Say which committed reports are older than the code, and make these, or the named ones, again from new runs.

    An interrupted report resumes.
    """

    names: Annotated[list[str], tyro.conf.Positional, tyro.conf.arg(help=HELP)] = field(default_factory=list)
    check: bool = False
    """Only say which are older than the code; exit status 1 if any is."""
    output: Path = Path("reports")
    """Where the reports go, one folder each."""
    runs: Path = Path("runs/reports")
    """Where their runs go; delete them if the code has changed what a run gives."""


def make(name: str, output: Path, runs: Path) -> int:
    """Make one report; the exit status."""
    if name in SCRIPTS:
        return subprocess.call([sys.executable, "-m", SCRIPTS[name], "--output", str(output / name)])
    if name not in COMPARISONS:
        raise ValueError(f"unknown report {name!r}. Reports: {', '.join([*COMPARISONS, *SCRIPTS])}")
    from bayesreg.runs import key

    compare = COMPARISONS[name]
    own = runs / f"{name}_{key(made(compare)['grid'])}"  # a changed grid starts without the runs of another
    status = run(replace(compare, output=own, report=output / name))
    if status == 0:
        (output / name / MADE).write_text(json.dumps(made(compare), indent=2) + "\n")
    return status


@command
def main() -> None:
    """Make what is asked for, or what is older than the code; then say what still is older."""
    asked = read(Reports, "python -m experiments.reports")
    status = 0
    with refused((ValueError,)):
        if not asked.check:
            names = asked.names or older(asked.output)
            status = max([make(name, asked.output, asked.runs) for name in names], default=0)
    old = older(asked.output)
    sys.exit(1 if asked.check and old else status)


if __name__ == "__main__":
    main()
