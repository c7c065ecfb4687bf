"""What is given as x or y, as tensors: arrays, lists, pandas tables. Anything that is not numbers is refused."""

from __future__ import annotations

import reprlib
import sys
from collections.abc import Mapping, Sequence
from numbers import Number
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bayesreg.structure import X

from .windows import Windows

TAKEN = "a tensor, an array, a list of numbers, or a DataFrame or Series of pandas"
ENCODE = "number the classes: classes, y = np.unique(y, return_inverse=True)"


def parts(value: Any) -> X:
    """What is given as x; several inputs of a network as a tuple or a dict, unchanged.

    A tuple of arrays or tensors, or a mapping, holds them; any other tuple is rows, like a list. Raises TypeError or
    ValueError where there is none, or where keys are not names.
    """
    if isinstance(value, Mapping):
        if not value or not all(isinstance(key, str) and key.isidentifier() for key in value):
            raise TypeError(f"x has the keys {list(value)}: name the arguments of the network's forward, at least one")
        return dict(value)
    several = isinstance(value, tuple) and any(isinstance(v, Tensor) or getattr(v, "ndim", 0) for v in value)
    return tuple(value) if several else value


def to_leaf(name: str, value: Any, rows: Sequence[int] | None = None) -> Any:
    """One of several inputs, as `to_tensor` makes it, but booleans stay boolean: they are masks."""
    tensor = to_tensor(name, value, rows)
    one = value[0] if isinstance(value, list) else value
    return tensor.bool() if str(getattr(one, "dtype", "")) in ("bool", "torch.bool") else tensor


def to_tensor(name: str, value: Any, rows: Sequence[int] | None = None) -> Any:
    """The values of `name`, x or y, as a tensor [n, ...] in a type that a network takes; Windows stay Windows.

    Floats become float32 (a float64 tensor stays float64), integers and booleans int64, except uint8 of two or more
    dimensions, which are images and stay uint8. All columns of a DataFrame become float32; one column as y is y [n].
    rows: the numbers of the rows in an error message, if not 0, 1, ...

    Raises TypeError for what is not real numbers, ValueError where there is none, where rows are of unequal length, or
    where one is missing, not finite or too large.
    """
    if isinstance(value, Windows):
        return Windows(to_tensor(f"{name}.rows", value.rows), value.ends, value.length)
    if _is_pandas(value, "DataFrame"):
        columns = [to_tensor(f"{name}[{label!r}]", column) for label, column in value.items()]
        if name == "y" and len(columns) == 1:
            return columns[0]
        if not columns:
            raise ValueError(f"{name} is a DataFrame without columns: give at least one")
        value = torch.stack([column.float() for column in columns], 1)
    tensor = value if isinstance(value, Tensor) else _from_array(name, value)
    if tensor.layout != torch.strided or tensor.is_nested:
        raise TypeError(f"{name} is a sparse or nested tensor: give a dense one, such as {name}.to_dense()")
    if tensor.ndim == 0 or len(tensor) == 0:
        raise ValueError(f"{name} is empty, of shape {tuple(tensor.shape)}: give at least one example")
    if tensor.is_complex():
        first = [0] * tensor.ndim
        raise TypeError(
            f"{name}{first} is {tensor[tuple(first)].item()}, complex: give real numbers, such as {name}.real, or both "
            f"parts as np.stack([{name}.real, {name}.imag], -1)"
        )
    if not tensor.is_floating_point():
        return tensor if tensor.dtype == torch.uint8 and tensor.ndim > 1 else _to_int64(name, tensor)
    if not (isinstance(value, Tensor) and tensor.dtype == torch.float64):
        tensor = tensor.float()
    _check_finite(name, tensor, rows)
    return tensor


def _from_array(name: str, value: Any) -> Tensor:
    if isinstance(value, list | tuple) and value and all(isinstance(row, Tensor) for row in value):
        return _stack(name, torch.stack, value)
    array = _from_series(value) if _is_pandas(value, "Series") else _stack(name, np.asanyarray, value)
    if np.ma.is_masked(array):
        place = np.argwhere(np.ma.getmaskarray(array))[0].tolist()
        raise ValueError(f"{name}{place} is masked: impute or drop what is missing")
    if array.dtype.kind not in "biufc":
        _refuse(name, array)
    kind = np.float32 if array.dtype.kind == "f" else array.dtype.newbyteorder("=")
    with np.errstate(over="ignore"):  # an infinity is reported with its place
        return torch.as_tensor(np.require(array, kind, ["C", "W"]))  # torch can't share reversed or read-only memory


def _stack(name: str, stack: Any, rows: Any) -> Any:
    try:
        return stack(rows)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"the rows of {name} are not of one shape ({error}): pad or cut them") from error


def _from_series(series: Any) -> np.ndarray:
    """A column; for the types that pandas adds, with NaN for missing values."""
    numbers = getattr(series.dtype, "numpy_dtype", None)
    if numbers is None or numbers.kind not in "biuf":
        return np.asarray(series)
    return series.to_numpy(float, na_value=np.nan) if series.isna().any() else series.to_numpy(numbers)


def _refuse(name: str, array: np.ndarray) -> None:
    """TypeError that shows the first value that is not a number."""
    if array.ndim == 0:
        raise TypeError(f"{name} is {reprlib.repr(array.item())}, a {type(array.item()).__name__}: give {TAKEN}")
    every = ((list(place), array[place]) for place in np.ndindex(array.shape))
    found = next((item for item in every if not _is_number(item[1])), None)
    if found is None:
        raise TypeError(
            f"{name} is an array of Python objects, numbers though they are: give {name}.astype(np.float32)"
        )
    place, value = found
    remedy = "drop it, or give numbers in its place"
    if isinstance(value, str | bytes):
        remedy = ENCODE if name.startswith("y") else "drop it, or encode it as numbers, as pandas.get_dummies does"
    shown = reprlib.repr(str(value) if isinstance(value, np.generic) else value)
    raise TypeError(f"{name}{place} is {shown}, not a number: {remedy}")


def _is_number(value: Any) -> bool:
    return isinstance(value, Number) and not isinstance(value, np.timedelta64)  # NumPy calls a duration an integer


def _to_int64(name: str, tensor: Tensor) -> Tensor:
    whole = tensor.long()
    if tensor.dtype == torch.uint64 and (whole < 0).any():  # values beyond 2⁶³ − 1 have wrapped around
        place = (whole < 0).nonzero()[0].tolist()
        value = int(whole[tuple(place)]) % 2**64
        raise ValueError(f"{name}{place} is {value}, beyond the largest int64, {2**63 - 1}: renumber the values")
    return whole


def _check_finite(name: str, tensor: Tensor, rows: Sequence[int] | None) -> None:
    bad = ~tensor.isfinite()
    if bad.any():
        first = bad.nonzero()[0].tolist()
        place = first if rows is None else [rows[first[0]], *first[1:]]
        raise ValueError(
            f"{name}{place} is {tensor[tuple(first)].item()} ({int(bad.sum())} of {tensor.numel()} values): "
            f"impute or drop it, or rescale what {tensor.dtype} cannot hold, before making a Dataset"
        )


def _is_pandas(value: Any, kind: str) -> bool:
    """Whether it is a DataFrame or Series; pandas is not imported for that."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, getattr(pandas, kind))
