"""as_dataset: whatever is given as data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils import data as torch_data

from bayesreg.datasets import Data, Dataset, as_dataset, load

X, Y = torch.arange(6.0).reshape(3, 2), torch.tensor([0, 1, 1])


class Pairs(torch_data.Dataset):
    """Items of a list, one by one."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __getitem__(self, i: int) -> Any:
        return self.items[i]

    def __len__(self) -> int:
        return len(self.items)


class Stream(torch_data.IterableDataset):
    def __iter__(self) -> Any:
        return iter(zip(X, Y, strict=True))


PAIRS = [(x.numpy(), int(y)) for x, y in zip(X, Y, strict=True)]
GIVEN = {
    "pair": (X, Y),
    "list": [X, Y],
    "lists": (X.tolist(), Y.tolist()),
    "arrays": (X.double().numpy(), Y.numpy()),
    "table": (pd.DataFrame({"a": [0, 2, 4], "b": [1.0, 3.0, 5.0]}), pd.Series([0, 1, 1], index=[2, 0, 1])),
    "tensors": torch_data.TensorDataset(X, Y),
    "items": Pairs(PAIRS),
    "subset": torch_data.Subset(Pairs([*PAIRS, *PAIRS]), [3, 1, 2]),
    "loader": torch_data.DataLoader(torch_data.TensorDataset(X, Y), batch_size=2, shuffle=True, drop_last=True),
    "loader of a list": torch_data.DataLoader(PAIRS, batch_size=2),
}


@pytest.mark.parametrize("given", GIVEN)
def test_what_is_clear_works(given: str) -> None:
    data = as_dataset(GIVEN[given])
    assert torch.equal(data.x, X)
    assert torch.equal(data.y, Y)
    assert (data.x.dtype, data.y.dtype) == (torch.float32, torch.int64)


def test_a_dataset_is_itself_and_data_their_split() -> None:
    parts = [Dataset(X + i, Y) for i in range(3)]
    data = Data("mine", *parts, classes=2, target="", provenance={})
    assert as_dataset(parts[0]) is parts[0]
    assert as_dataset(data) is parts[0]
    assert [as_dataset(data, part) for part in ("train", "validation", "test")] == parts


def test_a_loader_is_read_in_its_own_order_whatever_the_random_state() -> None:
    before = torch.get_rng_state()
    as_dataset(GIVEN["loader"])
    assert torch.equal(torch.get_rng_state(), before)


PICTURE = Image.new("RGB", (4, 4))
CHOICE = r"give a Dataset\(x, y\), a pair \(x, y\), a DataLoader of pairs or a Data"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, f"the train data are given as None: {CHOICE}$"),
        ("digits", rf"the train data are given as a str: {CHOICE}; .*datasets.load\('digits'\).train"),
        (X, f"given as a Tensor: {CHOICE}"),
        (X.numpy(), f"given as a ndarray: {CHOICE}"),
        ((X, Y, Y), f"given as a tuple of 3: {CHOICE}"),
        ({"x": X, "y": Y}, f"given as a dict of 2: {CHOICE}"),
        (GIVEN["table"][0], r"given as a DataFrame: .*\(table.drop\(columns='price'\), table\['price'\]\)"),  # type: ignore[index]
        (Dataset, "given as a type"),
        (Stream(), r"a Stream has no length: read it into tensors and give Dataset\(x, y\)"),
        (torch_data.DataLoader(Stream()), "a Stream has no length"),
        (torch_data.TensorDataset(X), r"item 0 of a TensorDataset is a tuple of 1: give pairs \(x, y\)"),
        (Pairs([*PAIRS, X]), r"item 3 of a Pairs is a Tensor: give pairs \(x, y\)"),
        (Pairs([{"x": X}]), "item 0 of a Pairs is a dict of 1"),
        (
            Pairs([(PICTURE, 1)]),
            r"item 0 of a Pairs is an image of PIL: .*transform=torchvision.transforms.PILToTensor",
        ),
        (Pairs([(X, "cat")]), r"y\[0\] is 'cat', not a number: number the classes"),
        ((X, None), "y is None, a NoneType: give a tensor"),
    ],
)
def test_anything_else_is_told_what_to_write(given: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        as_dataset(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((X, Y[:2]), "x has 3 rows and y has 2: give one y for each x"),
        (Pairs([]), "x is empty"),
        (Pairs([(X, 0), (X[:2], 0)]), r"item 1 has shape \[2, 2\], item 0 \[3, 2\]: pad"),
    ],
)
def test_no_rows_or_uneven_ones(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_dataset(given)


def test_names_the_part() -> None:
    with pytest.raises(TypeError, match="the test data are given as None"):
        as_dataset(None, "test")


def test_what_the_messages_say_works() -> None:
    table = GIVEN["table"][0].assign(price=[1.0, 2.0, 3.0])  # type: ignore[index]
    assert as_dataset((table.drop(columns="price"), table["price"])).y.tolist() == [1, 2, 3]
    assert len(load("digits").train) == 1079
    assert as_dataset(Pairs([(torch.tensor(np.asarray(PICTURE)).permute(2, 0, 1), 1)])).x.dtype == torch.uint8
