"""Tables and arrays of one's own that cannot be used, each with its reason and what to do; and how rows are split."""

from __future__ import annotations

import datetime
import os
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import bayesreg as br
from bayesreg.datasets.partition import partition

N = 60


def table(**columns: Any) -> pd.DataFrame:
    """Two numbers, a category and a target of two classes, and what is asked for."""
    rng = np.random.default_rng(0)
    made = {"age": rng.normal(size=N), "fare": rng.normal(size=N), "sex": ["f", "m", "m"] * 20, "y": [0, 1] * 30}
    return pd.DataFrame(made | columns)


def words(n: int, of: int) -> list[str]:
    return [f"word {i % of}" for i in range(n)]


def dull(y: Any) -> dict[str, Any]:
    return {"y": y}


@pytest.mark.parametrize(
    ("columns", "options", "said"),
    [
        ({}, {"target": "Y"}, r"target='Y' is not a column of the table: did you mean 'y'\? There are 'age', 'fare'"),
        (dull(["a"] * N), {}, r"the target 'y' has one class, 'a', so there is nothing to learn"),
        (
            dull([1.5] * N),
            {},
            r"the target 'y' has one value, np.float64\(1.5\)|has one value, 1.5, so there is nothing",
        ),
        (dull(["a"] * 57 + ["b"] * 3), {}, r"class 'b' of the target 'y' has 3 rows, fewer than the 5 that the split"),
        (dull(words(N, N)), {}, r"target 'y' is text but not a category: 60 values in 60 rows, such as 'word 0'"),
        (
            dull([1, 0, None] * 20),
            {},
            r"target 'y' is missing in 20 of 60 rows, first in row 2: .*dropna\(subset=\['y'\]",
        ),
        (dull([np.inf, 1.5] * 30), {}, r"column 'y', row 0, is inf \(30 such values\): correct it"),
        (dull([1j] * N), {}, r"the target 'y' holds '1j', not a number"),
        (dull([[1]] * N), {}, r"the target 'y' holds objects, list: give numbers or labels"),
        (dull(pd.date_range("2000", periods=N)), {}, r"the target 'y' holds '2000-01-01 00:00:00', not a number"),
        (dull(["a", "b"] * 30), {"task": "regression"}, r"the target 'y' holds 'a', not a number"),
        (dull(np.linspace(0, 1, N)), {"task": "classification"}, r"has 1 row, .* 60 of its 60 .* task='regression'"),
        ({}, {"task": "classify"}, r"task='classify': 'classification' or 'regression'"),
        ({"bad": [1.0, -np.inf] * 30}, {}, r"column 'bad', row 1, is -inf \(30 such values\): correct it, or make it"),
        ({"bad": pd.Series([1.0, np.inf] * 30, dtype=object)}, {}, r"column 'bad', row 1, is inf"),
        ({"bad": words(N, 30)}, {}, r"column 'bad' is text but not a category, \d+ values in 36 rows"),
        ({"bad": [str(i) for i in range(N)]}, {}, r"column 'bad' holds numbers as text: say what it is, kinds=\{'bad'"),
        (
            {"bad": ["?", "?", *map(str, range(10))] * 5},
            {},
            r"column 'bad' holds numbers and text, such as '\?' in row \d+: ",
        ),
        (
            {"bad": [f"{i * 37:,}" for i in range(N)]},
            {},
            r"column 'bad' holds numbers written with signs, such as '1,\d\d\d':",
        ),
        ({"bad": [f"{i / 7:.3f}".replace(".", ",") for i in range(N)]}, {}, r"'bad' holds numbers written with signs"),
        (
            {"bad": [f"$ {i}.50" for i in range(N)]},
            {},
            r"holds numbers written with signs, such as '\$ .*str\.strip\('\$€%'\)",
        ),
        ({"bad": [f"{i}%" for i in range(N)]}, {}, r"holds numbers written with signs, such as '\d+%'"),
        ({"bad": [Decimal(i) / 7 for i in range(N)]}, {}, r"column 'bad' holds numbers as Decimal: say what it is"),
        (
            dull([f"${i:,}.50" for i in range(N)]),
            {},
            r"target 'y' holds numbers as text, such as '\$0\.50': make plain numbers",
        ),
        (dull([f"{i / 7:.3f}" for i in range(N)]), {}, r"the target 'y' holds numbers as text, such as '0.000'"),
        ({}, {"kinds": ["age"]}, r"kinds=\['age'\]: give a dict of columns, such as kinds=\{'age': 'category'\}"),
        ({}, {"target": "y "}, r"target='y ' is not a column of the table: did you mean 'y'\?"),
        ({"bad": [1, 2j] * 30}, {}, r"column 'bad' holds complex numbers"),
        ({"bad": pd.to_timedelta(range(N), "h")}, {}, r"column 'bad' holds durations: give seconds"),
        ({"bad": [[1]] * N}, {}, r"column 'bad' holds objects, list: drop it"),
        ({"a": words(N, 30), "b": words(N, 29)}, {}, r"column 'a' is text .*; column 'b' is text"),
        ({"age": 1, "fare": np.nan, "sex": "m"}, {}, r"no column is left to learn from \('age': one value, .*nothing"),
        ({}, {"kinds": {"Age": "number"}}, r"kinds= names the column 'Age', .*: did you mean 'age'\?"),
        ({}, {"kinds": {"age": "float"}}, r"kinds=\{'age': 'float'\}: a column is 'number', 'category', 'left out'"),
        (
            {"day": pd.date_range("2000", periods=N)},
            {"kinds": {"day": "number"}},
            r"column 'day' is numbers, but row 0",
        ),
        ({}, {"kinds": {"sex": "number"}}, r"column 'sex' is numbers, but row 0 holds 'f': correct it"),
        ({}, {"kinds": {"y": "number"}}, r"'y' is the target: it cannot also be group= or time=, nor"),
        ({}, {"group": "sax"}, r"group='sax' is not a column of the table: did you mean 'sex'\?"),
        ({}, {"group": "sex"}, r"group='sex' has 2 groups: give at least 5"),
        (
            {"who": [None, *words(59, 9)]},
            {"group": "who"},
            r"group='who' has no value in 1 of 60 rows, first in row 0: fill",
        ),
        ({"who": ["a"] * 55 + words(5, 5)}, {"group": "who"}, r"group='who' has groups too unequal .* [12] of 60"),
        ({}, {"group": "sex", "time": "age"}, r"group= and time= are both given: name one"),
        ({"day": [None] + [1] * 59}, {"time": "day"}, r"time='day' has no value in 1 of 60 rows, first in row 0"),
        ({"day": 1}, {"time": "day"}, r"time='day' has 1 moments, too unequal to split"),
        ({"day": ["1/2/2024"] * N}, {"time": "day"}, r"time='day', row 0, is '1/2/2024', not a date like 2024-01-31"),
        ({"y": [0] * 50 + [1] * 10, "day": range(N)}, {"time": "day"}, r"class 1 of 'y' has no row in train"),
        ({}, {"seed": -1}, r"seed=-1: give a whole number, 0 to"),
        ({}, {"seed": 0.5}, r"seed=0.5: give a whole number, 0 to"),
    ],
)
def test_says_what_is_wrong_with_a_table(columns: dict[str, Any], options: dict[str, Any], said: str) -> None:
    made = table(**columns)
    before = made.copy()
    with pytest.raises(ValueError, match=said):
        br.Data.from_table(made, **({"target": "y"} | options))
    pd.testing.assert_frame_equal(made, before)


@pytest.mark.parametrize(
    ("source", "error", "said"),
    [
        (table().iloc[:0], ValueError, "the table has no rows, only the columns age, fare, sex, y"),
        (table().iloc[:9], ValueError, "9 rows are too few to train, validate and test on: give at least 10"),
        (table().set_axis(["a", "a", "b", "y"], axis=1), ValueError, "the table has 2 columns called 'a': rename or"),
        (table().set_axis([1, "1", 2, "y"], axis=1), ValueError, "the table has 2 columns called '1'"),
        (
            table().set_index("y"),
            ValueError,
            r"target='y' is the index of the table, not a column: give table\.reset_index",
        ),
        (table().y, TypeError, r"a Series: give a DataFrame .*; for one row, table.iloc\[\[0\]\]"),
        (
            np.zeros((20, 2)),
            TypeError,
            r"a ndarray: give a DataFrame .*; arrays and tensors go into Data.split\(x, y\)",
        ),
        (type("Frame", (), {"to_pandas": None})(), TypeError, r"a Frame: give .* a CSV, as in table\.to_pandas\(\)"),
        (None, TypeError, "a table is given as a NoneType"),
    ],
    ids=["empty", "few", "twice", "twice as text", "index", "series", "array", "polars", "none"],
)
def test_says_what_is_no_table(source: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        br.Data.from_table(source, target="y")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"", "a.csv cannot be read as a table: No columns to parse"),
        ("a.csv", bytes(range(128, 256)), "a.csv cannot be read as a table: .*codec can't decode"),
        ("a.csv", b"a,a,y\n1,2,3\n", "a.csv cannot be read as a table: it has 2 columns called 'a'"),
        ("a.csv", b"a,y\n1,2,3\n1,2,3\n", "its rows have more fields than its first line has names, 2"),
        ("a.csv", b"a,y\n1,2\n1,2,3,4\n", "a.csv cannot be read as a table: .*Expected 2 fields"),
        ("a.csv.gz", b"a,y\n1,2\n", "a.csv.gz cannot be read as a table: Not a gzipped file"),
        ("a.csv.xz", b"a,y\n1,2\n", "a.csv.xz cannot be read as a table"),
        ("a.csv.zip", b"a,y\n1,2\n", "a.csv.zip cannot be read as a table: File is not a zip file"),
        ("a.csv", b"a,y\n", "the table has no rows, only the columns a, y"),
        ("a.xlsx", b"", "a.xlsx is not a .csv, .tsv, .txt or .parquet.*pandas.read_excel"),
    ],
    ids=["empty", "binary", "twice", "no names", "uneven", "gz", "xz", "zip", "head", "excel"],
)
def test_says_what_is_wrong_with_a_file(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=said):
        br.Data.from_table(tmp_path / name, target="y")


def test_says_which_file_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=re.escape(f"there is no file {tmp_path}{os.sep}wine.csv")):
        br.Data.from_table(tmp_path / "wine.csv", target="y")
    with pytest.raises(ValueError, match=r"is not a \.csv"):
        br.Data.from_table(tmp_path, target="y")


def test_transform_says_what_is_wrong_with_other_rows() -> None:
    data = br.Data.from_table(table(), target="y")
    with pytest.raises(ValueError, match="the table has no column 'age', from which x is made: did you mean 'Age'"):
        data.transform(table().rename(columns={"age": "Age"}))
    with pytest.raises(ValueError, match="column 'fare' is numbers, but row 2 holds 'n/a'"):
        data.transform(table(fare=[1.0, 2.0, "n/a"] * 20))
    with pytest.raises(ValueError, match=r"x\[0, 0\] is inf"):
        data.transform(table(age=1e300))  # beyond float32
    with pytest.raises(ValueError, match="column 'age', row 0, is inf"):
        data.transform(table(age=np.inf))
    with pytest.raises(ValueError, match=r"digits was not made by Data\.from_table or Data\.split"):
        br.datasets.load("digits").transform(table())


@pytest.mark.parametrize(
    "values",
    [
        pd.Series(range(1000, 1000 + N)).sample(frac=1, random_state=0).tolist(),
        [f"{i:x}" + "-key" for i in range(N)],
        [datetime.date(2020, 1, 1) + datetime.timedelta(i) for i in range(N)],
        pd.date_range("2020", periods=N, tz="Europe/Berlin"),
        [str(day) for day in pd.date_range("2020", periods=N)],
        pd.date_range("2020", periods=N).strftime("%d.%m.%Y").tolist(),
        pd.period_range("2020-01", periods=N, freq="M"),
        ["m"] * N,
        [None] * N,
    ],
    ids=["row numbers", "keys", "dates", "times", "dates as text", "other dates", "months", "one value", "empty"],
)
def test_columns_to_leave_out_are_left_out_and_listed_unless_asked_for(values: Any) -> None:
    data = br.Data.from_table(table(extra=values), target="y")
    assert data.columns.kind["extra"] == "left out"
    assert data.columns.why["extra"]
    assert "left out: extra" in repr(data)
    if isinstance(values, pd.PeriodIndex) or re.match(r"\d+[-.]\d", str(values[0])):
        assert data.columns.why["extra"].startswith("dates")
    assert data.features == br.Data.from_table(table(), target="y").features
    asked = br.Data.from_table(table(extra=values), target="y", kinds={"extra": "category"})
    assert asked.features > data.features or set(values) == {None}


def test_identifiers_by_their_name_and_numbers_that_are_none() -> None:
    sparse = np.random.default_rng(0).permutation(N) * 997
    columns = br.Data.from_table(table(customer_id=sparse, PassengerId=sparse, paid=sparse), target="y").columns
    assert columns.kind[["customer_id", "PassengerId", "paid"]].tolist() == ["left out", "left out", "number"]


@given(seed=st.integers(0, 2**32 - 1), size=st.integers(10, 200), groups=st.integers(5, 30))
@settings(max_examples=60, deadline=None)
def test_a_split_is_a_partition_that_keeps_groups_and_classes(seed: int, size: int, groups: int) -> None:
    rng = np.random.default_rng(seed)
    group = pd.Series(rng.permutation(size) % groups, name="g")
    classes = np.resize([0, 1], len(group))
    by_group = partition(len(group), group=group, seed=seed)
    stratified = partition(len(group), classes=classes, seed=seed)
    for parts in (by_group, stratified):
        assert sorted(np.concatenate(parts)) == list(range(len(group)))
        assert len(parts[0]) > max(len(parts[1]), len(parts[2])) >= min(len(parts[1]), len(parts[2])) > 0
    sets = [set(group[part]) for part in by_group]
    assert sum(map(len, sets)) == group.nunique()
    assert all(set(classes[part]) == {0, 1} for part in stratified)


@given(moments=st.lists(st.integers(0, 40), min_size=30, max_size=80), kind=st.sampled_from(["whole", "date", "text"]))
@settings(max_examples=60, deadline=None)
def test_by_time_the_past_is_trained_on(moments: list[int], kind: str) -> None:
    days = pd.Series(moments, name="t")
    dates = pd.Timestamp("2024-01-01") + pd.to_timedelta(days, unit="D")
    time = {"whole": days, "date": dates, "text": dates.dt.strftime("%Y-%m-%d")}[kind].rename("t")
    try:
        train, validation, test = partition(len(days), time=time)
    except ValueError as error:
        assert "too unequal" in str(error)  # noqa: PT017
        assert days.value_counts().max() > 0.1 * len(days)
        return
    assert sorted([*train, *validation, *test]) == list(range(len(days)))
    assert days[train].max() < days[validation].min() <= days[validation].max() < days[test].min()
    assert len(train) <= 0.6 * len(days)


def test_names_of_columns_may_be_numbers() -> None:
    data = br.Data.from_table(table().set_axis(range(4), axis=1), target=3, kinds={0: "left out"})  # type: ignore[arg-type, dict-item]
    assert data.columns.kind.tolist() == ["left out", "number", "category"]


def test_group_and_time_are_no_inputs_unless_asked_for() -> None:
    made = table(who=np.arange(N) // 6, year=np.arange(N) // 3 + 1960)
    data = br.Data.from_table(made, target="y", group="who")
    assert data.columns.why["who"] == "the split goes by it, group="
    assert data.columns.kind["year"] == "number"
    data = br.Data.from_table(made, target="y", time="year", kinds={"year": "number"})
    assert data.columns.kind["year"] == "number"
    assert data.train.x[:, -3].max() < data.test.x[:, -3].min()


@pytest.mark.parametrize("kind", [np.asarray, torch.tensor, pd.DataFrame], ids=["array", "tensor", "frame"])
def test_arrays_are_split_as_they_are_or_standardised_by_train(kind: Any) -> None:
    rng = np.random.default_rng(0)
    raw, y = rng.normal(5, 3, (N, 4)), rng.normal(size=N)
    parts = partition(N, seed=3)
    data = br.Data.split(kind(raw), y, seed=3)
    scaled = br.Data.split(kind(raw), y, seed=3, scale=True)
    assert (data.classes, data.target, data.name) == (None, "y", "arrays")
    for part, plain, unit in zip(
        parts, (data.train, data.validation, data.test), (scaled.train, scaled.validation, scaled.test), strict=True
    ):
        np.testing.assert_allclose(plain.x, raw[part].astype(plain.x.numpy().dtype))
        wanted = (raw[part] - raw[parts[0]].mean(0)) / raw[parts[0]].std(0)
        np.testing.assert_allclose(unit.x, wanted, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(plain.y, y[part], rtol=1e-6)
    assert torch.equal(scaled.transform(kind(raw))[parts[2]], scaled.test.x)
    assert torch.equal(data.transform(kind(raw))[parts[2]], data.test.x)
    assert "standardised" in repr(scaled)


def test_arrays_keep_images_windows_and_the_names_of_columns() -> None:
    images = torch.randint(0, 256, (N, 3, 4, 4), dtype=torch.uint8)
    data = br.Data.split(images, [[0], [1]] * 30)
    assert data.train.x.dtype == torch.uint8
    assert (data.classes, data.labels) == (2, (0, 1))
    assert br.Data.split(images, images.float()).classes is None
    windows = br.datasets.Windows(torch.randn(N + 2, 3), torch.arange(2, N + 2), 3)
    assert len(br.Data.split(windows, torch.randn(N)).train) == 36
    with pytest.raises(ValueError, match="not Windows"):
        br.Data.split(windows, torch.randn(N), scale=True)
    frame = pd.DataFrame({"a": np.arange(float(N)), "b": -np.arange(float(N))})
    for scale in (False, True):
        named = br.Data.split(frame, torch.randn(N), scale=scale)
        assert torch.equal(named.transform(frame[["b", "a"]]), named.transform(frame))
        with pytest.raises(ValueError, match="the table has no column 'b'"):
            named.transform(frame[["a"]])


@pytest.mark.parametrize(
    ("y", "labels"),
    [
        (["a", "b"] * 30, ("a", "b")),
        (torch.tensor([2, 7, 4] * 20), (2, 4, 7)),
        (pd.Series([True, False] * 30, index=range(5, 65)), (False, True)),
        (torch.tensor([0.0, 1.0] * 30), None),
        (pd.DataFrame({"y": [0.5, 1.0, 2.0] * 20}), None),
        (np.arange(N), None),
    ],
    ids=["text", "integers", "booleans", "floats", "frame", "many"],
)
def test_classes_of_arrays(y: Any, labels: tuple[Any, ...] | None) -> None:
    data = br.Data.split(np.zeros((N, 2)), y)
    assert data.labels == labels
    assert data.classes == (labels and len(labels))
    assert data.train.y.dtype == (torch.float32 if labels is None else torch.int64)


@pytest.mark.parametrize(
    ("x", "y", "options", "said"),
    [
        (np.zeros((N, 2)), np.zeros(N - 1), {}, "x has 60 rows and y has 59"),
        (np.zeros((N, 2)), 3.0, {}, "x has 60 rows and y has 1"),
        (np.zeros((6, 2)), np.arange(6), {}, "6 rows are too few"),
        (np.full((N, 2), np.nan), np.arange(N), {}, r"x\[0, 0\] is nan"),
        (np.zeros((N, 2)), np.ma.masked_equal(np.arange(N), 3), {}, "the target 'y' is missing in 1 of 60 rows"),
        (np.zeros((N, 2)), np.zeros((N, 2)), {"task": "classification"}, r"needs y \[n\], one label per row"),
        (np.zeros((N, 2)), np.arange(N), {"group": [1, 2]}, "group= has 2 values and y has 60"),
        (np.zeros((N, 2)), np.arange(N), {"time": [1] * N}, "time='time' has 1 moments"),
    ],
    ids=["length", "number", "few", "nan", "masked", "task", "group", "time"],
)
def test_says_what_is_wrong_with_arrays(x: Any, y: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        br.Data.split(x, y, **options)


def test_other_shapes_are_not_scaled_by_these_rows() -> None:
    data = br.Data.split(np.random.default_rng(0).normal(size=(N, 2)), np.arange(N), scale=True)
    with pytest.raises(ValueError, match=r"x has rows of shape \[3\], but those of train have \[2\]"):
        data.transform(np.zeros((4, 3)))
    with pytest.raises(ValueError, match="x was given as an array"):
        print(data.columns)
