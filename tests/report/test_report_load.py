"""What is read from run directories, and the effect of a broken one."""

import json
import logging

import numpy as np
import pandas as pd
import pytest

from bayesreg import report


def test_one_row_a_run(make, root):
    folder = make("l2", 1e-4, 3, validation=0.875, test=0.75)
    make("none", None, 3)
    row = report.load(root).set_index("method").loc["l2"]
    assert (row["task.dataset"], row["strength"], row["seed"], row["status"]) == ("digits", 1e-4, 3, "done")
    assert (row["validation_accuracy"], row["test_accuracy"], row["test_nll"]) == (0.875, 0.75, 0.25)
    assert (row["seconds_epoch"], row["seconds_warmup"]) == (0.25, 1.5)
    assert (row["path"], row["task"], row["natural"]) == (str(folder), "digits", "scale=0.5")


def test_diverged_run_keeps_its_row_and_message(make, root):
    make(validation=None)
    (row,) = report.load(root).to_dict("records")
    assert row["status"] == "diverged"
    assert "NaN" in row["message"]


def test_unfinished_run_is_left_out_and_listed(make, root, caplog):
    (make(seed=0) / "result.json").unlink()
    make(seed=1)
    assert report.load(root)["seed"].tolist() == [1]
    (problem,) = report.left_out(root)
    assert problem.reason == "digits, l2:0.0001, seed 0: not finished"
    assert not caplog.records


BROKEN = {
    "cut short": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "a list": lambda text: "[]",
    "without metrics": lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != "metrics"}),
    "metrics of another kind": lambda text: json.dumps(json.loads(text) | {"metrics": 3}),
    "a split of another kind": lambda text: json.dumps(json.loads(text) | {"metrics": {"test": 3}}),
}


@pytest.mark.parametrize("name", ["config.json", "result.json"])
@pytest.mark.parametrize("fault", ["cut short", "empty", "a list"])
def test_broken_json_costs_one_run_and_one_line(make, root, caplog, name, fault):
    file = make(seed=0) / name
    make(seed=1)
    file.write_text(BROKEN[fault](file.read_text()))
    with caplog.at_level(logging.WARNING):
        runs = report.load(root)
    assert runs["seed"].tolist() == [1]
    (record,) = caplog.records
    assert f"{file.parent}: {name} " in record.getMessage()
    assert "\n" not in record.getMessage()


@pytest.mark.parametrize("fault", ["without metrics", "metrics of another kind", "a split of another kind"])
def test_result_of_another_shape_is_broken_too(make, root, fault):
    file = make(seed=0) / "result.json"
    make(seed=1)
    file.write_text(BROKEN[fault](file.read_text()))
    assert report.load(root)["seed"].tolist() == [1]
    (problem,) = report.left_out(root)
    assert problem.path == str(file.parent)
    assert "result.json" in problem.reason


def test_bytes_that_are_no_text_are_broken(make, root):
    (make(seed=0) / "result.json").write_bytes(b"\xff\xfe\x00")
    make(seed=1)
    assert report.load(root)["seed"].tolist() == [1]


def test_same_run_twice_counts_once(make, root, caplog):
    first = make(seed=0)
    copy = root / "zcopy"
    copy.mkdir()
    for file in first.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    assert report.load(root)["path"].tolist() == [str(first)]
    assert "zcopy: repeats another run" in caplog.text


@pytest.mark.parametrize("unfinished", [False, True])
def test_root_without_a_complete_run_is_refused(make, root, unfinished):
    if unfinished:
        (make() / "result.json").unlink()
    with pytest.raises(ValueError, match=r"no complete run in .*Give the folder") as error:
        report.load(root)
    assert str(root) in str(error.value)
    assert ("1 run(s) begun" in str(error.value)) is unfinished


def test_histories_are_long(make, root, caplog):
    make(seed=0, validation=0.9)
    (make(seed=1) / "history.csv").unlink()
    make(seed=2, validation=0.8)
    histories = report.histories(report.load(root))
    assert histories["seed"].tolist() == [0] * 4 + [2] * 4
    assert histories.groupby("seed")["validation_accuracy"].last().to_dict() == {0: 0.9, 2: 0.8}
    assert "history.csv cannot be read" in caplog.text


def test_curves_are_those_that_pandas_reads(make, root):
    """Of runs of two metrics, with a cell that is empty and a score that is out of hand."""
    folders = [make(seed=0), make(seed=1, dataset="diabetes", metric="r2")]
    (folders[0] / "history.csv").write_text(
        "epoch,loss,validation_accuracy,seconds\n1,,0.5,0.25\n2,3,,1e-3\n3,3,1e200,1\n"
    )
    found = report.histories(report.load(root)).set_index("path")
    for folder, column in zip(folders, ("validation_accuracy", "validation_r2"), strict=True):
        own, known = found.loc[str(folder)], pd.read_csv(folder / "history.csv")
        known[column] = known[column].where(known[column].abs() <= 1e100)
        for name in ("epoch", "seconds", column):
            assert np.array_equal(own[name].to_numpy(), known[name].to_numpy(dtype=float), equal_nan=True)
    assert found.loc[str(folders[0]), "validation_r2"].isna().all()


@pytest.mark.parametrize("rows", ["1,0.5", "1,0.25,0.5,7", '1,"0.5', "1,0.25,0.5\nhalf"])
def test_a_history_with_half_a_row_is_left_out(make, root, caplog, rows):
    (make() / "history.csv").write_text(f"epoch,seconds,validation_accuracy\n{rows}")
    assert report.histories(report.load(root)).empty
    assert "history.csv cannot be read" in caplog.text


def test_empty_history_costs_its_curve_only(make, root):
    folder = make()
    (folder / "history.csv").write_text("")
    assert report.histories(report.load(root)).empty


def test_natural_parameters_of_sums_are_named(make, root):
    file = make() / "result.json"
    terms = [
        {"name": "l2", "natural": {"scale": 0.5, "on": "weights"}},
        {"name": "entropic", "natural": {"strength": 0.06}, "lambda": 6.0},
    ]
    file.write_text(json.dumps(json.loads(file.read_text()) | {"priors": terms}))
    assert report.load(root)["natural"].tolist() == ["l2: scale=0.5 + entropic: λ=6"]


def test_options_that_are_left_open_are_no_parameters(make, root):
    file = make() / "result.json"
    natural = {"strength": 0.06, "fraction": None, "every": 4}
    terms = [{"name": "smoothness", "natural": natural, "lambda": 6.0}]
    file.write_text(json.dumps(json.loads(file.read_text()) | {"priors": terms}))
    assert report.load(root)["natural"].tolist() == ["λ=6, every=4"]


def test_sum_that_is_not_tuned_has_no_strength(make, root):
    folder = make()
    config = json.loads((folder / "config.json").read_text())
    several = {"method": "l2:0.1+entropic:1", "text": "l2:0.1+entropic:1", "strengths": []}
    (folder / "config.json").write_text(json.dumps(config | {"candidate": several}))
    (row,) = report.load(root).to_dict("records")
    assert np.isnan(row["strength"])
    assert row["method"] == "l2:0.1+entropic:1"
    assert row["tuned"] == ()


def test_runs_that_had_not_converged_are_named(make, root):
    judged = {"converged": False, "fall": 0.0125, "error": 0.0, "message": "not converged: …"}
    for seed, convergence in enumerate([judged, judged | {"fall": 0.5}, judged | {"converged": True}, None]):
        file = make("none", None, seed) / "result.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"convergence": convergence}))
        make("l2", 1e-3, seed)
    runs = report.load(root)
    line = "none on digits: 2 of 4 runs, still falling by up to 0.500 nats per epoch"
    assert [said for said in report.terminal(runs).splitlines() if "converged" in said] == [
        f"Not known to have converged: {line}"
    ]
    page = report.write(root, root / "report", runs).read_text()
    assert f"<li>{line}</li>" in page
    file.write_text(json.dumps(json.loads(file.read_text()) | {"convergence": {"converged": "no"}}))
    assert len(report.load(root)) == len(runs) - 1  # it costs its own row


def test_memory_sparsity_and_the_training_metrics_are_columns(make, root):
    folder = make("l2", 1e-4, 0, 0.8, 0.7)
    make("none", None, 0, 0.8, 0.7)
    result = json.loads((folder / "result.json").read_text())
    result |= {"memory": {"main": 5e8, "gpu": None}, "sparsity": {"zero": 0.25, "small": 0.5}}
    result["metrics"]["train"] = {"nll": 0.125}
    (folder / "result.json").write_text(json.dumps(result))
    rows = report.load(root).set_index("method")
    known = ["memory_main", "sparsity_zero", "sparsity_small", "train_nll"]
    assert rows.loc["l2", known].tolist() == [5e8, 0.25, 0.5, 0.125]
    assert rows.loc["l2", ["memory_gpu"]].isna().all()
    assert rows.loc["none", [*known, "memory_gpu"]].isna().all()  # of runs before they were recorded
    (folder / "result.json").write_text(json.dumps(result | {"memory": {"main": "much"}}))
    assert report.load(root)["method"].tolist() == ["none"]
