"""What is to be predicted: classes or numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .columns import FEW, OFTEN, are_numbers
from .partition import LEAST, Rows
from .reading import refuse_infinite

if TYPE_CHECKING:
    import pandas as pd

TASKS = ("classification", "regression")
CLASSES = 20  # whole numbers with more values than these are counts or measurements


class Target(NamedTuple):
    """y [n], class numbers int64 or float32, and the labels of the classes, None for regression."""

    y: np.ndarray
    labels: tuple[Any, ...] | None


def as_target(column: pd.Series, task: str | None = None) -> Target:
    """Classes for text, booleans, categories and whole numbers with few values; regression for other numbers.

    Raises ValueError, with the place and a remedy, where a value is missing or infinite, where there is only one value,
    where a class has too few rows, and for what is neither numbers nor classes.
    """
    name = column.name
    if task not in (None, *TASKS):
        raise ValueError(f"task={task!r}: 'classification' or 'regression', or None to infer it from the target")
    if (bad := column.isna().to_numpy()).any():
        raise ValueError(
            f"the target {name!r} is missing in {int(bad.sum())} of {len(bad)} rows, first in row {int(bad.argmax())}: "
            f"drop them, table.dropna(subset=[{name!r}])"
        )
    refuse_infinite(str(name), column)
    column = column.infer_objects()
    distinct = _distinct(column)
    if task != "regression" and (task or _are_classes(column, distinct)):
        return _classes(column)
    if not _is_number(column):
        shown = str(column.iloc[0])
        raise ValueError(
            f"the target {name!r} holds {shown!r}, not a number: use task='classification', or give numbers"
        )
    if distinct == 1:
        raise ValueError(f"the target {name!r} has one value, {column.iloc[0]!r}, so there is nothing to learn")
    return Target(column.to_numpy(np.float32), None)


def refuse_untrained(target: Target, parts: Rows, name: str) -> None:
    """ValueError where a class has no rows in train, as may happen in a split by group or time."""
    if target.labels is None:
        return
    counts = np.bincount(target.y[parts[0]], minlength=len(target.labels))
    if not counts.all():
        label = target.labels[int(counts.argmin())]
        raise ValueError(
            f"class {label!r} of {name!r} has no row in train in this split: drop it, or split differently"
        )


def _classes(column: pd.Series) -> Target:
    import pandas as pd

    name = column.name
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.cat.remove_unused_categories()
        labels, y = column.cat.categories, column.cat.codes
    else:
        labels, y = _sorted(column)
    labels = tuple(_plain(label) for label in labels)
    if len(labels) == 1:
        raise ValueError(f"the target {name!r} has one class, {labels[0]!r}, so there is nothing to learn")
    if len(labels) > max(FEW, len(column) / OFTEN) and not _is_number(column):
        words = column.astype(str)
        if are_numbers(words).mean() > 0.5:
            raise ValueError(
                f"the target {name!r} holds numbers as text, such as {words.iloc[0]!r}: make plain numbers of them, "
                "as pandas.read_csv(..., thousands=',', decimal='.') and pandas.to_numeric do"
            )
        raise ValueError(
            f"the target {name!r} is text but not a category: {len(labels)} values in {len(column)} rows, "
            f"such as {str(labels[0])!r}; name another target, or merge its values into classes"
        )
    counts = np.bincount(y, minlength=len(labels))
    if (few := counts < LEAST).any():
        label, count = labels[int(counts.argmin())], int(counts.min())
        remedy = "task='regression'" if _is_number(column) else "merge it with another, or drop its rows"
        raise ValueError(
            f"class {label!r} of the target {name!r} has {count} {'row' if count == 1 else 'rows'}, fewer than the "
            f"{LEAST} that the split needs; so have {int(few.sum())} of its {len(labels)} classes: {remedy}"
        )
    return Target(np.asarray(y, np.int64), labels)


def _sorted(column: pd.Series) -> tuple[Any, np.ndarray]:
    """The distinct values in order (as text if they have no order), and the position of each row's value among them."""
    try:
        return np.unique(column.to_numpy(), return_inverse=True)
    except TypeError:
        return np.unique(column.astype(str).to_numpy(object), return_inverse=True)


def _plain(label: Any) -> Any:
    """A label as a plain Python value: 1.0 as 1."""
    label = label.item() if isinstance(label, np.generic) else label
    return int(label) if isinstance(label, float) and label.is_integer() else label


def _is_number(column: pd.Series) -> bool:
    from pandas.api import types

    return types.is_any_real_numeric_dtype(column.dtype) and not types.is_bool_dtype(column.dtype)


def _are_classes(column: pd.Series, distinct: int) -> bool:
    from pandas.api import types

    if types.is_datetime64_any_dtype(column) or types.is_timedelta64_dtype(column) or types.is_complex_dtype(column):
        return False
    if not _is_number(column):
        return True
    return distinct <= min(CLASSES, len(column) / OFTEN) and bool((column % 1 == 0).all())


def _distinct(column: pd.Series) -> int:
    try:
        return int(column.nunique())
    except TypeError:
        first = type(column.iloc[0]).__name__
        raise ValueError(f"the target {column.name!r} holds objects, {first}: give numbers or labels") from None
