"""How much memory this machine has, how much a process has needed, and how it returns what it has freed."""

from __future__ import annotations

import ctypes
import gc
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import torch

STATUS, FORGET, GROUPS = Path("/proc/self/status"), Path("/proc/self/clear_refs"), Path("/proc/self/cgroup")
MOUNTED = Path("/sys/fs/cgroup")
UNIT = 1 if sys.platform == "darwin" else 1024  # bytes, of ru_maxrss


class Memory(NamedTuple):
    """Bytes of main memory, and of a GPU's."""

    main: int = 0
    gpu: int = 0

    def __str__(self) -> str:
        parts = {"": self.main, " of a GPU's": self.gpu}
        return " and ".join(f"{size / 2**30:.2g} GB{of}" for of, size in parts.items() if size) or "no"


def forget(device: torch.device) -> None:
    """Reset the peak to what is held now; where the kernel has no such call, peaks only rise."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    if os.access(FORGET, os.W_OK):
        FORGET.write_text("5")


def peak(device: torch.device) -> Memory:
    """The most that this process has held; of a GPU's memory, what PyTorch has reserved there."""
    on_gpu = torch.cuda.max_memory_reserved(device) if device.type == "cuda" else 0
    return Memory(status("VmHWM") or _most_resident(), on_gpu)


def status(field: str) -> int:
    """Bytes of a field such as VmRSS; 0 where the system is not Linux."""
    found = re.search(rf"{field}:\s+(\d+) kB", STATUS.read_text()) if STATUS.exists() else None
    return int(found[1]) * 1024 if found else 0


def _most_resident() -> int:
    """0 where the system is not POSIX."""
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT


def total() -> Memory:
    """All main memory that this process may use, its control group's limit included, and that of the first GPU."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else sys.maxsize
    on_gpu = torch.cuda.get_device_properties(0).total_memory if torch.cuda.is_available() else 0
    return Memory(min([pages, *_limits()]), on_gpu)


def _limits() -> list[int]:
    """The limits of the nested control groups that this process is in, such as a container's or a batch job's."""
    found = []
    for line in GROUPS.read_text().splitlines() if GROUPS.exists() else []:
        _, controllers, path = line.split(":", 2)
        kind, file = ("memory", "memory.limit_in_bytes") if controllers == "memory" else ("", "memory.max")
        if controllers in ("memory", ""):
            own = MOUNTED / kind / path.lstrip("/")
            for group in [own, *own.parents]:
                limit = group / file
                if limit.is_file() and (text := limit.read_text().strip()).isdigit():
                    found.append(int(text))
    return found


def give_back() -> None:
    """Return freed memory to the system. glibc keeps what lies between live tensors, half as much as they hold."""
    gc.collect()
    with suppress(AttributeError, OSError, TypeError):  # another C library, which has no such call
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def only_new_garbage() -> Iterator[None]:
    """Within, `gc.collect` looks only at what was made within: looking at all of PyTorch and Pyro takes 0.2 s."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
