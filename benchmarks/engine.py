"""What an engine costs: the time that its workers do not spend on runs.

    python -m benchmarks.engine [--engine local] [--workers 2] [--output reports/engine]

Long runs: jobs that wait for ten seconds each; overhead is how much longer than (runs × 10 s) / workers the grid takes,
with and without starting the workers. Short runs: a comparison for real, of an MLP of one epoch on digits; overhead is
what a worker spends per run besides the run's own seconds, as in its result.json.
"""

from __future__ import annotations

import json
import logging
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from bayesreg.comparison import Comparison
from bayesreg.engine import Engine, Job, as_engine
from bayesreg.files import write_atomically
from bayesreg.methods import as_methods
from bayesreg.tasks import as_task
from benchmarks import machine

LONG = 10.0  # seconds per run
FEW = 4  # seeds of the shorter of two comparisons
MET = {True: "met", False: "**not met**", None: ""}
SHARE, SHORT = 0.02, 0.05  # what is allowed: a share of a grid of long runs, and seconds per short run


@dataclass(frozen=True)
class Options:
    """Measure the overhead of an engine, and write a report."""

    engine: str = "local"
    """Which: local, ray."""
    workers: int = 2
    """Runs at a time."""
    runs: int = 40
    """Long runs."""
    seeds: int = 200
    """Short runs, of each of two methods."""
    output: Path | None = None
    """The folder for README.md; None: only print."""


def nap(shared: None, seconds: float) -> None:
    """A run that needs nothing but time."""
    time.sleep(seconds)


def span(engine: Engine, number: int, seconds: float) -> float:
    """Seconds that a grid of naps takes."""
    start = time.perf_counter()
    for outcome in engine.outcomes(nap, None, [Job(seconds, "nap")] * number):
        assert outcome.error is None, outcome.error
    return time.perf_counter() - start


def long_runs(asked: Options) -> dict[str, float]:
    """For a grid of long runs: seconds until the workers are ready, and the overhead as a share of the grid."""
    with as_engine(asked.engine, workers=asked.workers) as engine:
        engine.learn("nap", {"main": 2**28, "gpu": 0})
        starting = span(engine, asked.workers, 0.5) - 0.5
        ideal = asked.runs * LONG / asked.workers
        taken = span(engine, asked.runs, LONG)
    return {"starting": starting, "grid": taken, "share": taken / ideal - 1, "whole": (taken + starting) / ideal - 1}


def short_runs(asked: Options) -> dict[str, float]:
    """For short runs: a run's own seconds, and the overhead of one more, since the workers start once for all."""
    _, few, many = (_compared(asked, seeds) for seeds in (FEW, FEW, asked.seeds))  # the first reads files from the disk
    runs, taken, own = (more - less for more, less in zip(many, few, strict=True))
    return {"runs": runs, "own": own / runs, "overhead": (taken * asked.workers - own) / runs}


def _compared(asked: Options, seeds: int) -> tuple[int, float, float]:
    """For a comparison: its runs, the seconds that it takes, and the sum of theirs."""
    task, engine = as_task("digits").under(epochs=1), as_engine(asked.engine, workers=asked.workers)
    with tempfile.TemporaryDirectory() as folder:
        made = Comparison((task,), as_methods(["none", "l2:0.1"]), Path(folder), seeds=seeds, folds=1, engine=engine)
        made.check()
        made.prepare()
        start = time.perf_counter()
        made.run(progress=False)
        taken = time.perf_counter() - start
        results = [json.loads(path.read_text()) for path in Path(folder).rglob("result.json")]
    return len(results), taken, sum(result["seconds"]["total"] for result in results)


def page(asked: Options, long: dict[str, float], short: dict[str, float]) -> str:
    """The figures as Markdown."""
    command = f"--engine {asked.engine} --workers {asked.workers} --runs {asked.runs} --seeds {asked.seeds}"
    rows = [
        (f"{asked.runs} runs of {LONG:g} s: overhead", f"{long['share']:.2%}", f"{SHARE:.0%}", long["share"] <= SHARE),
        (f"the same with {long['starting']:.1f} s to start workers", f"{long['whole']:.2%}", "", None),
        (
            f"{short['runs']} more runs of {short['own']:.2f} s: overhead of each",
            f"{short['overhead'] * 1e3:.0f} ms",
            f"{SHORT * 1e3:.0f} ms",
            short["overhead"] <= SHORT,
        ),
    ]
    table = "".join(f"| {what} | {found} | {most} | {MET[met]} |\n" for what, found, most, met in rows)
    about = "".join(f"- {name}: {value}\n" for name, value in machine.describe(torch.device("cpu")).items())
    answer = (
        f"**Beside the runs themselves it takes {short['overhead'] * 1e3:.0f} ms a short run, and {long['share']:.2%} "
        f"of a grid of runs of {LONG:g} s.**"
    )
    return (
        f"# What the {asked.engine} engine costs\n\n{answer}\n\n`python -m benchmarks.engine {command}`\n\n"
        f"| what | measured | allowed | |\n|---|---|---|---|\n{table}\n{about}"
    )


def main() -> None:
    asked = tyro.cli(Options)
    logging.getLogger("bayesreg").setLevel(logging.ERROR)
    said = page(asked, long_runs(asked), short_runs(asked))
    print(said)
    if asked.output is not None:
        write_atomically(asked.output / "README.md", lambda part: part.write_text(said))


if __name__ == "__main__":
    main()
