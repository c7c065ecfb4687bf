"""Data that are not in memory, an np.memmap or a map-style dataset, give the numbers of those that are."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils import data as torch_data

import bayesreg as br
from bayesreg.datasets import Dataset, Streamed, as_dataset, given

N = 40


def numbers() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(N, 3, generator=generator)
    return x, x.sum(1) + 0.1 * torch.randn(N, generator=generator)


X, Y = numbers()


class Items(torch_data.Dataset):
    """Those of a list of x and of y; `seen` are the numbers of those that this process was asked for."""

    def __init__(self, x: Any = X, y: Any = Y) -> None:
        self.x, self.y, self.seen = x, y, []

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> Any:
        self.seen.append(i)
        return self.x[i], self.y[i]


class Drawn(Items):
    """Each item with noise of its own."""

    def __getitem__(self, i: int) -> Any:
        return self.x[i] + torch.randn(3), self.y[i]


def on_disk(path: Path, x: Any = X) -> Any:
    np.save(path / "x.npy", np.asarray(x))
    return np.load(path / "x.npy", mmap_mode="r")


def fitted(data: Any, validation: Any = None, epochs: int = 2, **options: Any) -> br.Posterior:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = br.Model(br.nets.mlp(3, 1, hidden=4), "l2:1e-3", br.Gaussian(), size=N)
    return br.fit(model, data, validation=validation, epochs=epochs, batch_size=16, progress=False, **options)


def found(posterior: br.Posterior, data: Dataset) -> list[Any]:
    """All numbers of a fit, and of its predictions of data."""
    history = posterior.history.drop(columns="seconds").to_numpy(float).tolist()
    predicted = posterior.predict(data.x, draws=2).mean.tolist()
    return [history, posterior.evaluate(data, draws=2), predicted, vars(posterior.convergence or object)]


@pytest.fixture(autouse=True)
def _no_worker_is_left() -> Iterator[None]:
    yield
    assert not multiprocessing.active_children()


STREAMED = {
    "memmap": lambda path: Dataset(on_disk(path), Y),
    "memmap, none ahead": lambda path: Dataset.stream(on_disk(path), Y, workers=0),
    "items": lambda path: Dataset.stream(Items(), workers=2),
    "items, none ahead": lambda path: Dataset.stream(Items(), workers=0),
    "items of arrays and numbers": lambda path: Dataset.stream(Items(X.numpy(), Y.tolist()), Y, workers=0),
    "a pair": lambda path: (on_disk(path), Y),
}


@pytest.mark.parametrize("way", STREAMED)
def test_a_fit_is_that_of_data_in_memory_bit_for_bit(way: str, tmp_path: Path) -> None:
    memory, data = Dataset(X, Y), as_dataset(STREAMED[way](tmp_path))
    assert isinstance(data.x, Streamed)
    assert found(fitted(data, data, guide="normal"), data) == found(fitted(memory, memory, guide="normal"), memory)


def test_also_captured_and_judged_by_going_on() -> None:
    memory, data = Dataset(X, Y), Dataset.stream(Items(), workers=0)
    assert found(fitted(data, epochs=140), data) == found(fitted(memory, epochs=140), memory)


def test_images_of_bytes_and_tables_of_doubles(tmp_path: Path) -> None:
    """As a Dataset in memory takes them."""
    images = np.arange(N * 4, dtype=np.uint8).reshape(N, 1, 2, 2)
    rows = torch.tensor([3, 1])
    for x in (images, X.double().numpy(), images[:, 0, 0, 0].astype(np.int16)):
        read, memory = Dataset(on_disk(tmp_path, x), Y).x[rows], Dataset(x, Y).x[rows]
        assert read.dtype == memory.dtype
        assert torch.equal(read, memory)


def test_what_it_is_asked_for(tmp_path: Path) -> None:
    memory, data = Dataset(X, Y), Dataset(on_disk(tmp_path), Y)
    assert repr(data) == "Dataset(x: Streamed(40 like float32 [1, 3], workers=2), y: float32 [40])"
    assert torch.equal(data.x[3], X[3])
    assert torch.equal(data.x[-2:], X[-2:])
    some = data.take([5, 1, 7]).take(torch.tensor([True, False, True]))
    assert torch.equal(some.x[:], X[[5, 7]])
    assert torch.equal(torch.cat(list(data.x.split(16))), X)
    for size in (16, 64):
        ours, theirs = (list(d.batches(size, torch.arange(N).flip(0))) for d in (data, memory))
        assert all(
            torch.equal(a, b) for our, their in zip(ours, theirs, strict=True) for a, b in zip(our, their, strict=True)
        )
    parts, same = (br.Data.split(d, Y) for d in (on_disk(tmp_path), X))
    assert parts.features == (3,)
    assert torch.equal(parts.test.x[:], same.test.x)
    assert len(parts.take_train(5).train) == 5
    with pytest.raises(ValueError, match="x is empty"):
        data.take(slice(0, 0))
    with pytest.raises(ValueError, match=r"workers=-1: give the number of processes"):
        Dataset.stream(Items(), workers=-1)


def test_a_checkpoint_knows_its_data(tmp_path: Path) -> None:
    data = Dataset(on_disk(tmp_path), Y)
    assert data.sha256() == Dataset.stream(Items(), Y).sha256()
    assert data.sha256() != Dataset.stream(Items(X + 1), Y).sha256()
    assert data.sha256() != data.take(torch.arange(N).flip(0)).sha256()


def test_several_inputs_some_of_them_on_a_disk(tmp_path: Path) -> None:
    x = {"a": on_disk(tmp_path), "mask": X[:, 0] > 0}
    data, rows = Dataset(x, Y), torch.tensor([4, 2])
    batch = data.x[rows]
    assert torch.equal(batch["a"], X[rows])
    assert torch.equal(batch["mask"], x["mask"][rows])
    items = Dataset.stream(Items([{"a": a, "mask": m} for a, m in zip(X, x["mask"], strict=True)]))
    for (ours, _), (theirs, _) in zip(data.batches(16), items.batches(16), strict=True):
        assert torch.equal(ours["mask"], theirs["mask"])
        assert torch.equal(ours["a"], theirs["a"])
    with pytest.raises(ValueError, match=r"unequal numbers of rows: \{'x\[0\]': 40, 'x\[1\]': 3\}"):
        Dataset((x["a"], np.ones(3)), Y)


def test_never_reads_a_file_whole(tmp_path: Path) -> None:
    """16 GB, of which the file system holds a few pages."""
    x = np.memmap(tmp_path / "x", np.float32, "w+", shape=(N, 100_000_000))
    x[7, 5] = 3.0
    data = Dataset(x[:, :8], Y)
    assert data.batch(torch.tensor([7]))[0][0, 5] == 3
    assert data.take([7]).x[:].sum() == 3


def test_a_process_of_its_own_opens_the_file_again(tmp_path: Path) -> None:
    """Where processes are spawned, what they work on is pickled: NumPy would pickle all numbers."""
    data = Dataset(on_disk(tmp_path, X.repeat(100, 1))[5:25:2, 1:], np.ones(10))
    sent = pickle.dumps(data.x)
    assert len(sent) < 2000
    assert torch.equal(pickle.loads(sent)[:], X[5:25:2, 1:])


def test_a_dataset_of_pytorchs_is_read_whole_where_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    each = X[0].nbytes + Y[0].nbytes
    monkeypatch.setattr(given, "free_memory", lambda: 4 * N * each)
    assert torch.equal(as_dataset(Items()).x, X)
    monkeypatch.setattr(given, "free_memory", lambda: 4 * N * each - 1)
    assert as_dataset(Items()).x.workers == 2 or os.cpu_count() == 1
    assert as_dataset(torch_data.DataLoader(Items(), num_workers=1)).x.workers == 1
    monkeypatch.undo()
    assert given.free_memory() > 1e6


def test_y_that_is_at_hand_saves_reading_all_items() -> None:
    items = Items()
    Dataset.stream(items, Y)
    assert set(items.seen) == {0}
    assert torch.equal(Dataset.stream(Items(y=-Y), Y).y, Y)


def test_random_numbers_of_an_item_depend_on_the_batch_alone() -> None:
    """Not on the process that reads it; in another order they are others, and nothing is drawn outside."""
    before = torch.get_rng_state()
    orders = torch.arange(N), torch.arange(N).flip(0)
    read = [
        torch.cat([x for x, _ in Dataset.stream(Drawn(), Y, workers=workers).batches(16, order)])
        for workers in (0, 2)
        for order in orders
    ]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(read[0], read[2])
    assert torch.equal(read[1], read[3])
    assert not torch.allclose(read[0], read[1].flip(0))


def uneven(at: int, value: Any) -> Items:
    return Items([value if i == at else x for i, x in enumerate(torch.zeros(N, 3, 4, 4))])


CHANGED = {
    "shape": (uneven(17, torch.zeros(3, 2, 4)), r"^item 17 has shape \[3, 2, 4\], item 0 \[3, 4, 4\]: pad or cut"),
    "type": (uneven(17, torch.zeros(3, 4, 4).int()), r"^item 17 has type int32, item 0 float32: convert them to one$"),
    "value": (uneven(17, torch.full((3, 4, 4), torch.nan)), r"^x\[17, 0, 0, 0\] is nan"),
    "y": (Items(y=[*Y[:30], torch.ones(2), *Y[31:]]), r"^item 30 has y of shape \[2\], item 0 \[\]: pad"),
    "keys": (
        Items([{"a": X[0]}] * 9 + [{"b": X[0]}]),
        r"^item 9 has x\['b'\], item 0 x\['a'\]: give all items the same",
    ),
}


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("what", CHANGED)
def test_an_item_unlike_the_first_is_named(what: str, workers: int) -> None:
    items, message = CHANGED[what]
    with pytest.raises(ValueError, match=message):
        Dataset.stream(items, workers=workers)


@pytest.mark.parametrize("workers", [0, 2])
def test_or_at_its_batch_and_what_was_done_is_kept(
    workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where y is given, so that nobody has read all items before."""
    monkeypatch.setitem(br.fit.__globals__, "SAVED_EVERY", 0.0)
    flag = tmp_path / "second epoch"

    class Changing(Items):
        def __getitem__(self, i: int) -> Any:
            return (X[i, :2] if i == 17 and flag.exists() else X[i]), Y[i]

    def second_epoch(x: Tensor) -> Tensor:
        if (tmp_path / "checkpoint.pt").exists():
            flag.touch()
        return x

    with pytest.raises(ValueError, match=r"^item 17 has shape \[2\], item 0 \[3\]"):
        fitted(
            Dataset.stream(Changing(), Y, workers=workers),
            epochs=4,
            augment=second_epoch,
            checkpoint=tmp_path / "checkpoint.pt",
        )
    assert (tmp_path / "checkpoint.pt").exists()


def test_no_worker_outlives_what_ends_the_fit() -> None:
    """Checked after each test here; and a Ctrl-C, which reaches them too, is the fit's own to answer."""
    asked: list[int] = []

    def interrupt(x: Tensor) -> Tensor:
        asked.append(0)
        for worker in multiprocessing.active_children():
            os.kill(worker.pid or 0, signal.SIGINT)
        if len(asked) == 6:
            raise KeyboardInterrupt
        return x

    with pytest.raises(KeyboardInterrupt) as stopped:  # which holds the fit's frames
        fitted(Dataset.stream(Items()), epochs=4, augment=interrupt)
    assert not multiprocessing.active_children()
    assert len(asked) == 6
    del stopped


def test_breaking_off_ends_the_workers() -> None:
    batches = Dataset.stream(Items(), Y).batches(4)
    next(batches)
    del batches
    assert not multiprocessing.active_children()


def test_what_holds_no_numbers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"x\[0\] is 'a', not a number"):
        Dataset(np.memmap(on_disk(tmp_path, np.array(["a", "b"])).filename, "<U1", "r", offset=128), [0.0, 1.0])
    with pytest.raises(ValueError, match=r"x has 40 rows and y has 2: give one y for each x"):
        Dataset(on_disk(tmp_path), [0.0, 1.0])
