"""Progression of diabetes in a year, from ten measurements."""

from __future__ import annotations

from pathlib import Path

from .base import Data, Dataset, split, standardise


def load(data_dir: str | Path | None = None) -> Data:
    """442 patients: x [10], age, sex, body mass index, blood pressure and six of blood serum; y [n] real.

    Inputs and target are both standardised by the training split: y is in its standard deviations.
    60 / 20 / 20. `data_dir` is not read.

    Source: Efron, Hastie, Johnstone & Tibshirani, "Least angle regression", Annals of Statistics, 2004, as
    scikit-learn brings it.
    """
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True, scaled=False)
    parts = split(len(x), 0.2, 0.2)
    x, y = standardise(x, train=parts[0]), standardise(y, train=parts[0])
    train, validation, test = (Dataset(x[part], y[part]) for part in parts)
    return Data(
        name="diabetes",
        train=train,
        validation=validation,
        test=test,
        classes=None,
        target="disease progression, train standard deviations",
        provenance={"load_diabetes": "scikit-learn"},
    )
