"""The peak memory of one contestant, in a process of its own.

What counts is how far the peak rises above what the process holds with everything imported and the data made. On a
CPU that is resident memory, as the kernel counts it (VmHWM; ru_maxrss would start from the parent process's), on a
GPU what PyTorch allocates there.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import torch

from bayesreg import memory
from bayesreg.memory import give_back
from bayesreg.threads import surroundings
from benchmarks.cases import CASES, Problem
from benchmarks.contestants import Key, prepare, synchronise

STEPS = 5
PARTS = ("before", "preparing", "training", "again")
ROOT = Path(__file__).parents[1]


def measure(key: Key, device: torch.device) -> dict[str, float]:
    """Bytes: held before, and how far above that preparing and training went, by a new process."""
    command = [sys.executable, "-m", "benchmarks.memory", *map(str, key), "--device", str(device)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"no memory of {' '.join(map(str, key))}: {done.stderr.strip().rpartition(chr(10))[2]}")
    return json.loads(done.stdout)


def rise(key: Key, device: torch.device) -> dict[str, float]:
    """The same in this process, which has measured nothing before; and the rise when it is done again.

    By then PyTorch has what it makes once per process: its tracer's caches, autograd's thread, the kernels' workspaces.
    """
    problem = Problem(CASES[key.case], key.width, key.batch, device)
    with surroundings(device, 0, problem.threads):
        first, second = (_rise(problem, key, device) for _ in range(2))
    return first | {"again": max(second["preparing"], second["training"])}


def _rise(problem: Problem, key: Key, device: torch.device) -> dict[str, float]:
    give_back()
    memory.forget(device)
    before = _held(device)
    ready = prepare(problem, key.prior, key.guide, key.contestant)
    preparing = _peak(device) - before
    memory.forget(device)
    for _ in range(STEPS):
        ready.step()
    synchronise(device)
    return {"before": before, "preparing": preparing, "training": _peak(device) - before}


def _peak(device: torch.device) -> int:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else memory.peak(device).main


def _held(device: torch.device) -> int:
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else memory.status("VmRSS") or _peak(device)


def main() -> None:
    case, batch, width, prior, guide, contestant, _, device = sys.argv[1:]
    print(json.dumps(rise(Key(case, int(batch), int(width), prior, guide, contestant), torch.device(device))))


if __name__ == "__main__":
    main()
