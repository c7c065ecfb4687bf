"""What somebody gives as data, as a Dataset: a pair, a Data, a DataLoader; and what to write for anything else."""

from __future__ import annotations

from typing import Any

from torch.utils import data as torch_data

from bayesreg.progress import bar

from .base import Data, Dataset


def as_dataset(value: Any, part: str = "train") -> Dataset:
    """What somebody gives as data, as a Dataset.

    A Dataset is itself, a Data its split `part`, "train", "validation" or "test"; a pair (x, y) is Dataset(x, y). A
    map-style dataset of PyTorch, of items (x, y), or the one that a DataLoader draws from, is read into memory whole,
    once and in its own order: the loader's batches and shuffling have no effect, and a random transform is frozen (see
    `augment` of fit).

    Raises TypeError or ValueError, with what to write, for anything else.
    """
    if isinstance(value, Dataset):
        return value
    if isinstance(value, Data):
        return getattr(value, part)
    if isinstance(value, torch_data.DataLoader):
        return _read(value.dataset)
    if isinstance(value, torch_data.Dataset):
        return _read(value)
    if isinstance(value, tuple | list) and len(value) == 2:
        return Dataset(*value)
    hint = f"; this one is datasets.load({value!r}).{part}" if isinstance(value, str) else ""
    if hasattr(value, "columns"):
        hint = "; of a table say which column is y, as (table.drop(columns='price'), table['price'])"
    raise TypeError(
        f"the {part} data are given as {_kind(value)}: give a Dataset(x, y), a pair (x, y), a DataLoader of pairs or a "
        f"Data{hint}"
    )


def _read(items: Any) -> Dataset:
    """Every item (x, y) of a map-style dataset."""
    if isinstance(items, torch_data.IterableDataset) or not hasattr(items, "__len__"):
        raise TypeError(f"{_kind(items)} has no length: read it into tensors and give Dataset(x, y)")
    if isinstance(items, torch_data.TensorDataset) and len(items.tensors) == 2:
        return Dataset(*items.tensors)
    pairs = [_pair(items, i) for i in bar(range(len(items)), desc=f"reading {type(items).__name__}")]
    return Dataset([x for x, _ in pairs], [y for _, y in pairs])


def _pair(items: Any, i: int) -> tuple[Any, Any]:
    item = items[i]
    if not (isinstance(item, tuple | list) and len(item) == 2):
        raise TypeError(f"item {i} of {_kind(items)} is {_kind(item)}: give pairs (x, y)")
    if type(item[0]).__module__.startswith("PIL."):
        remedy = "transform=torchvision.transforms.PILToTensor()"
        raise TypeError(f"item {i} of {_kind(items)} is an image of PIL: give the dataset {remedy}")
    return item[0], item[1]


def _kind(value: Any) -> str:
    """In words: None, a DataFrame, a list of 3."""
    size = f" of {len(value)}" if isinstance(value, tuple | list | dict) else ""
    return "None" if value is None else f"a {type(value).__name__}{size}"
