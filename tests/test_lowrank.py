"""The Normal of low rank: on a Gaussian target whose correlations it can have, it is the posterior."""

import pytest
import torch
from torch import nn

import bayesreg as br
from bayesreg.guides import LowRank

N, NOISE, SCALE, INPUTS = 60, 0.5, 0.8, 6
QUIET = {"device": "cpu", "progress": False}


def data():
    """Inputs with XᵀX/N = I but along (1, …, 1), where it is 0.09: the posterior's covariance is a I + b 1 1ᵀ."""
    g = torch.Generator().manual_seed(0)
    x = torch.linalg.qr(torch.randn(N, INPUTS, generator=g, dtype=torch.float64)).Q * N**0.5
    x -= 0.7 * x.mean(1, keepdim=True)
    return br.Dataset(x, x[:, 0] + NOISE * torch.randn(N, generator=g).double())


def model(likelihood=None, prior="l2"):
    torch.manual_seed(0)
    net = nn.Linear(INPUTS, 1, bias=False).double()
    return br.Model(net, br.L2(SCALE) if prior == "l2" else prior, likelihood or br.Gaussian(NOISE), size=N)


def closed_form():
    """μ and Λ⁻¹ of the posterior: Λ = XᵀX/σ² + 1/s², μ = Λ⁻¹Xᵀy/σ²."""
    x, y = data().x, data().y
    covariance = torch.linalg.inv(x.T @ x / NOISE**2 + torch.eye(INPUTS) / SCALE**2)
    return covariance @ x.T @ y / NOISE**2, covariance


def test_it_finds_a_correlated_gaussian():
    mean, covariance = closed_form()
    correlation = covariance / covariance.diagonal().sqrt().outer(covariance.diagonal().sqrt())
    assert (correlation - torch.eye(INPUTS)).abs().max() > 0.25
    options = {"epochs": 2000, "batch_size": N, "lr": 0.05}
    posterior = br.fit(model(), data(), guide=LowRank(init_scale=0.1, rank=1), **options, **QUIET)
    sd = covariance.diagonal().sqrt()
    assert ((posterior.parameters()["weight"][0] - mean) / sd).abs().max() < 0.15
    drawn = posterior.draws(2000)["weight"][:, 0]
    factor = torch.linalg.cholesky(torch.linalg.inv(covariance))
    assert torch.linalg.eigvalsh(factor.T @ drawn.T.cov() @ factor).numpy() == pytest.approx(1, abs=0.25)
    assert (drawn.T.corrcoef() - correlation).abs().max() < 0.1


def test_it_starts_at_the_networks_own_weights_in_the_unit_of_y():
    """init_scale is the standard deviation, about: of the last layer's weights in their unit."""
    built = model(br.Gaussian())
    train = br.Dataset(data().x, 1e4 * data().y)
    posterior = br.fit(built, train, guide=LowRank(init_scale=0.1), epochs=1, batch_size=N, lr=1e-9, **QUIET)
    unit = train.y.std(correction=0).item()
    assert posterior.parameters()["weight"].div(unit).numpy() == pytest.approx(built.net.weight.numpy(), rel=1e-6)
    assert posterior.draws(500)["weight"].std(0).mean().item() == pytest.approx(0.1 * unit, rel=0.3)
    noise = posterior.draws(500)["noise.scale"].log()
    assert noise.std().item() == pytest.approx(0.1, rel=0.6)


def test_its_warm_up_is_that_of_mean_field():
    history = br.fit(model(), data(), guide=LowRank(warm_up=0.5), epochs=8, batch_size=30, **QUIET).history
    assert history["kl_weight"].tolist() == [1 / 16, 5 / 16, 9 / 16, 13 / 16, 1, 1, 1, 1]
    terms = history[[name for name in history if name.startswith("loss_")]]
    assert terms.sum(axis=1).to_numpy() == pytest.approx(history["loss"].to_numpy(), rel=1e-12)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rank": 0}, r"LowRank\(rank=0\): rank must be a whole number of at least 1"),
        ({"rank": 2.5}, r"LowRank\(rank=2\.5\)"),
        ({"init_scale": 0.0}, r"LowRank\(init_scale=0\.0\): a number above 0"),
        ({"warm_up": 0.9}, r"LowRank\(warm_up=0\.9\): a share of training from 0 to 0\.5"),
    ],
)
def test_bad_options(options, words):
    with pytest.raises(ValueError, match=words):
        LowRank(**options)


def test_memory_counts_the_factor(monkeypatch):
    """6 weights of 8 bytes: of m, log s and B [6, 3] four vectors each, and two of B diag s."""
    assert LowRank(rank=3).memory(model()) == 6 * 8 * (4 * (2 + 3) + 2 * 3)
    with pytest.raises(
        ValueError, match=r"guide lowrank:rank=1000000000000 of 6 unknowns needs .*: take a smaller rank, "
    ):
        br.fit(model(), data(), guide=LowRank(rank=10**12), epochs=1, **QUIET)
