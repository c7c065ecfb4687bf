"""Seconds, their ratios to none and the gap, from histories with a known answer."""

import logging
import math

import pandas as pd
import pytest

from bayesreg.costs import costs


@pytest.fixture
def runs(tmp_path):
    """Rows of runs given as (method, seed, seconds of each epoch, validation NLL after each)."""

    def make(*given, **more):
        rows = []
        for method, seed, seconds, nll in given:
            path = tmp_path / f"{method}{seed}"
            path.mkdir()
            pd.DataFrame({"epoch": range(len(nll)), "seconds": seconds, "validation_nll": nll}).to_csv(
                path / "history.csv"
            )
            row = {"method": method, "seed": seed, "partition": -1, "fold": -1, "path": str(path)}
            rows.append(row | {"validation_nll": nll[-1], "train_nll": nll[-1] - 0.1} | more)
        return pd.DataFrame(rows)

    return make


def test_seconds_are_paired_by_seed(runs):
    table = costs(
        runs(
            ("none", 0, [1, 1, 1], [0.9, 0.6, 0.5]),
            ("none", 1, [2, 2, 2], [0.9, 0.4, 0.6]),
            ("l2", 0, [2, 2, 2], [0.7, 0.5, 0.3]),  # as low as none after 4 of the 3 seconds that none takes
            ("l2", 1, [3, 3, 6], [0.6, 0.5, 0.4]),  # after 3 of 6
            ("l1", 0, [1, 1, 1], [0.9, 0.8, 0.7]),  # never
            ("l1", 1, [2, 2, 2], [0.9, 0.8, 0.6]),  # after 6 of 6
        )
    ).set_index("method")
    assert table.loc["none", "seconds"] == 4.5
    assert table.loc["none", "seconds_ratio"] == pytest.approx(1)
    assert table.loc["l2", "seconds_ratio"] == pytest.approx(math.sqrt(6 / 3 * 12 / 6))
    assert table.loc["l2", ["seconds_to_none", "reached"]].tolist() == [3.5, 1]
    assert table.loc["l2", "seconds_to_none_ratio"] == pytest.approx(math.sqrt(4 / 3 * 3 / 6))
    assert table.loc["l1", ["seconds_to_none", "reached"]].tolist() == [6, 0.5]
    assert table["gap"].tolist() == pytest.approx([0.1] * 3)


def test_a_loss_that_falls_and_rises_gets_there_when_it_first_does(runs):
    """None itself is as low as its end, 0.6, already after two epochs."""
    table = costs(runs(("none", 1, [2, 2, 2], [0.9, 0.4, 0.6])))
    assert table["seconds_to_none"].tolist() == [4]


def test_without_none_there_is_no_ratio(runs):
    (row,) = costs(runs(("l2", 0, [1, 1], [0.5, 0.4]))).to_dict("records")
    assert row["seconds"] == 2
    assert all(math.isnan(row[name]) for name in ("seconds_ratio", "seconds_to_none", "reached"))


def test_of_nothing_there_is_nothing():
    assert list(costs(pd.DataFrame())) == ["method"]


BROKEN = {"no column": "epoch,seconds\n1,3.0\n", "negative": "seconds,validation_nll\n-1,0.5\n"}
BROKEN |= {"no number": "seconds,validation_nll\nx,0.5\n"}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_history_that_cannot_be_read_costs_its_own_seconds(runs, tmp_path, caplog, text):
    table = runs(("none", 0, [1.0], [0.5]), ("none", 1, [3.0], [0.5]))
    (tmp_path / "none1/history.csv").write_text(text)
    with caplog.at_level(logging.WARNING):
        assert costs(table)["seconds"].tolist() == [1]
    assert "history.csv cannot be read" in caplog.text
    assert "1 run(s)" in caplog.text
