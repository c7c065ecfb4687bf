"""PSIS-LOO against leaving each example out of a Bayesian linear regression in closed form."""

import warnings

import numpy as np
import pytest
import torch
from matplotlib import pyplot
from scipy import stats
from torch import nn

import bayesreg as br

with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)  # 0.23 announces 1.0
    import arviz

N, NOISE = 16, 0.5
QUIET = {"epochs": 1, "device": "cpu", "progress": False}


def rows(outlier=0.0):
    """Orthogonal columns, so that the mean-field Normal can be the posterior."""
    x = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1]]).T.repeat(N // 4, 0).astype(float)
    y = x @ [0.5, -1.0, 0.2] + NOISE * np.random.default_rng(0).normal(size=N)
    y[0] += outlier
    return x, y


def moments(x, y):
    precision = x.T @ x / NOISE**2 + np.eye(3)
    return np.linalg.solve(precision, x.T @ y) / NOISE**2, np.linalg.inv(precision)


def exact(x, y):
    """The normal guide, put at the posterior."""
    model = br.Model(nn.Linear(3, 1, bias=False).double(), br.L2(scale=1.0), br.Gaussian(scale=NOISE), size=N)
    posterior = br.fit(model, br.Dataset(x, y), guide="normal", **QUIET)
    mean, covariance = moments(x, y)
    with torch.no_grad():
        named = dict(posterior.guide.named_parameters())
        named["locs.weights_unconstrained"].copy_(torch.as_tensor(mean))
        named["scales.weights_unconstrained"].copy_(torch.as_tensor(np.log(np.diag(covariance)) / 2))
    return posterior


def log_predictive(x, y, of_x, of_y):
    """log p(of_y | of_x, data x, y)."""
    mean, S = moments(x, y)
    return stats.norm.logpdf(of_y, of_x @ mean, np.sqrt(NOISE**2 + of_x @ S @ of_x))


def left_out(x, y):
    return sum(log_predictive(np.delete(x, i, 0), np.delete(y, i), x[i], y[i]) for i in range(N))


def test_it_is_leaving_each_example_out():
    """The estimate scatters by 0.02 nats over draws."""
    x, y = rows()
    found = br.loo(exact(x, y), (x, y))
    assert found.elpd == pytest.approx(left_out(x, y), abs=0.1)
    seen = sum(log_predictive(x, y, x[i], y[i]) for i in range(N))
    assert found.p == pytest.approx(seen - left_out(x, y), abs=0.1)
    assert found.k == {"good": N, "bad": 0, "very bad": 0}
    assert "Pareto k̂ of 16 examples: 16 good; the draws are of a guide" in str(found)


def test_an_example_that_decides_is_counted_and_the_words_say_not_to_trust_it():
    x, y = rows(outlier=8.0)
    found = br.loo(exact(x, y), (x, y))
    assert found.k["good"] < N == sum(found.k.values())
    assert "do not trust it: judge by held-out data" in str(found)


def test_arviz_takes_the_same_and_draws_it():
    x, y = rows()
    made = exact(x, y).to_arviz(draws=1000, data=(x, y))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = arviz.loo(made)
        (arviz.plot_ppc if hasattr(arviz, "plot_ppc") else arviz.plot_ppc_dist)(made)
    pyplot.close("all")
    assert float(found["elpd_loo"] if hasattr(found, "elpd_loo") else found.elpd) == pytest.approx(
        left_out(x, y), abs=0.1
    )


@pytest.mark.parametrize(
    ("guide", "number", "said"),
    [
        ("normal", 4, "loo of 12 examples, but the posterior has 16"),
        ("delta", 0, "the guide delta has 1:"),
        ("ensemble:members=2", 0, "the guide ensemble:members=2 has 2:"),
    ],
)
def test_what_has_no_loo_is_refused(guide, number, said):
    x, y = rows()
    model = br.Model(nn.Linear(3, 1).double(), br.L2(), br.Gaussian(scale=NOISE), size=N)
    posterior = br.fit(model, br.Dataset(x, y), guide=guide, **QUIET)
    with pytest.raises(ValueError, match=said):
        br.loo(posterior, (x[number:], y[number:]))
