"""Whatever is given as data, as a Dataset: a pair, a Data, a DataLoader; and what to write for anything else."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch.utils import data as torch_data

from bayesreg import structure

from .base import Data, Dataset
from .sources import Items, kind
from .streamed import WORKERS

ROOM = 0.25  # of the free memory: anything smaller is read whole


def as_dataset(value: Any, part: str = "train") -> Dataset:
    """Whatever is given as data, as a Dataset.

    A Dataset is itself, a Data its split `part`, "train", "validation" or "test"; a pair (x, y) is Dataset(x, y). A
    map-style dataset of PyTorch, of items (x, y), or the one that a DataLoader draws from, is read into memory whole if
    it takes at most a quarter of what is free, judged by its length and first item: once and in its own order, so the
    loader's batches and shuffling have no effect, and a random transform is frozen (see `augment` of fit). A larger one
    is read as needed: see Dataset.stream, which does so for any.

    Raises TypeError or ValueError, with what to write, for anything else.
    """
    if isinstance(value, Dataset):
        return value
    if isinstance(value, Data):
        return getattr(value, part)
    if isinstance(value, torch_data.DataLoader):
        return _read(value.dataset, value.num_workers or WORKERS)
    if isinstance(value, torch_data.Dataset):
        return _read(value)
    if isinstance(value, tuple | list) and len(value) == 2:
        return Dataset(*value)
    hint = f"; this one is datasets.load({value!r}).{part}" if isinstance(value, str) else ""
    if hasattr(value, "columns"):
        hint = "; for a table say which column is y, as in (table.drop(columns='price'), table['price'])"
    raise TypeError(
        f"the {part} data are given as {kind(value)}: give a Dataset(x, y), a pair (x, y), a DataLoader of pairs or a "
        f"Data{hint}"
    )


def _read(items: Any, workers: int = WORKERS) -> Dataset:
    """Every item (x, y) of a map-style dataset, in memory where there is ample room."""
    if isinstance(items, torch_data.TensorDataset) and len(items.tensors) == 2:
        return Dataset(*items.tensors)
    source = Items(items)
    if len(items) * sum(leaf.nbytes for leaf in (*structure.leaves(source.one), source.one_y)) > ROOM * free_memory():
        return Dataset.stream(items, workers=workers)
    return Dataset(*source.pairs(torch.arange(len(items)), f"reading {type(items).__name__}"))


def free_memory() -> float:
    """Bytes that this process could still take, by Linux; infinite where that is not known."""
    free = math.inf
    with suppress(OSError, StopIteration, ValueError):
        line = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable:"))
        free = int(line.split()[1]) * 1024
    with suppress(OSError, ValueError):  # in a container, "max" where there is no limit
        limit, used = (int(Path("/sys/fs/cgroup", name).read_text()) for name in ("memory.max", "memory.current"))
        free = min(free, limit - used)
    return free
