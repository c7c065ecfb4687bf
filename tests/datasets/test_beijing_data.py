from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from made import air, write_air

from bayesreg.datasets import Data, beijing, load
from bayesreg.datasets.beijing import HOURS, MEASURED, STATIONS


def parse(root: Path, *stations: list[dict[str, str]]) -> dict[str, np.ndarray]:
    return beijing.parse([write_air(root, name, rows) for name, rows in zip(STATIONS, stations, strict=False)])


def test_a_window_is_the_day_before_its_target(tmp_path: Path) -> None:
    """The windows of 30 hours at two stations, one by one, in the unit of the file."""
    stations = [air("2014-01-01T00:00", 30, seed) for seed in (1, 2)]
    arrays = parse(tmp_path, *stations)
    values = np.array([[float(row[name]) for name in MEASURED] for rows in stations for row in rows])
    expected = (values - values.mean(0)) / values.std(0)
    np.testing.assert_allclose(arrays["rows"][:, :11], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(arrays["rows"][:, 13:], np.repeat(np.eye(2), 30, axis=0))
    np.testing.assert_allclose(arrays["y"], values[:, 0] / 100, rtol=1e-6)
    assert arrays["train"].tolist() == [23, 24, 25, 26, 27, 28, 53, 54, 55, 56, 57, 58]
    assert len(arrays["validation"]) == len(arrays["test"]) == 0


def test_the_loaded_windows_end_an_hour_before_their_target(beijing_root: Path) -> None:
    data = load("beijing", beijing_root)
    assert data.features == (24, 25)
    for part in (data.train, data.validation, data.test):
        following = part.x.rows[part.x.ends + 1, 0]  # PM2.5, standardised
        assert torch.corrcoef(torch.stack([following, part.y]))[0, 1] > 0.99999
        assert torch.equal(part.x[3], part.x.rows[part.x.ends[3] - 23 : part.x.ends[3] + 1])
    assert data.train.x.rows.data_ptr() == data.test.x.rows.data_ptr()  # one table


def test_no_window_crosses_a_split(tmp_path: Path) -> None:
    arrays = parse(tmp_path, air("2015-02-27T20:00", 60), air("2016-02-28T20:00", 60))
    assert arrays["train"].tolist() == [23, 24, 25, 26]  # 28 hours before March
    assert arrays["validation"].tolist() == [*range(28 + 23, 59), *range(60 + 23, 60 + 27)]
    assert arrays["test"].tolist() == list(range(60 + 28 + 23, 119))


@pytest.mark.parametrize("gone", [0, 5, 40, 59])
def test_no_window_crosses_a_gap_of_the_clock(tmp_path: Path, gone: int) -> None:
    rows = air("2014-01-01T00:00", 60)
    del rows[gone]
    ends = parse(tmp_path, rows)["train"]
    hours = [hour for hour in range(60) if hour != gone]
    whole = [end for end in range(HOURS - 1, 58) if hours[end + 1] - hours[end - HOURS + 1] == HOURS]
    assert ends.tolist() == whole


def test_a_missing_target_is_not_predicted_but_is_carried_forward_in_inputs(tmp_path: Path) -> None:
    rows = air("2014-01-01T00:00", 40)
    rows[30]["PM2.5"] = rows[31]["PM2.5"] = "NA"
    arrays = parse(tmp_path, rows)
    assert arrays["train"].tolist() == [end for end in range(23, 39) if end not in (29, 30)]
    assert arrays["rows"][29, 0] == arrays["rows"][30, 0] == arrays["rows"][31, 0] != arrays["rows"][32, 0]
    assert np.isnan(arrays["y"][30])


def test_imputes_from_the_past_of_the_station_or_the_median_of_the_training_rows(tmp_path: Path) -> None:
    first, second = air("2015-02-27T00:00", 60, 1), air("2015-02-27T00:00", 60, 2)
    for row in second[:2]:
        row["CO"] = "NA"
    second[50]["CO"] = "NA"
    arrays = parse(tmp_path, first, second)
    train = [float(row["CO"]) for row in first[:48] + second[2:48]]
    values = [float(row["CO"]) for row in first] + [np.median(train)] * 2 + [float(r["CO"]) for r in second[2:50]]
    values += [values[-1]] + [float(row["CO"]) for row in second[51:]]
    filled = np.array(values)
    scale = np.concatenate([filled[:48], filled[60:108]])
    expected = (filled - scale.mean()) / scale.std()
    np.testing.assert_allclose(arrays["rows"][:, MEASURED.index("CO")], expected, rtol=1e-5, atol=1e-6)


def test_what_comes_later_changes_nothing_before(tmp_path: Path) -> None:
    rows = air("2015-02-27T00:00", 60)
    before = parse(tmp_path, rows)["rows"]
    for row in rows[50:]:
        row.update(dict.fromkeys(MEASURED, "9999"), wd="N")
    np.testing.assert_array_equal(parse(tmp_path, rows)["rows"][:50], before[:50])


def test_the_wind_is_a_point_of_the_circle(tmp_path: Path) -> None:
    sine, cosine = parse(tmp_path, air("2014-01-01T00:00", 26))["rows"][:16, 11:13].T
    expected = [2 * math.pi * i / 16 for i in range(16)]  # made clockwise, from north
    np.testing.assert_allclose(sine, np.sin(expected), atol=1e-6)
    np.testing.assert_allclose(cosine, np.cos(expected), atol=1e-6)


@pytest.mark.parametrize(
    ("column", "text", "message"),
    [
        ("TEMP", "warm", r"line 5, column 'TEMP': 'warm' is not a number. Correct it, or write NA"),
        ("PM2.5", "1,5", r"line 5, column 'PM2.5': '1,5' is not a number"),
        ("wd", "up", r"line 5, column 'wd': 'up' is not a direction"),
        ("hour", "NA", r"line 5, column 'hour': nan is not a number"),
    ],
)
def test_names_the_line_and_column_of_text_in_the_place_of_a_number(
    tmp_path: Path, column: str, text: str, message: str
) -> None:
    rows = air("2014-01-01T00:00", 40)
    rows[3][column] = text
    with pytest.raises(ValueError, match=f"Aotizhongxin.*csv, {message}"):
        parse(tmp_path, rows)


@pytest.mark.parametrize("column", ["year", "RAIN", "wd"])
def test_names_a_missing_column(tmp_path: Path, column: str) -> None:
    rows = [{name: value for name, value in row.items() if name != column} for row in air("2014-01-01T00:00", 40)]
    with pytest.raises(ValueError, match=f"csv has no column '{column}', only .*station: get it again from https"):
        parse(tmp_path, rows)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"a,b\n1,2,3\n1,2,3,4,5\n"])
def test_refuses_what_is_no_table(tmp_path: Path, content: bytes) -> None:
    path = write_air(tmp_path, "Dongsi", air("2014-01-01T00:00", 2))
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"Dongsi.*csv (is not a table|has no column)"):
        beijing.read(path)


def test_refuses_a_truncated_file_of_a_station(beijing_root: Path) -> None:
    path = beijing_root / beijing.FILE.format("Dongsi")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=f"{path} is corrupt: got sha256 .* expected {STATIONS['Dongsi']}"):
        load("beijing", beijing_root)


def test_the_real_beijing(real: Callable[[str], Data]) -> None:
    data = real("beijing")
    assert list(map(len, (data.train, data.validation, data.test))) == [205_701, 103_000, 102_465]
    assert data.train.x.shape[1:] == (24, 25)
    assert set(data.provenance.values()) == {"published checksum"}
    assert data.train.y.min() >= 0.02
    assert data.train.x.rows[: 2 * 8760, 0].mean().abs() < 0.2
