"""Handwritten digits of 8 × 8 pixels."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from .base import Data, Dataset, standardise
from .partition import Rows
from .source import Source


def load(data_dir: str | Path | None = None) -> Data:
    """1,797 digits: x [64], the pixels of 8 × 8 row by row, standardised; y the digit.

    Stratified 60 / 20 / 20. `data_dir` is not read.

    Source: Alpaydin & Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998 (its test set), from scikit-learn.
    """
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return Source(partial(_made, x, y), len(x), y).split()


def _made(x: np.ndarray, y: np.ndarray, rows: Rows) -> Data:
    x = standardise(x, train=rows.train)
    train, validation, test = (Dataset(x[part], y[part]) for part in rows)
    return Data(
        name="digits",
        train=train,
        validation=validation,
        test=test,
        classes=10,
        target="digit, 0 to 9",
        provenance={"load_digits": "scikit-learn"},
    )
