from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from bayesreg.datasets import Data, flowers, load

FIRST = "flowers-102/jpg/image_00001.jpg"


def test_the_published_split_and_the_labels_belong_to_their_photographs(flowers_root: Path) -> None:
    data = load("flowers", flowers_root)
    for part in (data.train, data.validation, data.test):
        assert part.x.shape == (102, 3, 64, 64)
        assert (part.x[:, 0].float().mean((1, 2)) - part.y).abs().max() < 3  # red is the class, JPEG is lossy


def test_the_centre_is_cut_out_and_scaled(flowers_root: Path) -> None:
    x = flowers.load(flowers_root, size=4).train.x
    assert x.shape == (102, 3, 4, 4)
    assert x[:, 1].float().sub(100).abs().max() < 25  # JPEG is lossy; the white border is outside of the centre
    path = flowers_root / FIRST
    pixels = np.arange(5 * 9 * 3, dtype=np.uint8).reshape(9, 5, 3)
    Image.fromarray(pixels).save(path.with_suffix(".png"))
    np.testing.assert_array_equal(flowers.read_image(path.with_suffix(".png"), 5), pixels[2:7].transpose(2, 0, 1))


def test_the_second_start_reads_no_photograph(flowers_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load("flowers", flowers_root)
    monkeypatch.setattr(flowers, "read_image", None)
    assert torch.equal(load("flowers", flowers_root).test.x, first.test.x)


@pytest.mark.parametrize("content", [b"", b"no image", "half"])
def test_names_the_image_that_cannot_be_read(
    flowers_root: Path, vouch: Callable[[Path], None], content: bytes | str
) -> None:
    path = flowers_root / FIRST
    path.write_bytes(path.read_bytes()[:300] if isinstance(content, str) else content)
    with pytest.raises(ValueError, match=f"{path} is corrupt: got sha256 .* expected [0-9a-f]{{64}} of .*SHA256SUMS"):
        load("flowers", flowers_root)
    vouch(flowers_root)
    with pytest.raises(ValueError, match=f"{path} is not a readable image.*{flowers.URL}"):
        load("flowers", flowers_root)
    assert not (flowers_root / "cache").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("imagelabels.mat", {"label": [1]}, "imagelabels.mat has no 'labels'"),
        ("imagelabels.mat", {"labels": [1, 2]}, "imagelabels.mat and .*setid.mat are not of the 306 images"),
        ("imagelabels.mat", b"no Matlab file", "imagelabels.mat has no 'labels'"),
        ("setid.mat", {"trnid": [1], "valid": [2], "tstid": [307]}, "are not of the 306 images"),
        ("setid.mat", {"trnid": [1], "valid": [2]}, "setid.mat has no 'tstid'"),
    ],
)
def test_refuses_other_matlab_files(
    flowers_root: Path, vouch: Callable[[Path], None], name: str, content: dict[str, list[int]] | bytes, message: str
) -> None:
    path = flowers_root / "flowers-102" / name
    path.write_bytes(content) if isinstance(content, bytes) else savemat(path, content)
    vouch(flowers_root)
    with pytest.raises(ValueError, match=message):
        load("flowers", flowers_root)


def test_a_photograph_that_is_not_there_is_named(flowers_root: Path) -> None:
    (flowers_root / FIRST).unlink()
    with pytest.raises(FileNotFoundError, match=r"102flowers\.tgz") as error:
        load("flowers", flowers_root)
    assert str(flowers_root / FIRST) in str(error.value)


def test_the_real_flowers(real: Callable[[str], Data]) -> None:
    data = real("flowers")
    assert list(map(len, (data.train, data.validation, data.test))) == [1020, 1020, 6149]
    for part in (data.train, data.validation):
        assert part.y.bincount().tolist() == [10] * 102
    assert data.test.y.bincount().min() == 20
