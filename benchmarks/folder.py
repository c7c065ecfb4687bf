"""What a finished comparison costs: to start it again, to open its folder, to make its page.

A small comparison of two tasks in folds is really run, and its runs are copied under further seeds. The scores of a
copy are shifted by an amount that depends only on its seed, so that every seed chooses the same strengths as the first.
"""

from __future__ import annotations

import io
import json
import math
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import tyro

import bayesreg as br
from bayesreg import memory, runs
from bayesreg.cli.command import refused
from bayesreg.priors.base import whole
from benchmarks import machine

METHODS = ("none", "l2", "l1:1e-4", "l2:1e-3", "l2:1e-2@normal", "ard", "dropout:0.2", "early_stopping")
MOVED = {"seed", "partition"}  # of a repeat, from seed to seed
CPU = torch.device("cpu")
MIB = 2**20


class Grid(NamedTuple):
    """A comparison of two tasks by a small MLP, in 3 folds."""

    methods: tuple[str, ...] = METHODS
    rows: int = 1_500
    epochs: int = 20
    seeds: int = 1

    def tasks(self) -> list[br.Task]:
        """Two classes, and numbers."""
        x, noise = np.split(np.random.default_rng(0).normal(size=(self.rows, 7)).astype(np.float32), [6], axis=1)
        y = x[:, 0] * x[:, 1] + x[:, 2] + noise[:, 0] / 2
        targets = {"sign": (y > 0).astype(int), "value": y}
        return [br.Task(None, (x, target), name=name, epochs=self.epochs) for name, target in targets.items()]

    def compare(self, folder: Path) -> br.Study:
        """Do what is not done yet."""
        return br.compare(
            tasks=self.tasks(), methods=self.methods, seeds=self.seeds, folds=3, output=folder, progress=False
        )


@dataclass(frozen=True)
class FinishedFolder:
    """Measure seconds and peak memory on a folder of finished runs, each in a separate process."""

    runs: int = 5_000
    """How many runs, at least."""


def fill(folder: Path, number: int, grid: Grid) -> Grid:
    """Leave so many finished runs or a few more in a folder; returns their comparison."""
    grid.compare(folder)
    made = [path.parent for path in folder.rglob("result.json")]
    grid = grid._replace(seeds=math.ceil(number / len(made)))
    for run in made:
        for further in range(1, grid.seeds):
            copy(run, further)
    return grid


def copy(run: Path, further: int) -> None:
    """Copy a run of the first seed, as the seed that is `further` on could have left it."""
    config, result = (json.loads((run / name).read_text()) for name in ("config.json", "result.json"))
    repeat = config["replicate"]
    names = [f"_seed{repeat['seed']}_", result["configuration"]]
    repeat |= {name: value + further for name, value in repeat.items() if name in MOVED}
    moved, result["configuration"] = 0.02 * float(np.random.default_rng(further).normal()), runs.key(config)
    place = run.name.replace(names[0], f"_seed{repeat['seed']}_").replace(names[1], result["configuration"])
    to = shutil.copytree(run, run.with_name(place))
    result["metrics"] = {split: {k: v + moved for k, v in own.items()} for split, own in result["metrics"].items()}
    for name, content in (("config.json", config), ("result.json", result)):
        (to / name).write_text(json.dumps(content, indent=2))
    if (to / "scores.npz").exists():
        scores: dict[str, Any] = runs.scores(run)
        np.savez_compressed(to / "scores.npz", **(scores | {"nll": scores["nll"] + np.float32(moved)}))


def start(folder: Path, grid: Grid) -> None:
    """The same comparison again, to its table."""
    print(grid.compare(folder))


def report(folder: Path, grid: Grid) -> None:
    """What `bayesreg report` does."""
    study = br.Study.open(folder)
    print(study.report(folder / "report"), study)


def results(folder: Path, grid: Grid) -> None:
    """What a notebook asks for."""
    study = br.Study.open(folder)
    print(study.results, study.recommendation)


def measure(action: Callable[[Path, Grid], None], folder: Path, grid: Grid) -> tuple[float, float, int]:
    """Seconds, CPU seconds and peak bytes, in a process that has done nothing but import."""
    begun, worked = time.perf_counter(), time.process_time()
    with redirect_stdout(io.StringIO()):
        action(folder, grid)
    return time.perf_counter() - begun, time.process_time() - worked, memory.peak(CPU).main


def main(arguments: list[str] | None = None) -> None:
    """Make the folder in a temporary place, and print one line per action. Exit status 2 for bad options."""
    options = tyro.cli(FinishedFolder, prog="python -m benchmarks.folder", args=arguments)
    with refused():
        whole("benchmarks.folder", runs=options.runs)
    print(", ".join(machine.describe(CPU).values()))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "study"
        grid = fill(folder, options.runs, Grid())
        print(f"{len(list(folder.rglob('result.json'))):,} finished runs")
        for action in (start, report, results):
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
                taken, worked, peak = alone.submit(measure, action, folder, grid).result()
            print(f"{action.__name__:8}{taken:6.1f} s,{worked:6.1f} s of the processor,{peak / MIB:6.0f} MiB at most")
        print(f"the page: {sum(file.stat().st_size for file in (folder / 'report').iterdir()) / MIB:.1f} MiB")


if __name__ == "__main__":
    main()
