"""Data sets by name, each split, verified and in memory; and Dataset, for tensors and files of your own.

A loader is a function of the data root that returns a Data. A new data set is one more file, and a line here; one that
is read from public files has a second line, for its downloads.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from . import beijing, cifar, diabetes, digits, flowers, housing, imdb, mnist, synthetic
from .augment import flip_and_crop
from .base import Data, Dataset
from .files import Source
from .given import as_dataset
from .imbalance import imbalanced
from .reconstruct import reconstruct
from .streamed import Streamed, to_inputs
from .windows import Windows

__all__ = ["DATASETS", "SOURCES", "Data", "Dataset", "Source", "Streamed", "Windows"]
__all__ += ["as_dataset", "flip_and_crop", "imbalanced", "load", "reconstruct", "to_inputs"]

DATASETS: dict[str, Callable[[str | Path | None], Data]] = {
    "synthetic": synthetic.load,
    "digits": digits.load,
    "diabetes": diabetes.load,
    "housing": housing.load,
    "beijing": beijing.load,
    "mnist": mnist.load,
    "fashion_mnist": mnist.load_fashion,
    "flowers": flowers.load,
    "imdb": imdb.load,
    "cifar10": cifar.load10,
    "cifar100": cifar.load100,
}

SOURCES: dict[str, tuple[Source, ...]] = {
    "housing": (housing.SOURCE,),
    "beijing": (beijing.SOURCE,),
    "mnist": mnist.SOURCES,
    "fashion_mnist": mnist.FASHION_SOURCES,
    "flowers": flowers.SOURCES,
    "imdb": (imdb.SOURCE,),
    "cifar10": (cifar.CIFAR10,),
    "cifar100": (cifar.CIFAR100,),
}


def load(name: str, data_dir: str | Path | None = None, train_size: int | None = None) -> Data:
    """The data set `name` of DATASETS, from the root `data_dir`, else $BAYESREG_DATA, else the user's cache.

    `train_size` keeps that many of the training examples (see Data.take_train).

    Raises ValueError for an unknown name, a size out of range or a corrupt file, TypeError for a size that is not a
    whole number, and FileNotFoundError for a missing file.
    """
    if name not in DATASETS:
        nearest = get_close_matches(name.lower(), DATASETS, n=1)
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        raise ValueError(f"no data set is called {name!r}: choose among {', '.join(DATASETS)}.{hint}")
    try:
        data = DATASETS[name](data_dir)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}. This fetches all of it: bayesreg data fetch {name}") from None
    return data if train_size is None else data.take_train(train_size)
