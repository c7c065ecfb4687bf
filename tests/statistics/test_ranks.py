"""Profiles and ranks over tasks: against counts by hand and SciPy's."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bayesreg.statistics import holm, profile, ranks


def test_a_profile_counts_the_tasks_within_each_gap():
    scores = pd.DataFrame({"a": [-1.0, -2.0, -3.0, math.nan], "b": [-1.5, -1.0, -math.inf, -2.0]})
    found = profile(scores)
    assert found["gap"].unique().tolist() == [0, 0.5, 1]
    shares = found.pivot(index="gap", columns="method", values="share")
    assert shares["a"].tolist() == [0.5, 0.5, 0.75]  # best on two, 1 behind on the second, missing on the last
    assert shares["b"].tolist() == [0.5, 0.75, 0.75]  # diverged on the third


def test_of_nll_the_gap_is_the_logarithm_of_the_ratio_of_perplexities():
    nll = np.random.default_rng(0).normal(1, 0.5, (6, 3))
    found = profile(pd.DataFrame(-nll, columns=list("abc")))
    ratios = np.exp(nll) / np.exp(nll).min(1, keepdims=True)
    for row in found.itertuples():
        assert row.share == np.mean(ratios[:, "abc".index(row.method)] <= np.exp(row.gap) * (1 + 1e-12))


def test_ranks_and_groups_against_scipy():
    rng = np.random.default_rng(0)
    scores = pd.DataFrame(rng.normal(0, 0.2, (14, 4)) + np.array([0, 0, 1, 1]), columns=list("abcd"))
    found = ranks(scores)
    expected = stats.rankdata(-scores.to_numpy(), axis=1).mean(0)
    assert found.mean.to_dict() == pytest.approx(dict(zip("abcd", expected, strict=True)))
    assert found.mean.is_monotonic_increasing
    pairs = [("a", "b"), ("a", "c"), ("a", "d"), ("b", "c"), ("b", "d"), ("c", "d")]
    p = holm([stats.wilcoxon(scores[x], scores[y], method="exact").pvalue for x, y in pairs])
    for (x, y), value in zip(pairs, p, strict=True):
        assert found.p.loc[x, y] == found.p.loc[y, x] == pytest.approx(value)
    assert [set(group) for group in found.groups] == [{"c", "d"}, {"a", "b"}]


def test_groups_may_overlap():
    steps = pd.DataFrame(np.random.default_rng(0).normal(0, 1, (12, 3)) + np.array([0, 0.6, 1.2]), columns=list("abc"))
    assert ranks(steps).groups == [("c", "b"), ("b", "a")]


def test_what_diverged_is_last_and_two_that_did_are_equal():
    scores = pd.DataFrame({"a": np.zeros(10), "b": [-math.inf] * 10, "c": [-math.inf] * 10})
    found = ranks(scores)
    assert found.mean.tolist() == [1, 2.5, 2.5]
    assert found.p.loc["b", "c"] == 1
    assert found.groups == [("a",), ("b", "c")]


def test_nine_tasks_are_too_few():
    assert ranks(pd.DataFrame(np.zeros((9, 2)))) is None


def test_a_method_without_a_score_is_refused():
    with pytest.raises(ValueError, match="no score of b"):
        ranks(pd.DataFrame({"a": np.zeros(10), "b": [math.nan] * 10}))
