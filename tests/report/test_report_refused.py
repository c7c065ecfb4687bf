"""A method that has no meaning on a task: the report goes on without it and says why."""

import json

import pandas as pd
import pytest

from bayesreg import report, statistics
from bayesreg.report import phrases
from bayesreg.report.baselines import results

REASON = "the entropic prior does nothing: the entropy is constant"


@pytest.fixture
def runs(make, root):
    """Two tasks, two seeds; entropic was refused at both strengths on diabetes."""
    for seed in (0, 1):
        for dataset in ("digits", "diabetes"):
            make("none", None, seed, test=0.7, dataset=dataset)
            for strength in (0.1, 1.0):
                folder = make("entropic", strength, seed, test=0.8, dataset=dataset)
                if dataset == "diabetes":
                    refused = {"status": "refused", "message": REASON, "metrics": {}, "seconds": {}}
                    (folder / "result.json").write_text(json.dumps(refused))
                    (folder / "history.csv").unlink()
    return report.load(root)


def test_the_others_are_chosen_as_ever(runs):
    rows = statistics.results(runs).set_index(["task", "method"])
    assert rows["status"].to_dict() == {
        ("diabetes", "none"): "done",
        ("diabetes", "entropic"): "refused",
        ("digits", "none"): "done",
        ("digits", "entropic"): "done",
    }
    assert rows.loc[("diabetes", "entropic"), "reason"] == REASON
    assert rows["reason"].notna().sum() == 1


def test_one_that_was_refused_before_it_had_a_strength_is_told(make, root, caplog):
    """As a comparison records it, in its first repeat on test."""
    for seed in (0, 1):
        make("none", None, seed, repeat={"stage": "test"})
    file = make("smoothness", None, 0, None, repeat={"stage": "test"}, own={"strengths": [None]}) / "result.json"
    file.write_text(json.dumps({"status": "refused", "message": REASON, "metrics": {}, "seconds": {}}))
    rows = statistics.results(report.load(root)).set_index("method")
    assert rows["status"].to_dict() == {"none": "done", "smoothness": "refused"}
    assert rows.loc["smoothness", "reason"] == REASON
    assert not caplog.records


def test_one_that_diverged_or_is_missing_tells_more_than_one_refused(make, root):
    make("none", None, 0)
    for strength, status in ((0.1, "refused"), (1.0, "diverged")):
        file = make("entropic", strength, 0, validation=None) / "result.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"status": status}))
    rows = statistics.results(report.load(root)).set_index("method")
    assert rows.loc["entropic", "status"] == "diverged"


def test_table_page_and_numbers_say_why(runs, root, tmp_path):
    line = f"entropic on diabetes: {REASON}"
    assert phrases.refusals(results(runs)) == [line]
    lines = report.terminal(runs).split("\n")
    assert lines[2].split() == ["diabetes", "0.700±0.000*", "refused"]
    assert f"Refused: {line}" in lines
    page = report.write(root, tmp_path / "out").read_text()
    assert f"<li>{line}</li>" in page
    assert "8 runs are complete; 0 of them diverged" in page
    rows = pd.read_csv(tmp_path / "out/results.csv", keep_default_na=False)
    assert rows.loc[rows["status"] == "refused", ["task", "method", "reason"]].to_numpy().tolist() == [
        ["diabetes", "entropic", REASON]
    ]
