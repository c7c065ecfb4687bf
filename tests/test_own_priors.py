"""Priors of one's own: by the documented steps, with latents of any shape, under the conformance suite."""

import math
from dataclasses import dataclass

import byhand
import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import MCMC, NUTS, Predictive
from scipy import integrate, stats
from scipy.optimize import minimize
from torch import nn

import bayesreg as br
from bayesreg.curvature import curvature
from bayesreg.testing import check_guide, check_prior

N = 12


@dataclass(frozen=True)
class SharedScale(br.WeightPrior):
    """τ ~ InverseGamma(a, b), θ ~ Normal(0, τ): one scale for all weights, unknown.

    log p(θ, τ) = −(n+a+1) log τ − ½‖θ‖²/τ² − b/τ + constant, whose maximum over τ solves (n+a+1) τ² − b τ − ‖θ‖² = 0.
    """

    a: float = 2.0
    b: float = 1.0
    on: br.priors.base.On = "weights"

    def sample(self, site, initial):
        scale = pyro.sample(f"scale.{site}", dist.InverseGamma(initial.new_tensor(self.a), initial.new_tensor(self.b)))
        weights = pyro.sample(site, dist.Normal(0.0, scale).expand(initial.shape).to_event(1))
        return {site: weights, f"scale.{site}": scale}

    @property
    def latents(self):
        return (br.Latent("scale", (), start=lambda weights: 0.5, profile=self.best),)

    def best(self, weights):
        k = len(weights) + self.a + 1
        return (self.b + (self.b**2 + 4 * k * weights.square().sum()).sqrt()) / (2 * k)


@dataclass(frozen=True)
class Horseshoe(br.WeightPrior):
    """θ_j ~ Normal(0, τ λ̃_j), λ̃² = c² λ²/(c² + τ² λ²), λ_j and τ half-Cauchy (Piironen & Vehtari, 2017)."""

    slab: float = 2.0
    on: br.priors.base.On = "weights"

    def sample(self, site, initial):
        one = initial.new_ones(())
        scale = pyro.sample(f"scale.{site}", dist.HalfCauchy(one))
        local = pyro.sample(f"local.{site}", dist.HalfCauchy(one).expand(initial.shape).to_event(1))
        sd = scale * local * self.slab / (self.slab**2 + (scale * local) ** 2).sqrt()
        return {
            site: pyro.sample(site, dist.Normal(0.0, sd).to_event(1)),
            f"scale.{site}": scale,
            f"local.{site}": local,
        }

    @property
    def latents(self):
        return (br.Latent("scale", (), lambda weights: 0.1), br.Latent("local", None, lambda weights: 1.0))

    def check_map(self):
        raise ValueError("Horseshoe has no MAP estimate: its density grows without bound towards 0; use --guide normal")


class Uncertain(br.FunctionPrior):
    """Entropy and curvature in one factor, the predictions asked for first."""

    def log_factor(self, batch):
        return self.strength * batch.size * (batch.predictive.entropy().mean() - batch.curvature().mean())


@pytest.mark.parametrize("prior", [SharedScale(), Horseshoe(), Uncertain(0.1)], ids=["scalar", "horseshoe", "function"])
def test_conforms(prior, tmp_path):
    check_prior(prior, tmp_path)


@pytest.mark.parametrize("guide", ["delta", "normal"])
def test_a_guide_conforms(guide, tmp_path):
    check_guide(guide, tmp_path, priors=["l2"])


def test_what_should_be_refused_and_is_not_is_said(tmp_path):
    with pytest.raises(AssertionError, match=r"SharedScale.*is not refused under Categorical"):
        check_prior(SharedScale(), tmp_path, refused=["categorical"])


# --- Latents of other shapes ---


def model_of(prior, outputs=1):
    return br.Model(byhand.network(outputs), prior, br.Gaussian(), size=N)


def test_names_sites_and_back():
    model = model_of(SharedScale(on="0.*") + SharedScale(on="2.weight"))
    named = model.unpack(model.initial())
    shapes = {name: tuple(value.shape) for name, value in named.items()}
    assert shapes == {
        **{name: tuple(p.shape) for name, p in model.net.named_parameters()},
        "scale.0": (),
        "scale.2_weight": (),
        "noise.scale": (),
    }
    for site, value in model.pack(named).items():
        assert torch.equal(value, model.initial()[site])
    with pytest.raises(ValueError, match=r"parameter 'scale\.\w+' is missing"):
        model.log_joint({name: value for name, value in named.items() if not name.startswith("scale.0")}, None, None)


def test_log_joint_is_the_density_by_hand():
    model, (x, y) = model_of(SharedScale(a=3.0, b=0.5)), byhand.LIKELIHOODS["gaussian_learned"].data(N)
    flat = model_of(br.Flat())
    theta = byhand.parameters(flat)
    tau = 0.7
    joint = model.log_joint(theta | {"scale.weights": torch.tensor(tau, dtype=torch.float64)}, x, y)
    weights = np.concatenate([theta[name].numpy().ravel() for name in byhand.WEIGHTS])
    expected = stats.invgamma.logpdf(tau, 3.0, scale=0.5) + stats.norm.logpdf(weights, 0, tau).sum()
    assert (joint - flat.log_joint(theta, x, y)).item() == pytest.approx(expected, rel=1e-10)


def line(seed=0, size=40):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(size, 3))
    return x, x @ [1.0, -0.5, 0.0] + 0.5 * rng.normal(size=size)


def linear(prior, size=40):
    return br.Model(nn.Linear(3, 1, bias=False).double(), prior, br.Gaussian(scale=0.5), size=size)


def test_map_is_at_the_maximum_of_both():
    """θ and τ by SciPy, and τ exactly at its maximum given θ."""
    x, y = line()
    prior = SharedScale()
    options = {"epochs": 1500, "batch_size": 40, "lr": 0.05, "device": "cpu", "progress": False}
    found = br.fit(linear(prior), (torch.tensor(x), torch.tensor(y)), **options).parameters()
    assert found["scale.weights"].item() == pytest.approx(prior.best(found["weight"].flatten()).item(), rel=1e-12)

    def minus_joint(v):
        r, tau = y - x @ v[:3], math.exp(v[3])
        return (r @ r) / (2 * 0.25) + (3 + 3) * math.log(tau) + v[:3] @ v[:3] / (2 * tau**2) + 1 / tau

    best = minimize(minus_joint, [1.0, -0.5, 0.1, 0.0], method="BFGS", options={"gtol": 1e-8}).x
    np.testing.assert_allclose(found["weight"].numpy().ravel(), best[:3], atol=1e-4)
    assert found["scale.weights"].item() == pytest.approx(math.exp(best[3]), rel=1e-4)


def test_nuts_finds_the_posterior_of_the_scale():
    """Given τ, y ~ Normal(0, σ² I + τ² X Xᵀ): one integral over τ."""
    x, y = line()
    model = linear(SharedScale())
    pyro.set_rng_seed(0)
    mcmc = MCMC(NUTS(model), num_samples=300, warmup_steps=100, disable_progbar=True)
    mcmc.run(torch.tensor(x), torch.tensor(y))
    named = model.unpack(mcmc.get_samples())
    assert named["scale.weights"].shape == (300,)
    assert named["weight"].shape == (300, 1, 3)

    def density(u, power=0):
        """Of u = log τ, up to a constant, times a power of u."""
        tau = math.exp(u)
        marginal = stats.multivariate_normal(np.zeros(40), 0.25 * np.eye(40) + tau**2 * x @ x.T).logpdf(y)
        return u**power * math.exp(marginal + 30) * stats.invgamma.pdf(tau, 2.0) * tau

    whole, first, second = (integrate.quad(density, -5, 4, args=(k,))[0] for k in (0, 1, 2))
    mean, sd = first / whole, math.sqrt(second / whole - (first / whole) ** 2)
    found = named["scale.weights"].log()
    assert found.mean().item() == pytest.approx(mean, abs=4 * sd / math.sqrt(100))
    assert found.std().item() == pytest.approx(sd, rel=0.25)


@pytest.mark.parametrize("guide", ["delta", "normal"])
def test_predictive_of_pyro_takes_scalar_latents(guide):
    x, _ = line()
    model = linear(SharedScale())
    q = br.guides.create(guide, model)
    drawn = Predictive(model, guide=q, num_samples=4)(torch.tensor(x))
    assert drawn["y"].shape == (4, 40)
    pyro.set_rng_seed(1)
    samples = {site: torch.stack([value] * 3) for site, value in model.initial().items()}
    seen = []

    class Seeing(SharedScale):
        def log_factor(self, batch):
            seen.append(batch.predictive.batch_shape)

    again = Predictive(linear(Seeing()), posterior_samples=samples)(torch.tensor(x))
    assert again["y"].shape == (3, 40)
    assert seen == [(40,)] * len(seen) != []
    shapes = {site: value.shape for site, value in model.initial().items()}
    one = model._single({site: value[None] for site, value in model.initial().items()})  # as Predictive gives them
    assert {site: value.shape for site, value in one.items()} == shapes


def test_pictures_are_of_weights_not_of_latents():
    x, y = byhand.LIKELIHOODS["categorical"].data(N)
    model = br.Model(byhand.network(4), Horseshoe(), br.Categorical(), size=N)
    posterior = br.fit(model, (x, y), guide="normal", epochs=2, device="cpu", progress=False)
    assert list(br.diagnostics.quantiles([posterior], draws=2).index) == list(byhand.WEIGHTS)


# --- The contract ---


def lacking(base, **members):
    return type("Lacking", (base,), members)


@pytest.mark.parametrize(
    ("base", "message"),
    [
        (br.Prior, r"Lacking is no whole prior: define log_factor\(self, batch\): The term's value"),
        (br.FunctionPrior, r"Lacking is no whole prior: define log_factor\(self, batch\): The factor's log"),
        (
            br.WeightPrior,
            r"Lacking is no whole prior: define sample\(self, site, initial\): The Pyro sample statements",
        ),
    ],
    ids=["prior", "function", "weight"],
)
def test_a_class_that_lacks_what_it_must_define_cannot_be_made(base, message):
    with pytest.raises(TypeError, match=message):
        lacking(base)()
    with pytest.raises(TypeError, match="is no whole prior"):
        base()


def test_what_a_prior_draws_and_what_it_declares_are_the_same():
    class Hidden(SharedScale):
        latents = ()

    class Forgetful(SharedScale):
        def sample(self, site, initial):
            return {site: super().sample(site, initial)[site]}

    for kind in (Hidden, Forgetful):
        with pytest.raises(ValueError, match=rf"{kind.__name__}\.sample gives the sites.*declare each latent"):
            br.guides.delta(linear(kind()))


def test_a_factor_that_is_no_scalar_is_refused():
    class Each(br.Prior):
        def log_factor(self, batch):
            return -batch.network(batch.x).square().sum(1)

    x, y = line()
    with pytest.raises(ValueError, match=r"'each' gives a log factor of shape \[8\]: it must be a scalar"):
        br.fit(linear(Each()), (torch.tensor(x), torch.tensor(y)), epochs=1, progress=False)


def test_a_prior_without_a_strength_says_so():
    assert br.Flat.from_strength(None, 10) == br.Flat()
    assert SharedScale.from_strength(None, 10, a=3.0) == SharedScale(a=3.0)
    for kind in (br.Flat, SharedScale):
        with pytest.raises(ValueError, match=rf"{kind.name} has no strength, got 0\.1: leave the number out"):
            kind.from_strength(0.1, 10)


def test_a_registered_prior_of_ones_own_is_known_by_its_text(monkeypatch):
    monkeypatch.setitem(br.priors.PRIORS, "sharedscale", SharedScale)
    assert br.priors.parse("sharedscale+l2:1", 4) == SharedScale() + br.L2(scale=0.5)


# --- What a factor looks at ---


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.calls = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.SiLU(), nn.Linear(4, 2)), 0

    def forward(self, x):
        self.calls += 1
        return self.body(x)


@pytest.mark.parametrize("text", ["smoothness:0.1", "entropic:0.2+smoothness:0.1", "smoothness:0.1+entropic:0.2"])
def test_one_run_gives_outputs_and_curvature_in_any_order(text):
    model = br.Model(Counting(), br.priors.parse(text, N), br.Categorical(), size=N).train()
    x, y = torch.randn(N, 3), torch.arange(N) % 2
    poutine.block(poutine.condition(model, data=model.initial()))(x, y)
    assert model.net.calls == 1
    assert int(model.net.body[1].num_batches_tracked) == 1


def test_the_curvature_after_the_predictions_is_the_same_at_another_run():
    model = br.Model(Counting().double(), Uncertain(0.1), br.Categorical(), size=N).train()
    x, y = torch.randn(N, 3, dtype=torch.float64), torch.arange(N) % 2
    trace = poutine.trace(poutine.condition(model, data=model.initial())).get_trace(x, y)
    assert int(model.net.body[1].num_batches_tracked) == 1
    found = trace.nodes["uncertain"]["fn"].log_factor
    with model.buffers_kept():
        p = model.net(x).softmax(-1)
        expected = 0.1 * N * (-(p * p.log()).sum(1).mean() - curvature(model.net, x).mean())
    torch.testing.assert_close(found, expected)
