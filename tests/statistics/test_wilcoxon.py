"""The exact signed-rank test: against SciPy, the enumeration of all signs, and Wilcoxon's table."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bayesreg.statistics import holm, tasks_needed, wilcoxon


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 25))
def test_without_ties_it_is_scipys(seed, n):
    d = np.random.default_rng(seed).standard_normal(n) + 0.3
    assert wilcoxon(d) == pytest.approx(stats.wilcoxon(d, method="exact").pvalue)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([-math.inf, -2.0, -1.0, 0.0, 0.5, 1.0, 2.0, math.inf]), min_size=1, max_size=9))
def test_with_ties_zeros_and_infinities_against_every_sign(d):
    ranks = stats.rankdata(np.abs(d))
    known = [(rank, value) for rank, value in zip(ranks, d, strict=True) if value != 0]
    centre = sum(rank for rank, _ in known) / 2
    observed = abs(sum(rank for rank, value in known if value > 0) - centre)
    signs = itertools.product((0, 1), repeat=len(known))
    sums = [sum(s * rank for s, (rank, _) in zip(own, known, strict=True)) for own in signs]
    assert wilcoxon(d) == pytest.approx(np.mean([abs(total - centre) >= observed - 1e-9 for total in sums]))


def test_the_published_critical_value():
    """Of 10 pairs, T = 8 is the largest smaller sum of ranks with p ≤ 0.05, and its p is 0.0488 (Wilcoxon, 1945)."""
    d = np.arange(1.0, 11) * np.where(np.isin(np.arange(1, 11), [8]), -1, 1)
    assert wilcoxon(d) == pytest.approx(0.0488, abs=5e-5)
    d[0] *= -1
    assert wilcoxon(d) > 0.05


@pytest.mark.parametrize(("n", "p"), [(3, 0.25), (5, 0.0625), (6, 0.03125), (9, 2 / 2**9)])
def test_no_number_of_tasks_shows_more_than_its_least_p(n, p):
    assert wilcoxon(np.arange(1.0, n + 1)) == p


def test_no_difference_at_all_has_p_1():
    assert wilcoxon([0.0, 0.0]) == wilcoxon([]) == 1


def test_what_is_missing_is_refused():
    with pytest.raises(ValueError, match="leave out what is missing"):
        wilcoxon([1.0, math.nan])


@pytest.mark.parametrize(("methods", "tasks"), [(1, 6), (5, 8), (15, 10)])
def test_the_tasks_that_are_needed(methods, tasks):
    """The best that so many tasks can do is below 0.05 after Holm's first step, and one task less is not enough."""
    assert tasks_needed(methods) == tasks
    assert methods * wilcoxon(np.ones(tasks)) < 0.05 <= methods * wilcoxon(np.ones(tasks - 1))


def test_of_equal_methods_one_is_told_apart_in_5_of_100_families_at_most():
    """Four beside none on ten tasks, heavy tails: 300 families, three standard errors beside 0.05."""
    scores = np.random.default_rng(0).standard_t(3, (300, 5, 10))
    wrong = [min(holm([wilcoxon(other - none) for other in others])) < 0.05 for none, *others in scores]
    assert np.mean(wrong) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)
