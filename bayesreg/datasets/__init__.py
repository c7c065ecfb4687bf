"""Data sets by name, each split, verified and in memory; and Dataset, for tensors of your own.

A loader is a function of the data root that returns a Data. A new data set is one more file, and a line here.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from . import cifar, diabetes, digits, housing, synthetic
from .augment import flip_and_crop
from .base import Data, Dataset

__all__ = ["DATASETS", "Data", "Dataset", "flip_and_crop", "load"]

DATASETS: dict[str, Callable[[str | Path | None], Data]] = {
    "synthetic": synthetic.load,
    "digits": digits.load,
    "diabetes": diabetes.load,
    "housing": housing.load,
    "cifar10": cifar.load10,
    "cifar100": cifar.load100,
}


def load(name: str, data_dir: str | Path | None = None, train_size: int | None = None) -> Data:
    """The data set `name` of DATASETS, from the root `data_dir`, else $BAYESREG_DATA, else the user's cache.

    `train_size` keeps that many of the training examples (see Data.take_train).

    Raises ValueError for an unknown name, a size out of range or a corrupt file, and FileNotFoundError for a
    missing file.
    """
    if name not in DATASETS:
        nearest = get_close_matches(name.lower(), DATASETS, n=1)
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        raise ValueError(f"no data set is called {name!r}: choose among {', '.join(DATASETS)}.{hint}")
    data = DATASETS[name](data_dir)
    return data if train_size is None else data.take_train(train_size)
