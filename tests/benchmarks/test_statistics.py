"""The calibration of the comparison: its grids are what they claim to be, and it writes its page."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import bayesreg as br
from bayesreg import statistics
from benchmarks import simulated
from benchmarks import statistics as calibration

SHAPE = simulated.Shape("small", 3, 40, (0.1, 0.5, 0.6))


def study(scores):
    """A study whose scores by example are known."""
    return SimpleNamespace(scores=scores)


@pytest.mark.parametrize("tail", simulated.TAILS)
def test_the_tails_have_mean_0_and_variance_1(tail):
    """Of 10⁶ draws; the variance of a t of 3 degrees of freedom is known roughly: it has no fourth moment."""
    drawn = simulated.TAILS[tail](np.random.default_rng(0))(1000, 1000)
    assert drawn.mean() == pytest.approx(0, abs=0.01)
    assert drawn.var() == pytest.approx(1, rel=0.1)


def test_the_grids_have_the_spread_that_they_are_given():
    draw = simulated.TAILS["normal"](np.random.default_rng(0))
    none, other = simulated.scores(SHAPE._replace(seeds=300, rows=400), draw, methods=1)
    found = statistics.difference(other, none).components
    assert np.sqrt(found) == pytest.approx(SHAPE.sd, rel=0.1)


def test_a_difference_that_is_there_is_claimed():
    draw = simulated.TAILS["normal"](np.random.default_rng(0))
    scores = simulated.scores(SHAPE, draw)
    assert not simulated.claimed(scores)
    scores[3] += 2
    assert simulated.claimed(scores)


def test_the_interval_of_a_share_is_clopper_and_pearsons():
    """Of 5 in 100: 0.0164 to 0.1128, as published."""
    assert simulated.share(5, 100) == pytest.approx({"share": 0.05, "low": 0.0164, "high": 0.1128}, abs=5e-5)


def test_a_tiny_calibration_leaves_its_page(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(simulated, "SHAPES", [SHAPE])
    rng = np.random.default_rng(0)
    none = rng.normal(size=(calibration.NAMES * calibration.SEEDS, 1)) + rng.normal(size=30)
    monkeypatch.setattr(
        br, "compare", lambda **asked: study({task: {"nll": {"none": none}} for task in asked["tasks"]})
    )
    monkeypatch.chdir(tmp_path)
    calibration.main(["--grids", "3", "--real", "--output", "out"])
    page = (tmp_path / "out/README.md").read_text()
    assert capsys.readouterr().out.strip() == page.strip()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "README.md",
        "power.svg",
        *(f"{name}.csv" for name in ("false", "metrics", "power", "tasks", "real")),
    }
    false = pd.read_csv(tmp_path / "out/false.csv")
    assert false["tails"].tolist() == list(simulated.TAILS)
    real = pd.read_csv(tmp_path / "out/real.csv").set_index("task")
    assert real["share"].to_dict() == pytest.approx({"digits": 0, "synthetic": 0}, abs=0.1)
    assert "One method under six names" in page


def test_the_spread_of_a_study_is_that_of_its_differences(tmp_path, monkeypatch, capsys):
    known = {"nll": {"none": np.zeros((3, 5)), "l2": np.add.outer(np.arange(3.0), 2 * np.arange(5.0))}}

    monkeypatch.setattr(br.Study, "open", lambda path: study({"mine": known}))
    calibration.main(["--study", str(tmp_path)])
    sds = [f"{np.arange(3).std(ddof=1):.4g}", f"{2 * np.arange(5).std(ddof=1):.4g}", "0"]
    assert f"| mine | nll | 3 | 5 | {' | '.join(sds)} |" in capsys.readouterr().out
