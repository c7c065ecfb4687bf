"""What so many seeds and examples can show: against simulation and the t test."""

import numpy as np
import pytest
from scipy import stats

from bayesreg.metrics import METRICS
from bayesreg.statistics import Components, detectable, difference, expected, foresee, seeds_needed, shows

BOTH = Components(0.2**2, 1.0, 0.5**2)


def test_a_difference_of_that_size_is_found_as_often_as_promised():
    n, m, rope = 6, 100, 0.1
    size = detectable(n, m, BOTH, power=0.8, rope=rope)
    rng = np.random.default_rng(0)
    shapes = [(1000, n, 1), (1000, 1, m), (1000, n, m)]
    A, B, E = (v**0.5 * rng.standard_normal(shape) for v, shape in zip(BOTH, shapes, strict=True))
    found = [difference(d, np.zeros((n, m)), rope).verdict == "better" for d in size + A + B + E]
    assert np.mean(found) == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("power", [0.5, 0.8, 0.99])
@pytest.mark.parametrize("confidence", [0.95, 0.995])
def test_by_seed_alone_it_is_the_power_of_the_t_test(power, confidence):
    n, sd = 7, 0.3
    size = detectable(n, 50, Components(sd**2, 0.0, 0.0), power, confidence=confidence)
    critical = stats.t(n - 1).ppf((1 + confidence) / 2)
    assert stats.nct(n - 1, size * n**0.5 / sd).sf(critical) == pytest.approx(power, abs=1e-6)


def test_more_seeds_examples_or_less_power_show_less():
    sizes = [detectable(n, 200, BOTH) for n in (2, 3, 5, 8, 50)]
    assert sizes == sorted(sizes, reverse=True)
    sizes = [detectable(5, m, BOTH) for m in (20, 90, 300, 1000)]
    assert sizes == sorted(sizes, reverse=True)
    sizes = [detectable(5, 90, BOTH, power) for power in (0.5, 0.8, 0.9, 0.99)]
    assert sizes == sorted(sizes)


def test_components_come_from_a_pilot():
    rng = np.random.default_rng(0)
    d = rng.normal(0, 0.2, (200, 1)) + rng.normal(0, 1.0, (1, 500)) + rng.normal(0, 0.5, (200, 500))
    assert tuple(difference(d, np.zeros_like(d)).components) == pytest.approx(tuple(BOTH), rel=0.2)


@pytest.mark.parametrize("size", [0.32, 0.4, -0.4, 1.0])
def test_the_seeds_needed_are_the_fewest(size):
    n = seeds_needed(size, 100, BOTH)
    assert detectable(n, 100, BOTH) <= abs(size)
    assert n == 2 or detectable(n - 1, 100, BOTH) > abs(size)


def test_where_examples_are_too_few_no_seeds_suffice():
    assert seeds_needed(0.2, 100, BOTH) is None
    assert seeds_needed(0.2, 1000, BOTH) < 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((1, 90, BOTH), "1 seeds"), ((5, 1, BOTH), "1 examples"), ((5, 90, BOTH, 1.0), "power=1.0")],
)
def test_what_has_no_power_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        detectable(*arguments)


def test_a_difference_says_what_its_seeds_and_examples_could_show():
    rng = np.random.default_rng(0)
    d = 0.2 + rng.normal(0, 0.2, (6, 1)) + rng.normal(0, 1, (1, 100)) + rng.normal(0, 0.5, (6, 100))
    found = difference(d, np.zeros_like(d), rope=0.05, confidence=0.99)
    least, needed = shows(found)
    assert least == detectable(6, 100, found.components, rope=0.05, confidence=0.99)
    assert needed == seeds_needed(found.mean, 100, found.components, rope=0.05, confidence=0.99)


@pytest.mark.parametrize("metric", [name for name, metric in METRICS.items() if metric.spread])
def test_before_any_run_the_typical_spread_tells(metric):
    """The smallest difference is found with the stated number of seeds, and not with half of them."""
    least, _ = foresee(8, 1000, methods=5, metric=metric)
    rope, known = METRICS[metric].rope, expected(metric)
    assert seeds_needed(least * (1 + 1e-9), 1000, known, rope=rope, confidence=0.99) == 8
    sizes = [foresee(n, 1000, methods=5, metric=metric)[0] for n in (2, 4, 8)]
    assert sizes == sorted(sizes, reverse=True)
    assert foresee(8, 1000, methods=1, metric=metric)[0] < least  # of fewer methods more is shown


def test_a_pilot_tells_better_than_what_is_typical():
    least, seeds = foresee(4, 500, methods=1, components=Components(0.01**2, 0.0, 0.0))
    assert seeds == seeds_needed(0.02, 500, Components(0.01**2, 0.0, 0.0), rope=0.01)
    assert least == detectable(4, 500, Components(0.01**2, 0.0, 0.0), rope=0.01)
    assert foresee(4, 500, methods=1)[1] is None  # rows differ by 0.5 nats: 500 of them never show 0.02


def test_errors_in_the_unit_of_y_have_no_typical_spread():
    with pytest.raises(ValueError, match="mse has no typical spread"):
        expected("mse")
