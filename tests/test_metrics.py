"""Against scikit-learn, a brute force in numpy, and closed forms."""

import math

import numpy as np
import pytest
import sklearn.metrics as sk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Bernoulli, Categorical, Independent, Normal

from bayesreg.metrics import (
    METRICS,
    accuracy,
    brier,
    brier_scores,
    correct,
    coverage,
    coverage_error,
    ece,
    macro_f1,
    mse,
    nll,
    r2,
    rmse,
    squared_errors,
    surprisals,
)
from bayesreg.metrics.classes import macro_f1_scores
from bayesreg.metrics.numbers import r2_scores, rmse_scores

CLASSIFICATION = (accuracy, macro_f1, brier, ece)
REGRESSION = (mse, rmse, r2)


def draw(seed, n, C, sharp=1.0):
    generator = torch.Generator().manual_seed(seed)
    logits = sharp * torch.randn(n, C, generator=generator, dtype=torch.float64)
    return logits.softmax(-1), torch.randint(C, (n,), generator=generator)


cases = given(st.integers(0, 2**32), st.integers(1, 60), st.integers(2, 6), st.sampled_from([0.1, 1.0, 10.0]))


def brute_ece(probs, y, bins):
    """Bin by bin, example by example."""
    total = 0.0
    for b in range(bins):
        inside = [i for i, p in enumerate(probs) if b / bins < p.max() <= (b + 1) / bins]
        if inside:
            right = np.mean([np.argmax(probs[i]) == y[i] for i in inside])
            total += len(inside) / len(y) * abs(right - np.mean([probs[i].max() for i in inside]))
    return total


@settings(max_examples=60, deadline=None)
@cases
def test_classification_against_scikit_learn(seed, n, C, sharp):
    probs, y = draw(seed, n, C, sharp)
    top = probs.argmax(-1)
    assert accuracy(probs, y) == pytest.approx(sk.accuracy_score(y, top))
    assert macro_f1(probs, y) == pytest.approx(sk.f1_score(y, top, average="macro", zero_division=0))
    assert nll(Categorical(probs), y) == pytest.approx(sk.log_loss(y, probs, labels=range(C)))
    assert brier(probs, y) == pytest.approx(float(((probs.numpy() - np.eye(C)[y]) ** 2).sum(1).mean()))


@settings(max_examples=60, deadline=None)
@cases
def test_ece_against_a_brute_force(seed, n, C, sharp):
    probs, y = draw(seed, n, C, sharp)
    for bins in (1, 7, 15):
        assert ece(probs, y, bins) == pytest.approx(brute_ece(probs.numpy(), y.numpy(), bins), abs=1e-12)
    assert ece(probs, y) == ece(probs, y, 15)


def test_ece_bins_are_closed_above():
    probs = torch.tensor([[0.6, 0.4], [0.8, 0.2], [1.0, 0.0]], dtype=torch.float64)
    assert ece(probs, torch.tensor([0, 1, 0]), bins=5) == pytest.approx((0.4 + 0.8 + 0.0) / 3)
    assert ece(probs, torch.tensor([0, 1, 0]), bins=1) == pytest.approx(abs(2 / 3 - 0.8))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=40))
def test_one_probability_is_two_classes(pairs):
    p, y = torch.tensor([p for p, _ in pairs], dtype=torch.float64), torch.tensor([y for _, y in pairs])
    both = torch.stack([1 - p, p], -1)
    for metric in CLASSIFICATION:
        assert metric(p, y) == metric(p[:, None], y) == metric(both, y) == metric(p, y.float())
    assert brier(p, y) == pytest.approx(2 * sk.brier_score_loss(y, p, pos_label=1))


@settings(max_examples=40, deadline=None)
@cases
def test_ranges_and_permutations(seed, n, C, sharp):
    probs, y = draw(seed, n, C, sharp)
    order, relabel = torch.randperm(n), torch.randperm(C)
    for metric in CLASSIFICATION:
        value = metric(probs, y)
        assert isinstance(value, float)
        assert 0 <= value <= (2 if metric is brier else 1)
        assert metric(probs[order], y[order]) == pytest.approx(value)
        assert metric(probs[:, relabel], relabel.argsort()[y]) == pytest.approx(value)


def test_certain_predictions():
    y = torch.tensor([0, 2, 1, 2])
    right, wrong = torch.eye(3)[y], torch.eye(3)[(y + 1) % 3]
    assert [metric(right, y) for metric in CLASSIFICATION] == [1.0, 1.0, 0.0, 0.0]
    assert [metric(wrong, y) for metric in CLASSIFICATION] == [0.0, 0.0, 2.0, 1.0]


def test_macro_f1_counts_the_classes_that_occur():
    probs = torch.eye(5)[torch.tensor([0, 0, 3])]
    # Class 0: F1 = 2/3; class 1: 0, in y alone; class 3: 1; classes 2 and 4 do not occur.
    assert macro_f1(probs, torch.tensor([0, 1, 3])) == pytest.approx((2 / 3 + 0 + 1) / 3)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 40), st.integers(0, 3))
def test_regression_against_scikit_learn(seed, n, outputs):
    generator = torch.Generator().manual_seed(seed)
    shape = (n, outputs) if outputs else (n,)
    y = torch.randn(shape, generator=generator, dtype=torch.float64)
    mean = y + torch.randn(shape, generator=generator, dtype=torch.float64)
    assert mse(mean, y) == pytest.approx(sk.mean_squared_error(y, mean))
    assert rmse(mean, y) == pytest.approx(math.sqrt(sk.mean_squared_error(y, mean)))
    assert r2(mean, y) == pytest.approx(sk.r2_score(y, mean))
    assert all(isinstance(metric(mean, y), float) for metric in REGRESSION)


@pytest.mark.parametrize("mean", [[[1.0, 2.0], [1.0, 4.0]], [[1.5, 2.0], [1.0, 3.0]]])
def test_r2_of_an_output_that_does_not_vary(mean):
    y = torch.tensor([[1.0, 2.0], [1.0, 4.0]])
    assert r2(torch.tensor(mean), y) == pytest.approx(sk.r2_score(y, torch.tensor(mean)))


def test_r2_of_a_constant_far_from_zero():
    y = torch.full((3,), 0.1)
    assert r2(y.clone(), y) == 1.0
    assert r2(y + 1, y) == 0.0


def test_r2_closed_forms():
    y = torch.tensor([1.0, 2.0, 3.0, 6.0])
    assert r2(y, y) == 1.0
    assert r2(torch.full((4,), 3.0), y) == pytest.approx(0.0)
    assert r2(-y, y) < 0


def test_nll_closed_forms():
    y = torch.tensor([0.5, -1.0, 2.0])
    normal = Normal(torch.zeros(3), 2.0)
    expected = float((y.square() / 8).mean()) + math.log(2 * math.sqrt(2 * math.pi))
    assert nll(normal, y) == pytest.approx(expected, rel=1e-6)
    # A datum of two independent outputs counts their sum, whether they are an event or not.
    Y = torch.stack([y, y], -1)
    pair = Normal(torch.zeros(3, 2), 2.0)
    assert nll(pair, Y) == nll(Independent(pair, 1), Y) == pytest.approx(2 * expected, rel=1e-6)
    assert nll(Categorical(logits=torch.zeros(4, 10)), torch.arange(4)) == pytest.approx(math.log(10), rel=1e-6)
    assert nll(Bernoulli(torch.full((2,), 0.25)), torch.tensor([1.0, 0.0])) == pytest.approx(
        -(math.log(0.25) + math.log(0.75)) / 2, rel=1e-6
    )


@pytest.mark.parametrize("metric", REGRESSION)
@pytest.mark.parametrize(("a", "b"), [((3,), (3, 1)), ((3, 1), (3,)), ((3,), (4,)), ((3, 2), (3, 1)), ((), ())])
def test_regression_refuses_shapes_that_would_broadcast(metric, a, b):
    with pytest.raises(ValueError, match=r"mean .* and y ") as error:
        metric(torch.zeros(a), torch.zeros(b))
    assert str(list(a)) in str(error.value)
    assert str(list(b)) in str(error.value)


@pytest.mark.parametrize("metric", CLASSIFICATION)
@pytest.mark.parametrize(
    ("a", "b"), [((3, 2), (4,)), ((3, 2), (3, 1)), ((3,), (3, 1)), ((3,), (1,)), ((3, 2, 2), (3,))]
)
def test_classification_refuses_shapes_that_would_broadcast(metric, a, b):
    with pytest.raises(ValueError, match=r"probs .* and y ") as error:
        metric(torch.full(a, 0.5), torch.zeros(b, dtype=torch.long))
    assert str(list(a)) in str(error.value)
    assert str(list(b)) in str(error.value)


@pytest.mark.parametrize("shape", [(3, 1), (1,), (4,), ()])
def test_nll_refuses_shapes_that_would_broadcast(shape):
    with pytest.raises(ValueError, match=r"\[3\]"):
        nll(Normal(torch.zeros(3), 1.0), torch.zeros(shape))
    with pytest.raises(ValueError, match="must be equal"):
        nll(Normal(0.0, 1.0), torch.zeros(3))


@pytest.mark.parametrize("metric", CLASSIFICATION)
def test_classification_refuses_what_are_no_probabilities_and_no_labels(metric):
    y = torch.tensor([0, 1])
    for probs in (
        torch.tensor([[2.0, -1.0], [0.5, 0.5]]),
        torch.full((2, 2), 0.7),
        torch.full((2, 2), math.nan),
    ):
        with pytest.raises(ValueError, match="probabilities"):
            metric(probs, y)
    for labels in (torch.tensor([0, 2]), torch.tensor([-1, 0]), torch.tensor([0.5, 1.0])):
        with pytest.raises(ValueError, match="from 0 to 1"):
            metric(torch.full((2, 2), 0.5), labels)


def test_nothing_to_judge_is_an_error():
    for metric in (*REGRESSION[:2], r2):
        with pytest.raises(ValueError, match="no examples"):
            metric(torch.zeros(0), torch.zeros(0))
    for metric in CLASSIFICATION:
        with pytest.raises(ValueError, match="no examples"):
            metric(torch.zeros(0, 2), torch.zeros(0, dtype=torch.long))
    with pytest.raises(ValueError, match="no examples"):
        nll(Normal(torch.zeros(0), 1.0), torch.zeros(0))
    with pytest.raises(ValueError, match="at least two"):
        r2(torch.zeros(1), torch.zeros(1))
    with pytest.raises(ValueError, match="bins=0"):
        ece(torch.full((2, 2), 0.5), torch.zeros(2, dtype=torch.long), bins=0)


def test_half_precision_and_gradients_do_not_matter():
    probs, y = draw(0, 50, 4)
    assert accuracy(probs.bfloat16().requires_grad_(), y) == pytest.approx(accuracy(probs, y), abs=0.1)
    mean = torch.ones(2, requires_grad=True)  # pytest makes errors of torch's warnings
    assert mse(mean, torch.zeros(2)) == r2(mean, torch.tensor([0.0, 2.0])) + 1 == 1.0
    assert nll(Normal(mean, 1.0), torch.ones(2)) == pytest.approx(math.log(2 * math.pi) / 2)


def test_every_metric_has_its_name():
    assert list(METRICS) == ["accuracy", "macro_f1", "nll", "brier", "ece", "mse", "rmse", "r2", "coverage_error"]
    assert METRICS["ece"].function is ece


def arguments(seed, n, C=3, sharp=1.0):
    """What each metric takes, by its name."""
    probs, y = draw(seed, n, C, sharp)
    generator = torch.Generator().manual_seed(seed)
    mean, target = torch.randn(2, n, 2, generator=generator, dtype=torch.float64)
    of = {"nll": (Categorical(probs), y), "coverage_error": (Normal(mean, 1.3).cdf(target),)}
    return {name: of.get(name, (mean, target) if name in ("mse", "rmse", "r2") else (probs, y)) for name in METRICS}


def repeated(times, arguments):
    """The same examples, each as often as it says."""
    take = lambda v: Categorical(v.probs.repeat_interleave(times, 0)) if isinstance(v, Categorical) else v  # noqa: E731
    return [v.repeat_interleave(times, 0) if isinstance(v, torch.Tensor) else take(v) for v in arguments]


@pytest.mark.parametrize("name", METRICS)
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 60), st.integers(2, 6), st.sampled_from([0.1, 1.0, 10.0]))
def test_a_metric_is_the_mean_of_what_examples_contribute_whatever_their_order(name, seed, n, C, sharp):
    metric, own = METRICS[name], arguments(seed, n, C, sharp)[name]
    values = metric.by_example(*own)
    assert (values.shape, values.dtype) == ((n,), torch.float64)
    assert float(values.mean()) == pytest.approx(metric(*own), rel=1e-9, abs=1e-12)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    shuffled = [v[order] if isinstance(v, torch.Tensor) else Categorical(v.probs[order]) for v in own]
    torch.testing.assert_close(metric.by_example(*shuffled), values[order])


@pytest.mark.parametrize("name", METRICS)
def test_what_an_example_contributes_is_the_slope_of_the_metric_in_its_weight(name):
    """T + n ∂T/∂w_i, where the weights sum to 1; by differences: all examples K times, and one of them once more."""
    metric, own, n, K = METRICS[name], arguments(3, 12)[name], 12, 4_000
    contributed, T = metric.by_example(*own), metric(*own)
    for i in range(0, n, 5):
        times = torch.full((n,), K).index_add_(0, torch.tensor([i]), torch.tensor([1]))
        slope = (metric(*repeated(times, own)) - T) * (K * n + 1)
        assert float(contributed[i]) == pytest.approx(T + slope, abs=1e-2 * (1 + abs(slope)))


@pytest.mark.parametrize("name", ["r2", "rmse", "macro_f1", "coverage_error"])
def test_the_contributions_vary_as_the_metric_does_over_test_sets(name):
    """The standard deviation over 200 test sets of 200 examples, within three of its own standard errors and bias."""
    found = [
        (METRICS[name](*own), METRICS[name].by_example(*own)) for own in (arguments(k, 200)[name] for k in range(400))
    ]
    sd = np.std([value for value, _ in found])
    assert np.mean([float(each.std()) / 200**0.5 for _, each in found]) == pytest.approx(sd, rel=0.15)


def test_contributions_worked_out_by_hand():
    """Class 0 has D = 2 TP + FP + FN = 3 and F1 = 2/3, class 1 D = 1 and F1 = 0: macro F1 is 1/3."""
    probs, y = torch.eye(2, dtype=torch.float64)[[0, 0]], torch.tensor([0, 1])
    assert macro_f1_scores(probs, y).tolist() == pytest.approx(
        [1 / 3 + 2 * (2 - 4 / 3) / 3 / 2, 1 / 3 - 2 * (2 / 3) / 3 / 2]
    )
    mean, target = torch.tensor([0.0, 0.0]), torch.tensor([1.0, -3.0])  # errors 1 and 9, T = 8, r2 = −1/4
    assert r2_scores(mean, target).tolist() == pytest.approx([-0.25 - (1 - 5) / 4, -0.25 - (9 - 5) / 4])
    assert rmse_scores(mean, target).tolist() == pytest.approx([(5**0.5 + k / 5**0.5) / 2 for k in (1, 9)])
    exact = torch.zeros(3)
    assert rmse_scores(exact, exact).tolist() == [0, 0, 0]
    assert r2_scores(exact, exact).tolist() == [1, 1, 1]


def test_coverage_of_the_central_interval():
    """Of a normal, 90 % lie within 1.645 standard deviations; both outputs of an example count half."""
    pit = Normal(0.0, 1.0).cdf(torch.tensor([[0.0, 1.64], [1.65, -1.64], [-1.65, 9.0]]))
    assert coverage(pit).tolist() == [1, 0.5, 0]
    assert coverage_error(pit) == pytest.approx(0.4)
    assert coverage_error(torch.linspace(0, 1, 1001)) == pytest.approx(0, abs=1e-3)
    with pytest.raises(ValueError, match="no examples"):
        coverage(torch.zeros(0))


def test_by_example_worked_out_by_hand():
    probs = torch.tensor([[0.75, 0.25], [0.75, 0.25]], dtype=torch.float64)
    y = torch.tensor([0, 1])
    assert correct(probs, y).tolist() == [1, 0]
    assert brier_scores(probs, y).tolist() == [2 * 0.25**2, 2 * 0.75**2]
    assert surprisals(Categorical(probs), y).tolist() == pytest.approx([-math.log(0.75), -math.log(0.25)])
    assert squared_errors(probs, torch.zeros(2, 2)).tolist() == [(0.75**2 + 0.25**2) / 2] * 2


def test_regions_of_practical_equivalence_are_in_the_unit_of_the_metric():
    """Errors in units of y have none of their own: a share of what is compared with."""
    assert {name for name, metric in METRICS.items() if metric.relative} == {"mse", "rmse"}
    assert all(0 < metric.rope <= 0.01 for metric in METRICS.values())
    assert METRICS["nll"].equivalent(-7.0) == 0.01
    assert METRICS["mse"].equivalent(-7.0) == pytest.approx(0.07)


def test_each_metric_says_whether_more_is_better():
    probs, y = draw(0, 50, 3)
    sure, unsure = torch.eye(3, dtype=torch.float64)[y], probs
    better = {"nll": (nll(Categorical(0.9 * sure + 0.1 / 3), y), nll(Categorical(probs), y))}
    better |= {f.__name__: (f(sure, y), f(unsure, y)) for f in CLASSIFICATION}
    better |= {f.__name__: (f(y.double(), y.double()), f(y + 0.5, y.double())) for f in REGRESSION}
    better["coverage_error"] = (coverage_error(torch.linspace(0, 1, 50)), coverage_error(torch.zeros(3)))
    assert set(better) == set(METRICS)
    for name, (good, bad) in better.items():
        assert METRICS[name].beats(good, bad)
        assert not METRICS[name].beats(bad, good)
        assert not METRICS[name].beats(good, good)
