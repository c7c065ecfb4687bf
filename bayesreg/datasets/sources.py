"""Where inputs that are not in memory come from: arrays on a disk, or a map-style dataset of PyTorch's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import data as torch_data

from bayesreg import structure
from bayesreg.progress import bar
from bayesreg.structure import X

from .tensors import parts, to_leaf, to_tensor

REMEDIES = {"shape": "pad or cut them to one", "type": "convert them to one"}


class Arrays:
    """x from arrays, at least one of which is an np.memmap, which stays on disk; the others are in memory."""

    def __init__(self, x: Any) -> None:
        leaves = structure.named(parts(x)).items()
        self.form = structure.form(parts(x))
        self.leaves = {
            name: OnDisk(leaf) if isinstance(leaf, np.memmap) else to_leaf(name, leaf) for name, leaf in leaves
        }
        if len(self) == 0:
            raise ValueError("x is empty: give at least one example")
        self.one = self.read(torch.zeros(1, dtype=torch.int64))  # anything without numbers is refused here

    def __len__(self) -> int:
        sizes = {name: len(leaf) for name, leaf in self.leaves.items()}
        if len(set(sizes.values())) > 1:
            raise ValueError(f"the inputs have unequal numbers of rows: {sizes}")
        return next(iter(sizes.values()))

    def read(self, rows: Tensor) -> X:
        """x of these rows [k], in memory."""
        return structure.build(self.form, [self._leaf(name, leaf, rows) for name, leaf in self.leaves.items()])

    def _leaf(self, name: str, leaf: Any, rows: Tensor) -> Tensor:
        if not isinstance(leaf, OnDisk):
            return leaf[rows]
        convert = to_tensor if self.form is None else to_leaf
        return convert(name, leaf.array[rows.numpy()], rows.tolist())


class OnDisk:
    """An np.memmap that another process opens again, where NumPy would send it all the numbers."""

    def __init__(self, array: np.memmap) -> None:
        self.array = array

    def __len__(self) -> int:
        return len(self.array)

    def __reduce__(self) -> Any:
        root: Any = self.array
        while isinstance(root.base, np.memmap):
            root = root.base
        offset = root.offset + self.array.ctypes.data - root.ctypes.data
        array = self.array
        return _opened, (str(array.filename), array.dtype.str, array.shape, array.strides, offset)


def _opened(path: str, dtype: str, shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> OnDisk:
    whole = np.memmap(path, np.uint8, "r")
    return OnDisk(np.ndarray(shape, dtype, whole.data, offset, strides).view(np.memmap))


class Items:
    """A map-style dataset of PyTorch's, of items (x, y), x an array, a tensor, or a tuple or a dict of them.

    All items must have the shape and type of the first. Raises TypeError or ValueError, with the item, where one does
    not.
    """

    def __init__(self, items: Any) -> None:
        if isinstance(items, torch_data.IterableDataset) or not hasattr(items, "__len__"):
            raise TypeError(f"{kind(items)} has no length: read it into tensors and give Dataset(x, y)")
        if len(items) == 0:
            raise ValueError(f"x is empty: {kind(items)} has no items")
        self.items = items
        one = torch.zeros(1, dtype=torch.int64)
        with _random_numbers_of(one):
            self.form, self.first = _taken_apart(self._pair(0))
        self.one, self.one_y = self.pairs(one)

    def __len__(self) -> int:
        return len(self.items)

    def read(self, rows: Tensor) -> X:
        """x of the items at [k]."""
        return self.pairs(rows)[0]

    def targets(self, rows: Tensor) -> Tensor:
        """y of the items at [k], whose x is read too, so that all are seen once."""
        return self.pairs(rows)[1]

    def pairs(self, rows: Tensor, say: str = "") -> tuple[X, Tensor]:
        """(x, y) of the items at [k]; say: what the progress bar shows."""
        numbers = rows.tolist()
        with _random_numbers_of(rows):
            every = [self._leaves(number) for number in bar(numbers, desc=say, show=bool(say))]
        *x, y = zip(*every, strict=True)
        *names, _ = self.first
        convert = to_tensor if self.form is None else to_leaf
        leaves = [convert(name, list(values), numbers) for name, values in zip(names, x, strict=True)]
        return structure.build(self.form, leaves), to_tensor("y", list(y), numbers)

    def _leaves(self, number: int) -> list[Any]:
        """The leaves of x, and y, of one item, checked to be like those of the first."""
        form, leaves = _taken_apart(self._pair(number))
        if form != self.form:
            ours, theirs = (", ".join(named).removesuffix(", y") for named in (leaves, self.first))
            raise ValueError(f"item {number} has {ours}, item 0 {theirs}: give all items the same inputs")
        for (name, value), first in zip(leaves.items(), self.first.values(), strict=True):
            for what, own, other in zip(REMEDIES, _like(value), _like(first), strict=True):
                if own != other:
                    of = "" if name == "x" else f"{name} of "
                    raise ValueError(f"item {number} has {of}{what} {own}, item 0 {other}: {REMEDIES[what]}")
        return list(leaves.values())

    def _pair(self, number: int) -> tuple[Any, Any]:
        item, whose = self.items[number], f"item {number} of {kind(self.items)}"
        if not (isinstance(item, tuple | list) and len(item) == 2):
            raise TypeError(f"{whose} is {kind(item)}: give pairs (x, y)")
        if type(item[0]).__module__.startswith("PIL."):
            raise TypeError(
                f"{whose} is an image of PIL: give the dataset transform=torchvision.transforms.PILToTensor()"
            )
        return item[0], item[1]


def kind(value: Any) -> str:
    """A description: None, a DataFrame, a list of 3."""
    size = f" of {len(value)}" if isinstance(value, tuple | list | dict) else ""
    return "None" if value is None else f"a {type(value).__name__}{size}"


def _taken_apart(pair: tuple[Any, Any]) -> tuple[Any, dict[str, Any]]:
    """The form of x, and the leaves of x and y by name."""
    x = parts(pair[0])
    return structure.form(x), structure.named(x) | {"y": pair[1]}


def _like(value: Any) -> tuple[list[int], str]:
    """Shape and type. All of Python's numbers count as one type."""
    array = value if hasattr(value, "shape") else np.asanyarray(value)
    return list(array.shape), str(array.dtype).removeprefix("torch.") if array is value else "number"


@contextmanager
def _random_numbers_of(rows: Tensor) -> Iterator[None]:
    """PyTorch's random numbers depend only on the rows, whichever process reads them; outside, none have been drawn."""
    generator = torch.default_generator
    before = generator.get_state()
    generator.manual_seed(seed_of(rows))
    try:
        yield
    finally:
        generator.set_state(before)


def seed_of(rows: Tensor) -> int:
    """One seed for a batch of rows."""
    return int(np.random.SeedSequence(rows.tolist()).generate_state(1)[0])
