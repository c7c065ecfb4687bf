"""The distance of two predictive distributions against closed forms and quadrature."""

import byhand
import numpy as np
import pytest
import torch
from scipy import integrate, stats

import bayesreg as br
from bayesreg import agreement as module

N, QUIET = 60, {"epochs": 1, "device": "cpu", "progress": False}


def fitted(likelihood, seed=0, guide="normal", outputs=None, size=N):
    torch.manual_seed(seed)
    case = byhand.LIKELIHOODS[likelihood]
    model = br.Model(byhand.network(outputs or case.outputs), br.L2(), case.likelihood, size=size)
    return br.fit(model, case.data(size), guide=guide, seed=seed, **QUIET), case.data(size)[0]


def normal(mean, sd):
    return torch.distributions.Normal(torch.full((N,), mean), torch.full((N,), sd))


@pytest.mark.parametrize(("shift", "sd"), [(0.5, 1.0), (2.0, 1.0), (1.0, 3.0), (0.0, 1.0)])
def test_total_variation_of_normals_is_that_by_quadrature(shift, sd):
    torch.manual_seed(0)
    found = module._total_variation(normal(0.0, 1.0), normal(shift, sd))
    expected, _ = integrate.quad(
        lambda y: abs(stats.norm.pdf(y) - stats.norm.pdf(y, shift, sd)) / 2, -20, 20, limit=200
    )
    assert float(found.mean()) == pytest.approx(expected, abs=4 * 0.05 / np.sqrt(N))
    assert (shift, sd) == (0.0, 1.0) or expected > 0.1


def test_of_classes_it_is_half_the_sum_of_differences_and_agreement_their_share():
    (one, x), (other, _) = fitted("categorical"), fitted("categorical", seed=1)
    p, q = (posterior.predict(x, draws=256).probs for posterior in (one, other))
    found = br.distance(one, other, x)
    assert found["total_variation"] == pytest.approx(float((p - q).abs().sum(-1).mean() / 2), abs=4 * 0.05 / np.sqrt(N))
    assert found["agreement"] == pytest.approx(float((p.argmax(-1) == q.argmax(-1)).double().mean()))
    assert 0 < found["agreement"] < 1


@pytest.mark.parametrize("likelihood", byhand.LIKELIHOODS)
def test_a_posterior_is_at_no_distance_from_itself_and_at_one_from_another(likelihood):
    one, x = fitted(likelihood)
    same = br.distance(one, one, x, draws=4)
    assert same["total_variation"] == 0
    assert same.get("agreement", 1.0) == 1
    apart = br.distance(one, fitted(likelihood, seed=1)[0], x, draws=4)
    assert 0 < apart["total_variation"] <= 1
    assert apart == br.distance(one, fitted(likelihood, seed=1)[0], x, draws=4)


def test_a_sure_prediction_elsewhere_is_at_distance_one():
    assert module._total_variation(normal(0.0, 0.1), normal(50.0, 0.1)).tolist() == [1.0] * N


def test_what_predicts_another_thing_is_refused():
    one, x = fitted("categorical")
    with pytest.raises(ValueError, match=r"predict different things: Categorical\(\) of shape \[60, 4\], and Gaussian"):
        br.distance(one, fitted("gaussian_fixed")[0], x)
