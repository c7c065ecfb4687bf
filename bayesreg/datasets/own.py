"""Data of the user's own, from a table or arrays to a Data: the target, the split, and x fitted on train."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from bayesreg import structure

from .base import Data, Dataset
from .columns import judge
from .inputs import AsGiven, Encoded, Inputs, Scaled
from .partition import Rows, column_of, refuse_few
from .reading import nearest, read
from .source import Source
from .targets import Target, as_target, refuse_untrained
from .tensors import to_tensor

if TYPE_CHECKING:
    import pandas as pd


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
    target = _named("target", target, table, source)
    options = {"group": group, "time": time}
    goes_by = {option: _named(option, of, table, source) for option, of in options.items() if of is not None}
    if not isinstance(kinds, Mapping):
        raise ValueError(f"kinds={kinds!r}: give a dict of columns, such as kinds={{{table.columns[0]!r}: 'category'}}")
    kinds = {str(name): kind for name, kind in kinds.items()}
    if target in (*goes_by.values(), *kinds):
        raise ValueError(f"{target!r} is the target: it cannot also be group= or time=, nor be in kinds=")
    refuse_few(len(table))
    found = as_target(table[target], task)
    reserved = {of: f"the split goes by it, {option}=" for option, of in goes_by.items()}
    called, provenance = _origin(source, name)
    made_of = partial(_encoded, table.drop(columns=target), found, kinds, reserved, called, target, provenance)
    return _source(made_of, found, **{option: table[of] for option, of in goes_by.items()}).split(seed)


def from_arrays(x: Any, y: Any, *, task: str | None, group: Any, time: Any, scale: bool, seed: int, name: str) -> Data:
    """See Data.split."""
    given = AsGiven(x).transform(x)
    column = _column(y)
    size = structure.size(given)
    if size != len(column):
        raise ValueError(f"x has {size} rows and y has {len(column)}: give one y for each x")
    refuse_few(size)
    found = _target(column, task)
    by = {"group": column_of("group", group, size), "time": column_of("time", time, size)}
    made_of = partial(_arrays, x, found, name, scale)
    return _source(made_of, found, **by).split(seed)


def _encoded(
    table: pd.DataFrame,
    found: Target,
    kinds: dict[str, str],
    reserved: dict[str, str],
    name: str,
    target: str,
    provenance: dict[str, str],
    rows: Rows,
) -> Data:
    """Data of a table without its target, with everything fitted on the rows of train."""
    inputs = Encoded(table, rows.train, judge(table.iloc[rows.train], kinds, reserved))
    return _data(name, inputs.transform(table), found, rows, target, provenance, inputs)


def _arrays(x: Any, found: Target, name: str, scale: bool, rows: Rows) -> Data:
    """Data from arrays; x is as given, without a copy."""
    inputs = Scaled(x, rows.train) if scale else AsGiven(x)
    return _data(name, inputs.transform(x), found, rows, "y", {name: "your own"}, inputs)


def _source(make: Callable[[Rows], Data], found: Target, **by: Any) -> Source:
    return Source(make, len(found.y), None if found.labels is None else found.y, **by)


def _column(y: Any) -> Any:
    """y [n] as a pandas Series; with more dimensions as an array."""
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
            raise ValueError(f"task='classification' needs y [n], one label per row, and y is {list(column.shape)}")
        return Target(to_tensor("y", column), None)
    return as_target(column, "regression" if task is None and column.dtype.kind == "f" else task)


def _data(
    name: str, x: Any, found: Target, rows: Rows, target: str, provenance: dict[str, str], inputs: Inputs
) -> Data:
    refuse_untrained(found, rows, target)
    whole = Dataset(x, found.y)
    train, validation, test = (whole.take(part) for part in rows)
    classes = None if found.labels is None else len(found.labels)
    return Data(name, train, validation, test, classes, target, provenance, labels=found.labels, inputs=inputs)


def _named(option: str, name: Any, table: pd.DataFrame, source: Any) -> str:
    if str(name) not in table:
        if hasattr(source, "index") and name in source.index.names and name is not None:
            raise ValueError(f"{option}={name!r} is the index of the table, not a column: give table.reset_index()")
        raise ValueError(f"{option}={name!r} is not a column of the table: {nearest(str(name), table)}")
    return str(name)


def _origin(source: Any, name: str | None) -> tuple[str, dict[str, str]]:
    """The name of the data, and their provenance."""
    if not isinstance(source, str | PathLike):
        return name or "table", {"DataFrame": "your own"}
    path = Path(source)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return name or path.name.partition(".")[0], {path.name: f"your own, SHA-256 {digest}"}
