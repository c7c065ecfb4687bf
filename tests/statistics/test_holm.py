"""Holm's step-down, against the closed test that it shortens and Bonferroni's."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesreg.statistics import difference, holm, together

probabilities = st.lists(st.sampled_from([0.0, 0.01, 0.0125, 0.02, 0.025, 0.04, 0.3, 1.0]), min_size=1, max_size=6)
several = settings(max_examples=40, deadline=None)


@several
@given(probabilities)
def test_holm_is_the_closed_test_of_bonferroni(p):
    """Adjusted p_i is the largest of |S| min_{j in S} p_j over every set S of hypotheses that contains i."""
    k = len(p)
    sets = [S for size in range(1, k + 1) for S in itertools.combinations(range(k), size)]
    closed = [max(min(1.0, len(S) * min(p[j] for j in S)) for S in sets if i in S) for i in range(k)]
    assert holm(p) == pytest.approx(closed)


def test_one_alone_is_unchanged_and_none_is_none():
    assert holm([0.04]) == [0.04]
    assert holm([]) == []


def test_one_without_p_counts_and_stays_without():
    assert holm([math.nan, 0.01]) == [pytest.approx(math.nan, nan_ok=True), 0.02]


@pytest.mark.parametrize("p", [[0.5, 1.1], [-0.1], [[0.1]]], ids=str)
def test_no_probability_is_refused(p):
    with pytest.raises(ValueError, match="probabilities"):
        holm(p)


def measured(seed, shift, rope=0.0, n=4):
    d = np.random.default_rng(seed).standard_normal((n, 30)) + shift
    return difference(d, np.zeros_like(d), rope)


@several
@given(st.lists(st.tuples(st.integers(0, 99), st.sampled_from([-0.5, 0.0, 0.3, 0.4])), min_size=1, max_size=5))
def test_better_and_worse_are_said_where_the_adjusted_p_is_small(given_):
    alone = {place: measured(seed, shift, rope=0.05) for place, (seed, shift) in enumerate(given_)}
    both = together(alone)
    assert list(both) == list(alone)
    for adjusted, found in zip(holm([d.p for d in alone.values()]), both.values(), strict=True):
        assert (adjusted < 0.05) == (found.verdict in ("better", "worse"))
        assert (found.verdict == "better") == (found.low > found.rope)


def test_the_levels_are_those_of_the_steps():
    """Of four, two are found: they are judged at α/4 and α/3, the others both at α/2, where the step-down stopped."""
    found = together({name: measured(1, shift) for name, shift in {"c": 0.0, "a": 5.0, "d": 0.01, "b": -4.0}.items()})
    assert {name: d.verdict for name, d in found.items()} == {
        "c": "undecided",
        "a": "better",
        "d": "undecided",
        "b": "worse",
    }
    levels = [1 - found[name].confidence for name in "abcd"]
    assert levels == pytest.approx([0.05 / 4, 0.05 / 3, 0.05 / 2, 0.05 / 2])


def test_one_seed_takes_part_and_is_undecided():
    found = together({"one": measured(0, 9.0, n=1), "more": measured(0, 9.0)})
    assert [d.verdict for d in found.values()] == ["undecided", "better"]
    assert [d.confidence for d in found.values()] == pytest.approx([0.95, 0.975])


def test_of_many_equal_methods_one_is_told_apart_in_5_of_100_families_at_most():
    """As many as five against none, of the same scores of none: 300 families, three standard errors beside it."""
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(300):
        none, *others = rng.standard_t(3, (6, 5, 90)) + rng.standard_t(3, (6, 1, 90))
        found = together(dict(enumerate(difference(scores, none) for scores in others)))
        wrong += any(d.verdict != "undecided" for d in found.values())
    assert wrong <= 300 * (0.05 + 3 * math.sqrt(0.05 * 0.95 / 300))


def test_other_confidences_cannot_be_put_together():
    d = np.random.default_rng(0).standard_normal((3, 4))
    with pytest.raises(ValueError, match=r"0\.9, 0\.95"):
        together({c: difference(d, -d, confidence=c) for c in (0.9, 0.95)})
