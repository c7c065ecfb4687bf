"""Two methods on one data set: against sums written out, SciPy's t interval, and grids with no true difference."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bayesreg.statistics import Difference, Squares, difference


def table(seed, n, m, by_seed=1.0, by_example=1.0, rest=1.0, heavy=True):
    """Differences with no true one, [n, m]; heavy tails are Student's t of three degrees of freedom."""
    rng = np.random.default_rng(seed)
    draw = (lambda *shape: rng.standard_t(3, shape) / math.sqrt(3)) if heavy else (lambda *s: rng.standard_normal(s))
    return by_seed * draw(n, 1) + by_example * draw(1, m) + rest * draw(n, m)


def of(d, **options):
    return difference(d, np.zeros_like(d), **options)


tables = st.builds(table, st.integers(0, 2**32), st.integers(2, 6), st.integers(2, 9))
several = settings(max_examples=40, deadline=None)


def test_a_table_worked_out_by_hand():
    """Rows with means 2 and 4, columns with 2, 2 and 5; the residuals are ±1 four times and 0 twice."""
    found = of(np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 7.0]]))
    assert (found.mean, found.squares, found.seeds, found.examples) == (3.0, Squares(6.0, 6.0, 2.0), 2, 3)
    assert found.se == pytest.approx(math.sqrt((6 + 6 - 2) / 6))
    assert found.df == pytest.approx(10**2 / (6**2 / 1 + 6**2 / 2 + 2**2 / 2))
    assert tuple(found.components) == pytest.approx((4 / 3, 2, 2))
    half = stats.t(100 / 56).ppf(0.975) * math.sqrt(10 / 6)
    assert (found.low, found.high) == (pytest.approx(3 - half), pytest.approx(3 + half))
    assert found.p == pytest.approx(2 * stats.t(100 / 56).sf(3 / math.sqrt(10 / 6)))


@several
@given(tables)
def test_the_mean_squares_against_sums_written_out(d):
    n, m = d.shape
    row = [sum(d[s]) / m for s in range(n)]
    column = [sum(d[:, i]) / n for i in range(m)]
    mean = sum(row) / n
    rest = sum((d[s, i] - row[s] - column[i] + mean) ** 2 for s, i in itertools.product(range(n), range(m)))
    A = m * sum((r - mean) ** 2 for r in row) / (n - 1)
    B = n * sum((c - mean) ** 2 for c in column) / (m - 1)
    E = rest / ((n - 1) * (m - 1))
    found = of(d)
    assert tuple(found.squares) == pytest.approx((A, B, E))
    assert found.se**2 == pytest.approx(max(A + B - E, A, B) / (n * m))
    total = max(A + B - E, 0)
    df = total**2 / (A**2 / (n - 1) + B**2 / (m - 1) + E**2 / ((n - 1) * (m - 1)))
    assert found.df == pytest.approx(max(df, min(n, m) - 1))


def test_mean_squares_below_that_of_the_rest_bring_no_degrees_of_freedom():
    """1 + 1 − 30 is below 0, and its square says nothing."""
    found = Difference(0.0, Squares(1.0, 1.0, 30.0), seeds=5, examples=6)
    assert (found.se, found.df) == (math.sqrt(1 / 30), 4)


@several
@given(st.integers(0, 2**32), st.integers(2, 9), st.sampled_from([0.5, 0.95, 0.99]))
def test_by_seed_alone_or_by_example_alone_it_is_students_t(seed, k, confidence):
    d = np.random.default_rng(seed).standard_normal(k) + 0.5
    for whole in (np.tile(d[:, None], 12), np.tile(d, (12, 1))):
        found = of(whole, confidence=confidence)
        expected = stats.ttest_1samp(d, 0.0)
        interval = expected.confidence_interval(confidence)
        assert (found.low, found.high, found.p) == pytest.approx((interval.low, interval.high, expected.pvalue))


@several
@given(tables, st.floats(0, 1))
def test_the_other_way_round_it_is_the_negative(d, rope):
    b = table(1, *d.shape)
    there, back = difference(d, b, rope), difference(b, d, rope)
    assert (there.mean, there.low, there.high, there.p) == (-back.mean, -back.high, -back.low, back.p)
    other = {"better": "worse", "worse": "better"}
    assert other.get(there.verdict, there.verdict) == back.verdict


@several
@given(tables, st.floats(1e-3, 1e3), st.floats(0, 1))
def test_what_is_added_to_both_changes_nothing_and_the_unit_scales(d, unit, rope):
    b, common = table(1, *d.shape), table(2, *d.shape)
    found, moved = difference(d, b, rope), difference(d + common, b + common, rope)
    scaled = difference(unit * d, unit * b, unit * rope)
    for name in ("mean", "low", "high"):
        assert getattr(moved, name) == pytest.approx(getattr(found, name), abs=1e-9)
        assert getattr(scaled, name) == pytest.approx(unit * getattr(found, name), abs=1e-9 * unit)
    assert scaled.p == pytest.approx(found.p)


@several
@given(tables, st.floats(0, 2), st.floats(-3, 3), st.sampled_from([0.8, 0.95, 0.99]))
def test_p_and_verdict_and_interval_say_the_same(d, rope, shift, confidence):
    found = of(d + shift, rope=rope, confidence=confidence)
    assert (found.p < 1 - confidence) == (found.verdict in ("better", "worse"))
    assert (found.verdict == "better") == (found.low > rope)
    assert (found.verdict == "worse") == (found.high < -rope)
    assert (found.verdict == "equal") == (-rope <= found.low <= found.high <= rope)


@pytest.mark.parametrize(("n", "m"), [(5, 90), (8, 90), (5, 1000), (8, 1000)])
@pytest.mark.parametrize("variances", [(0.1, 1.0, 0.3), (1.0, 1.0, 1.0), (0.0, 0.0, 1.0)], ids=str)
def test_one_method_under_two_names_is_told_apart_in_5_of_100_grids_at_most(n, m, variances):
    """Three standard errors of such a share of 200 grids beside it: 0.05 + 3 √(0.05 · 0.95 / 200)."""
    verdicts = [of(table(grid, n, m, *variances)).verdict for grid in range(200)]
    assert sum(verdict != "undecided" for verdict in verdicts) <= 200 * (0.05 + 3 * 0.0154)


def test_the_power_grows_with_seeds_and_with_examples():
    def power(n, m):
        return sum(of(0.15 + table(grid, n, m, 0.15, 1.0, 0.3)).verdict == "better" for grid in range(200)) / 200

    few, seeds, examples, both = power(4, 80), power(16, 80), power(4, 640), power(16, 640)
    assert few + 0.05 < min(seeds, examples)
    assert max(seeds, examples) + 0.05 < both
    assert both > 0.8


def test_a_method_against_itself_is_equal():
    found = difference(a := table(0, 3, 4), a)
    assert (found.mean, found.low, found.high, found.p, found.verdict) == (0, 0, 0, 1, "equal")
    assert "0 [0, 0] at 0.95, p = 1: equal" in repr(found)


def test_a_difference_that_never_varies_is_what_it_is():
    found = of(np.full((2, 3), -0.25), rope=0.125)
    assert (found.low, found.high, found.p, found.verdict) == (-0.25, -0.25, 0, "worse")
    within = of(np.full((2, 3), -0.25), rope=0.25)
    assert (within.p, within.verdict) == (1, "equal")


def test_one_seed_decides_nothing():
    d = 5 + table(0, 1, 50, 0.0, 1.0, 0.0)
    found = of(d)
    interval = stats.ttest_1samp(d[0], 0.0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(tuple(interval))  # of the examples alone
    assert found.verdict == "undecided"
    assert math.isnan(found.p)
    assert "one seed" in found.reason


def test_one_example_decides_nothing():
    d = 5 + table(0, 8, 1, 1.0, 0.0, 0.0)
    found = of(d)
    assert (found.low, found.high) == pytest.approx(tuple(stats.ttest_1samp(d[:, 0], 0.0).confidence_interval(0.95)))
    assert (found.verdict, "one test example" in found.reason) == ("undecided", True)


def test_one_score_has_no_interval():
    found = of(np.ones((1, 1)))
    assert (found.mean, found.low, found.high, found.verdict) == (1, -math.inf, math.inf, "undecided")


def test_tensors_of_float32_are_summed_in_float64():
    a = torch.full((2, 2**20), 0.1)
    assert difference(a, torch.zeros_like(a)).mean == pytest.approx(float(torch.tensor(0.1)), rel=1e-12)


def holed(place, value):
    scores = np.zeros((3, 4))
    scores[place] = value
    return scores


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.zeros((3, 4)), np.zeros((2, 4)), r"\[3, 4\] and b of \[2, 4\].*drop it in both"),
        (np.zeros((3, 4)), np.zeros((3, 5)), r"\[3, 4\] and b of \[3, 5\]"),
        (np.zeros((3, 4)), holed(1, math.nan), r"b has no scores at seed 1 .*drop it in both"),
        (holed((2, 3), math.nan), np.zeros((3, 4)), r"a\[2, 3\] = nan at seed 2, example 3.*1 such"),
        (np.zeros((3, 4)), holed((0, slice(1, 3)), -math.inf), r"b\[0, 1\] = -inf.*2 such"),
        ([[1.0, 2.0], [3.0]], np.zeros((2, 2)), r"a is not a table.*drop it in both"),
        ([[1.0, 2.0], None], np.zeros((2, 2)), r"a is not a table.*drop it in both"),
        (np.zeros(4), np.zeros(4), r"a is of shape \[4\].*\[seeds, examples\]"),
        (np.zeros((0, 4)), np.zeros((0, 4)), r"a is of shape \[0, 4\]"),
    ],
    ids=["seeds", "examples", "seed missing", "nan", "inf", "ragged", "none", "row", "empty"],
)
def test_tables_that_cannot_be_compared_are_refused(a, b, message):
    with pytest.raises(ValueError, match=message):
        difference(a, b)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rope": -0.1}, "rope=-0.1"),
        ({"rope": math.nan}, "rope=nan"),
        ({"confidence": 95}, "confidence=95"),
        ({"confidence": 1.0}, "confidence=1.0"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        difference(np.zeros((2, 2)), np.zeros((2, 2)), **options)
