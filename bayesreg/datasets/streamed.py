"""Inputs that do not fit into memory: read in batches, in advance and by separate processes."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import data as torch_data

from bayesreg import interrupts, structure
from bayesreg.progress import bar
from bayesreg.structure import X

from .sources import Arrays, Items, seed_of
from .tensors import parts, to_leaf, to_tensor

WORKERS = min(2, os.cpu_count() or 1)
Source = Arrays | Items
To = torch.device | torch.dtype | str


class Streamed:
    """Inputs [n, ...] that stay where they are: the `rows` [n] of a source; None: all of them.

    Indexed or split, it gives what a network takes, tensors in memory: a batch of them is read then. `take` chooses
    rows without reading any. workers: how many processes read in advance when batches are requested in sequence.
    """

    def __init__(self, source: Source, workers: int = WORKERS, rows: Tensor | None = None, to: tuple[To, ...] = ()):
        if isinstance(workers, bool) or not isinstance(workers, int) or workers < 0:
            raise ValueError(f"workers={workers!r}: give the number of processes that read ahead, 0 for none")
        self.source, self.workers, self.places = source, workers, to
        self.rows = torch.arange(len(source)) if rows is None else rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int | slice | Tensor) -> X:
        """The examples at an index [k], or in a slice, in memory; for a single number, that one."""
        rows = self._at(index)
        x = self._placed(self.source.read(rows.reshape(-1)))
        return x if rows.dim() else structure.rows(x, 0)

    def __repr__(self) -> str:
        return f"Streamed({len(self)} like {structure.describe(self.source.one)}, workers={self.workers})"

    def read(self, parts: Sequence[slice | Tensor]) -> Iterator[X]:
        """The examples at each of these, one part after the other."""
        pinned = any(not isinstance(to, torch.dtype) and torch.device(to).type == "cuda" for to in self.places)
        for x in in_turn(self.source.read, list(map(self._at, parts)), self.workers, pinned):
            yield self._placed(x)

    def split(self, size: int) -> Iterator[X]:
        """The examples in order, `size` at a time."""
        return self.read([slice(start, start + size) for start in range(0, len(self), size)])

    def some(self, number: int) -> X:
        """At most so many of them, evenly spread."""
        return self[torch.arange(min(number, len(self))) * len(self) // min(number, len(self))]

    def take(self, index: slice | Tensor) -> Streamed:
        """The examples at an index, or in a slice, or where a mask is true; none is read."""
        rows = self._at(index)
        if len(rows) == 0:
            raise ValueError("x is empty: give at least one example")
        return Streamed(self.source, self.workers, rows, self.places)

    def to(self, to: To) -> Streamed:
        """The same with batches on a device, or in a floating-point type."""
        return self if to in self.places else Streamed(self.source, self.workers, self.rows, (*self.places, to))

    def is_floating_point(self) -> bool:
        """Whether some of it is; its batches say which."""
        return True

    def _at(self, index: int | slice | Tensor) -> Tensor:
        return self.rows[index.cpu() if isinstance(index, Tensor) else index]

    def _placed(self, x: X) -> X:
        for to in self.places:
            x = structure.mapped(partial(_placed, to), x)
        return x


def _placed(to: To, leaf: Tensor) -> Tensor:
    if isinstance(to, torch.dtype):
        return leaf.to(to) if leaf.is_floating_point() else leaf
    return leaf.to(to, non_blocking=True)


def to_inputs(value: Any) -> X:
    """x as a tensor, Windows or Streamed, or as a tuple or dict of them: what a network takes, or reads to."""
    if isinstance(value, Streamed):
        return value
    x = parts(value)
    if any(isinstance(leaf, np.memmap) for leaf in structure.leaves(x)):
        return Streamed(Arrays(x))
    if structure.form(x) is None:
        return to_tensor("x", x)
    return structure.build(structure.form(x), [to_leaf(name, leaf) for name, leaf in structure.named(x).items()])


def streamed(items: Any, y: Any, workers: int) -> tuple[Streamed, Any]:
    """x and y from a map-style dataset, or a list of pairs; from arrays if y is given too."""
    if y is not None and not isinstance(items, torch_data.Dataset):
        return Streamed(Arrays(items), workers), y
    source = Items(items)
    return Streamed(source, workers), _targets(source, workers) if y is None else y


def _targets(items: Items, workers: int, size: int = 64) -> Tensor:
    """y of all items, each read once."""
    rows = torch.arange(len(items)).split(size)
    return torch.cat(list(bar(in_turn(items.targets, rows, workers), total=len(rows), desc="reading y")))


class _Reading(torch_data.Dataset):
    """What a worker does with the rows of a batch. An error in the data is passed on as it is, in one line."""

    def __init__(self, read: Callable[[Tensor], Any]) -> None:
        self.read = read

    def __getitem__(self, rows: Tensor) -> Any:
        try:
            return self.read(rows)
        except (TypeError, ValueError) as error:
            return error


def in_turn(read: Callable[[Tensor], Any], rows: Sequence[Tensor], workers: int, pinned: bool = False) -> Iterator[Any]:
    """read(rows) of each of the rows, in advance, by processes that end with the last, or when nobody asks for more."""
    if workers == 0 or len(rows) < 2:
        yield from map(read, rows)
        return
    loader: Any = torch_data.DataLoader(
        _Reading(read),
        batch_size=None,  # the sampler gives whole batches
        sampler=rows,
        num_workers=min(workers, len(rows)),
        collate_fn=_as_it_is,
        pin_memory=pinned,
        worker_init_fn=_begin,
        generator=torch.Generator().manual_seed(seed_of(rows[0])),  # else it would draw from PyTorch's random state
    )
    batches: Any = None
    try:
        with interrupts.later(), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # about threads and forks; the workers use no threads
            batches = iter(loader)
        for batch in batches:
            if isinstance(batch, Exception):
                raise batch
            yield batch
    finally:
        if batches is not None:
            batches._shutdown_workers()  # now: an error's traceback would keep them alive as long as it is held


def _as_it_is(batch: Any) -> Any:
    return batch


def _begin(worker: int) -> None:
    interrupts.leave()
