"""Pickles of arrays from elsewhere, read without running their code."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np


def read_pickle(path: Path) -> Any:
    """What a pickle of plain containers and arrays of numbers holds; the strings of Python 2 come as bytes.

    Raises ValueError if it is broken, or asks for anything else: a pickle can have any function called.
    """
    with path.open("rb") as file:
        try:
            return _ArrayUnpickler(file, encoding="bytes").load()
        except Exception as error:  # a broken stream can fail as EOFError, KeyError, TypeError, MemoryError, ...
            raise ValueError(f"{path} is not a pickle of arrays: {error}. Get the published file") from error


class _Dtype:
    """A type of numbers. NumPy's own would accept fields and objects from a pickle unchecked, and then crash."""

    def __init__(self, name: str | bytes, *_: object) -> None:
        self.dtype = np.dtype(_text(name))
        if self.dtype.kind not in "biuf":
            raise pickle.UnpicklingError(f"it has an array of {self.dtype}, which is refused")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        version, order, subarray, names, fields, *_ = state
        if (version, subarray, names, fields) != (3, None, None, None):
            raise pickle.UnpicklingError("it has an array of fields, which is refused")
        self.dtype = self.dtype.newbyteorder(_text(order))  # type: ignore[arg-type]


class _Array(np.ndarray):
    def __setstate__(self, state: tuple[Any, ...]) -> None:
        version, shape, kind, fortran, content = state
        super().__setstate__((version, shape, kind.dtype, fortran, content))


def _reconstruct(*_: object) -> _Array:
    return np.empty(0).view(_Array)


def _encode(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes at protocol 2."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it encodes as {encoding}, which is refused")
    return text.encode("latin1")


def _text(value: str | bytes) -> str:
    return value.decode("ascii") if isinstance(value, bytes) else str(value)


# What an array names, and what stands in for it: NumPy has moved and hidden its own more than once.
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): None,  # what is to be reconstructed
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is refused") from None
