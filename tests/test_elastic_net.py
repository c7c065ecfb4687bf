"""The elastic net: its density by quadrature, its draws by their distribution, its MAP by scikit-learn."""

import numpy as np
import pyro
import pytest
import torch
from pyro import poutine
from scipy import integrate, stats
from sklearn.linear_model import ElasticNet
from torch import nn

import bayesreg as br
from bayesreg.priors.elastic_net import ElasticNetVector

SHAPES = [(1.0, 0.5), (0.01, 0.9), (30.0, 0.05), (5.0, 0.999), (1e4, 1e-3)]  # λ, ρ: either factor may be the narrow one


def density(rate, l1_ratio):
    """p(θ) of one number, as the prior has it."""
    made = ElasticNetVector(torch.zeros(1, dtype=torch.float64), rate * l1_ratio, rate * (1 - l1_ratio))
    return lambda theta: made.log_prob(torch.tensor([theta], dtype=torch.float64)).exp().item()


def below(rate, l1_ratio, theta):
    """P(|Θ| ≤ θ), by quadrature of what is to be normalised."""
    q = lambda t: np.exp(-rate * (l1_ratio * t + (1 - l1_ratio) / 2 * t**2))  # noqa: E731
    scale = min(1 / (rate * l1_ratio), (rate * (1 - l1_ratio)) ** -0.5)
    whole = integrate.quad(q, 0, 40 * scale, epsrel=1e-10)[0]
    return np.array([integrate.quad(q, 0, t, epsrel=1e-10)[0] / whole for t in theta])


@pytest.mark.parametrize(("rate", "l1_ratio"), SHAPES)
def test_the_density_integrates_to_one(rate, l1_ratio):
    width = 40 * min(1 / (rate * l1_ratio), (rate * (1 - l1_ratio)) ** -0.5)
    half = integrate.quad(density(rate, l1_ratio), 0, width, epsrel=1e-10)[0]
    assert 2 * half == pytest.approx(1, rel=1e-8)


@pytest.mark.parametrize(("l1_ratio", "same"), [(1e-12, stats.norm(scale=0.5)), (1 - 1e-12, stats.laplace(scale=0.25))])
def test_at_either_end_it_is_l2_or_l1(l1_ratio, same):
    theta = np.array([0.0, 0.1, -0.7, 2.0])
    found = [np.log(density(4.0, l1_ratio)(t)) for t in theta]
    np.testing.assert_allclose(found, same.logpdf(theta), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("rate", "l1_ratio"), SHAPES)
def test_draws_have_that_distribution(rate, l1_ratio):
    prior = br.ElasticNet(rate=rate, l1_ratio=l1_ratio)
    torch.manual_seed(0)
    draws = prior.sample("w", torch.zeros(20_000, dtype=torch.float64))["w"].numpy()
    assert stats.binomtest(int((draws > 0).sum()), len(draws)).pvalue > 1e-3
    some = np.sort(np.abs(draws))[::100]
    empirical = np.searchsorted(np.sort(np.abs(draws)), some, side="right") / len(draws)
    assert np.abs(empirical - below(rate, l1_ratio, some)).max() < 1.95 / np.sqrt(len(draws))  # Kolmogorov: p = 0.001


def test_as_a_pyro_distribution():
    made = ElasticNetVector(torch.zeros(3), 1.0, 2.0)
    with pyro.plate("plate", 5):
        trace = poutine.trace(lambda: pyro.sample("w", made)).get_trace()
    assert trace.nodes["w"]["value"].shape == (5, 3)
    trace.compute_log_prob()
    one_by_one = made.base_dist.log_prob(trace.nodes["w"]["value"]).sum(-1)
    torch.testing.assert_close(trace.nodes["w"]["log_prob"], one_by_one)
    assert made.sample((2, 4)).shape == (2, 4, 3)


@pytest.mark.parametrize(("alpha", "l1_ratio"), [(0.1, 0.5), (0.3, 0.8)])
def test_map_is_the_elastic_net_of_scikit_learn(alpha, l1_ratio):
    """Both minimise ‖r‖²/(2N) + α (ρ‖θ‖₁ + (1−ρ)/2 ‖θ‖²), here with σ = 1; Adam comes near 0, not to it."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 5)) * [1.0, 2.0, 0.5, 1.0, 1.0]
    y = x @ [1.5, -1.0, 0.8, 0.05, 0.0] + 0.7 + 0.5 * rng.normal(size=60)
    peer = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, tol=1e-10, max_iter=10_000).fit(x, y)
    assert 0 < (peer.coef_ == 0).sum() < 5
    torch.manual_seed(1)
    prior = br.ElasticNet.from_strength(alpha, 60, l1_ratio=l1_ratio)
    model = br.Model(nn.Linear(5, 1).double(), prior, br.Gaussian(scale=1.0), size=60)
    data = torch.tensor(x), torch.tensor(y)
    posterior = br.fit(model, data, epochs=1000, batch_size=60, lr=0.05, device="cpu", progress=False)
    theta = posterior.parameters()
    np.testing.assert_allclose(theta["weight"].numpy().ravel(), peer.coef_, atol=1e-3)
    np.testing.assert_allclose(theta["bias"].numpy(), peer.intercept_, atol=1e-3)


@pytest.mark.parametrize("l1_ratio", [0.0, 1.0, 1.5, -0.1, float("nan"), "half"])
def test_a_ratio_that_is_none_is_refused(l1_ratio):
    with pytest.raises(ValueError, match=rf"ElasticNet\(l1_ratio={l1_ratio!r}\).*(must be|for 1 use L1, for 0 L2)"):
        br.ElasticNet(l1_ratio=l1_ratio)
