"""What can move of the loss: mean NLL + strength × penalty, by the closed forms, without the densities' constants."""

import math

import byhand
import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import gammaln, log_softmax

import bayesreg as br

N = 12
CASE = byhand.LIKELIHOODS["categorical"]
WEIGHTS = ("0.weight", "2.weight")
EXACT = {"fraction": 1.0, "every": 1, "coordinates": 256}


def square(t, names=WEIGHTS):
    return sum((t[name] ** 2).sum() for name in names)


def absolute(t, names=WEIGHTS):
    return sum(np.abs(t[name]).sum() for name in names)


def ard(t, a, b):
    """−Σ [½ log α − ½ α θ² + (a−1) log α − b α]."""
    pairs = [(t[f"precision.{name}"], t[name]) for name in WEIGHTS]
    return -sum((0.5 * np.log(A) - 0.5 * A * T**2 + (a - 1) * np.log(A) - b * A).sum() for A, T in pairs)


def log_gamma(a, b, n):
    """Of one prior: what is constant in log Gamma(α | a, b) + log Normal(θ | 0, α^−½), n times."""
    return n * (a * math.log(b) - gammaln(a) - 0.5 * math.log(2 * math.pi))


n = 3 * 4 + 4 * 4  # weights
# name: (the prior, strength × penalty by hand at θ with mean entropy H and mean curvature d, its constant in nats)
PENALTIES = {
    "none": (br.Flat(), lambda t, H, d: 0.0, 0.0),
    "l1": (br.L1.from_strength(0.03, N), lambda t, H, d: 0.03 * absolute(t), n * stats.laplace.logpdf(0, 0, 1 / 0.36)),
    "l2": (br.L2.from_strength(0.03, N), lambda t, H, d: 0.03 * square(t) / 2, n * stats.norm.logpdf(0, 0, 0.36**-0.5)),
    "elastic_net": (
        br.ElasticNet.from_strength(0.03, N, l1_ratio=0.2),
        lambda t, H, d: 0.03 * (0.2 * absolute(t) + 0.4 * square(t)),
        n * byhand.log_elastic_net(0.0, 0.2 * 0.03 * N, 0.8 * 0.03 * N),
    ),
    "ard": (br.ARD(), lambda t, H, d: ard(t, 1.0, 1.0) / N, log_gamma(1.0, 1.0, n)),
    "ard tempered": (
        br.ARD.from_strength(0.03, N, a=2.5, b=0.5),
        lambda t, H, d: 0.03 * ard(t, 2.5, 0.5),
        N * 0.03 * log_gamma(2.5, 0.5, n),
    ),
    "entropic": (br.Entropic(0.2), lambda t, H, d: -0.2 * H, 0.0),
    "smoothness": (br.Smoothness(0.05, **EXACT), lambda t, H, d: 0.05 * d / 2, 0.0),
    "a sum": (
        br.L2(scale=0.4, on="0.*") + br.L1(scale=0.3, on="2.weight") + br.Entropic(0.2) + br.Entropic(0.3),
        lambda t, H, d: (
            square(t, ["0.weight", "0.bias"]) / (2 * 0.4**2 * N) + absolute(t, ["2.weight"]) / (0.3 * N) - 0.5 * H
        ),
        16 * stats.norm.logpdf(0, 0, 0.4) + 16 * stats.laplace.logpdf(0, 0, 0.3),
    ),
}


def fit(prior, guide="delta", **options):
    x, y = CASE.data(N)
    model = br.Model(byhand.network(4), prior, br.Categorical(), size=N)
    options = {"epochs": 1, "batch_size": N, "lr": 0.05, "device": "cpu", "progress": False} | options
    return model, br.fit(model, (x, y), guide=guide, **options)


@pytest.mark.parametrize("name", PENALTIES)
def test_nll_and_penalty_are_the_closed_forms(name):
    """With one batch an epoch the first row is at the network's own weights."""
    prior, penalty, _ = PENALTIES[name]
    model, posterior = fit(prior)
    theta = {name: value.numpy() for name, value in model.unpack(model.initial()).items()}
    x, y = CASE.data(N)
    f, d = byhand.forward(theta, x.numpy())
    row = posterior.history.iloc[0]
    assert row["nll"] == pytest.approx(-log_softmax(f, axis=1)[np.arange(N), y].mean(), rel=1e-10)
    assert row["penalty"] == pytest.approx(penalty(theta, CASE.entropy(f, None).mean(), d.mean()), rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("guide", ["delta", "normal"])
@pytest.mark.parametrize("name", PENALTIES)
def test_the_rest_of_the_loss_is_the_constant_of_the_densities(name, guide):
    prior, _, constant = PENALTIES[name]
    history = fit(prior, guide, epochs=3)[1].history
    rest = history["loss"] - history["nll"] - history["penalty"]
    if guide != "delta":
        rest -= history["loss_guide"]
    np.testing.assert_allclose(rest, -constant / N, rtol=1e-9, atol=1e-12)


def test_latents_of_each_example_are_no_penalty():
    """Their density belongs to the data, not to the prior of θ."""
    net = br.nets.vae(3, latent=2, hidden=4)
    model = br.Model(net, br.L2(), br.Gaussian(scale=1.0), size=N)
    x = torch.randn(N, 3)
    posterior = br.fit(model, (x, x), epochs=1, batch_size=N, device="cpu", progress=False)
    expected = sum((p.detach() ** 2).sum() for p in net.parameters() if p.dim() >= 2) / (2 * N)
    assert posterior.history["penalty"][0] == pytest.approx(expected.item(), rel=1e-5)


def test_a_prior_of_ones_own_needs_no_constant():
    class Student(br.WeightPrior):
        def __init__(self):
            self.on = "weights"

        def sample(self, site, initial):
            import pyro

            student = pyro.distributions.StudentT(4.0, initial * 0, 1.0).to_event(1)
            return {site: pyro.sample(site, student)}

    _, posterior = fit(Student())
    row = posterior.history.iloc[0]
    assert row["loss"] == pytest.approx(row["nll"] + row["penalty"], rel=1e-12)


@pytest.mark.parametrize("likelihood", ["categorical", "gaussian_learned", "bernoulli"])
def test_history_prints_whole_in_eighty_columns(likelihood, monkeypatch):
    case = byhand.LIKELIHOODS[likelihood]
    model = br.Model(byhand.network(case.outputs), br.ARD() + br.Smoothness(0.1), case.likelihood, size=N)
    posterior = br.fit(model, case.data(N), epochs=12, validation=case.data(7), device="cpu", progress=False)
    monkeypatch.setenv("COLUMNS", "80")
    printed = repr(posterior.history)
    assert "..." not in printed
    assert all(name in printed for name in posterior.history)
    assert max(map(len, printed.splitlines())) <= 80
    assert list(posterior.history)[:5] == ["epoch", "loss", "nll", "penalty", "validation_nll"]
    assert "seconds" in posterior.history
