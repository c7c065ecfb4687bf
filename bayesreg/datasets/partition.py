"""Which rows are for training, validation and test: 60 / 20 / 20, at random, by group or by time; or fold by fold."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .base import split

if TYPE_CHECKING:
    import pandas as pd

FOLDS = 5  # three of them to train, one to validate, one to test
LEAST = 5  # rows per class, so that each part has one
ROWS = 10  # at least, in a table


class Rows(NamedTuple):
    """Which rows, counted from 0, each part has: int64 [rows of the part]; no row is in two."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def partition(
    size: int,
    *,
    classes: np.ndarray | None = None,
    group: pd.Series | None = None,
    time: pd.Series | None = None,
    seed: int = 0,
) -> Rows:
    """The rows, of 0 .. size − 1, of train, validation and test.

    At random, stratified by class [size]; with a group [size], all rows of one group in the same part, as near to
    stratified as that allows; with a time [size], train before validation before test, rows of one moment together.
    `seed` sets the random split; by time there is no chance.

    Raises ValueError for too few groups or moments, or where one has no value.
    """
    _refuse_outside("seed", seed, 0, 2**32 - 1)
    if group is not None and time is not None:
        raise ValueError("group= and time= are both given: name one of them, by which to split")
    if time is not None:
        return _by_time(time)
    if group is not None:
        return _by_group(group, classes, int(seed))
    return Rows(*split(size, 0.2, 0.2, labels=classes, seed=int(seed)))


def fold(
    size: int,
    number: int,
    of: int = FOLDS,
    *,
    classes: np.ndarray | None = None,
    group: pd.Series | None = None,
    seed: int = 0,
) -> Rows:
    """The rows of one of the folds made by `seed`: test is fold `number`, validation the next, train the others.

    With classes [size], folds are stratified; with a group [size], rows of one group are in the same fold. Over the
    numbers 0 .. of − 1 each row is once in test, once in validation.

    Raises ValueError for numbers out of range, and for too few rows, groups, or rows of a class.
    """
    _refuse_outside("of", of, 3, size // 2, ": one fold each to test and validate, two rows in each")
    _refuse_outside("number", number, 0, of - 1)
    _refuse_outside("seed", seed, 0, 2**32 - 1)
    folds = _folds(size, int(of), classes, group, int(seed))
    test, validation, *train = folds[number:] + folds[:number]
    return Rows(np.sort(np.concatenate(train)), validation, test)


def _folds(size: int, of: int, classes: np.ndarray | None, group: pd.Series | None, seed: int) -> list[np.ndarray]:
    """The rows of each fold."""
    from sklearn.model_selection import KFold, StratifiedGroupKFold, StratifiedKFold

    chance = {"n_splits": of, "shuffle": True, "random_state": seed}
    _refuse_rare(classes, of)
    labels = np.zeros(size, int) if classes is None else classes
    if group is not None:
        made = StratifiedGroupKFold(**chance).split(labels, labels, _groups(group, of))
    elif classes is not None:
        made = StratifiedKFold(**chance).split(labels, labels)
    else:
        made = KFold(**chance).split(labels)
    folds = [fold for _, fold in made]
    if empty := sum(len(fold) == 0 for fold in folds):
        raise ValueError(f"{empty} of {of} folds have no rows, since the groups are too unequal: give a finer group=")
    return folds


def _groups(group: pd.Series, of: int) -> np.ndarray:
    """[size] the number of each row's group. ValueError where there are fewer groups than folds."""
    _refuse_missing("group", group)
    codes, names = group.factorize()
    if len(names) < of:
        raise ValueError(f"group={group.name!r} has {len(names)} groups: give at least {of}, or split without group=")
    return codes


def _refuse_rare(classes: np.ndarray | None, of: int) -> None:
    if classes is not None and (least := int(np.unique(classes, return_counts=True)[1].min())) < of:
        raise ValueError(f"a class has {least} rows, fewer than {of} folds: use at most {least} folds")


def _refuse_outside(name: str, value: Any, low: int, high: int, why: str = "") -> None:
    if isinstance(value, bool) or not isinstance(value, Integral) or not low <= int(value) <= high:
        raise ValueError(f"{name}={value!r}: give a whole number, {low} to {high}{why}")


def refuse_few(size: int) -> None:
    """ValueError for too few rows to split."""
    if size < ROWS:
        raise ValueError(f"{size} rows are too few to train, validate and test on: give at least {ROWS}")


def _by_group(group: pd.Series, classes: np.ndarray | None, seed: int) -> Rows:
    fifth = len(group) / FOLDS
    folds = _folds(len(group), FOLDS, classes, group, seed)
    test, validation, *train = sorted(folds, key=lambda fold: abs(len(fold) - fifth))
    if (least := min(len(test), len(validation))) < fifth / 2:
        raise ValueError(
            f"group={group.name!r} has groups too unequal to split 60 / 20 / 20 between them: a part would have "
            f"{least} of {len(group)} rows. Try another seed=, or a finer group"
        )
    return Rows(np.sort(np.concatenate(train)), validation, test)


def _by_time(time: pd.Series) -> Rows:
    moments = _moments(time)
    order = np.argsort(moments, kind="stable")
    first = np.searchsorted(moments[order], moments[order])  # among the rows of the same moment
    cuts = [first[len(order) * tenths // 10] for tenths in (6, 8)]
    if not 0 < cuts[0] < cuts[1]:
        raise ValueError(
            f"time={time.name!r} has {len(np.unique(moments))} moments, too unequal to split 60 / 20 / 20 between "
            "them: give a finer time"
        )
    return Rows(*(np.sort(part) for part in np.split(order, cuts)))


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
            f"time={time.name!r}, row {int(bad.argmax())}, is {time[bad].iloc[0]!r}, not a date like 2024-01-31: "
            "convert the column with pandas.to_datetime(column, format=...)"
        )
    return read.to_numpy("datetime64[ns]")


def _refuse_missing(option: str, column: pd.Series) -> None:
    if (bad := column.isna().to_numpy()).any():
        raise ValueError(
            f"{option}={column.name!r} has no value in {int(bad.sum())} of {len(bad)} rows, first in row "
            f"{int(bad.argmax())}: fill it in, or drop these rows"
        )


def column_of(option: str, value: Any, size: int) -> pd.Series | None:
    """What is given as group= or time= with arrays: one value per row."""
    import pandas as pd

    if value is None:
        return None
    column = pd.Series(np.asarray(value), name=getattr(value, "name", None) or option)
    if len(column) != size:
        raise ValueError(f"{option}= has {len(column)} values and y has {size}: give one for each row")
    return column
