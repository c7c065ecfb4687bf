from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from bayesreg.datasets import Data, cifar, load

CIFAR10 = list({**cifar.TRAIN10, **cifar.TEST10})


@pytest.mark.parametrize("classes", [10, 100])
def test_pixels_and_labels(classes: int, request: pytest.FixtureRequest) -> None:
    data = load(f"cifar{classes}", request.getfixturevalue(f"cifar{classes}_root"))
    for part in (data.train, data.validation, data.test):
        assert part.x.shape[1:] == (3, 32, 32)
        assert torch.equal(part.x[:, 0, 0, 0], part.y.to(torch.uint8))
        assert part.x[:, :, 1, 2].unique(dim=0).tolist() == [[201, 202, 203]]
        assert part.x[0].eq(part.y[0]).sum() >= 3072 - 4
    assert data.test.x[:, 2, 31, 31].tolist() == [i % 256 for i in range(len(data.test))]  # published order


def test_train_and_validation_share_out_the_published_train(cifar10_root: Path, vouch: Callable[..., None]) -> None:
    for number, file in enumerate(cifar.TRAIN10):
        path = cifar10_root / file
        batch = pickle.loads(path.read_bytes())
        batch[b"data"][:, 100] = number
        path.write_bytes(pickle.dumps(batch, protocol=2))
    vouch(cifar10_root)
    data = load("cifar10", cifar10_root)
    images = torch.cat([data.train.x, data.validation.x])
    assert len(images.unique(dim=0)) == len(images) == 100
    assert data.validation.y.bincount().tolist() == [1] * 10
    assert data.train.y.bincount().tolist() == [9] * 10


def test_records_who_vouches_for_each_file(cifar10_root: Path) -> None:
    assert load("cifar10", cifar10_root).provenance == dict.fromkeys(CIFAR10, "SHA256SUMS")


@pytest.mark.parametrize("file", CIFAR10)
def test_refuses_a_corrupt_batch(cifar10_root: Path, file: str) -> None:
    path = cifar10_root / file
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{file} is corrupt: got md5"):
        load("cifar10", cifar10_root)


def test_says_where_a_missing_batch_belongs(cifar10_root: Path) -> None:
    path = cifar10_root / "cifar-10-batches-py/test_batch"
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"cifar-10-python\.tar\.gz") as error:
        load("cifar10", cifar10_root)
    assert str(path) in str(error.value)
    assert "md5 40351d587109b95175f43aff81a1287e" in str(error.value)


ONE = np.zeros((1, 3072), np.uint8)
ODD = [
    {},
    [1, 2],
    np.zeros(3),
    {b"data": 3, b"labels": []},
    {b"data": np.zeros(5), b"labels": [1]},
    {b"data": ONE, b"labels": [10**30]},
    {b"data": ONE, b"labels": [0.5]},
    {b"data": ONE.astype("int64"), b"labels": [1]},
]


@pytest.mark.parametrize("number", range(len(ODD)))
def test_refuses_a_pickle_of_something_else(cifar10_root: Path, vouch: Callable[..., None], number: int) -> None:
    (cifar10_root / "cifar-10-batches-py/data_batch_3").write_bytes(pickle.dumps(ODD[number], protocol=2))
    vouch(cifar10_root)
    with pytest.raises(ValueError, match="data_batch_3 is not a CIFAR batch"):
        load("cifar10", cifar10_root)


def test_refuses_a_truncated_batch(cifar10_root: Path, vouch: Callable[..., None]) -> None:
    path = cifar10_root / "cifar-10-batches-py/data_batch_3"
    path.write_bytes(path.read_bytes()[:1000])
    vouch(cifar10_root)
    with pytest.raises(ValueError, match="data_batch_3 is not a pickle of arrays"):
        load("cifar10", cifar10_root)


def nearest_class_mean(data: Data) -> float:
    """Test accuracy of the class whose mean published training image is the nearest."""
    x, y = (
        torch.cat([data.train.x, data.validation.x]).flatten(1),
        torch.cat([data.train.y, data.validation.y]),
    )
    means = torch.stack([x[y == k].float().mean(0) for k in range(data.classes or 0)])
    nearest = torch.cdist(data.test.x.flatten(1).float(), means).argmin(1)
    return (nearest == data.test.y).double().mean().item()


@pytest.mark.parametrize(("name", "accuracy"), [("cifar10", 0.277), ("cifar100", 0.100)])
def test_the_real_cifar(real: Callable[[str], Data], name: str, accuracy: float) -> None:
    data = real(name)
    assert list(map(len, (data.train, data.validation, data.test))) == [45_000, 5_000, 10_000]
    assert data.validation.y.bincount().tolist() == [5_000 // (data.classes or 1)] * (data.classes or 0)
    assert nearest_class_mean(data) == pytest.approx(accuracy, abs=0.0006)


def test_channel_means_of_the_real_cifar10(real: Callable[[str], Data]) -> None:
    data = real("cifar10")
    sums = data.train.x.sum((0, 2, 3)) + data.validation.x.sum((0, 2, 3))
    means = sums.double() / (50_000 * 32 * 32 * 255)
    assert means.tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=5e-5)
