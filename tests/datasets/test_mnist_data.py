from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made import idx

from bayesreg.datasets import Data, load, mnist

IMAGES = "MNIST/raw/train-images-idx3-ubyte"


def test_pixels_labels_and_order(mnist_root: Path) -> None:
    data = load("mnist", mnist_root)
    for part in (data.train, data.validation, data.test):
        assert torch.equal(part.x[:, 0, 0, 0], part.y.to(torch.uint8))
    assert data.test.x[:, 0, -1, -1].tolist() == list(range(30))  # published order
    published = torch.cat([data.train.x, data.validation.x])[:, 0, -1, -1]
    assert sorted(published.tolist()) == list(range(200))
    assert data.validation.y.bincount().tolist() == [2] * 10


def test_compressed_files_are_as_good(mnist_root: Path, vouch: Callable[[Path], None]) -> None:
    plain = load("mnist", mnist_root)
    for path in (mnist_root / "MNIST/raw").iterdir():
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    vouch(mnist_root)
    packed = load("mnist", mnist_root)
    assert torch.equal(packed.train.x, plain.train.x)
    assert all(name.endswith(".gz") for name in packed.provenance)


def test_clothes_are_read_from_their_own_folder(fashion_mnist_root: Path) -> None:
    assert load("fashion_mnist", fashion_mnist_root).name == "fashion_mnist"
    with pytest.raises(FileNotFoundError, match="MNIST/raw/train-images"):
        load("mnist", fashion_mnist_root)


def test_unpacked_files_without_a_published_checksum_are_taken_and_said_to_be_so(fashion_mnist_root: Path) -> None:
    """As torchvision leaves them, once the packed ones are deleted."""
    vouched = load("fashion_mnist", fashion_mnist_root)
    (fashion_mnist_root / "SHA256SUMS").unlink()
    data = load("fashion_mnist", fashion_mnist_root)
    assert torch.equal(data.train.x, vouched.train.x)
    assert data.provenance == dict.fromkeys(vouched.provenance, "no published checksum")


def test_unpacked_files_that_differ_from_what_the_root_lists_are_corrupt(fashion_mnist_root: Path) -> None:
    path = fashion_mnist_root / "FashionMNIST/raw/t10k-labels-idx1-ubyte"
    listed = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(idx(np.zeros(30)))
    with pytest.raises(ValueError, match=rf"{path} is corrupt: got sha256 \w+, expected {listed} of .*SHA256SUMS"):
        load("fashion_mnist", fashion_mnist_root)


def test_packed_files_that_are_published_are_read_before_unpacked_ones(
    fashion_mnist_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fashion_mnist_root / "SHA256SUMS").unlink()
    sources = []
    for source in mnist.FASHION_SOURCES:
        path = fashion_mnist_root / source.name
        path.write_bytes(gzip.compress(path.with_suffix("").read_bytes()))
        path.with_suffix("").write_bytes(b"something else")
        sources.append(replace(source, checksum=hashlib.md5(path.read_bytes()).hexdigest()))
    monkeypatch.setattr(mnist, "FASHION_SOURCES", tuple(sources))
    data = load("fashion_mnist", fashion_mnist_root)
    assert set(data.provenance.values()) == {"published checksum"}
    assert data.test.x[:, 0, -1, -1].tolist() == list(range(30))


@pytest.mark.parametrize("shape", [(3,), (2, 4), (2, 3, 4)])
def test_reads_any_shape(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    (tmp_path / "file").write_bytes(idx(array))
    np.testing.assert_array_equal(mnist.read(tmp_path / "file"), array)


WHOLE = idx(np.zeros((4, 5)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a header of b''"),
        (b"\0\0\x0d\x01\0\0\0\0", "a header"),  # floats
        (b"no idx file", "a header of b'no i'"),
        (WHOLE[:-1], r"19 bytes where its header says \[4, 5\]"),
        (WHOLE + b"\0", r"21 bytes where its header says \[4, 5\]"),
        (WHOLE[:7], "0 bytes"),
    ],
    ids=["empty", "of floats", "text", "cut short", "too long", "a header cut short"],
)
def test_refuses_what_is_no_whole_idx_file(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=f"file is not an idx file of bytes: it has .*{message}"):
        mnist.read(tmp_path / "file")


@pytest.mark.parametrize(
    "content",
    [b"", b"no gzip", gzip.compress(WHOLE)[:-9], gzip.compress(WHOLE)[:-1] + b"x"],
    ids=["empty", "text", "cut short", "another length"],
)
def test_refuses_a_broken_gz(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file.gz").write_bytes(content)
    with pytest.raises(ValueError, match=r"file.gz (cannot be decompressed|is not an idx file)"):
        mnist.read(tmp_path / "file.gz")


def test_refuses_a_truncated_and_a_corrupt_file(mnist_root: Path, vouch: Callable[[Path], None]) -> None:
    path = mnist_root / IMAGES
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=f"{path} is corrupt: got sha256"):
        load("mnist", mnist_root)
    vouch(mnist_root)
    with pytest.raises(ValueError, match=f"{path} is not an idx file"):
        load("mnist", mnist_root)


def test_the_real_mnist(real: Callable[[str], Data], tmp_path: Path) -> None:
    data = real("mnist")
    assert list(map(len, (data.train, data.validation, data.test))) == [54_000, 6_000, 10_000]
    assert set(data.provenance.values()) == {"published checksum"}
    mean = (data.train.x.sum() + data.validation.x.sum()).item() / (60_000 * 784 * 255)
    assert mean == pytest.approx(0.1307, abs=5e-5)
    assert data.test.y[:5].tolist() == [7, 2, 1, 0, 4]
