"""Metrics that are not means over examples: against `difference` where they are, and with no true difference."""

import math

import numpy as np
import pytest
import torch

from bayesreg.metrics import macro_f1
from bayesreg.statistics import difference, two_way_bootstrap


def table(seed, n=4, m=60, by_seed=0.5):
    rng = np.random.default_rng(seed)
    return by_seed * rng.standard_normal((n, 1)) + rng.standard_normal((1, m)) + rng.standard_normal((n, m))


def rms(scores):
    return -math.sqrt(np.square(scores).mean())


@pytest.mark.parametrize(("n", "m"), [(4, 60), (3, 4)])
def test_of_a_mean_it_is_the_difference(n, m):
    """The mean squares of seeds exactly; the others as 4,000 draws estimate variances, to √(2/4000) and less."""
    a, b = table(1, n, m), table(2, n, m)
    found, exact = two_way_bootstrap(np.mean, a, b, draws=4000), difference(a, b)
    assert found.mean == pytest.approx(exact.mean)
    assert found.squares.seeds == pytest.approx(exact.squares.seeds)
    assert tuple(found.squares) == pytest.approx(tuple(exact.squares), rel=0.1)
    assert (found.se, found.df) == pytest.approx((exact.se, exact.df), rel=0.1)


def test_what_is_shared_is_drawn_with_the_predictions():
    """R² of predictions that are the targets is 1 in every draw, so that only the other method varies."""
    y = table(0)[0]

    def r2(f, y):
        return 1 - np.square(y - f).sum() / np.square(y - y.mean()).sum()

    exact, flat = np.tile(y, (3, 1)), np.full((3, len(y)), y.mean())
    assert two_way_bootstrap(r2, exact, exact, y, draws=100).verdict == "equal"
    found = two_way_bootstrap(r2, exact, flat, y, draws=100)
    assert (found.mean, found.verdict) == (pytest.approx(1.0), "better")


def test_macro_f1_of_probabilities():
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=80)
    good, poor = (np.eye(3)[np.where(rng.random((4, 80)) < kept, y, 0)] for kept in (0.9, 0.3))

    def f1(probs, y):
        return macro_f1(torch.tensor(probs), torch.tensor(y))

    found = two_way_bootstrap(f1, good, poor, y, draws=100)
    assert found.mean == pytest.approx(np.mean([f1(g, y) - f1(p, y) for g, p in zip(good, poor, strict=True)]))
    assert found.verdict == "better"
    assert two_way_bootstrap(f1, poor, good, y, draws=100).verdict == "worse"


def test_one_method_under_two_names_is_told_apart_in_5_of_100_grids_at_most():
    verdicts = [two_way_bootstrap(rms, table(2 * k), table(2 * k + 1), draws=100).verdict for k in range(100)]
    assert verdicts.count("undecided") >= 100 * (0.95 - 3 * math.sqrt(0.05 * 0.95 / 100))


def test_the_same_seed_draws_the_same():
    a, b = table(1), table(2)
    first, again, other = (two_way_bootstrap(rms, a, b, draws=100, seed=seed) for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize(("n", "m", "reason"), [(1, 60, "one seed"), (4, 1, "one test example")])
def test_one_seed_or_one_example_decides_nothing(n, m, reason):
    found = two_way_bootstrap(np.mean, table(1, n, m) + 9, table(2, n, m), draws=100)
    assert found.verdict == "undecided"
    assert reason in found.reason


@pytest.mark.parametrize(
    ("a", "b", "shared", "draws", "message"),
    [
        (table(1), table(1, n=3), (), 100, r"\[4, 60\], of b \[3, 60\].*drop it in both"),
        (table(1)[0], table(1)[0], (), 100, r"\[60\]"),
        (table(1), table(1), (np.zeros(59),), 100, r"60 examples.*\[59\]"),
        (table(1), table(1), (), 1, "draws=1"),
        (table(1), np.where(np.arange(4)[:, None] == 2, np.nan, table(1)), (), 100, "seed 2 .*all examples"),
    ],
    ids=["seeds", "row", "shared", "draws", "nan"],
)
def test_what_cannot_be_compared_is_refused(a, b, shared, draws, message):
    with pytest.raises(ValueError, match=message):
        two_way_bootstrap(lambda scores, *_: np.mean(scores), a, b, *shared, draws=draws)


def test_a_statistic_that_cannot_be_resampled_is_refused():
    def every_example(scores):
        return math.nan if len(np.unique(scores)) < len(scores) else 0.0

    with pytest.raises(ValueError, match="drawn twice"):
        two_way_bootstrap(every_example, table(1), table(2), draws=100)
