"""Handwritten digits of 8 × 8 pixels."""

from __future__ import annotations

from pathlib import Path

from .base import Data, Dataset, split, standardise


def load(data_dir: str | Path | None = None) -> Data:
    """1,797 digits: x [64], the pixels of 8 × 8 row by row, standardised; y the digit.

    Stratified 60 / 20 / 20. `data_dir` is not read.

    Source: Alpaydin & Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998 (its test set), as
    scikit-learn brings it.
    """
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    parts = split(len(x), 0.2, 0.2, labels=y)
    x = standardise(x, train=parts[0])
    train, validation, test = (Dataset(x[part], y[part]) for part in parts)
    return Data(
        name="digits",
        train=train,
        validation=validation,
        test=test,
        classes=10,
        target="digit, 0 to 9",
        provenance={"load_digits": "scikit-learn"},
    )
