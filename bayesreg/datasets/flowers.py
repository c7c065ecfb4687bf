"""Photographs of flowers in 102 classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bayesreg.progress import bar

from .base import Data, Dataset
from .cache import Arrays, cached
from .files import Source, data_root, provenance

VERSION = 1  # of the parsing: cached arrays of another version are not read
URL = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102"
SOURCES = (
    Source(
        "flowers-102/102flowers.tgz",
        f"{URL}/102flowers.tgz",
        "52808999861908f626f3c1f4e79d11fa",
        {f"flowers-102/jpg/image_{number:05d}.jpg": None for number in range(1, 8190)},
        limit=5 * 10**8,
    ),
    Source("flowers-102/imagelabels.mat", f"{URL}/imagelabels.mat", "e0620be6f572b9609742df49c70aed4d", limit=10**6),
    Source("flowers-102/setid.mat", f"{URL}/setid.mat", "a5357ecc9cb78c4bef273ce3793fc85c", limit=10**6),
)
SPLITS = ("trnid", "valid", "tstid")  # train, validation and test


def load(data_dir: str | Path | None = None, size: int = 64) -> Data:
    """Oxford 102 flowers: x uint8 [n, 3, size, size] (red, green, blue; 0 to 255), y int64 [n], of 102 classes.

    The shorter side of each photograph is scaled to `size` pixels, and the centre is cropped. The published split:
    1,020 train, 1,020 validation, 6,149 test.

    Source: Nilsback & Zisserman, "Automated flower classification over a large number of classes", ICVGIP, 2008.
    Raises FileNotFoundError or ValueError where a file of flowers-102 is missing, corrupt, or not an image.
    """
    root = data_root(data_dir)
    found = [source.find(root) for source in SOURCES]
    *images, labels, split = (file.path for part in found for file in part.values())
    options = {"version": VERSION, "size": size}
    arrays = cached(root, "flowers", [*images, labels, split], lambda: parse(images, labels, split, size), **options)
    train, validation, test = (Dataset(arrays["x"][arrays[part]], arrays["y"][arrays[part]]) for part in SPLITS)
    return Data(
        name="flowers",
        train=train,
        validation=validation,
        test=test,
        classes=102,
        target="species of the flower, 0 to 101",
        provenance=provenance(*found),
        fixed="its test split is published",
    )


def parse(images: Sequence[Path], labels: Path, split: Path, size: int) -> Arrays:
    """x [n, 3, size, size] and y [n] of all images, and the indices of each split. Counts from 0; Matlab from 1."""
    x = np.stack([read_image(path, size) for path in bar(images, desc="reading photographs")])
    y = read_matlab(labels, "labels") - 1
    parts = {name: read_matlab(split, name) - 1 for name in SPLITS}
    if len(y) != len(x) or max(part.max() for part in parts.values()) >= len(x):
        raise ValueError(f"{labels} and {split} are not of the {len(x)} images beside them: get them from {URL}")
    return {"x": x, "y": y, **parts}


def read_image(path: Path, size: int) -> np.ndarray:
    """The centre of a photograph, uint8 [3, size, size]. Raises ValueError if it cannot be decoded."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            centre = ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.LANCZOS)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is not a readable image: {error}. Get the archive again from {URL}") from error
    return np.asarray(centre).transpose(2, 0, 1)


def read_matlab(path: Path, name: str) -> np.ndarray:
    """The whole numbers called `name` in a Matlab file, int64 [n]. Raises ValueError if they are not there."""
    from scipy.io import loadmat

    try:
        return loadmat(path)[name].ravel().astype(np.int64)
    except Exception as error:  # SciPy fails in many ways on a broken file, TypeError and zlib.error among them
        raise ValueError(f"{path} has no {name!r}: {error!r}. Get it from {URL}") from error
