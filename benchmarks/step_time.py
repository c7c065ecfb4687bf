"""What does a training step cost? bayesreg, hand-written PyTorch and naive Pyro, side by side in one process."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyro
import torch
import tyro
from tqdm import tqdm

from bayesreg.device import choose_device
from bayesreg.threads import surroundings
from benchmarks import contestants, epoch, machine, measure, memory, profile
from benchmarks.bars import BATCHING
from benchmarks.cases import Problem
from benchmarks.contestants import BAYESREG, HAND, Key, Ready, synchronise
from benchmarks.pages import performance
from benchmarks.plan import Measurement, StepTime, plan
from benchmarks.results import WIDTH_PRIORS, Results


def run(options: StepTime, results: Results, device: torch.device) -> None:
    """Measure everything; the tables are written after every part of it."""
    todo = plan(options, device)
    for measurement in todo:
        steps(measurement, options, results, device)
        results.write(options.output)
    if options.epochs:
        for one in todo:
            if one.width == 1 and one.case.name in BATCHING:
                key = Key(one.case.name, one.batch, 1, "none", "delta", BAYESREG)
                results.epochs[key] = epoch.batching(one.case, one.batch, device, options.seconds)
    if options.memory:
        for key in tqdm(_whole(todo), desc="memory", disable=None):
            results.rises[key] = memory.measure(key, device)
    results.write(options.output)


def steps(measurement: Measurement, options: StepTime, results: Results, device: torch.device) -> None:
    """Prepare the contestants of one case, and let them take turns."""
    case, batch, width, keys = measurement
    start = time.perf_counter()
    problem = Problem(case, width, batch, device)
    pyro.clear_param_store()
    torch.compiler.reset()  # torch.compile stops compiling a function after some eight variants
    with surroundings(device, 0, problem.threads):
        if problem.threads not in results.rates:
            results.rates[problem.threads] = measure.matrix_rate(device)
        keys = [key for key in keys if contestants.possible(problem, *key[3:])]
        with tqdm(total=len(keys), desc=f"{case.name} ×{width}", leave=False, disable=None) as bar:
            ready = {key: _ready(problem, key, bar) for key in keys}
            bar.set_postfix_str("taking turns")
            turns = {key: one.step for key, one in ready.items()}
            times = measure.interleave(turns, options.seconds, options.rounds, lambda: synchronise(device))
            for key, one in ready.items():
                if width == 1 and key.contestant in (BAYESREG, HAND) and (key.prior, key.guide) == ("none", "delta"):
                    results.profiles[key] = profile.operations(one)
    pyro.clear_param_store()
    results.add(times, ready, problem.threads, 3 * problem.work)
    seconds = time.perf_counter() - start
    print(f"{case.name}, {width}× as wide, batch {batch}: {len(keys)} contestants, {seconds:.0f} s", file=sys.stderr)


def _ready(problem: Problem, key: Key, bar: tqdm) -> Ready:
    bar.set_postfix_str(", ".join(key[3:]))
    ready = contestants.prepare(problem, *key[3:])
    bar.update()
    return ready


def _whole(todo: Sequence[Measurement]) -> list[Key]:
    """The contestants whose peak memory is measured."""
    return [
        key
        for one in todo
        if one.width in one.case.whole
        for key in one.keys
        if key.contestant in (BAYESREG, HAND) and key.prior in WIDTH_PRIORS and key.guide == "delta"
    ]


@contextmanager
def _empty_cache() -> Iterator[None]:
    """Compile everything again: what an earlier run left on disk would make compiling look cheap."""
    before = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
        try:
            yield
        finally:
            del os.environ["TORCHINDUCTOR_CACHE_DIR"]
            if before is not None:
                os.environ["TORCHINDUCTOR_CACHE_DIR"] = before


def _start_compiler(device: torch.device) -> str:
    """The seconds that the first compilation of a process takes beyond its own."""
    start = time.perf_counter()
    torch.compile(lambda x: x + 1)(torch.zeros(8, device=device))
    return f"{time.perf_counter() - start:.0f} s, once in a process"


def _command(given: list[str]) -> str:
    """How to measure this again, without the output folder, which is of no use on another machine."""
    elsewhere = {place + offset for place, text in enumerate(given) if text == "--output" for offset in (0, 1)}
    kept = [text for place, text in enumerate(given) if place not in elsewhere]
    return shlex.join(["python", "-m", "benchmarks.step_time", *kept])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the bars, write the page. Exit status 2 for bad options."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = tyro.cli(StepTime, prog="python -m benchmarks.step_time", args=given)
    try:
        options.check()
        device = choose_device(options.device)
        if not plan(options, device):
            raise ValueError(f"widths {options.widths}: too wide for {', '.join(options.cases)}; take smaller ones")
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    start = time.perf_counter()
    results = Results(_command(given), machine.describe(device))
    with _empty_cache():
        if options.compile:
            results.machine["starting the compiler"] = _start_compiler(device)
        try:
            run(options, results, device)
        except KeyboardInterrupt:
            print(f"interrupted; what was measured is in {options.output}", file=sys.stderr)
            sys.exit(130)
    results.machine["measuring"] = f"{(time.perf_counter() - start) / 60:.1f} minutes"
    results.write(options.output)
    print(performance.promises(results.bars()).to_string(index=False))
    print(performance.write(options.output))


if __name__ == "__main__":
    main()
