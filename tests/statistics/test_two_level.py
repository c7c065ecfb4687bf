"""The bootstrap over tasks and seeds: against its own mean and variance in closed form, and simulated tasks."""

import math

import numpy as np
import pytest
from scipy import stats

from bayesreg.statistics import improvements, two_level_bootstrap


def test_of_many_tasks_it_is_as_wide_as_its_variance():
    """V(mean) = [V_tasks(d̄_t)/T + Σ_t V_seeds(d_t)/(n T²)], variances of what is drawn from, divided by T and n."""
    rng = np.random.default_rng(0)
    tasks = rng.normal(0, 1, (40, 1)) + rng.normal(0, 0.5, (40, 6))
    variance = tasks.mean(1).var() / 40 + (tasks.var(1) / 6).sum() / 40**2
    found = two_level_bootstrap(list(tasks), draws=20_000)
    assert found.mean == pytest.approx(tasks.mean())
    t = math.sqrt(40 / 39) * stats.t(39).ppf(0.975)
    assert found.high - found.low == pytest.approx(2 * t * math.sqrt(variance), rel=0.03)


@pytest.mark.parametrize("T", [3, 10])
def test_it_covers_the_mean_over_all_tasks_as_often_as_it_says(T):
    """Tasks differ by 1, seeds by 0.5; three standard errors of a share of 300 are 0.04."""
    rng = np.random.default_rng(1)
    tables = rng.normal(0, 1, (300, T, 1)) + rng.normal(0, 0.5, (300, T, 5))
    found = [two_level_bootstrap(list(table), draws=400) for table in tables]
    assert np.mean([one.low <= 0 <= one.high for one in found]) >= 0.95 - 0.04


def test_one_task_says_nothing_about_others():
    assert two_level_bootstrap([np.array([1.0, 3.0])]) == (2.0, -math.inf, math.inf)


def test_tasks_count_alike_whatever_their_seeds():
    assert two_level_bootstrap([np.zeros(9), np.ones(1)], draws=100).mean == 0.5


@pytest.mark.parametrize("tasks", [[], [np.array([])], [np.array([1.0, math.nan])], [np.array([math.inf])]], ids=str)
def test_what_is_no_number_is_refused(tasks):
    with pytest.raises(ValueError, match="leave out tasks"):
        two_level_bootstrap(tasks)


def test_the_probability_of_improvement_is_mann_whitneys():
    rng = np.random.default_rng(0)
    a, b = rng.integers(5, size=7), rng.integers(5, size=9)
    expected = stats.mannwhitneyu(a, b).statistic / (7 * 9)
    assert improvements(a, b).mean() == pytest.approx(expected)
    assert improvements(a, a).mean() == 0.5


def test_seeds_are_drawn_for_both_methods_alike():
    """A method against itself improves with probability ½ in every draw."""
    pairs = [improvements(a, a) for a in np.random.default_rng(0).normal(size=(3, 6))]
    found = two_level_bootstrap(pairs, draws=200)
    assert tuple(found) == pytest.approx((0.5, 0.5, 0.5))
