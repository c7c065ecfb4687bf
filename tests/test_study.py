"""A study from one call to its page: by worker processes, opened later, extended, printed."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from inprocess import InProcess
from torch import nn

import bayesreg as br
from bayesreg.engine import ENGINES

pytestmark = pytest.mark.xdist_group("study")  # one process makes what its tests share
rng = np.random.default_rng(0)
X = rng.normal(size=(40, 3))
TABLE = pd.DataFrame(X, columns=["a", "b", "c"]).assign(kind=np.where(X[:, 0] > 0, "left", "right"))
TABLE["price"] = 3 * X[:, 0] + 100 + rng.normal(size=40)
SMALL = {"epochs": 3, "batch_size": 16, "lr": 1e-2, "seeds": 2, "folds": 1, "progress": False}


def net():
    return nn.Sequential(nn.Linear(5, 4), nn.SiLU(), nn.Linear(4, 1))


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A study by worker processes, and its folder."""
    folder = tmp_path_factory.mktemp("study") / "wine"
    methods = ["none", "l2:0.1", "early_stopping"]
    return br.compare(net, TABLE, target="price", methods=methods, output=folder, workers=1, **SMALL), folder


@pytest.fixture
def in_process(monkeypatch):
    """Runs are done here, not by workers; returns the list of how many each stage had."""
    numbers = []

    @dataclass
    class Counting(InProcess):
        grids: list = field(default_factory=lambda: numbers)

    monkeypatch.setitem(ENGINES, "local", Counting)
    return numbers


# --- What it holds ---


def test_the_differences_to_any_method_are_a_row_a_task_method_and_metric(made):
    study, _ = made
    rows, results = study.differences(), study.results.set_index("method")
    nll = rows[rows["metric"] == "nll"].set_index("method")
    assert set(rows["task"]) == {"table"}
    assert nll["difference"].to_dict() == results["nll_difference"].dropna().to_dict()
    turned = study.differences("l2:0.1").set_index(["metric", "method"]).loc[("nll", "none")]
    assert turned["difference"] == pytest.approx(-nll.loc["l2:0.1", "difference"])


def test_the_results_are_a_row_a_task_and_method(made):
    study, _ = made
    table = study.results
    assert table["method"].tolist() == ["none", "l2:0.1", "early_stopping"]
    assert set(table["status"]) == {"done"}
    assert set(table["task"]) == {"table"}
    assert (table["seeds"] == 2).all()
    assert (table["rows"] == 8).all()  # a fifth of 40
    for name in ("nll", "nll_sd", "nll_difference", "nll_low", "nll_high", "r2", "r2_sd", "validation_nll", "strength"):
        assert table[name].dtype == float
    assert table["recommended"].dtype == bool
    assert table["nll_verdict"].tolist()[0] == ""
    assert set(table["nll_verdict"][1:]) <= {"better", "equal", "worse", "undecided"}
    assert not study.failed


def test_the_means_are_those_of_fits_by_hand(made):
    study, _ = made
    data = br.Data.from_table(TABLE, target="price")
    scores = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        model = br.Model(net(), "l2:0.1", br.Gaussian(), size=len(data.train))
        options = {name: SMALL[name] for name in ("epochs", "batch_size", "lr", "progress")}
        fitted = br.fit(model, data.train, seed=seed, validation=data.validation, **options)
        scores.append(fitted.evaluate(data.test))
    row = study.results.set_index("method").loc["l2:0.1"]
    for metric in ("nll", "r2"):
        assert row[metric] == pytest.approx(np.mean([one[metric] for one in scores]), rel=1e-5)
    best = study.posterior("table", "l2:0.1")
    torch.manual_seed(0)
    fitted = br.fit(
        br.Model(net(), "l2:0.1", br.Gaussian(), size=len(data.train)),
        data.train,
        seed=0,
        validation=data.validation,
        **options,
    )
    for name, value in fitted.parameters().items():
        torch.testing.assert_close(best.parameters()[name], value)


def test_the_best_predicts_from_raw_rows(made):
    study, _ = made
    raw = TABLE.drop(columns="price")
    predicted = study.best.predict(raw).mean
    assert predicted.shape == (40,)
    data = br.Data.from_table(TABLE, target="price")
    torch.testing.assert_close(study.best.predict(data.transform(raw)).mean, predicted)
    assert abs(float(predicted.mean()) - 100) < 20  # in the unit of the table


def test_a_study_opened_later_says_the_same(made):
    study, folder = made
    later = br.Study.open(str(folder))
    pd.testing.assert_frame_equal(later.results, study.results)
    assert later.recommendation == study.recommendation
    assert repr(later) == repr(study)


def test_it_is_printed_with_what_its_columns_mean(made):
    study, _ = made
    shown = repr(study)
    assert re.search(r"method\s+strength\s+nll\s+r2\s+nll − none\s+verdict", shown)
    assert "means over 2 seeds and 8 rows" in shown
    assert shown.endswith(study.recommendation)
    assert shown.count("← use") == study.results["recommended"].sum()


def test_what_did_not_fit_in_a_budget_is_on_the_page(made, tmp_path):
    study, folder = made
    cut = br.Study(folder, study.settings | {"missing": "not one more seed within the budget of 1 min."})
    assert "Not one more seed within the budget of 1 min." in cut.report(tmp_path).read_text()
    assert "budget" not in study.report(tmp_path).read_text()


def test_the_page(made, tmp_path):
    study, _ = made
    page = study.report(tmp_path / "page")
    assert page == tmp_path / "page" / "index.html"
    assert "early_stopping" in page.read_text()


def test_an_unknown_task_or_method_of_a_study_is_refused(made):
    study, _ = made
    with pytest.raises(ValueError, match="no task 'tabel' in this study: table"):
        study.posterior("tabel")
    with pytest.raises(ValueError, match=r"'l1' has no result here; those that have: none, l2:0\.1, early_stopping"):
        study.posterior("table", "l1")


# --- It goes on ---


def written(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("result.json")}


def test_more_methods_and_seeds_go_on_with_what_is_done(made, in_process):
    study, folder = made
    before, kept = written(folder), (folder / "study.json").read_bytes()
    options = SMALL | {"seeds": 3}
    more = br.compare(net, TABLE, target="price", methods=["none", "l2:0.1", "l1:0.1"], output=folder, **options)
    assert in_process == [5]  # one more seed of two methods, three of the new one
    after = written(folder)
    assert {path: after[path] for path in before} == before
    assert more.results["seeds"].tolist() == [3, 3, 3]
    assert more.posterior("table", "l1:0.1") is not None
    again = br.compare(net, TABLE, target="price", methods=["none", "l2:0.1", "early_stopping"], output=folder, **SMALL)
    assert in_process == [5]
    assert written(folder) == after
    pd.testing.assert_frame_equal(again.results, study.results)  # nothing of the other study is in it
    assert (folder / "study.json").read_bytes() == kept


def test_folds(in_process, tmp_path):
    options = SMALL | {"folds": 3, "seeds": 1}
    study = br.compare(net, TABLE, target="price", methods=["none", "l2"], output=tmp_path, **options)
    row = study.results.set_index("method").loc["l2"]
    assert row["rows"] == 40  # each is tested
    assert row["strength_low"] <= row["strength"] <= row["strength_high"]
    assert study.best.predict(TABLE.drop(columns="price")).mean.shape == (40,)
    assert "one seed does not say" in study.recommendation or study.recommendation.startswith(("Nothing", "Use none"))
    pd.testing.assert_frame_equal(br.Study.open(tmp_path).results, study.results)  # and `best` is not a run of it


# --- What it takes ---


def test_a_csv_a_pair_and_several_tasks(in_process, tmp_path):
    TABLE.drop(columns="price").to_csv(tmp_path / "wine.csv", index=False)
    options = {"methods": ["none"], **SMALL}
    table = br.compare(None, tmp_path / "wine.csv", target="kind", output=tmp_path / "a", **options)
    assert set(table.results["task"]) == {"wine"}
    assert table.results["accuracy"].between(0, 1).all()
    pair = br.compare(lambda: nn.Linear(3, 1), (X.astype("float32"), X[:, 0]), output=tmp_path / "b", **options)
    assert "r2" in pair.results
    tasks = [br.Task(None, (X.astype("float32"), X[:, n]), name=f"<i>{n}</i>", epochs=2, lr=1e-2) for n in (0, 1)]
    of_run = {name: SMALL[name] for name in ("seeds", "folds", "progress")}
    both = br.compare(tasks=tasks, methods=["none", "l2:0.1"], output=tmp_path / "c", **of_run)
    assert both.results["task"].tolist() == ["<i>0</i>"] * 2 + ["<i>1</i>"] * 2
    *lines, last = both.recommendation.split("\n")
    assert [line.split(": ")[0] for line in lines] == ["<i>0</i>", "<i>1</i>"]
    assert last == both.across.sentence
    assert last.startswith("Over 2 tasks nothing can be shown: with one method besides none it takes 6,")
    (row,) = both.across.table.to_dict("records")
    assert row["difference"] == pytest.approx(both.results.query("method == 'l2:0.1'")["nll_difference"].mean())
    shown = both._repr_html_()
    assert "<i>" not in shown
    assert shown.count("&lt;i&gt;0&lt;/i&gt;") >= 2  # in the table, and below it
    assert both.best is not None


def test_its_folder_is_named_after_the_task(in_process, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = br.compare(None, (X.astype("float32"), X[:, 0]), methods=["none"], name="../a b", **SMALL)
    assert study.path == Path("runs", "===a=b")
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


# --- What goes wrong ---


def test_a_method_without_a_meaning_and_one_that_diverges_are_rows(in_process, tmp_path):
    def relu():
        return nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 1))

    study = br.compare(relu, TABLE, target="price", methods=["none", "smoothness"], output=tmp_path, **SMALL)
    row = study.results.set_index("method").loc["smoothness"]
    assert row["status"] == "refused"
    assert "ReLU" in row["reason"]
    assert f"smoothness on table refused: {row['reason']}" in repr(study)
    assert br.Study.open(tmp_path).results.set_index("method").loc["smoothness", "status"] == "refused"


def test_a_run_that_fails_is_a_method_that_is_incomplete(tmp_path):
    engine = InProcess(errors={1: RuntimeError("killed")})
    study = br.compare(net, TABLE, target="price", methods=["none", "l2:0.1"], output=tmp_path, engine=engine, **SMALL)
    row = study.results.set_index("method").loc["l2:0.1"]
    assert (row["status"], row["reason"]) == ("incomplete", "a run that it needs failed: RuntimeError: killed")
    again = br.Study.open(tmp_path).results.set_index("method").loc["l2:0.1"]
    assert again["reason"] == row["reason"]
    assert study.failed == ["table l2:0.1 seed 0: RuntimeError: killed"]
    assert "l2:0.1 on table incomplete: a run that it needs failed: RuntimeError: killed" in repr(study)


def test_a_study_of_which_no_run_is_done_says_so(tmp_path):
    engine = InProcess(errors=dict.fromkeys(range(99), RuntimeError("killed")))
    study = br.compare(net, TABLE, target="price", methods=["none", "l2"], output=tmp_path, engine=engine, **SMALL)
    assert study.recommendation.startswith("Nothing to recommend: no method finished")
    assert "none on table incomplete: a run that it needs failed: RuntimeError: killed" in repr(study)
    assert study.results["status"].tolist() == ["incomplete"] * 2
    with pytest.raises(ValueError, match="'none' has no result here"):
        _ = study.best


REFUSED = {
    "a method twice": ({"methods": ["l2", "l2"]}, ValueError, "'l2' is there twice"),
    "unknown": ({"methods": ["none", "droput"]}, ValueError, "'dropout'"),
    "no method": ({"methods": []}, ValueError, "no method to compare"),
    "no column": ({"target": "prize"}, ValueError, "'price'"),
    "no target": ({"target": None}, TypeError, "from_table"),
    "tasks beside a network": (
        {"tasks": ["digits"]},
        ValueError,
        "in place of lr=, net=, data=, target=: each",
    ),
    "epochs": ({"epochs": 0}, ValueError, r"Task\(epochs=0\)"),
    "seeds": ({"seeds": 0}, ValueError, r"compare\(seeds=0\)"),
    "device": ({"device": "abacus"}, ValueError, "abacus"),
}


@pytest.mark.parametrize(("options", "error", "said"), REFUSED.values(), ids=REFUSED)
def test_refused_before_training(options, error, said, tmp_path):
    settings = SMALL | {"target": "price", "methods": ["none"], "output": tmp_path / "out"} | options
    if "tasks" in options:
        settings = {"tasks": ["digits"], "target": "price", "output": tmp_path / "out", "lr": 0.1}
    with pytest.raises(error, match=said):
        br.compare(net, TABLE, **settings)
    assert not (tmp_path / "out").exists()


def test_what_stops_a_task_without_a_method_is_told_as_it_is(tmp_path):
    with pytest.raises(ValueError, match="does not take x of shape"):
        br.compare(lambda: nn.Linear(99, 1), TABLE, target="price", methods=["l2"], output=tmp_path, **SMALL)
