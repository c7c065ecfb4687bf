"""Data of a table of one's own, against scikit-learn and pandas used directly."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from made import of, passengers
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler

import bayesreg as br
from bayesreg.datasets.partition import partition

LEFT_OUT = {"number", "name", "born", "empty", "ship"}


def rows(data: br.Data) -> list[int]:
    return [len(data.train), len(data.validation), len(data.test)]


def test_x_is_what_scikit_learn_makes_of_the_columns() -> None:
    table = passengers()
    data = of(table)
    labels = (table.survived == "yes").to_numpy().astype(int)
    train, validation, test = partition(200, classes=labels)
    numbers, categories = table[["rank", "age", "fare"]], table[["sex", "alone", "port"]].astype(object)
    imputed = SimpleImputer(strategy="median").fit(numbers.iloc[train]).transform(numbers)
    gaps = table[["age"]].isna().to_numpy(float)
    scaler = StandardScaler().fit(np.hstack([imputed, gaps])[train])
    hot = pd.get_dummies(categories.assign(alone=table.alone.map(str)).fillna("~"))
    for part, found in ((train, data.train), (validation, data.validation), (test, data.test)):
        wanted = np.hstack([scaler.transform(np.hstack([imputed, gaps])), hot.to_numpy(float)])[part]
        np.testing.assert_allclose(found.x, wanted, rtol=1e-5, atol=1e-6)
        assert found.y.tolist() == labels[part].tolist()
    assert data.inputs is not None
    assert list(data.inputs.names) == [
        *("rank", "age", "fare", "age is missing", "sex = female", "sex = male", "alone = False", "alone = True"),
        *("port = C", "port = Q", "port = S", "port = nan"),
    ]


def test_says_what_each_column_is() -> None:
    data = of(passengers())
    columns = data.columns
    assert set(columns.index[columns.kind == "left out"]) == LEFT_OUT
    assert columns.kind["rank"] == columns.kind["age"] == columns.kind["fare"] == "number"
    assert columns.kind["sex"] == columns.kind["alone"] == columns.kind["port"] == "category"
    assert columns.inputs.sum() == data.features[0] == 12
    why = columns.why
    assert why["empty"] == "nothing in it"
    assert why["ship"] == "one value, 'Titanic'"
    assert "identifier" in why["number"]
    assert "identifier" in why["name"]
    assert "month" in why["born"]
    assert "missing" in why["age"]
    assert "female" in why["sex"]
    assert repr(data).startswith("Data('table', 2 classes, y is 'survived',")
    assert repr(data).endswith("x: 3 columns of numbers, 3 of categories; left out: number, name, born, empty, ship)")


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".csv.bz2", ".csv.zip", ".csv.xz", ".zip"])
def test_a_file_is_the_same_as_its_table(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"titanic{suffix}"
    passengers().to_csv(path, index=False)
    data, table = of(path), of(passengers())
    assert data.name == "titanic"
    assert list(data.provenance) == [path.name]
    assert "SHA-256" in data.provenance[path.name]
    for part in ("train", "validation", "test"):
        assert getattr(data, part).sha256() == getattr(table, part).sha256()
    assert torch.equal(data.transform(str(path)), table.transform(passengers()))
    assert set(data.columns.index[data.columns.kind == "left out"]) == LEFT_OUT  # the dates are text here


@pytest.mark.parametrize(("name", "separator"), [("a.csv", ";"), ("a.tsv", "\t"), ("a.txt", "|")])
def test_other_separators_are_found(tmp_path: Path, name: str, separator: str) -> None:
    passengers().to_csv(tmp_path / name, index=False, sep=separator)
    assert torch.equal(of(tmp_path / name).train.x, of(passengers()).train.x)


def test_parquet_is_read_or_what_it_needs_is_said(tmp_path: Path) -> None:
    path = tmp_path / "titanic.parquet"
    if importlib.util.find_spec("pyarrow") is None:
        path.write_bytes(b"PAR1")
        with pytest.raises(ValueError, match=r"titanic\.parquet needs pyarrow to be read: pip install pyarrow"):
            of(path)
    else:
        passengers().to_parquet(path)
        assert torch.equal(of(path).train.x, of(passengers()).train.x)
        arrow = passengers().convert_dtypes(dtype_backend="pyarrow")
        assert of(arrow).train.sha256() == of(passengers()).train.sha256()


def test_the_index_that_pandas_makes_of_columns_of_a_parquet_file_is_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "titanic.parquet"
    path.touch()
    monkeypatch.setattr(pd, "read_parquet", lambda path: passengers().set_index(["fare", "survived"]))
    data = of(path)
    assert data.columns.kind["fare"] == "number"
    assert data.labels == ("no", "yes")


def test_transform_makes_the_same_x_of_raw_rows() -> None:
    table = passengers()
    data = of(table)
    few = table.drop(columns=["survived", *LEFT_OUT]).sample(frac=0.1, random_state=0)
    assert torch.equal(data.transform(few), data.transform(table)[list(few.index)])
    assert data.transform(few).dtype == torch.float32
    unknown = few.assign(port="Belfast", sex=None)
    assert data.transform(unknown)[:, 4:6].abs().sum() == 0  # train knew no missing sex either
    assert data.transform(unknown)[:, 8:].abs().sum() == 0
    gap = few.assign(fare=np.nan)  # train has none, so there is no column for it
    median = table.fare.iloc[partition(200, classes=(table.survived == "yes").to_numpy())[0]].median()
    assert torch.equal(data.transform(gap), data.transform(few.assign(fare=median)))


def test_a_category_is_the_same_as_a_whole_number_a_float_and_a_boolean_beside_gaps() -> None:
    table = passengers()
    data = of(table, kinds={"rank": "category"})
    assert data.columns.inputs["rank"] == 3
    floats = table.assign(rank=table["rank"].astype(float), alone=table.alone.astype(object))
    assert torch.equal(data.transform(floats), data.transform(table))
    floats.loc[3, ["rank", "alone"]] = np.nan
    assert torch.equal(data.transform(floats)[4:], data.transform(table)[4:])


def test_numbers_as_text_are_numbers_where_somebody_says_so() -> None:
    table = passengers()
    data = of(table.assign(fare=table.fare.astype(str)), kinds={"fare": "number"})
    assert torch.equal(data.train.x, of(table).train.x)


def test_the_types_that_pandas_adds_are_read_alike() -> None:
    table = passengers()
    assert of(table.convert_dtypes()).train.sha256() == of(table).train.sha256()
    assert of(table.astype({"sex": "category", "port": "category"})).train.sha256() == of(table).train.sha256()


@pytest.mark.parametrize(
    ("target", "labels"),
    [
        (["no", "yes"], ("no", "yes")),
        ([True, False], (False, True)),
        ([3, 1, 2], (1, 2, 3)),
        ([1.0, 0.0], (0, 1)),  # as whole numbers are read beside a gap
        (pd.Categorical(["low", "high"], ["low", "high", "unused"], ordered=True), ("low", "high")),
        (pd.array([1, 2], "Int64"), (1, 2)),
    ],
    ids=["text", "booleans", "integers", "floats", "categories", "nullable"],
)
def test_classes_follow_from_the_target(target: Any, labels: tuple[Any, ...]) -> None:
    y = pd.concat([pd.Series(target)] * (60 // len(target)), ignore_index=True)
    data = of(passengers(60).assign(survived=y))
    assert (data.classes, data.labels, data.target) == (len(labels), labels, "survived")
    assert type(data.labels[0]) is type(labels[0])
    made = partition(60, classes=np.array([labels.index(value) for value in y]))
    assert [data.labels[i] for i in data.test.y] == [y[i] for i in made[2]]


@pytest.mark.parametrize("y", [np.arange(60), np.linspace(0, 1, 60), np.arange(60) % 21], ids=["many", "floats", "21"])
def test_other_numbers_are_regression_in_their_own_unit(y: np.ndarray) -> None:
    data = of(passengers(60).assign(survived=y))
    assert (data.classes, data.labels) == (None, None)
    assert data.train.y.dtype == torch.float32
    assert torch.equal(data.test.y, torch.tensor(y[partition(60)[2]]).float())


def test_task_says_what_the_target_is() -> None:
    table = passengers(60).assign(survived=np.arange(60) % 3)
    assert of(table).classes == 3
    assert of(table, task="regression").classes is None
    assert of(table.assign(survived=np.arange(60) % 3 + 0.5), task="classification").labels == (0.5, 1.5, 2.5)


def test_the_seed_draws_the_split_and_classes_stay_in_proportion() -> None:
    table = passengers()
    one, again, other = of(table), of(table), of(table, seed=1)
    assert rows(one) == [120, 40, 40]
    assert one.test.sha256() == again.test.sha256() != other.test.sha256()
    share = (table.survived == "yes").mean()
    for part in (one.train, one.validation, one.test):
        assert part.y.double().mean() == pytest.approx(share, abs=1 / len(part))


def test_data_stay_what_they_were() -> None:
    data = of(passengers())
    with pytest.raises(AttributeError):
        data.name = "other"  # type: ignore[misc]
    less = data.take_train(10)
    assert len(less.train) == 10
    assert torch.equal(less.transform(passengers()), data.transform(passengers()))
    assert less.labels == data.labels
    again = pickle.loads(pickle.dumps(data))
    assert torch.equal(again.transform(passengers()), data.transform(passengers()))


def test_from_a_table_to_predictions_of_raw_rows() -> None:
    table = passengers(300)
    data = of(table)
    net = br.nets.mlp(inputs=data.features[0], outputs=data.classes, hidden=[16])
    model = br.Model(net, br.L2.from_strength(1e-3, len(data.train)), br.Categorical(), size=len(data.train))
    posterior = br.fit(model, data.train, epochs=40, lr=1e-2, validation=data.validation, progress=False)
    assert posterior.evaluate(data.test)["accuracy"] > 0.85
    probs = posterior.predict(data.transform(table.drop(columns="survived"))).probs
    named = np.array(data.labels)[probs.argmax(1)]
    assert (named == table.survived).mean() > 0.85


def test_regression_is_judged_in_the_unit_of_the_target() -> None:
    table = passengers(300)
    table["price"] = 1e4 + 300 * table.fare + 1000 * (table.sex == "male")
    data = of(table.drop(columns="survived"), "price")
    model = br.Model(
        br.nets.mlp(inputs=data.features[0], outputs=1, hidden=[16]), br.Flat(), br.Gaussian(), size=len(data.train)
    )
    scores = br.fit(model, data.train, epochs=60, lr=1e-2, progress=False).evaluate(data.test)
    assert scores["r2"] > 0.95
    assert scores["rmse"] == pytest.approx(float(data.test.y.std() * (1 - scores["r2"]) ** 0.5), rel=0.02)
