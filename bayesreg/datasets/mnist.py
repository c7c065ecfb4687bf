"""Grey images of 28 × 28 pixels in 10 classes: handwritten digits, or clothes."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from .base import Data, Dataset, split
from .files import Source, data_root, provenance

# file: (md5 of the published .gz, sha256 of what is in it, where it is known), in the order in which they are read
MNIST = {
    "train-images-idx3-ubyte": (
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    "train-labels-idx1-ubyte": (
        "d53e105ee54ea40749a09fcbcd1e9432",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    "t10k-images-idx3-ubyte": (
        "9fb629c4189551a2d022fa330f9573f3",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    "t10k-labels-idx1-ubyte": (
        "ec29112dd5afa0611ce80d1b7f02629c",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}
FASHION = {
    "train-images-idx3-ubyte": ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", None),
    "train-labels-idx1-ubyte": ("25c81989df183df01b3e8a0aad5dffbe", None),
    "t10k-images-idx3-ubyte": ("bef4ecab320f06d8554ea6380940ec79", None),
    "t10k-labels-idx1-ubyte": ("bb300cfdad3c16e7a12a480ee83cd310", None),
}
SIZES = {  # bytes unpacked, for both
    "train-images-idx3-ubyte": 16 + 60_000 * 28 * 28,
    "train-labels-idx1-ubyte": 8 + 60_000,
    "t10k-images-idx3-ubyte": 16 + 10_000 * 28 * 28,
    "t10k-labels-idx1-ubyte": 8 + 10_000,
}


def _sources(folder: str, url: str, files: Mapping[str, tuple[str, str | None]]) -> tuple[Source, ...]:
    return tuple(
        Source(f"{folder}/{name}.gz", f"{url}/{name}.gz", md5, {f"{folder}/{name}": sha256}, True, SIZES[name])
        for name, (md5, sha256) in files.items()
    )


SOURCES = _sources("MNIST/raw", "https://ossci-datasets.s3.amazonaws.com/mnist", MNIST)
FASHION_SOURCES = _sources("FashionMNIST/raw", "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com", FASHION)


def load(data_dir: str | Path | None = None) -> Data:
    """MNIST: x uint8 [n, 1, 28, 28], 0 the background and 255 the ink; y int64 [n], the digit.

    54,000 train and 6,000 validation, stratified, out of the published 60,000; the published 10,000 test.

    Source: LeCun, Bottou, Bengio & Haffner, "Gradient-based learning applied to document recognition",
    Proceedings of the IEEE, 1998. Raises FileNotFoundError or ValueError where a file of MNIST/raw is missing
    or corrupt; it may be compressed (.gz) or not.
    """
    return _load("mnist", "digit, 0 to 9", SOURCES, data_root(data_dir))


def load_fashion(data_dir: str | Path | None = None) -> Data:
    """Fashion-MNIST: as MNIST, from FashionMNIST/raw, with y one of 10 kinds of clothes.

    Source: Xiao, Rasul & Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning
    algorithms", 2017.
    """
    return _load("fashion_mnist", "kind of clothes, 0 to 9", FASHION_SOURCES, data_root(data_dir))


def read(path: Path) -> np.ndarray:
    """The bytes of an idx file in its own shape: two zeros, the type, the rank, the sizes, the numbers.

    Raises ValueError if it is not one, is truncated, or holds more than it says.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be decompressed: {error}. Get the published file") from error
    rank = content[3] if content[:3] == b"\0\0\x08" else 0  # 8: unsigned bytes
    shape = [int.from_bytes(content[at : at + 4]) for at in range(4, 4 + 4 * rank, 4)]
    numbers = np.frombuffer(content[4 + 4 * rank :], np.uint8)
    if rank == 0 or len(content) != 4 + 4 * rank + math.prod(shape):
        held = f"{len(numbers)} bytes where its header says {shape}" if rank else f"a header of {content[:4]!r}"
        raise ValueError(f"{path} is not an idx file of bytes: it has {held}. Get the published file")
    return numbers.reshape(shape)


def _load(name: str, target: str, sources: tuple[Source, ...], root: Path) -> Data:
    found = [source.find(root) for source in sources]
    x, y, test_x, test_y = (read(file.path) for part in found for file in part.values())
    rest, held_out = split(len(x), 0.1, labels=y)
    return Data(
        name=name,
        train=Dataset(x[rest, None], y[rest]),
        validation=Dataset(x[held_out, None], y[held_out]),
        test=Dataset(test_x[:, None], test_y),
        classes=10,
        target=target,
        provenance=provenance(*found),
        fixed="its test split is published",
    )
