"""Data of one's own, from a table or arrays to a Data: what is to be predicted, the split, and x fitted on train."""

from __future__ import annotations

import hashlib
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from bayesreg import structure

from .base import Data, Dataset
from .columns import judge
from .inputs import AsGiven, Encoded, Inputs, Scaled
from .partition import column_of, partition, refuse_few
from .reading import nearest, read
from .targets import Target, as_target, refuse_untrained
from .tensors import to_tensor


def from_table(
    source: Any,
    target: str,
    *,
    task: str | None,
    group: str | None,
    time: str | None,
    kinds: dict[str, str],
    seed: int,
    name: str | None,
) -> Data:
    """See Data.from_table."""
    table = read(source)
    target = _named("target", target, table)
    goes_by = {option: _named(option, of, table) for option, of in (("group", group), ("time", time)) if of is not None}
    if target in (*goes_by.values(), *kinds):
        raise ValueError(f"{target!r} is the target: it cannot be group= or time= too, nor stand in kinds=")
    refuse_few(len(table))
    found = as_target(table[target], task)
    classes = None if found.labels is None else found.y
    parts = partition(len(table), classes=classes, seed=seed, **{o: table[of] for o, of in goes_by.items()})
    refuse_untrained(found, parts, target)
    reserved = {of: f"the split goes by it, {option}=" for option, of in goes_by.items()}
    columns = table.drop(columns=target)
    inputs = Encoded(columns, parts[0], judge(columns.iloc[parts[0]], kinds, reserved))
    called, provenance = _origin(source, name)
    x = inputs.transform(columns)
    return _data(called, x, found, parts, target=target, provenance=provenance, inputs=inputs)


def from_arrays(x: Any, y: Any, *, task: str | None, group: Any, time: Any, scale: bool, seed: int, name: str) -> Data:
    """See Data.split."""
    inputs: Inputs = AsGiven(x)
    given = inputs.transform(x)
    column = _column(y)
    size = structure.size(given)
    if size != len(column):
        raise ValueError(f"x has {size} rows and y has {len(column)}: give one y for each x")
    refuse_few(size)
    found = _target(column, task)
    classes = None if found.labels is None else found.y
    by = {"group": column_of("group", group, size), "time": column_of("time", time, size)}
    parts = partition(size, classes=classes, seed=seed, **by)
    refuse_untrained(found, parts, "y")
    if scale:
        inputs = Scaled(x, parts[0])
        given = inputs.transform(x)
    return _data(name, given, found, parts, target="y", provenance={name: "your own"}, inputs=inputs)


def _column(y: Any) -> Any:
    """y [n] as a Series of pandas; of more dimensions as an array."""
    import pandas as pd

    y = y.detach().cpu() if isinstance(y, Tensor) else y
    if isinstance(y, pd.DataFrame) and y.shape[1] == 1:
        y = y.iloc[:, 0]
    if isinstance(y, pd.Series):
        return y.reset_index(drop=True).rename("y")
    values = np.atleast_1d(np.asanyarray(y))
    values = values[:, 0] if values.shape[1:] == (1,) else values
    return pd.Series(values, name="y") if values.ndim == 1 else values


def _target(column: Any, task: str | None) -> Target:
    if column.ndim > 1:
        if task == "classification":
            raise ValueError(f"task='classification' needs y [n], one label a row, and y is {list(column.shape)}")
        return Target(to_tensor("y", column), None)
    return as_target(column, "regression" if task is None and column.dtype.kind == "f" else task)


def _data(name: str, x: Any, target_: Target, parts: list[np.ndarray], **fields: Any) -> Data:
    whole = Dataset(x, target_.y)
    train, validation, test = (whole.take(part) for part in parts)
    classes = None if target_.labels is None else len(target_.labels)
    return Data(name, train, validation, test, classes, labels=target_.labels, **fields)


def _named(option: str, name: Any, table: Any) -> str:
    if str(name) not in table:
        raise ValueError(f"{option}={name!r} is no column of the table: {nearest(str(name), table)}")
    return str(name)


def _origin(source: Any, name: str | None) -> tuple[str, dict[str, str]]:
    """What the data are called, and whence they come."""
    if not isinstance(source, str | PathLike):
        return name or "table", {"DataFrame": "your own"}
    path = Path(source)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return name or path.name.partition(".")[0], {path.name: f"your own, SHA-256 {digest}"}
