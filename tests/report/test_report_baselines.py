"""The baselines in the report: read beside the runs, the best of each task, and what does not beat it."""

import json
import logging
import math
from pathlib import Path

import pandas as pd
import pytest

from bayesreg import report, statistics
from bayesreg.report import heatmap, phrases, tables
from bayesreg.report.baselines import against, results

KNOWN = {
    "digits": {"majority": {"accuracy": 0.1}, "nearest class mean": {"accuracy": 0.85, "macro_f1": 0.8}},
    "diabetes": {"mean": {"mse": 1.0, "r2": 0.0}, "ridge": {"mse": 0.5, "r2": 0.25}},
}


@pytest.fixture
def judged(comparison, root):
    """The comparison, with baselines of both tasks: digits has 0.71, 0.81 and 0.91, diabetes 0.31 and 0.28."""
    for run in comparison.to_dict("records"):
        Path(run["path"], "baselines.json").write_text(json.dumps(KNOWN[run["task"]]))
    return report.load(root)


def test_one_row_a_task_and_baseline(judged):
    found = report.baselines(judged).set_index(["task", "baseline"])
    assert found["accuracy"].dropna().to_dict() == {("digits", "majority"): 0.1, ("digits", "nearest class mean"): 0.85}
    assert found["r2"].dropna().to_dict() == {("diabetes", "mean"): 0.0, ("diabetes", "ridge"): 0.25}


def test_with_folds_it_is_the_mean_over_them(make, root):
    """Of 0.9 and 0.5: 0.7, which 0.8 beats, though not the best of a fold; a second method counts no fold twice."""
    folds = [("none", None, 0, 0.9), ("l2", 1e-3, 0, 0.9), ("none", None, 1, 0.5)]
    for method, strength, fold, value in folds:
        repeat = {"stage": "test", "partition": 0, "fold": fold, "folds": 2}
        file = make(method, strength, 0, test=0.8, repeat=repeat) / "baselines.json"
        file.write_text(json.dumps({"linear": {"accuracy": value}}))
    runs = report.load(root)
    assert report.baselines(runs)["accuracy"].tolist() == pytest.approx([0.7])
    rows = results(runs).set_index("method")
    assert rows.loc["none", ["baseline_score", "below_baseline"]].tolist() == [pytest.approx(0.7), False]


def test_runs_without_any_have_none(comparison, root, tmp_path):
    assert report.baselines(comparison).empty
    table = results(comparison)
    assert table["baseline_score"].isna().all()
    assert not table["below_baseline"].any()
    assert tables.scores(table) == tables.scores(statistics.results(comparison))
    assert "aseline" not in report.terminal(comparison)
    assert "†" not in report.write(root, tmp_path / "out").read_text()


@pytest.mark.parametrize("text", ["", "[1]", '{"majority": 3}', '{"majority": {"accuracy": "high"}}'])
def test_a_broken_file_costs_its_baselines_and_one_line(make, root, caplog, text):
    (make() / "baselines.json").write_text(text)
    with caplog.at_level(logging.WARNING):
        assert report.baselines(report.load(root)).empty
    (record,) = caplog.records
    assert "baselines.json" in record.getMessage()


def test_the_best_baseline_of_each_task_and_what_does_not_beat_it(judged):
    table = results(judged).set_index(["task", "method"])
    assert table["baseline"].to_dict() == {
        ("diabetes", "none"): "ridge",
        ("diabetes", "l2"): "ridge",
        ("digits", "none"): "nearest class mean",
        ("digits", "l2"): "nearest class mean",
        ("digits", "smoothness"): "nearest class mean",
    }
    assert table["below_baseline"].to_dict() == {
        ("diabetes", "none"): False,
        ("diabetes", "l2"): False,
        ("digits", "none"): True,
        ("digits", "l2"): True,
        ("digits", "smoothness"): False,
    }


@pytest.mark.parametrize(("score", "below_baseline"), [(0.3, False), (0.4, True), (0.5, True), (math.nan, False)])
def test_where_lower_is_better_the_lowest_is_to_be_beaten(score, below_baseline):
    table = pd.DataFrame([{"task": "a", "method": "none", "metric": "mse", "score_mean": score}])
    known = pd.DataFrame([{"task": "a", "baseline": name, "mse": mse} for name, mse in (("mean", 0.9), ("ridge", 0.4))])
    (row,) = against(table, known).to_dict("records")
    assert (row["baseline"], row["baseline_score"], row["below_baseline"]) == ("ridge", 0.4, below_baseline)


def test_tables_show_them(judged):
    table = tables.scores(results(judged))
    assert table.header == ["", "metric", "baseline", "none", "l2", "smoothness"]
    assert [row[2].text for row in table.rows] == ["0.250\nridge", "0.850\nnearest class mean", ""]
    assert [[cell.below_baseline for cell in row[3:]] for row in table.rows] == [
        [False, False, False],
        [True, True, False],
        [False, False, False],
    ]
    table = tables.metrics(results(judged), "digits", report.baselines(judged))
    names, column = [row[0].text for row in table.rows], table.header.index("accuracy")
    assert names == ["none", "l2", "smoothness", "baseline majority", "baseline nearest class mean"]
    assert [row[column].text for row in table.rows[3:]] == ["0.100", "0.850"]
    assert [row[column].below_baseline for row in table.rows] == [True, True, False, False, False]


def test_the_terminal_shows_them(judged):
    lines = report.terminal(judged).split("\n")
    assert lines[0].split() == ["metric", "baseline", "none", "l2", "smoothness"]
    assert lines[2].split() == ["diabetes", "r2", "0.250", "0.310±0.014*", "0.280±0.014", "–"]
    assert lines[3].split() == ["digits", "accuracy", "0.850", "0.710±0.014†", "0.810±0.014†", "0.910±0.014*"]
    assert "Baseline: nearest class mean on digits; ridge on diabetes. † does not beat it." in lines
    assert len({line.rfind("±") for line in lines[2:4]}) == 2  # diabetes has no smoothness
    assert len({line.find("±") for line in lines[2:4]}) == 1


def test_the_figure_frames_what_does_not_beat_them(judged):
    axes = heatmap.heatmap(tables.scores(results(judged), joint="\n± ")).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["baseline", "none", "l2", "smoothness"]
    frames = [patch for patch in axes.patches if not patch.get_fill()]
    assert [frame.get_xy() for frame in frames] == [pytest.approx((0.55, 0.55)), pytest.approx((1.55, 0.55))]
    said = [text.get_text() for text in axes.texts]
    assert "0.710\n± 0.014†" in said
    assert "0.850\nnearest class\nmean" in said
    assert "0.910\n± 0.014" in said


def test_the_page_and_the_numbers_have_them(judged, root, tmp_path):
    page = report.write(root, tmp_path / "out").read_text()
    assert "0.810 ± 0.014†" in page
    assert "does not beat it has a †" in page
    rows = pd.read_csv(tmp_path / "out/results.csv", keep_default_na=False).set_index(["task", "method"])
    assert rows.loc[("digits", "l2"), ["baseline", "baseline_score", "below_baseline"]].tolist() == [
        "nearest class mean",
        0.85,
        True,
    ]


def test_a_winner_that_does_not_beat_its_baseline_is_told(judged, root):
    for path in judged.loc[judged["task"] == "diabetes", "path"]:
        Path(path, "baselines.json").write_text(json.dumps({"ridge": {"r2": 0.4}}))
    judged = report.load(root)
    _, sentences = phrases.answer(results(judged), statistics.select(judged))
    told = dict(sentences)
    assert told["diabetes"].endswith("none does not beat the baseline without a network, ridge with 0.400.")
    assert "baseline" not in told["digits"]
