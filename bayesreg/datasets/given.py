"""What somebody gives as data, as a Dataset: a pair, or a Data; and what to write for anything else."""

from __future__ import annotations

from typing import Any

from .base import Data, Dataset


def as_dataset(value: Any, part: str = "train") -> Dataset:
    """What somebody gives as data, as a Dataset.

    A Dataset is itself, a Data its split `part`, "train", "validation" or "test"; a pair (x, y) is Dataset(x, y).

    Raises TypeError or ValueError, with what to write, for anything else.
    """
    if isinstance(value, Dataset):
        return value
    if isinstance(value, Data):
        return getattr(value, part)
    if isinstance(value, tuple | list) and len(value) == 2:
        return Dataset(*value)
    raise TypeError(f"the {part} data are given as a {type(value).__name__}: give a Dataset(x, y) or a pair (x, y)")
