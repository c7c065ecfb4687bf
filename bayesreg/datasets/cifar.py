"""Small photographs in 10 or in 100 classes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from .base import Data, Dataset, split
from .files import data_root, find, read_pickle

_Images = tuple[np.ndarray, np.ndarray, dict[str, str]]  # x, y, provenance

URL10 = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
URL100 = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"

# file: published md5
TRAIN10 = {
    "cifar-10-batches-py/data_batch_1": "c99cafc152244af753f735de768cd75f",
    "cifar-10-batches-py/data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "cifar-10-batches-py/data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "cifar-10-batches-py/data_batch_4": "634d18415352ddfa80567beed471001a",
    "cifar-10-batches-py/data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
}
TEST10 = {"cifar-10-batches-py/test_batch": "40351d587109b95175f43aff81a1287e"}
TRAIN100 = {"cifar-100-python/train": "16019d7e3df5f24257cddd939b257f8d"}
TEST100 = {"cifar-100-python/test": "f0ef6b0ae62326f3e7ffdfab6717acfc"}


def load10(data_dir: str | Path | None = None) -> Data:
    """CIFAR-10: x uint8 [n, 3, 32, 32] (red, green, blue; 0 to 255), y int64 [n], of 10 classes.

    45,000 train and 5,000 validation, stratified, out of the published 50,000; the published 10,000 test.

    Source: Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
    Raises FileNotFoundError or ValueError where a file of cifar-10-batches-py is missing or corrupt.
    """
    root = data_root(data_dir)
    train = read(root, TRAIN10, URL10, b"labels")
    return _data("cifar10", 10, train, read(root, TEST10, URL10, b"labels"))


def load100(data_dir: str | Path | None = None) -> Data:
    """CIFAR-100: as CIFAR-10, with y the fine labels of 100 classes, from cifar-100-python."""
    root = data_root(data_dir)
    train = read(root, TRAIN100, URL100, b"fine_labels")
    return _data("cifar100", 100, train, read(root, TEST100, URL100, b"fine_labels"))


def read(root: Path, files: Mapping[str, str], url: str, labels: bytes) -> _Images:
    """x [n, 3, 32, 32] and y [n] of the published files (name: md5) in their order, and who vouches for each.

    Raises FileNotFoundError or ValueError if one is missing, corrupt, or no batch of CIFAR.
    """
    x, y, provenance = [], [], {}
    for name, md5 in files.items():
        path, provenance[name] = find(root, name, url=url, md5=md5)
        batch = read_pickle(path)
        try:
            x.append(batch[b"data"].reshape(-1, 3, 32, 32))  # a row is three planes of 32 rows of 32
            y.append(batch[labels])
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{path} is no batch of CIFAR ({error!r}): get it from {url}") from error
    return np.concatenate(x), np.concatenate(y), provenance


def _data(name: str, classes: int, train: _Images, test: _Images) -> Data:
    x, y, provenance = train
    rest, held_out = split(len(x), 0.1, labels=y)
    return Data(
        name=name,
        train=Dataset(x[rest], y[rest]),
        validation=Dataset(x[held_out], y[held_out]),
        test=Dataset(*test[:2]),
        classes=classes,
        target=f"class of the photograph, 0 to {classes - 1}",
        provenance={**provenance, **test[2]},
    )
