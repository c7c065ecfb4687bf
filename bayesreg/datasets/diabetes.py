"""Progression of diabetes in a year, from ten measurements."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from .base import Data, Dataset, standardise
from .partition import Rows
from .source import Source


def load(data_dir: str | Path | None = None) -> Data:
    """442 patients: x [10], age, sex, body mass index, blood pressure and six of blood serum; y [n] real.

    Inputs and target are both standardised by the training split: y is in its standard deviations.
    60 / 20 / 20. `data_dir` is not read.

    Source: Efron, Hastie, Johnstone & Tibshirani, "Least angle regression", Annals of Statistics, 2004, from
    scikit-learn.
    """
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True, scaled=False)
    return Source(partial(_made, x, y), len(x)).split()


def _made(x: np.ndarray, y: np.ndarray, rows: Rows) -> Data:
    x, y = standardise(x, train=rows.train), standardise(y, train=rows.train)
    train, validation, test = (Dataset(x[part], y[part]) for part in rows)
    return Data(
        name="diabetes",
        train=train,
        validation=validation,
        test=test,
        classes=None,
        target="disease progression, train standard deviations",
        provenance={"load_diabetes": "scikit-learn"},
    )
