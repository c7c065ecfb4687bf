"""Which rows are for training, validation and test: 60 / 20 / 20, by chance, by group or by time."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from .base import split

if TYPE_CHECKING:
    import pandas as pd

FOLDS = 5  # three of them to train, one to validate, one to test
LEAST = 5  # rows of a class, so that each part has one
ROWS = 10  # at least, of a table

Rows = list[np.ndarray]


def partition(
    size: int,
    *,
    classes: np.ndarray | None = None,
    group: pd.Series | None = None,
    time: pd.Series | None = None,
    seed: int = 0,
) -> Rows:
    """The rows, of 0 .. size − 1, of train, validation and test.

    By chance, with each class [size] in proportion; with a group [size], all rows of one group in the same part, with
    classes as near to proportion as that allows; with a time [size], train before validation before test, rows of one
    moment together. `seed` draws the chance; by time there is none.

    Raises ValueError for too few groups or moments, or where one has no value.
    """
    if isinstance(seed, bool) or not isinstance(seed, Integral) or not 0 <= seed < 2**32:
        raise ValueError(f"seed={seed!r}: give a whole number, 0 to {2**32 - 1}")
    if group is not None and time is not None:
        raise ValueError("group= and time= are both given: name one of them, which the split goes by")
    if time is not None:
        return _by_time(time)
    if group is not None:
        return _by_group(group, classes, int(seed))
    return split(size, 0.2, 0.2, labels=classes, seed=int(seed))


def refuse_few(size: int) -> None:
    """ValueError for too few rows to split."""
    if size < ROWS:
        raise ValueError(f"{size} rows are too few to train, validate and test on: give at least {ROWS}")


def _by_group(group: pd.Series, classes: np.ndarray | None, seed: int) -> Rows:
    from sklearn.model_selection import StratifiedGroupKFold

    _refuse_missing("group", group)
    codes, names = group.factorize()
    if len(names) < FOLDS:
        raise ValueError(
            f"group={group.name!r} has {len(names)} groups: give at least {FOLDS}, or split without group="
        )
    labels = np.zeros(len(codes), int) if classes is None else classes
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(codes, labels, codes)
    fifth = len(codes) / FOLDS
    test, validation, *train = sorted((fold for _, fold in folds), key=lambda fold: abs(len(fold) - fifth))
    if (least := min(len(test), len(validation))) < fifth / 2:
        raise ValueError(
            f"group={group.name!r} has groups too unequal to split 60 / 20 / 20 between them: a part would have "
            f"{least} of {len(codes)} rows. Try another seed=, or a finer group"
        )
    return [np.sort(np.concatenate(train)), validation, test]


def _by_time(time: pd.Series) -> Rows:
    moments = _moments(time)
    order = np.argsort(moments, kind="stable")
    first = np.searchsorted(moments[order], moments[order])  # of the rows of the same moment
    cuts = [first[len(order) * tenths // 10] for tenths in (6, 8)]
    if not 0 < cuts[0] < cuts[1]:
        raise ValueError(
            f"time={time.name!r} has {len(np.unique(moments))} moments, too unequal to split 60 / 20 / 20 between "
            "them: give a finer time"
        )
    return [np.sort(part) for part in np.split(order, cuts)]


def _moments(time: pd.Series) -> np.ndarray:
    """[size] numbers or dates that can be sorted."""
    import pandas as pd

    _refuse_missing("time", time)
    if pd.api.types.is_numeric_dtype(time) and not pd.api.types.is_complex_dtype(time):
        return time.to_numpy(float)
    if pd.api.types.is_datetime64_any_dtype(time):
        return time.to_numpy("datetime64[ns]")
    read = pd.to_datetime(time.astype(str), errors="coerce", format="ISO8601", utc=True)
    if (bad := read.isna()).any():
        raise ValueError(
            f"time={time.name!r}, row {int(bad.argmax())}, is {time[bad].iloc[0]!r}, no date like 2024-01-31: convert "
            "the column with pandas.to_datetime(column, format=...)"
        )
    return read.to_numpy("datetime64[ns]")


def _refuse_missing(option: str, column: pd.Series) -> None:
    if (bad := column.isna().to_numpy()).any():
        raise ValueError(
            f"{option}={column.name!r} has no value in {int(bad.sum())} of {len(bad)} rows, first in row "
            f"{int(bad.argmax())}: fill it in, or drop these rows"
        )


def column_of(option: str, value: Any, size: int) -> pd.Series | None:
    """What is given as group= or time= beside arrays: one value a row."""
    import pandas as pd

    if value is None:
        return None
    column = pd.Series(np.asarray(value), name=getattr(value, "name", None) or option)
    if len(column) != size:
        raise ValueError(f"{option}= has {len(column)} values and y has {size}: give one for each row")
    return column
