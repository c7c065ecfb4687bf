"""What the columns of a table are: numbers, categories, or left out and why. Decided by the training rows alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .reading import nearest

if TYPE_CHECKING:
    import pandas as pd

NUMBER, CATEGORY, LEFT_OUT = KINDS = ("number", "category", "left out")
FEW, MANY = 10, 255  # categories: up to FEW may be rare, and more than MANY would be too many columns of x
OFTEN = 5  # rows per category, on average
DATE = re.compile(r"(\d{4}[-/.]\d\d?[-/.]\d\d?|\d\d?[-/.]\d\d?[-/.]\d{4})(?!\d)")
WRITTEN = re.compile(r"[-+]?[$€£¥]?\s?[-+]?(\d{1,3}([,.'\u00a0]\d{3})+|\d+)([.,]\d+)?\s?[%$€£¥]?")
IDENTIFIER = re.compile(r"(?i:(^|[\W_])id)$|[a-z]I[dD]$")  # id, customer_id, PassengerId
SHOWN = 5  # categories that are named


@dataclass(frozen=True)
class Column:
    """What a column is, one of KINDS, and why: what is in it, or why it is left out."""

    kind: str
    why: str


class Unclear(ValueError):
    """A column whose kind the user has to state."""


def judge(train: pd.DataFrame, kinds: dict[str, str], reserved: dict[str, str]) -> dict[str, Column]:
    """What each column is, by its training rows; `kinds` states it for some, `reserved` why some are left out.

    Raises ValueError naming every column that is neither numbers nor categories, with the remedy.
    """
    for name, kind in kinds.items():
        if name not in train:
            raise ValueError(f"kinds= names the column {name!r}, which the table does not have: {nearest(name, train)}")
        if kind not in KINDS:
            raise ValueError(f"kinds={{{name!r}: {kind!r}}}: a column is {', '.join(map(repr, KINDS))}")
    found, unclear = {}, []
    for name in train:
        try:
            if name in kinds:
                found[name] = Column(kinds[name], "as kinds= says")
            elif name in reserved:
                found[name] = Column(LEFT_OUT, reserved[name])
            else:
                found[name] = _judge_one(name, train[name])
        except Unclear as error:
            unclear.append(f"column {name!r} {error}")
    if unclear:
        raise ValueError("; ".join(unclear))
    if all(column.kind == LEFT_OUT for column in found.values()):
        why = "; ".join(f"{name!r}: {column.why}" for name, column in found.items())
        raise ValueError(f"no column is left to learn from ({why or 'there is none besides the target'}): add some")
    return found


def _judge_one(name: str, column: pd.Series) -> Column:
    import pandas as pd
    from pandas.api import types

    present = column.dropna().infer_objects()
    try:
        distinct = present.nunique()
    except TypeError:
        kind = type(present.iloc[0]).__name__
        raise Unclear(f"holds objects, {kind}: drop it, or make columns of numbers or text of it") from None
    missing = len(column) - len(present)
    if distinct == 0:
        return Column(LEFT_OUT, "nothing in it")
    if distinct == 1 and not missing:
        return Column(LEFT_OUT, f"one value, {present.iloc[0]!r}")
    if types.is_bool_dtype(present) or isinstance(present.dtype, pd.CategoricalDtype):
        return _category(present, missing)
    if types.is_complex_dtype(present):
        raise Unclear(f"holds complex numbers, such as {present.iloc[0]}: make two columns of its parts")
    if types.is_timedelta64_dtype(present):
        raise Unclear(f"holds durations: give seconds, table[{name!r}] = table[{name!r}].dt.total_seconds()")
    if types.is_numeric_dtype(present):
        return _number(name, present, distinct, missing)
    dates = types.is_datetime64_any_dtype(present) or isinstance(present.dtype, pd.PeriodDtype)
    if dates or present.map(_is_date).all():
        return Column(LEFT_OUT, "dates: make numbers of them, such as the month or weekday; or split by them, time=")
    return _text(name, present, distinct, missing)


def _number(name: str, present: pd.Series, distinct: int, missing: int) -> Column:
    low, high = float(present.min()), float(present.max())
    unique = distinct == len(present) > FEW and bool((present % 1 == 0).all())
    if unique and (high - low < 2 * distinct or IDENTIFIER.search(name)):
        return Column(LEFT_OUT, "an identifier: whole numbers, each in one row only, such as a row number")
    return Column(NUMBER, f"{low:g} to {high:g}{_missing(missing)}")


def _text(name: str, present: pd.Series, distinct: int, missing: int) -> Column:
    words = present.astype(str)
    plain, numbers = _are_plain(words), are_numbers(words)
    if distinct > FEW and numbers.mean() > 0.5:
        raise Unclear(_numbers_as_text(name, present, words[~numbers], words[numbers & ~plain]))
    if distinct == len(present) > FEW:
        return Column(LEFT_OUT, "an identifier: text, each in one row only")
    if distinct > max(FEW, min(MANY, len(present) / OFTEN)):
        raise Unclear(
            f"is text but not a category, {distinct} values in {len(present)} rows, such as {words.iloc[0]!r}; "
            f"drop it with kinds={{{name!r}: 'left out'}}, make features of it, or take it as it is, "
            f"kinds={{{name!r}: 'category'}}"
        )
    return _category(present, missing)


def _numbers_as_text(name: str, present: pd.Series, strange: pd.Series, written: pd.Series) -> str:
    """What to do about numbers that are text, where some are `strange`, not numbers, and some `written` with signs."""
    if not strange.empty:
        return (
            f"holds numbers and text, such as {strange.iloc[0]!r} in row {strange.index[0]}: correct it, or read it as "
            f"missing, pandas.read_csv(..., na_values=[{strange.iloc[0]!r}])"
        )
    if not written.empty:
        return (
            f"holds numbers written with signs, such as {written.iloc[0]!r}: make them plain numbers "
            "(pandas.read_csv(..., thousands=',', decimal='.') reads separators, Series.str.strip('$€%') removes "
            f"units), or leave it out, kinds={{{name!r}: 'left out'}}"
        )
    held = "text" if isinstance(present.iloc[0], str) else type(present.iloc[0]).__name__
    return f"holds numbers as {held}: say what it is, kinds={{{name!r}: 'number'}}, 'category' or 'left out'"


def _category(present: pd.Series, missing: int) -> Column:
    counts = present.astype(str).value_counts()
    common = [str(value) for value in counts.index[:SHOWN]]
    more = len(counts) - len(common)
    return Column(CATEGORY, ", ".join(common) + (f" and {more} more" if more > 0 else "") + _missing(missing))


def _missing(count: int) -> str:
    return f"; {count} missing" if count else ""


def are_numbers(words: pd.Series) -> pd.Series:
    """Where text is a number, even one written with signs, such as $1,234.50, 3,7 or 20 %."""
    return _are_plain(words) | words.map(lambda word: WRITTEN.fullmatch(word.strip()) is not None)


def _are_plain(words: pd.Series) -> pd.Series:
    """Where text is a number as Python writes it."""
    import pandas as pd

    return pd.to_numeric(words, errors="coerce").notna()


def _is_date(value: Any) -> bool:
    import datetime

    return isinstance(value, datetime.date) or (isinstance(value, str) and DATE.match(value) is not None)
