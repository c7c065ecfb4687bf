"""What a data set is: x and y of equal length, in a training, a validation and a test split."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from bayesreg import structure
from bayesreg.files import sha256_of
from bayesreg.structure import X

from .streamed import WORKERS, Streamed, streamed, to_inputs
from .tensors import to_tensor
from .windows import Windows

if TYPE_CHECKING:
    import pandas as pd

    from .inputs import Inputs
    from .source import Rows, Source

SPLIT_SEED = 0  # of the data set, not of a run: all runs of all seeds see the same splits
SMALL = 5_000  # rows: with more, a fifth is over a thousand, which measure an accuracy to 1.6 points without folds


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Dataset:
    """n examples: inputs x [n, ...] and targets y [n, ...].

    Tensors, arrays, lists and pandas tables are accepted. Floats become float32 (a float64 tensor stays float64),
    integers and booleans int64, except uint8 of two or more dimensions, which are images and stay uint8; all columns of
    a DataFrame become float32. x may be Windows too, or a tuple or a dict of all these, each [n, ...]: the positional
    or keyword arguments of the network, of which booleans, such as masks, stay boolean. x is in memory, except an
    np.memmap, which is read in batches as by `stream`.

    Raises ValueError if x and y are empty or of unequal length, or hold a NaN or an infinity; TypeError if they hold
    text, complex numbers or other objects.
    """

    x: X  # a Tensor, or Windows or Streamed, which are indexed like one; or a tuple or a dict
    y: Tensor

    def __init__(self, x: Any, y: Any) -> None:
        object.__setattr__(self, "x", to_inputs(x))
        object.__setattr__(self, "y", to_tensor("y", y))
        for name, leaf in structure.named(self.x).items():
            if len(leaf) != len(self.y):
                raise ValueError(
                    f"{name} has {len(leaf)} rows and y has {len(self.y)}: give one y for each x"
                    + "; a tuple holds the inputs of a network, and rows belong in a list" * isinstance(self.x, tuple)
                )

    @classmethod
    def stream(cls, items: Any, y: Any = None, workers: int = WORKERS) -> Dataset:
        """Data that do not fit into memory: x is read a batch at a time, in advance, by `workers` processes.

        items: a map-style dataset of PyTorch's, of pairs (x, y), x an array, a tensor, or a tuple or a dict of them; or
        only arrays, np.memmap among them, as x of Dataset. y [n, ...] is kept in memory; None reads all items once for
        it, which finds any that cannot be used. workers: 0 reads in the calling process. Batches are those of data in
        memory, bit for bit; PyTorch's random numbers in an item depend only on the batch. Dataset(s.x[:], s.y) has it
        all in memory.

        Raises ValueError or TypeError, with the item, where one has another shape or type than the first: here, or, if
        y is given, at its batch.
        """
        return cls(*streamed(items, y, workers))

    def __len__(self) -> int:
        return len(self.y)

    def __repr__(self) -> str:
        return f"Dataset(x: {structure.describe(self.x)}, y: {structure.describe(self.y)})"

    def batch(self, rows: slice | Tensor) -> tuple[X, Tensor]:
        """(x, y) of the examples at an index [k], or in a slice."""
        return structure.rows(self.x, rows), self.y[rows]

    def batches(self, size: int, order: Tensor | None = None) -> Iterator[tuple[X, Tensor]]:
        """(x, y) of all examples, `size` at a time, in that order [n]; None: in their own order."""
        if order is None:
            parts: Sequence[Any] = [slice(start, start + size) for start in range(0, len(self), size)]
        else:
            parts = order.to(self.y.device).split(size)
        read = self.x.read(parts) if isinstance(self.x, Streamed) else (structure.rows(self.x, p) for p in parts)
        return zip(read, (self.y[part] for part in parts), strict=True)

    def take(self, indices: slice | Sequence[int] | np.ndarray | Tensor) -> Dataset:
        """The examples at `indices` (or in a slice, or where a mask is true), in that order.

        Raises TypeError where they are not whole numbers in one dimension.
        """
        chosen = indices if isinstance(indices, slice) else _whole(indices)
        take = lambda leaf: leaf[chosen] if isinstance(leaf, Tensor) else leaf.take(chosen)  # noqa: E731
        return Dataset(structure.mapped(take, self.x), self.y[chosen])

    def to(self, device: torch.device | str) -> Dataset:
        """The same examples on `device`; for those that are not in memory, the batches."""
        return Dataset(structure.mapped(lambda leaf: leaf.to(device), self.x), self.y.to(device))

    def sha256(self) -> str:
        """64 hexadecimal digits, a hash of the content: x and y; for windows, the table and the ends.

        For x that is not in memory, 64 rows evenly spread: reading all of it may take hours.
        """
        x = self.x.some(64) if isinstance(self.x, Streamed) else self.x
        told: dict[str, Tensor] = {}
        for name, leaf in structure.named(x).items():
            held = {"rows": leaf.rows, "ends": leaf.ends} if isinstance(leaf, Windows) else {name: leaf}
            told |= {f"{name} of {list(leaf.shape)}": part for name, part in held.items()}
        return sha256_of(told | {"y": self.y})


@dataclass(frozen=True, eq=False, repr=False)
class Data:
    """A data set, split once and for all.

    name        its key in DATASETS; for a table of your own, the name of its file
    train       for inference; scalers are fitted on it alone
    validation  for every choice
    test        for the final report
    classes     the number of classes, y in 0 .. classes − 1; None for regression
    target      what y is, and its unit
    provenance  file -> who vouches for it: "published checksum", "SHA256SUMS" or "scikit-learn"; else "no published
                checksum"; for a table of your own, its SHA-256
    labels      the names of the classes: label i for y = i; None for regression, and where they are not given
    inputs      what makes x from a table or arrays of your own, fitted on train alone; None for a registered data set
    rows        which rows of the table or of the arrays train, validation and test are; None where the split is fixed
    source      all rows and how this is made from them, so that `fold` can split them again; None where the split is
                fixed
    fixed       why the split is fixed, where it is
    """

    name: str
    train: Dataset
    validation: Dataset
    test: Dataset
    classes: int | None
    target: str
    provenance: dict[str, str]
    labels: tuple[Any, ...] | None = None
    inputs: Inputs | None = None
    rows: Rows | None = None
    source: Source | None = None
    fixed: str = "its split was given as it is"

    @classmethod
    def from_table(
        cls,
        source: Any,
        target: str,
        *,
        task: str | None = None,
        group: str | None = None,
        time: str | None = None,
        kinds: dict[str, str] | None = None,
        seed: int = 0,
        name: str | None = None,
    ) -> Data:
        """A table of your own, a DataFrame or the path of a CSV or Parquet file: read, split and made into numbers.

        target: the column to predict. Text, booleans, categories and whole numbers with few values (at most 20, each
        five times on average) are classes, numbered in order, with their names in `labels`; other numbers are
        regression. task: "classification" or "regression" overrides this. y stays in its own unit: `fit` trains in any,
        and metrics are in it.

        Split 60 / 20 / 20 by `seed`, stratified by class. group: a column; rows of one group stay in one part. time: a
        column; train comes before validation, and validation before test. Neither is then part of x.

        x float32 [n, inputs]: numbers, with the median in place of missing values and a column that says where they
        were, all standardised; then a column of 0 and 1 for each category, of which missing is one. A category that is
        not in train is all zeros. The kind of a column is inferred from train, and `columns` shows it; kinds={"zip":
        "category"} overrides it: "number", "category" or "left out". Columns without values or with a single one,
        identifiers (text or whole numbers, each in one row only) and dates are left out by default. Everything is
        fitted on train alone; `transform` applies it to another table.

        Raises ValueError, TypeError or FileNotFoundError, with a remedy, for a table or a column that cannot be used.
        """
        from .own import from_table

        kinds = {} if kinds is None else kinds
        return from_table(source, target, task=task, group=group, time=time, kinds=kinds, seed=seed, name=name)

    @classmethod
    def split(
        cls,
        x: Any,
        y: Any,
        *,
        task: str | None = None,
        group: Any = None,
        time: Any = None,
        scale: bool = False,
        seed: int = 0,
        name: str = "arrays",
    ) -> Data:
        """Arrays or tensors x [n, ...] and y [n, ...] of your own, split as from_table splits a table.

        x, which may be a DataFrame of numbers, or a tuple or a dict of several inputs, is used as Dataset takes it:
        prepared data need nothing more, and nor do images and tokens. With scale=True it becomes float32, standardised
        by the training rows; of several inputs, those in floating point.
        y [n] (or [n, 1]) is classes or regression as in from_table, but floats are regression, as everywhere in
        PyTorch; so is y with more dimensions. task overrides this. group, time: [n], one value per row. x is kept for
        `fold`, without a copy.

        Raises ValueError or TypeError, with a remedy, for what cannot be split.
        """
        from .own import from_arrays

        return from_arrays(x, y, task=task, group=group, time=time, scale=scale, seed=seed, name=name)

    @property
    def columns(self) -> pd.DataFrame:
        """What each column of the table is, its number of columns in x, and why. ValueError without a table."""
        return self._made().columns

    def transform(self, table: Any) -> X:
        """x of other rows, a DataFrame or a file with the columns of this one's x, by what was fitted on train.

        For split arrays, x as it was given then, also a tuple or a dict. Raises ValueError for a column that is
        missing, or is not what it was on train.
        """
        return self._made().transform(table)

    def _made(self) -> Inputs:
        if self.inputs is None:
            raise ValueError(
                f"{self.name} was not made by Data.from_table or Data.split, so it has nothing to transform"
            )
        return self.inputs

    def __repr__(self) -> str:
        kind = "regression" if self.classes is None else f"{self.classes} classes"
        parts = "".join(f",\n     {part}={getattr(self, part)!r}" for part in ("train", "validation", "test"))
        made = "" if self.inputs is None else f",\n     x: {self.inputs}"
        return f"Data({self.name!r}, {kind}, y is {self.target!r}{parts}{made})"

    @property
    def features(self) -> Any:
        """The shape of one x; for several inputs a tuple or a dict of shapes."""
        one = self.train.batch(slice(1))[0]
        return structure.mapped(lambda leaf: tuple(leaf.shape[1:]), one)

    def take_train(self, n: int, seed: int = 0) -> Data:
        """The same data with n training examples: the first n of the permutation that `seed` fixes.

        Smaller sets are therefore part of larger ones. Inputs keep the scale of the full training split, so
        that results at different n are in the same units.

        Raises TypeError unless n is a whole number, ValueError unless 1 ≤ n ≤ len(train).
        """
        size = len(self.train)
        if isinstance(n, bool) or not isinstance(n, Integral):
            raise TypeError(f"train_size is {n!r}, a {type(n).__name__}: give a whole number, 1 to {size}")
        if not 1 <= n <= size:
            raise ValueError(f"train_size is {n}, but {self.name} has {size} to train on: give 1 to {size}")
        order = torch.randperm(size, generator=torch.Generator().manual_seed(seed))
        return self.keep_train(order[:n], again=partial(Data.take_train, n=n, seed=seed))

    def keep_train(self, indices: Tensor, again: Callable[[Data], Data]) -> Data:
        """The same data with only the training examples `indices` [k]; `again` chooses those of a fold of it."""
        rows = self.rows and self.rows._replace(train=self.rows.train[indices.numpy()])
        return replace(self, train=self.train.take(indices), rows=rows).changed(again)

    def changed(self, again: Callable[[Data], Data]) -> Data:
        """The same data, changed by the function `again`, which `fold` also applies to each fold."""
        return replace(self, source=self.source and self.source.then(again))

    @property
    def foldable(self) -> bool:
        """Whether the rows may be split into folds: not where the split is fixed, like a published one, or by time."""
        return self.source is not None and self.source.time is None

    @property
    def default_folds(self) -> int:
        """5 where the rows may be split into folds and are at most 5,000, else 1: the one split there is.

        One test part of a thousand rows measures an accuracy of 0.5 with a standard error of 1.6 points, fewer rows
        with a larger one; folds test every row, at five times the cost.
        """
        return 5 if self.foldable and self.source is not None and self.source.size <= SMALL else 1

    def fold(self, number: int, of: int = 5, seed: int = 0) -> Data:
        """Fold `number`, 0 .. of − 1, of a cross-validation: the same rows split again, with everything refitted.

        `seed` divides the rows into `of` folds, stratified by class, rows of one group together. Fold `number` is test,
        the fold after it (after the last, the first) validation, and the others train; so each row is tested once,
        validated once, and `rows` says which. Everything fitted (scalers, encoders, imputation, which columns are left
        out, the scale of y) is fitted on that train alone: where a category is rare, the number of inputs may differ
        between folds, see `features`. take_train also applies to the fold's train.

        Raises ValueError where the split is fixed or by time, for fewer than 3 folds, a number or seed out of range, or
        too few rows, groups or rows of a class.
        """
        if self.source is None:
            raise ValueError(f"{self.name} has no folds, since {self.fixed}: train and test on it as it is, folds=1")
        return self.source.fold(number, of, seed)


def split(size: int, *held_out: float, labels: np.ndarray | None = None, seed: int = SPLIT_SEED) -> list[np.ndarray]:
    """Indices 0 .. size − 1 in disjoint parts: the rest first, then a part for each fraction held out.

    The parts are the same on every call with the same seed. With labels [size], each part is stratified by class.
    """
    from sklearn.model_selection import train_test_split

    rest, parts = np.arange(size), []
    for fraction in held_out:
        rest, part = train_test_split(
            rest,
            test_size=round(fraction * size),
            random_state=seed,
            stratify=None if labels is None else labels[rest],
        )
        parts.append(part)
    return [rest, *parts]


def standardise(values: np.ndarray, train: np.ndarray) -> np.ndarray:
    """values [n, ...] minus the mean, divided by the standard deviation of values[train], by column."""
    from sklearn.preprocessing import StandardScaler

    columns = values.reshape(len(values), -1)
    return StandardScaler().fit(columns[train]).transform(columns).reshape(values.shape)


def _whole(indices: Any) -> Tensor:
    """Indices [k] int64, or a mask."""
    chosen = indices if isinstance(indices, Tensor) else torch.as_tensor(np.array(indices))
    if chosen.ndim != 1 or chosen.is_floating_point() or chosen.is_complex():
        raise TypeError(f"take({reprlib.repr(indices)}): give whole numbers [k], a mask or a slice, as in take([0, 2])")
    return chosen if chosen.dtype == torch.bool else chosen.long()
