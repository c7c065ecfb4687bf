"""Small photographs in 10 or in 100 classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .base import Data, Dataset, split
from .files import Source, data_root, provenance
from .unpickle import read_pickle

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

FILES10, FILES100 = TRAIN10 | TEST10, TRAIN100 | TEST100
LIMIT = 2 * 10**8  # bytes, packed or unpacked
CIFAR10 = Source("cifar-10-python.tar.gz", URL10, "c58f30108f718f92721af3b95e74349a", FILES10, limit=LIMIT)
CIFAR100 = Source("cifar-100-python.tar.gz", URL100, "eb9058c3a382ffc7106e4002c42a8d85", FILES100, limit=LIMIT)


def load10(data_dir: str | Path | None = None) -> Data:
    """CIFAR-10: x uint8 [n, 3, 32, 32] (red, green, blue; 0 to 255), y int64 [n], of 10 classes.

    45,000 train and 5,000 validation, stratified, out of the published 50,000; the published 10,000 test.

    Source: Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
    Raises FileNotFoundError or ValueError where a file of cifar-10-batches-py is missing or corrupt.
    """
    return _load("cifar10", 10, CIFAR10, b"labels", data_root(data_dir))


def load100(data_dir: str | Path | None = None) -> Data:
    """CIFAR-100: as CIFAR-10, with y the fine labels of 100 classes, from cifar-100-python."""
    return _load("cifar100", 100, CIFAR100, b"fine_labels", data_root(data_dir))


def read(path: Path, labels: bytes, url: str) -> tuple[np.ndarray, np.ndarray]:
    """x [n, 3, 32, 32] and y [n] of one published file. Raises ValueError if it is not a CIFAR batch."""
    batch = read_pickle(path)
    try:
        x = np.asarray(batch[b"data"]).reshape(-1, 3, 32, 32)  # a row is three planes of 32 rows of 32
        y = np.asarray(batch[labels]).reshape(len(x))
        if x.dtype != np.uint8 or y.dtype.kind != "i":
            raise TypeError(f"x is {x.dtype}, not uint8, or y {y.dtype}, not whole numbers")
        return x, y.astype(np.int64)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} is not a CIFAR batch ({error!r}): get it from {url}") from error


def _load(name: str, classes: int, source: Source, labels: bytes, root: Path) -> Data:
    found = source.find(root)
    *train, test = (read(file.path, labels, source.url) for file in found.values())  # the test batch comes last
    x, y = (np.concatenate(parts) for parts in zip(*train, strict=True))
    rest, held_out = split(len(x), 0.1, labels=y)
    return Data(
        name=name,
        train=Dataset(x[rest], y[rest]),
        validation=Dataset(x[held_out], y[held_out]),
        test=Dataset(*test),
        classes=classes,
        target=f"class of the photograph, 0 to {classes - 1}",
        provenance=provenance(found),
        fixed="its test split is published",
    )
