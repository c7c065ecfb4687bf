"""Scores by test example as tables, against loops over dictionaries."""

import logging

import numpy as np
import pandas as pd
import pytest

from bayesreg import statistics


@pytest.fixture
def runs(tmp_path):
    """Rows of runs, given as {(method, seed, fold): columns}; a text stands for a damaged file."""

    def make(given):
        rows = []
        for (method, seed, fold), columns in given.items():
            path = tmp_path / f"{method}_{seed}_{fold}"
            path.mkdir()
            if isinstance(columns, str):
                (path / "scores.npz").write_text(columns)
            else:
                np.savez(path / "scores.npz", **columns)
            rows.append({"method": method, "seed": seed, "fold": fold, "path": str(path)})
        return pd.DataFrame(rows)

    return make


def test_folds_are_put_together_by_row_in_any_order(runs):
    rng = np.random.default_rng(0)
    known, given = {}, {}
    for method in ("none", "l2"):
        for seed in range(3):
            rows = rng.permutation(20)
            for fold, part in enumerate(np.array_split(rows, 4)):
                nll, right = rng.normal(size=len(part)), rng.integers(2, size=len(part))
                given[method, seed, fold] = {"row": part, "nll": nll, "accuracy": right}
                known |= {(method, seed, row): (n, r) for row, n, r in zip(part.tolist(), nll, right, strict=True)}
    tables = statistics.examples(runs(given), ["nll", "accuracy", "r2"])
    assert tables["r2"] == {}
    for method in ("none", "l2"):
        for k, (metric, sign) in enumerate((("nll", -1), ("accuracy", 1))):  # more is better
            expected = [[sign * known[method, seed, row][k] for row in range(20)] for seed in range(3)]
            np.testing.assert_array_equal(tables[metric][method], expected)


def test_only_seeds_and_rows_that_all_have_are_compared(runs):
    given = {("none", seed, 0): {"row": np.arange(5), "nll": np.arange(5.0)} for seed in range(3)}
    given |= {("l2", seed, 0): {"row": np.arange(1, 5), "nll": np.arange(1.0, 5)} for seed in (0, 2)}
    tables = statistics.examples(runs(given), ["nll"])["nll"]
    assert {name: table.tolist() for name, table in tables.items()} == {
        "none": [[-1, -2, -3, -4]] * 2,
        "l2": [[-1, -2, -3, -4]] * 2,
    }


def test_a_seed_of_which_a_fold_is_damaged_is_left_out_and_said(runs, caplog):
    given = {
        ("l2", seed, fold): {"row": np.arange(2) + 2 * fold, "nll": np.ones(2)} for seed in (0, 1) for fold in (0, 1)
    }
    with caplog.at_level(logging.WARNING):
        table = statistics.examples(runs(given | {("l2", 1, 1): "damaged"}), ["nll"])["nll"]["l2"]
    assert table.shape == (1, 4)
    assert "seed 1 is left out" in caplog.text


def test_a_method_of_which_nothing_can_be_read_leaves_the_others_theirs(runs):
    given = {("none", 0, 0): {"row": np.arange(2), "nll": np.ones(2)}, ("l2", 0, 0): "damaged"}
    assert list(statistics.examples(runs(given), ["nll"])["nll"]) == ["none"]


def test_of_no_runs_there_are_no_tables():
    empty = pd.DataFrame(columns=["method", "seed", "path"])
    assert statistics.examples(empty, ["nll", "constant"]) == {"nll": {}, "constant": {}}
