"""What holds for every data set, on the small files of conftest.py, and for load."""

from __future__ import annotations

import io
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import bayesreg.datasets
from bayesreg.datasets import DATASETS, SOURCES, Data, Source, beijing, cifar, flowers, load

SIZES = {
    "synthetic": (6000, 2000, 2000),
    "digits": (1079, 359, 359),
    "diabetes": (266, 88, 88),
    "housing": (24, 8, 8),
    "beijing": (12 * 2, 12 * (6 + 4), 12 * 8),
    "mnist": (180, 20, 30),
    "fashion_mnist": (180, 20, 30),
    "flowers": (102, 102, 102),
    "imdb": (36, 4, 10),
    "cifar10": (90, 10, 20),
    "cifar100": (900, 100, 1000),
}

TABLES = ["synthetic", "digits", "diabetes", "housing"]  # the others have files of tests of their own
DTYPES = {"imdb": torch.int64} | dict.fromkeys(
    ["mnist", "fashion_mnist", "flowers", "cifar10", "cifar100"], torch.uint8
)


@pytest.fixture(params=DATASETS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def root(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return request.getfixturevalue(f"{name}_root") if name in SOURCES else tmp_path


@pytest.fixture
def data(name: str, root: Path) -> Data:
    return load(name, root)


def splits(data: Data) -> list[torch.Tensor]:
    return [part.x.double().flatten(1) for part in (data.train, data.validation, data.test)]


def test_shapes_and_types(name: str, data: Data) -> None:
    assert data.name == name
    assert tuple(map(len, (data.train, data.validation, data.test))) == SIZES[name]
    for part in (data.train, data.validation, data.test):
        assert part.x.shape[1:] == data.features
        assert part.y.shape == (len(part),)
        assert part.y.dtype == (torch.float32 if data.classes is None else torch.int64)
        assert part.x.dtype == DTYPES.get(name, torch.float32)
        assert data.classes is None or sorted(set(part.y.tolist())) == list(range(data.classes))
    assert data.target
    assert data.provenance
    assert set(data.provenance.values()) <= {"SHA256SUMS", "scikit-learn"}


@pytest.mark.parametrize("name", TABLES, indirect=True)
def test_splits_are_disjoint(data: Data) -> None:
    rows = torch.cat(splits(data))
    assert len(rows.unique(dim=0)) == len(rows)


@pytest.mark.parametrize("name", TABLES, indirect=True)
def test_inputs_are_standardised_by_the_training_split(data: Data) -> None:
    train, validation, test = splits(data)
    varies = train.std(0) > 0  # a corner pixel of the digits is always 0
    assert train.mean(0).abs().max() < 1e-5
    assert (train.std(0, correction=0)[varies] - 1).abs().max() < 1e-4
    assert torch.cat([validation, test]).mean(0).abs().max() > 1e-4


@pytest.mark.parametrize(("name", "accuracy"), [("synthetic", 0.2), ("digits", 0.95)])
def test_targets_follow_their_inputs(name: str, accuracy: float) -> None:
    """The nearest training point tells the class far better than chance."""
    data = load(name)
    for part in (data.validation, data.test):
        nearest = torch.cdist(part.x, data.train.x).argmin(1)
        assert (data.train.y[nearest] == part.y).float().mean() > accuracy


def test_progression_of_diabetes_rises_with_body_mass() -> None:
    data = load("diabetes")
    for part in (data.train, data.validation, data.test):
        assert torch.corrcoef(torch.stack([part.x[:, 2], part.y]))[0, 1] > 0.4


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("name", ["beijing", "flowers", "imdb"], indirect=True)
def test_what_is_slow_to_read_shows_how_far_it_is(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bayesreg.progress.QUIET", 0.0)
    monkeypatch.setattr(sys, "stderr", seen := Terminal())
    load(name, root)
    assert f"verifying {SOURCES[name][0].name}" in seen.getvalue()
    assert "reading " in seen.getvalue()


def random_state() -> tuple[object, ...]:
    """Of the three global generators, NumPy's legacy one included: it is the one that libraries touch."""
    numpy_state = np.random.get_state(legacy=False)["state"]  # noqa: NPY002
    return torch.get_rng_state().tolist(), numpy_state["key"].tolist(), numpy_state["pos"], random.getstate()


def test_loads_the_same_whatever_the_random_state_and_leaves_it_alone(name: str, root: Path, data: Data) -> None:
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    before = random_state()
    again = load(name, root, train_size=10)
    assert random_state() == before
    assert torch.equal(again.train.x[:], data.take_train(10).train.x[:])
    assert torch.equal(again.validation.y, data.validation.y)
    assert torch.equal(again.test.x[:], data.test.x[:])


def test_train_size_out_of_range() -> None:
    with pytest.raises(ValueError, match="train_size is 267, but diabetes has 266 to train on: give 1 to 266"):
        load("diabetes", train_size=267)


@pytest.mark.parametrize(("name", "meant"), [("cifar_10", "cifar10"), ("Digits", "digits"), ("houses", "housing")])
def test_an_unknown_name_is_told_the_nearest(name: str, meant: str) -> None:
    with pytest.raises(ValueError, match=rf"'{name}': choose among synthetic, .*\. Did you mean '{meant}'\?"):
        load(name)


def test_a_name_like_no_other_is_told_all() -> None:
    with pytest.raises(ValueError, match=r"no data set is called 'xyz': choose among .*, cifar100\.$"):
        load("xyz")


def test_every_source_says_how_large_it_may_be_and_what_it_is_in_a_line() -> None:
    for source in (source for sources in SOURCES.values() for source in sources):
        assert 0 < source.limit <= 5 * 10**8
        assert source.name in repr(source)
        assert len(repr(source)) < 400  # not the 8,189 photographs


@pytest.mark.parametrize("name", SOURCES)
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        load(name, tmp_path)
    source = SOURCES[name][0]
    file, checksum = next(iter(source.files(tmp_path).items()))
    for said in (source.url, str(tmp_path / file), checksum or "SHA256SUMS", f"bayesreg data fetch {name}"):
        assert said in str(error.value)


def test_every_source_has_a_place_an_address_and_a_checksum() -> None:
    for source in (source for sources in SOURCES.values() for source in sources):
        assert source.url.startswith(("https://", "http://fashion-mnist"))  # that one has no other
        assert all(name.startswith(str(Path(source.name).parent).lstrip(".")) for name in source.members)
        checksums = [source.checksum, *filter(None, source.members.values())]
        assert all(len(checksum) in (32, 64) and int(checksum, 16) for checksum in checksums)


@pytest.mark.parametrize(
    ("source", "inside"),  # where the published archive has the first of its files
    [
        (cifar.CIFAR10, "cifar-10-batches-py/data_batch_1"),
        (cifar.CIFAR100, "cifar-100-python/train"),
        (flowers.SOURCES[0], "jpg/image_00001.jpg"),
        (beijing.SOURCE, "PRSA_Data_20130301-20170228/PRSA_Data_Aotizhongxin_20130301-20170228.csv"),
    ],
)
def test_archives_unpack_to_where_their_files_are_read(source: Source, inside: str) -> None:
    assert str(Path(source.name).parent / inside) == next(iter(source.members))


def test_diabetes_target_is_standardised_by_the_training_split(tmp_path: Path) -> None:
    data = load("diabetes", tmp_path)
    y = data.train.y.double()
    assert abs(y.mean()) < 1e-5
    assert abs(y.std(correction=0) - 1) < 1e-5
    assert abs(data.test.y.mean()) > 1e-3


def test_importing_is_quick() -> None:
    """scikit-learn waits for a loader that needs it; the rest of the package is kept out of the count."""
    program = """
import sys, types
sys.modules["bayesreg"] = types.ModuleType("bayesreg")
sys.modules["bayesreg"].__path__ = [sys.argv[1]]
import bayesreg.datasets
heavy = {"sklearn", "scipy", "pandas", "torchvision", "pyro"} & set(sys.modules)
assert not heavy, heavy
"""
    package = Path(bayesreg.datasets.__file__).parent.parent
    subprocess.run([sys.executable, "-c", program, str(package)], check=True)
