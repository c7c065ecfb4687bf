"""Latents of each example, in a network that a user wrote: against linear-Gaussian closed forms and Pyro's ELBO."""

import importlib
import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import SVI, Predictive, Trace_ELBO
from pyro.infer.autoguide import AutoDelta, AutoNormal
from torch import nn

import bayesreg as br
from bayesreg.objective import Gradient, Objective

fit_module = importlib.import_module("bayesreg.fit")  # `bayesreg.fit` itself is the function
N, D, K, NOISE = 24, 4, 2, 0.5
EVERY_GUIDE = pytest.mark.parametrize("guide", ["delta", "normal"])


@pytest.fixture(autouse=True)
def _clean():
    pyro.clear_param_store()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
    pyro.clear_param_store()


class FactorModel(nn.Module):
    """x = W z + b + noise, probabilistic PCA; q(z | x) = N(V (x − b), L Lᵀ)."""

    def __init__(self):
        super().__init__()
        self.decode = nn.Linear(K, D)
        self.encode = nn.Linear(D, K, bias=False)
        self.tril = nn.Parameter(torch.eye(K))

    def q(self, x):
        mean = self.encode(x - self.decode.bias)
        return dist.MultivariateNormal(mean, scale_tril=self.tril.tril())

    def forward(self, x):
        return self.decode(self.q(x).loc)

    def model(self, x):
        return self.decode(pyro.sample("z", dist.Normal(x.new_zeros(len(x), K), 1.0).to_event(1)))

    def guide(self, x):
        pyro.sample("z", self.q(x))

    def make_exact(self):
        """q becomes the posterior of z."""
        W = self.decode.weight.data
        covariance = torch.linalg.inv(torch.eye(K).to(W) + W.T @ W / NOISE**2)
        self.encode.weight.data = covariance @ W.T / NOISE**2
        self.tril.data = torch.linalg.cholesky(covariance)
        return self


def images(dtype=torch.float64):
    g = torch.Generator().manual_seed(3)
    x = torch.randn(N, K, generator=g) @ torch.randn(K, D, generator=g) + NOISE * torch.randn(N, D, generator=g)
    return x.to(dtype) + 1.0


def factor_model():
    torch.manual_seed(1)
    return FactorModel().double()


def modelled(net, prior=None):
    return br.Model(net, prior or br.Flat(), br.Gaussian(scale=NOISE), size=N)


def start(model):
    return model.unpack(model.initial())


def evidence(net, x):
    """Σ_i log p(x_i | θ), z integrated out."""
    W, b = net.decode.weight.data, net.decode.bias.data
    covariance = W @ W.T + NOISE**2 * torch.eye(D).to(W)
    return dist.MultivariateNormal(b, covariance).log_prob(x).sum()


# --- Closed forms ---


def test_with_the_exact_posterior_every_draw_is_the_log_evidence():
    net, x = factor_model().make_exact(), images()
    model = modelled(net)
    for seed in range(3):
        torch.manual_seed(seed)
        torch.testing.assert_close(model.log_joint(start(model), x, x), evidence(net, x), rtol=1e-12, atol=0)
    loss = sum(Objective(model, br.guides.delta(model))(x, x).values())
    torch.testing.assert_close(loss.detach(), -evidence(net, x) / N, rtol=1e-12, atol=0)


def test_with_another_q_the_mean_is_the_evidence_less_the_divergence():
    net, x = factor_model(), images()
    with torch.no_grad():
        q, exact = net.q(x), factor_model().make_exact().q(x)
    expected = evidence(net, x) - torch.distributions.kl_divergence(q, exact).sum()
    model = modelled(net)
    draws = torch.stack([model.log_joint(start(model), x, x).detach() for _ in range(400)])
    error = draws.std() / math.sqrt(len(draws))
    assert error < 0.02 * (evidence(net, x) - expected)
    assert abs(draws.mean() - expected) < 4 * error


def test_batches_stand_for_all_data():
    """The mean over the batches is the whole: z's densities are scaled by N/B, the prior of θ is not."""
    net, x = factor_model().make_exact(), images()
    model = modelled(net, br.L2(scale=0.3))
    whole = model.log_joint(start(model), x, x)
    batches = torch.stack([model.log_joint(start(model), part, part) for part in x.split(4)])
    assert batches.std() > 1
    torch.testing.assert_close(batches.mean(), whole, rtol=1e-12, atol=0)
    weights = torch.cat([p.detach().flatten() for p in net.parameters() if p.dim() > 1])
    prior = (-0.5 * (weights / 0.3) ** 2 - math.log(0.3 * math.sqrt(2 * math.pi))).sum()
    torch.testing.assert_close(whole, evidence(net, x) + prior, rtol=1e-12, atol=0)


@EVERY_GUIDE
def test_sites_of_each_example_are_scaled(guide):
    x = images()
    model = modelled(factor_model(), br.L2())
    q = br.guides.create(guide, model)
    with pyro.settings.context(module_local_params=True):
        trace = poutine.trace(q).get_trace(x[:6], x[:6])
        run = poutine.trace(poutine.replay(model, trace=trace)).get_trace(x[:6], x[:6])
    assert [t.nodes["z"]["scale"] for t in (trace, run)] == [N / 6] * 2
    assert trace.nodes["weights"]["scale"] == run.nodes["weights"]["scale"] == 1
    assert torch.equal(trace.nodes["z"]["value"], run.nodes["z"]["value"])
    assert trace.nodes["z"]["value"].shape == (6, K)


# --- The objective, and what a user of Pyro does ---

PRIORS = {
    "none": br.Flat(),
    "l1": br.L1(scale=0.5),
    "l2": br.L2(scale=0.5),
    "ard": br.ARD(a=1.5, b=0.5),
    "entropic": br.Entropic(0.2),
    "smoothness": br.Smoothness(0.2),
}


@pytest.mark.parametrize("batch", [N, 4])
@EVERY_GUIDE
@pytest.mark.parametrize("prior", PRIORS)
def test_objective_equals_the_elbo_of_pyro(prior, guide, batch):
    """Loss and gradient, plain and captured, from the same random state; of images in [0, 1]."""
    torch.manual_seed(1)
    x = torch.rand(N, 1, 2, 3, dtype=torch.float64)[:batch]
    model = br.Model(br.nets.vae((1, 2, 3), latent=2, hidden=4).double(), PRIORS[prior], br.Bernoulli(), size=N).train()
    q = br.guides.create(guide, model)
    with pyro.settings.context(module_local_params=True):
        torch.manual_seed(5)
        loss = Trace_ELBO().differentiable_loss(model, q, x, x) / N
    slopes = torch.autograd.grad(loss, list(q.parameters()))
    largest = max(slope.abs().max().item() for slope in slopes)
    assert largest > 0

    gradient = Gradient(Objective(model, q))
    for capture in (False, True):
        if capture:
            gradient.prepare(x, x)
            assert gradient._steps, "not captured"
        torch.manual_seed(5)
        terms, *found = gradient(x, x)
        assert terms.sum().item() == pytest.approx(loss.item(), rel=1e-12)
        for mine, slope in zip(found, slopes, strict=True):
            torch.testing.assert_close(mine, slope, rtol=1e-12, atol=1e-12 * largest)


def best_evidence(x):
    """max over W and b of log p(x | W, b) at this noise  (Tipping & Bishop, 1999, eq. 8 and 15)."""
    eigenvalues = torch.linalg.eigvalsh(torch.cov(x.T, correction=0)).flip(0)
    kept, noise = eigenvalues[:K], NOISE**2
    assert kept.min() > noise
    log_det = kept.log().sum() + (D - K) * math.log(noise)
    return -N / 2 * (D * math.log(2 * math.pi) + log_det + K + eigenvalues[K:].sum() / noise)


def test_svi_of_pyro_finds_the_principal_components():
    net, x = factor_model(), images()
    model = modelled(net)
    q = br.guides.delta(model)
    svi = SVI(model, q, pyro.optim.ClippedAdam({"lr": 0.05, "lrd": 0.02 ** (1 / 700)}), Trace_ELBO())
    for _ in range(700):
        svi.step(x, x)
    trained = model.unpack(q.median())
    assert {name for name in trained if not torch.equal(trained[name], net.get_parameter(name))} == set(trained)
    found = model.log_joint(trained, x, x)
    torch.testing.assert_close(found, best_evidence(x), rtol=0, atol=0.01 * N)
    assert {name.partition(".")[0] for name in pyro.get_param_store()} == {q._pyro_name}


@EVERY_GUIDE
def test_without_data_the_guide_is_of_theta_alone(guide):
    x = images()
    model = modelled(factor_model(), br.L2())
    q = br.guides.create(guide, model)
    assert isinstance(q, {"delta": AutoDelta, "normal": AutoNormal}[guide])
    assert set(q.median()) == set(q()) == {"weights", "flat"}
    assert "z" in poutine.trace(q).get_trace(x).nodes
    assert "z" in poutine.trace(q).get_trace(x=x, y=x).nodes
    drawn = Predictive(model, guide=q, num_samples=3)(x)
    assert drawn["z"].shape == (3, N, K)
    assert drawn["y"].shape == (3, N, D)


def test_other_networks_keep_the_guides_of_pyro():
    model = br.Model(nn.Linear(D, D).double(), br.L2(), br.Gaussian(scale=NOISE), size=N)
    assert type(br.guides.delta(model)) is AutoDelta
    assert type(br.guides.normal(model)) is AutoNormal


def test_submodules_called_model_and_guide_are_no_latents():
    net = nn.Sequential()
    net.model, net.guide = nn.Linear(D, D), nn.Linear(D, D)
    assert not br.Model(net, br.L2(), br.Gaussian(), size=N).local


# --- Training ---


def fit(guide="delta", **options):
    net = factor_model().float()
    options = {"epochs": 3, "batch_size": 7, "device": "cpu", "progress": False, "lr": 0.01} | options  # 7, 7, 7 and 3
    x = images(torch.float32)
    return br.fit(modelled(net, br.L2()), br.Dataset(x, x), guide=guide, **options)


@EVERY_GUIDE
def test_fit_save_and_load(guide, tmp_path):
    posterior, x = fit(guide, epochs=20), images(torch.float32)
    loss = posterior.history["loss"]
    assert loss.iloc[-1] < loss.iloc[0]
    assert {"loss_z", "loss_guide"} < set(posterior.history)
    net = factor_model().float()
    again = br.Posterior.load(posterior.save(tmp_path / "posterior.pt"), net)
    data = br.Dataset(x, x)
    assert again.evaluate(data) == posterior.evaluate(data)
    if guide == "delta":
        torch.testing.assert_close(posterior.predict(x).mean, posterior.network()(x).detach())


@EVERY_GUIDE
def test_resumes_bit_for_bit(guide, monkeypatch, tmp_path):
    monkeypatch.setattr(fit_module, "SAVED_EVERY", 0.0)  # after every epoch
    whole = fit(guide).parameters()
    run_epoch = fit_module._Run.epoch

    def interrupted(self, *args):
        if len(self.history) == 2:
            raise KeyboardInterrupt
        return run_epoch(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(fit_module._Run, "epoch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit(guide, checkpoint=tmp_path / "c.pt")
    resumed = fit(guide, checkpoint=tmp_path / "c.pt").parameters()
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_in_bfloat16_the_densities_of_the_vae_stay_in_float32():
    torch.manual_seed(0)
    model = br.Model(br.nets.vae(6, latent=2, hidden=4), br.L2(), br.Bernoulli(), size=N).train()
    model.autocast = torch.bfloat16
    x = torch.rand(N, 6)
    trace = poutine.trace(model.guide).get_trace(start(model), x)
    assert trace.nodes["z"]["fn"].base_dist.loc.dtype == torch.float32
    run = poutine.trace(poutine.replay(model, trace=trace)).get_trace(x, x)
    assert run.nodes["y"]["fn"].base_dist.logits.dtype == torch.float32


# --- What cannot work is said before training ---


class Nothing(FactorModel):
    def model(self, x):
        return self.decode(x.new_zeros(len(x), K))

    def guide(self, x):
        pass


class OtherSites(FactorModel):
    def guide(self, x):
        pyro.sample("code", self.q(x))


class NoEvent(FactorModel):
    def model(self, x):
        return self.decode(pyro.sample("z", dist.Normal(x.new_zeros(len(x), K), 1.0)))


class OtherShape(FactorModel):
    def guide(self, x):
        pyro.sample("z", dist.Normal(x.new_zeros(len(x), K + 1), 1.0).to_event(1))


class NoGradient(FactorModel):
    def guide(self, x):
        pyro.sample("z", dist.Poisson(self.q(x).loc.exp()).to_event(1))


REFUSED = [
    (Nothing, r"Nothing.model samples \[\] and Nothing.guide \[\]: let both sample the same sites, at least one"),
    (OtherSites, r"OtherSites.model samples \['z'\] and OtherSites.guide \['code'\]: let both sample the same"),
    (NoEvent, r"NoEvent.model samples 'z' with a batch shape of \[8, 2\] for 8 examples, not \[8\].*to_event"),
    (OtherShape, r"'z' is of shape \[8, 2\] in OtherShape.model and of \[8, 3\] in OtherShape.guide"),
    (NoGradient, r"NoGradient.guide samples 'z' from Independent, which has no gradient.*as Normal"),
]


@pytest.mark.parametrize(("kind", "message"), REFUSED, ids=[kind.__name__ for kind, _ in REFUSED])
def test_what_cannot_be_trained_is_refused(kind, message, monkeypatch):
    monkeypatch.setattr(fit_module, "_Run", None)  # nothing may be trained
    x = images(torch.float32)
    with pytest.raises(ValueError, match=message):
        br.fit(modelled(kind()), br.Dataset(x, x), batch_size=8, progress=False)
