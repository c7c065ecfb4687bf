"""Windows against the same windows cut out one by one."""

from __future__ import annotations

import copy

import pytest
import torch

import bayesreg as br
from bayesreg.datasets import Dataset, Windows

ROWS = torch.arange(60.0).reshape(20, 3)
ENDS = torch.tensor([3, 4, 9, 19, 4])


@pytest.fixture
def windows() -> Windows:
    return Windows(ROWS, ENDS, 4)


@pytest.fixture
def cut() -> torch.Tensor:
    return torch.stack([ROWS[end - 3 : end + 1] for end in ENDS])


@pytest.mark.parametrize(
    "index", [slice(None), slice(1, 3), torch.tensor([4, 0]), [2, 2], torch.tensor([True, False] * 2 + [True]), 3, -1]
)
def test_an_index_cuts_the_windows_out(windows: Windows, cut: torch.Tensor, index: object) -> None:
    assert torch.equal(windows[index], cut[index])
    assert torch.equal(windows.take(index if not isinstance(index, int) else [index])[:], cut[index].reshape(-1, 4, 3))


def test_looks_like_the_tensor_of_all(windows: Windows, cut: torch.Tensor) -> None:
    assert (len(windows), windows.shape, windows.ndim, windows.dim()) == (5, cut.shape, 3, 3)
    assert (windows.dtype, windows.device) == (cut.dtype, cut.device)
    assert windows.is_floating_point()
    assert all(map(torch.equal, windows.split(2), cut.split(2)))
    assert repr(windows) == "Windows([5, 4, 3] of 20 rows)"
    assert torch.equal(copy.deepcopy(windows).to("cpu")[:], cut)


def test_shares_the_table(windows: Windows) -> None:
    dataset = Dataset(windows, torch.arange(5))
    for x in (dataset.x, dataset.take([1, 2]).x, dataset.take(slice(2)).x, dataset.to("cpu").x):
        assert x.rows.data_ptr() == ROWS.data_ptr()
    assert dataset.take([3, 0]).y.tolist() == [3, 0]
    assert repr(dataset) == "Dataset(x: float32 [5, 4, 3], y: int64 [5])"


@pytest.mark.parametrize(
    ("ends", "message"), [([2, 9], "end at rows 2 to 9 of 20: give ends from 3 to 19"), ([20], "to 20")]
)
def test_refuses_windows_that_leave_the_table(ends: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Windows(ROWS, torch.tensor(ends), 4)


def test_refuses_none_at_all_and_rows_that_are_not_finite(windows: Windows) -> None:
    with pytest.raises(ValueError, match="Windows without ends are empty"):
        windows.take(slice(0, 0))
    rows = ROWS.clone()
    rows[7, 1] = torch.nan
    with pytest.raises(ValueError, match=r"x.rows\[7, 1\] is nan \(1 of 60 values\)"):
        Dataset(Windows(rows, ENDS, 4), torch.arange(5))
    with pytest.raises(ValueError, match="x has 5 rows and y has 4"):
        Dataset(windows, torch.arange(4))


def test_a_network_is_fitted_as_on_the_windows_cut_out(windows: Windows, cut: torch.Tensor) -> None:
    y = torch.arange(5.0)
    histories = []
    for x in (windows, cut):
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 1))
        model = br.Model(net, br.L2(), br.Gaussian(), size=5)
        options = {"epochs": 2, "batch_size": 2, "device": "cpu", "progress": False, "compile": "never"}
        histories.append(br.fit(model, Dataset(x, y), **options).history["loss"].tolist())
    assert histories[0] == histories[1]
