"""SWAG: the moments of what training passes through, by brute force, and where they lie on a Gaussian target."""

import importlib
import logging
import math

import numpy as np
import pytest
import torch
from torch import nn

import bayesreg as br
from bayesreg.guides import Swag
from bayesreg.guides.swag import Moments

module = importlib.import_module("bayesreg.fit")  # `bayesreg.fit` itself is the function
N, NOISE, SCALE = 64, 0.5, 0.8
QUIET = {"device": "cpu", "progress": False}


def data():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(N, 2, generator=g, dtype=torch.float64) @ torch.tensor([[1.0, 0.9], [0.0, 0.4]]).double()
    return br.Dataset(x, x @ torch.tensor([1.0, -0.5]).double() + NOISE * torch.randn(N, generator=g).double())


def model(prior=None, likelihood=None):
    torch.manual_seed(0)
    return br.Model(
        nn.Linear(2, 1, bias=False).double(), prior or br.L2(SCALE), likelihood or br.Gaussian(NOISE), size=N
    )


def closed_form():
    """μ and Λ⁻¹ of the posterior: Λ = XᵀX/σ² + 1/s², μ = Λ⁻¹Xᵀy/σ²."""
    x, y = data().x, data().y
    covariance = torch.linalg.inv(x.T @ x / NOISE**2 + torch.eye(2) / SCALE**2)
    return covariance @ x.T @ y / NOISE**2, covariance


@pytest.fixture
def seen(monkeypatch):
    """Every θ that is collected, as a vector."""
    thetas, collect = [], Moments.collect
    monkeypatch.setattr(Moments, "collect", lambda self, theta: thetas.append(theta) or collect(self, theta))
    return thetas


def of_draws(posterior, number):
    """Draws in the space where nothing has bounds [number, n]."""
    drawn = posterior.draws(number)
    return torch.cat([drawn["weight"][:, 0], drawn["noise.scale"].log()[:, None]], 1)


def test_its_moments_are_those_of_the_weights_at_the_ends_of_the_last_epochs(seen):
    """24 epochs: 6 θ of 3 numbers, the last of them the logarithm of σ; of rank 4 only the last 4 deviations stay."""
    posterior = br.fit(model(likelihood=br.Gaussian()), data(), guide=Swag(rank=4), epochs=24, batch_size=16, **QUIET)
    thetas = torch.stack(seen)
    assert thetas.shape == (6, 3)
    means = torch.stack([thetas[: k + 1].mean(0) for k in range(6)])
    deviations = (thetas - means)[-4:]
    covariance = (torch.diag(thetas.var(0, correction=0)) + deviations.T @ deviations / 3) / 2
    drawn = of_draws(posterior, 1500)
    error = 5 * (covariance.diagonal().max().item() * math.sqrt(2 / 1500))
    assert drawn.mean(0).numpy() == pytest.approx(means[-1].numpy(), abs=5 * (covariance.max().item() / 1500) ** 0.5)
    assert drawn.T.cov().numpy() == pytest.approx(covariance.numpy(), abs=error)
    at = posterior.parameters()
    centre = torch.cat([at["weight"][0], at["noise.scale"].log()[None]])
    torch.testing.assert_close(centre, means[-1])


def collected(values, rank):
    moments = Moments(values[0], rank)
    for value in values:
        moments.collect(value)
    return moments


def test_where_theta_strays_as_a_gaussian_it_is_that_gaussian():
    """With as many deviations as are needed: q = Normal(m, ½ (diag S + S)), and S itself where it is diagonal."""
    g = torch.Generator().manual_seed(0)
    number, drawn = 2000, 4000
    for factor in (torch.diag(torch.tensor([0.1, 1.0, 3.0])), torch.tensor([[1, 0, 0], [0.9, 0.4, 0], [0, -2, 1.0]])):
        factor = factor.double()
        mean, covariance = torch.tensor([5.0, -1.0, 0.0]).double(), factor @ factor.T
        moments = collected(mean + torch.randn(number, 3, generator=g).double() @ factor.T, rank=number)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            draws = torch.stack([moments.draw() for _ in range(drawn)])
        expected = (torch.diag(covariance.diagonal()) + covariance) / 2
        sd = expected.diagonal().sqrt()
        error = 5 * (1 / number + 1 / drawn) ** 0.5
        assert ((draws.mean(0) - mean) / sd).abs().max() < error
        assert ((draws.T.cov() - expected) / sd.outer(sd)).abs().max() < 2**0.5 * error


def test_moments_keep_their_digits_far_from_nought():
    """In single precision, a variance of a millionth about a mean of a hundred."""
    values = 100 + 1e-2 * torch.randn(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    moments = collected(values.float(), rank=3)
    expected = values.float().double().var(0, correction=0)
    assert (moments.squares / moments.count).numpy() == pytest.approx(expected.numpy(), rel=1e-2)
    assert moments.mean.numpy() == pytest.approx(values.mean(0).numpy(), rel=1e-6)


def test_on_a_gaussian_target_the_mean_is_the_mode():
    """The mean of what strays about a quadratic's minimum is the minimum; how far it strays is not the posterior's."""
    options = {"epochs": 400, "batch_size": 8, "lr": 0.02}
    posterior = br.fit(model(), data(), guide=Swag(), **options, **QUIET)
    mode, covariance = closed_form()
    mean = posterior.parameters()["weight"][0]
    sd = covariance.diagonal().sqrt()
    assert ((mean - mode) / sd).abs().max() < 0.1
    assert (posterior.draws(200)["weight"][:, 0].std(0) / sd).max() < 0.1
    assert posterior.convergence.converged


def test_the_learning_rate_falls_to_a_constant():
    guide = Swag(constant=0.1)
    paces = [guide.pace(done, 400) for done in range(400)]
    assert (paces[0], paces[300:]) == (1.0, [0.1] * 100)
    assert all(np.diff(paces[:301]) < 0)
    assert paces[150] == pytest.approx(0.1 + 0.9 / 2)


class Interrupted(Exception):
    """As by a signal."""


def test_early_stopping_is_refused_since_it_goes_back_before_the_last_quarter(monkeypatch):
    monkeypatch.setattr(module, "_Run", None)  # nothing may be trained
    with pytest.raises(ValueError, match="the guide swag is made of the parameters at the end of training"):
        br.fit(model(), data(), guide="swag", validation=data(), early_stopping=True, **QUIET)


def test_resumes_bit_for_bit_with_what_was_collected(tmp_path, monkeypatch):
    path, epoch = tmp_path / "c.pt", module._Run.epoch

    def fitted(**options):
        net = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.SiLU(), nn.Dropout(0.2), nn.Linear(4, 1)).double()
        torch.manual_seed(1)
        [layer.reset_parameters() for layer in (net[0], net[4])]
        built = br.Model(net, "ard", br.Gaussian(), size=N)
        options |= {"epochs": 20, "batch_size": 30, "validation": data()}
        return br.fit(built, data(), guide=Swag(rank=3), lr=0.05, **options, **QUIET)

    def interrupted(self, *args):
        if len(self.history) == 18:
            raise Interrupted
        return epoch(self, *args)

    monkeypatch.setattr(module, "SAVED_EVERY", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(module._Run, "epoch", interrupted)
        with pytest.raises(Interrupted):
            fitted(checkpoint=path)
    resumed, whole = fitted(checkpoint=path), fitted()
    state = resumed.guide.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in whole.guide.state_dict().items())
    assert resumed.evaluate(data()) == whole.evaluate(data())
    again = br.Posterior.load(resumed.save(tmp_path / "p.pt"), resumed.model.net)
    assert again.evaluate(data()) == whole.evaluate(data())
    assert whole.evaluate(data())["nll"] == pytest.approx(whole.history["validation_nll"].iloc[-1], rel=1e-12)


def test_what_is_collected_once_has_no_width_and_the_log_says_so_before_training(caplog, monkeypatch):
    caplog.set_level(logging.WARNING, logger="bayesreg")
    with monkeypatch.context() as patch:
        patch.setattr(module, "_Run", None)
        with pytest.raises(TypeError):
            br.fit(model(), data(), guide="swag", epochs=4, **QUIET)
    assert "4 epochs: the guide swag collects θ once, and has no width; train for 5 or more" in caplog.text
    posterior = br.fit(model(), data(), guide="swag", epochs=4, **QUIET)
    assert posterior.draws(3)["weight"].std(0).abs().max() < 1e-12
    caplog.clear()
    assert br.fit(model(), data(), guide="swag", epochs=5, **QUIET).draws(3)["weight"].std(0).min() > 0
    assert "no width" not in caplog.text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rank": 0}, r"Swag\(rank=0\): rank must be a whole number of at least 1"),
        ({"rank": 1.5}, r"Swag\(rank=1\.5\)"),
        ({"constant": 0.0}, r"Swag\(constant=0\.0\): a number above 0 and at most 1"),
        ({"constant": 2.0}, r"Swag\(constant=2\.0\)"),
    ],
)
def test_bad_options(options, words):
    with pytest.raises(ValueError, match=words):
        Swag(**options)


def test_memory_counts_the_deviations():
    """2 weights of 8 bytes: 4 vectors of the point, 2 moments, and the deviations."""
    assert Swag(rank=10).memory(model()) == 2 * 8 * (4 + 2 + 10)
    with pytest.raises(ValueError, match=r"guide swag:rank=1000000000000 of 2 unknowns needs .* take a smaller rank, "):
        br.fit(model(), data(), guide=Swag(rank=10**12), epochs=1, **QUIET)
