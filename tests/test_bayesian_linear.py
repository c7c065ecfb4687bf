"""Bayesian linear regression, whose posterior is known: the normal guide and NUTS against closed forms.

y = X θ + ε, ε ~ Normal(0, σ²), θ_j ~ Normal(0, s²) for the weights, flat for the bias: the posterior is
Normal(μ, Λ⁻¹), Λ = XᵀX/σ² + diag(1/s², …, 1/s², 0), μ = Λ⁻¹Xᵀy/σ², where X has a column of ones for the bias.
The best mean-field Normal has means μ and variances 1/Λ_jj (Bishop, Pattern Recognition, 10.1.2).
"""

import numpy as np
import pyro
import pytest
import torch
from pyro.infer import MCMC, NUTS
from torch import nn

import bayesreg as br

N, NOISE, SCALE = 40, 0.5, 0.8
DRAWS = 300


@pytest.fixture(scope="module")
def data():
    """Correlated inputs, so that the variances 1/Λ_jj are not those of the posterior, (Λ⁻¹)_jj."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 3)) @ [[1.0, 0.8, 0.0], [0.0, 0.6, 0.3], [0.0, 0.0, 1.0]]
    y = x @ [1.0, -0.5, 0.3] + 0.4 + NOISE * rng.normal(size=N)
    return br.Dataset(torch.tensor(x), torch.tensor(y))


@pytest.fixture(scope="module")
def closed_form(data):
    X = np.column_stack([data.x.numpy(), np.ones(N)])
    precision = X.T @ X / NOISE**2 + np.diag([SCALE**-2] * 3 + [0.0])
    return np.linalg.solve(precision, X.T @ data.y.numpy()) / NOISE**2, precision


def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Linear(3, 1).double()
    return br.Model(net, br.L2(scale=SCALE), br.Gaussian(scale=NOISE), size=N)


def vector(named):
    return torch.cat([named["weight"].flatten(-2), named["bias"]], -1).numpy()


@pytest.fixture(scope="module")
def variational(data):
    options = {"epochs": 4000, "batch_size": N, "lr": 0.005, "device": "cpu", "progress": False}
    return br.fit(model(), data, guide="normal", **options)


def test_normal_guide_has_the_means(variational, closed_form):
    """One draw a step: over seeds the ends scatter by 0.03 of a deviation. Five times that is allowed."""
    mean, precision = closed_form
    deviation = np.diagonal(precision) ** -0.5
    np.testing.assert_array_less(np.abs(vector(variational.parameters()) - mean), 0.15 * deviation)


def test_normal_guide_has_the_mean_field_variances(variational, closed_form):
    """Over seeds the ends scatter by 3 to 4 % of the variance."""
    _, precision = closed_form
    with pyro.settings.context(module_local_params=True):
        scales = variational.guide.scales
        found = torch.cat([scales.weights, scales.flat]).detach().numpy() ** 2
    expected = 1 / np.diagonal(precision)
    np.testing.assert_allclose(found, expected, rtol=0.15)
    marginal = np.diagonal(np.linalg.inv(precision))
    assert marginal[1] > 1.5 * expected[1]  # so that the two can be told apart


def test_draws_of_the_normal_guide_have_its_moments(variational, closed_form):
    mean, precision = closed_form
    draws = vector(variational.draws(4000))
    assert draws.shape == (4000, 4)
    deviation = np.diagonal(precision) ** -0.5
    np.testing.assert_array_less(np.abs(draws.mean(0) - mean), (0.15 + 5 / 4000**0.5) * deviation)
    np.testing.assert_allclose(draws.std(0), deviation, rtol=0.075 + 5 / 8000**0.5)
    off = np.corrcoef(draws.T) - np.eye(4)
    assert np.abs(off).max() < 5 / 4000**0.5


def test_loss_of_the_normal_guide_is_the_elbo(variational, data, closed_form):
    """−ELBO of the best mean-field Normal is −log evidence + KL = … − ½ log |Λ| + ½ Σ log Λ_jj, by hand.

    The mean over the last epochs: a draw's spread is that of a χ² of 4, over N.
    """
    mean, precision = closed_form
    X, y = np.column_stack([data.x.numpy(), np.ones(N)]), data.y.numpy()
    variances = 1 / np.diagonal(precision)
    residual = ((y - X @ mean) ** 2).sum() + (X**2 * variances).sum()
    likelihood = residual / (2 * NOISE**2) + N / 2 * np.log(2 * np.pi * NOISE**2)
    squares = (mean[:3] ** 2 + variances[:3]).sum()
    prior = squares / (2 * SCALE**2) + 1.5 * np.log(2 * np.pi * SCALE**2)
    entropy = 0.5 * np.log(2 * np.pi * np.e * variances).sum()
    losses = variational.history["loss"].to_numpy()[-500:] * N
    error = losses.std() / 500**0.5
    assert error < 0.2
    assert losses.mean() == pytest.approx(likelihood + prior - entropy, abs=5 * error)


def nuts(model, data, seed=0, warmup=200, draws=DRAWS):
    pyro.clear_param_store()
    with torch.random.fork_rng():
        pyro.set_rng_seed(seed)
        mcmc = MCMC(NUTS(model), num_samples=draws, warmup_steps=warmup, disable_progbar=True)
        mcmc.run(data.x, data.y)
    return mcmc


def test_nuts_has_the_posterior(data, closed_form):
    """Means within 5 Monte Carlo errors, by Pyro's own effective sample sizes; the covariance too."""
    mean, precision = closed_form
    covariance = np.linalg.inv(precision)
    mcmc = nuts(model(), data)
    named = model().unpack(mcmc.get_samples())
    draws = vector(named)
    assert draws.shape == (DRAWS, 4)
    deviation = np.diagonal(covariance) ** 0.5
    sizes = torch.cat([mcmc.diagnostics()[site]["n_eff"] for site in ("weights", "flat")]).numpy()
    sizes = np.minimum(sizes, DRAWS)
    assert sizes.min() > 50
    np.testing.assert_array_less(np.abs(draws.mean(0) - mean), 5 * deviation / sizes**0.5)
    whitened = (draws - mean) @ np.linalg.cholesky(precision)
    found = whitened.T @ whitened / DRAWS  # the identity, but for errors of √(2/n)
    np.testing.assert_allclose(found, np.eye(4), atol=5 * (2 / sizes.min()) ** 0.5)


def test_nuts_leaves_the_model_as_it_is(data):
    built = model()
    before = {name: value.clone() for name, value in built.state_dict().items()}
    nuts(built, data, warmup=5, draws=5)
    assert all(torch.equal(value, before[name]) for name, value in built.state_dict().items())
