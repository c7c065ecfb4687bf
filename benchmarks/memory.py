"""The peak memory of one contestant, in a process of its own.

What counts is how far the peak rises above what the process holds with everything imported and the data made. On a
CPU that is resident memory, as the kernel counts it (VmHWM; ru_maxrss would start from the parent process's), on a
GPU what PyTorch allocates there.
"""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
from pathlib import Path

import torch

from bayesreg.device import give_back, surroundings
from benchmarks.cases import CASES, Problem
from benchmarks.contestants import Key, prepare, synchronise

STEPS = 5
PARTS = ("before", "preparing", "training", "again")
ROOT = Path(__file__).parents[1]
STATUS, FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def measure(key: Key, device: torch.device) -> dict[str, float]:
    """Bytes: held before, and how far above that preparing and training went, by a new process."""
    command = [sys.executable, "-m", "benchmarks.memory", *map(str, key), "--device", str(device)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"no memory of {' '.join(map(str, key))}: {done.stderr.strip().rpartition(chr(10))[2]}")
    return json.loads(done.stdout)


def rise(key: Key, device: torch.device) -> dict[str, float]:
    """The same by this process, which has measured nothing before; and how far above it doing it again goes.

    By then PyTorch has what it makes once a process: its tracer's caches, autograd's thread, the kernels' workspaces.
    """
    problem = Problem(CASES[key.case], key.width, key.batch, device)
    with surroundings(device, 0, problem.threads):
        first, second = (_rise(problem, key, device) for _ in range(2))
    return first | {"again": max(second["preparing"], second["training"])}


def _rise(problem: Problem, key: Key, device: torch.device) -> dict[str, float]:
    give_back()
    _forget(device)
    before = _held(device)
    ready = prepare(problem, key.prior, key.guide, key.contestant)
    preparing = peak(device) - before
    _forget(device)
    for _ in range(STEPS):
        ready.step()
    synchronise(device)
    return {"before": before, "preparing": preparing, "training": peak(device) - before}


def peak(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT


def _held(device: torch.device) -> int:
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else _status("VmRSS") or peak(device)


def _forget(device: torch.device) -> None:
    """Let the peak start again from what is held now; where the kernel has no such wish, peaks only rise."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif FORGET.exists():
        FORGET.write_text("5")


def _status(field: str) -> int:
    """Bytes; 0 where the system is not Linux."""
    found = re.search(rf"{field}:\s+(\d+) kB", STATUS.read_text()) if STATUS.exists() else None
    return int(found[1]) * 1024 if found else 0


_UNIT = 1 if sys.platform == "darwin" else 1024


def main() -> None:
    case, batch, width, prior, guide, contestant, _, device = sys.argv[1:]
    print(json.dumps(rise(Key(case, int(batch), int(width), prior, guide, contestant), torch.device(device))))


if __name__ == "__main__":
    main()
