"""What a comparison costs whose runs are finished: to start it again, to open its folder, to make its page.

A small comparison is made for real, of two tasks in folds, and its runs are copied under further seeds. What a copy
scored is moved by an amount of its seed alone, so that every seed chooses the strengths that the first chose.
"""

from __future__ import annotations

import io
import json
import math
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

import bayesreg as br
from bayesreg import runs
from bayesreg.study import DEFAULT
from benchmarks import machine, memory

METHODS = (*DEFAULT, "l2@normal", "l2+dropout")
MOVED = {"seed", "partition"}  # of a repeat, with the seed
MIB = 2**20


@dataclass(frozen=True)
class FinishedFolder:
    """Measure seconds and peak memory on a folder of finished runs, each in a process of its own."""

    runs: int = 5_000
    """How many runs, at least."""
    methods: tuple[str, ...] = METHODS
    """Which methods they are of."""
    epochs: int = 20
    """Of each run that is copied."""


def study(folder: Path, seeds: int, methods: tuple[str, ...], epochs: int) -> br.Study:
    """The comparison of two tasks of 400 rows by an MLP, in 3 folds."""
    x = torch.randn(400, 6, generator=torch.Generator().manual_seed(0))
    y = x[:, 0] * x[:, 1] + x[:, 2] + 0.5 * torch.randn(400, generator=torch.Generator().manual_seed(1))
    tasks = [br.Task(None, (x, target), name=name, epochs=epochs) for name, target in (("sign", (y > 0).long()), ("value", y))]
    return br.compare(tasks=tasks, methods=methods, seeds=seeds, folds=3, output=folder, progress=False)


def copy(run: Path, further: int) -> None:
    """A run of the first seed once more, as the seed that is `further` on would have left it."""
    config, result = (json.loads((run / name).read_text()) for name in ("config.json", "result.json"))
    seed = config["replicate"]["seed"]
    config["replicate"] |= {name: config["replicate"][name] + further for name in MOVED & config["replicate"].keys()}
    own = runs.key(config)
    named = run.name.replace(f"_seed{seed}_", f"_seed{seed + further}_").replace(result["configuration"], own)
    to = run.with_name(named)
    shutil.copytree(run, to)
    moved = 0.02 * float(np.random.default_rng(further).normal())
    result["configuration"] = own
    result["metrics"] = {split: {k: v + moved for k, v in m.items()} for split, m in result["metrics"].items()}
    for name, content in (("config.json", config), ("result.json", result)):
        (to / name).write_text(json.dumps(content, indent=2))
    if (to / "scores.npz").exists():
        scores = runs.scores(run)
        np.savez_compressed(to / "scores.npz", **(scores | {"nll": scores["nll"] + np.float32(moved)}))


def start(folder: Path, *again: Any) -> None:
    """The same comparison again, to its table."""
    print(study(folder, *again))


def report(folder: Path, *again: Any) -> None:
    """`bayesreg report`."""
    opened = br.Study.open(folder)
    page = opened.report(folder / "report")
    print(opened, page)


def results(folder: Path, *again: Any) -> None:
    """What is read in a notebook."""
    opened = br.Study.open(folder)
    print(opened.results, opened.recommendation)


def measured(action: Callable[..., None], folder: Path, *again: Any) -> tuple[float, float, int]:
    """Seconds, seconds of the processor, and the peak memory in bytes; by a process that has only imported so far."""
    torch.set_num_threads(1)
    begun, worked = time.perf_counter(), time.process_time()
    with redirect_stdout(io.StringIO()):
        action(folder, *again)
    return time.perf_counter() - begun, time.process_time() - worked, memory.peak(torch.device("cpu"))


def main() -> None:
    """Make the folder in a temporary place, and print a line an action."""
    options = tyro.cli(FinishedFolder, prog="python -m benchmarks.folder")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "study"
        study(folder, 1, options.methods, options.epochs)
        made = [path.parent for path in folder.rglob("result.json")]
        seeds = math.ceil(options.runs / len(made))
        for run in made:
            for further in range(1, seeds):
                copy(run, further)
        print(f"{len(made) * seeds} finished runs, {seeds} seeds of {len(made)}", file=sys.stderr)
        for action in (start, report, results):
            with multiprocessing.get_context("spawn").Pool(1) as alone:
                taken, worked, peak = alone.apply(measured, (action, folder, seeds, options.methods, options.epochs))
            print(f"{action.__name__:8} {taken:6.1f} s, {worked:6.1f} s of the processor, {peak / MIB:5.0f} MiB at most")
        print(f"index.html and its pictures: {sum(f.stat().st_size for f in (folder / 'report').iterdir()) / MIB:.1f} MiB")
    print(", ".join(machine.describe(torch.device("cpu")).values()))


if __name__ == "__main__":
    main()
