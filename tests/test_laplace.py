"""The Laplace approximation against closed forms of linear models and brute force on tiny networks."""

import importlib
import math

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import stats
from torch import nn
from torch.func import functional_call, hessian

import bayesreg as br
from bayesreg import memory
from bayesreg.guides import Laplace, as_guide
from bayesreg.guides.laplace.ggn import fisher, ggn
from bayesreg.guides.laplace.jacobian import jacobian, linearised
from bayesreg.guides.laplace.precision import gaussian, of_prior
from bayesreg.guides.start import local_parameters
from bayesreg.testing import TARGETS, TINY_NETS, build, check, check_fit

fit_module = importlib.import_module("bayesreg.fit")  # `bayesreg.fit` itself is the function
N, NOISE, SCALE = 40, 0.5, 0.8
QUIET = {"device": "cpu", "progress": False}


def linear(prior=None, likelihood=None, guide="laplace", bias=False, **options):
    """A linear model, y = X θ + ε: its data, and a posterior of few steps."""
    g = torch.Generator().manual_seed(0)
    mix = torch.tensor([[1.0, 0.9, 0.0], [0.0, 0.4, 0.2], [0.0, 0.0, 1.0]]).double()
    x = torch.randn(N, 3, generator=g, dtype=torch.float64) @ mix
    y = x @ torch.tensor([1.0, -0.5, 0.2]).double() + NOISE * torch.randn(N, generator=g).double()
    torch.manual_seed(0)
    net = nn.Linear(3, 1, bias=bias).double()
    model = br.Model(net, prior or br.L2(scale=SCALE), likelihood or br.Gaussian(scale=NOISE), size=N)
    data = br.Dataset(x, y)
    return data, br.fit(model, data, guide=guide, **({"epochs": 2, "batch_size": N} | options), **QUIET)


def put(posterior, data, **vectors):
    """These values at the sites of q, and H anew."""
    with torch.no_grad(), local_parameters():
        for site, value in vectors.items():
            posterior.guide.get_parameter(f"{site}_unconstrained").copy_(value)
    for name in ("index", "factor", "log_evidence", "isotropic_precision"):
        delattr(posterior.guide, name)
    posterior.inference.finish(posterior, data)
    return posterior


def covariance(posterior):
    factor = posterior.guide.factor
    return torch.diag(1 / factor) if factor.dim() == 1 else torch.cholesky_inverse(factor)


# --- Closed forms ---


@pytest.fixture(scope="module")
def regression():
    """With the posterior's mean put at its closed form, μ = Λ⁻¹Xᵀy/σ², Λ = XᵀX/σ² + 1/s²."""
    data, posterior = linear()
    precision = data.x.T @ data.x / NOISE**2 + torch.eye(3) / SCALE**2
    mean = torch.linalg.solve(precision, data.x.T @ data.y / NOISE**2)
    return data, put(posterior, data, weights=mean), mean, precision


def test_it_is_the_posterior_of_a_linear_model(regression):
    _, posterior, mean, precision = regression
    assert posterior.parameters()["weight"][0].numpy() == pytest.approx(mean.numpy(), rel=1e-12)
    assert covariance(posterior).numpy() == pytest.approx(torch.linalg.inv(precision).numpy(), rel=1e-9)
    draws = posterior.draws(20_000)["weight"][:, 0]
    whitened = (draws - mean) @ torch.linalg.cholesky(precision)
    error = 5 / 20_000**0.5
    assert whitened.mean(0).abs().max() < error
    assert (whitened.T.cov() - torch.eye(3)).abs().max() < error * 2**0.5


def test_training_finds_that_posterior():
    """By Adam: the mean to 1e-5; the covariance does not depend on it."""
    data, posterior = linear(epochs=1500, lr=0.05)
    precision = data.x.T @ data.x / NOISE**2 + torch.eye(3) / SCALE**2
    mean = torch.linalg.solve(precision, data.x.T @ data.y / NOISE**2)
    assert posterior.parameters()["weight"][0].numpy() == pytest.approx(mean.numpy(), abs=1e-5)
    assert covariance(posterior).numpy() == pytest.approx(torch.linalg.inv(precision).numpy(), abs=1e-5)


def evidence(data, scale):
    """log p(y | X) = log Normal(y; 0, σ² I + s² XXᵀ), by SciPy."""
    spread = NOISE**2 * np.eye(N) + scale**2 * (data.x @ data.x.T).numpy()
    return stats.multivariate_normal(np.zeros(N), spread).logpdf(data.y.numpy())


def test_the_log_evidence_is_that_of_linear_regression(regression):
    data, posterior, _, _ = regression
    assert posterior.guide.log_evidence.item() == pytest.approx(evidence(data, SCALE), rel=1e-9)
    assert math.isnan(posterior.guide.isotropic_precision)


def test_the_precision_by_evidence_is_a_fixed_point():
    """δ = γ/‖θ̂‖², γ = Σ λ/(λ + δ) (MacKay, 1992, eq. 2.22), and log Z is SciPy's, and largest there."""
    data, posterior = linear(br.Flat(), guide=Laplace(precision="evidence"))
    gram = data.x.T @ data.x / NOISE**2
    delta, mean = 1.0, torch.zeros(3)
    for _ in range(300):  # δ and θ̂ in turn, as MacKay has it: there both agree
        mean = torch.linalg.solve(gram + delta * torch.eye(3), data.x.T @ data.y / NOISE**2)
        eigenvalues = torch.linalg.eigvalsh(gram)
        delta = (eigenvalues / (eigenvalues + delta)).sum().item() / mean.square().sum().item()
    put(posterior, data, flat=mean)
    assert posterior.guide.isotropic_precision.item() == pytest.approx(delta, rel=1e-4)
    best = evidence(data, delta**-0.5)
    assert posterior.guide.log_evidence.item() == pytest.approx(best, abs=1e-6)
    assert all(evidence(data, (delta * factor) ** -0.5) < best for factor in (0.8, 1.25))


def test_a_flat_bias_that_the_data_determine_stays_flat():
    """H = XᵀX/σ² + diag(1/s², 1/s², 1/s², 0), with a column of ones."""
    data, posterior = linear(bias=True)
    X = torch.cat([data.x, torch.ones(N, 1)], 1).double()
    expected = X.T @ X / NOISE**2 + torch.diag(torch.tensor([SCALE**-2] * 3 + [0.0])).double()
    assert torch.linalg.inv(covariance(posterior)).numpy() == pytest.approx(expected.numpy(), rel=1e-6, abs=1e-9)
    assert math.isnan(posterior.guide.isotropic_precision)


def test_flat_parameters_that_the_data_leave_open_get_a_precision():
    """Two inputs that are the same, under no prior: H has an inverse, and what only their difference moves has 1/δ."""
    data, _ = linear()
    twice = br.Dataset(data.x[:, [0, 0, 1]], data.y)
    model = br.Model(nn.Linear(3, 1, bias=False).double(), br.Flat(), br.Gaussian(scale=NOISE), size=N)
    posterior = br.fit(model, twice, guide="laplace", epochs=20, batch_size=N, lr=0.05, **QUIET)
    delta = posterior.guide.isotropic_precision.item()
    expected = twice.x.T @ twice.x / NOISE**2 + delta * torch.eye(3)
    assert torch.linalg.inv(covariance(posterior)).numpy() == pytest.approx(expected.numpy(), rel=1e-6, abs=1e-6)
    apart = torch.tensor([1.0, -1.0, 0.0]).double() / 2**0.5
    assert (apart @ covariance(posterior) @ apart).item() == pytest.approx(1 / delta, rel=1e-6)


# --- The generalised Gauss-Newton matrix ---


F = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
FISHER = {
    "categorical": (br.Categorical(), lambda f: torch.diag(f.softmax(-1)) - torch.outer(f.softmax(-1), f.softmax(-1))),
    "smoothed": (br.Categorical(label_smoothing=0.1), lambda f: FISHER["categorical"][1](f)),
    "bernoulli": (br.Bernoulli(), lambda f: torch.diag(f.sigmoid() * (1 - f.sigmoid()))),
    "gaussian": (br.Gaussian(scale=NOISE), lambda f: torch.eye(4) / NOISE**2),
    "learned noise": (br.Gaussian(), lambda f: torch.eye(4).double() / 0.3**2),
    "heteroscedastic": (
        br.Heteroscedastic(),
        lambda f: torch.diag(torch.cat([(-2 * f[2:]).exp(), torch.full((2,), 2.0)])),
    ),
}


@pytest.mark.parametrize("name", FISHER)
def test_the_fisher_information(name):
    likelihood, expected = FISHER[name]
    found = fisher(likelihood, {"noise.scale": torch.tensor(0.3, dtype=torch.float64)}, F)
    assert found.numpy() == pytest.approx(torch.stack([expected(f) for f in F]).numpy(), abs=1e-12)


def test_the_fisher_information_of_one_number_an_example():
    found = fisher(br.Gaussian(scale=NOISE), {}, F[:, 0])
    assert found.flatten().numpy() == pytest.approx(NOISE**-2)


@pytest.mark.parametrize("target", ["categorical", "bernoulli", "gaussian fixed"])
def test_it_is_the_hessian_of_a_network_without_hidden_layers(target):
    """There f is linear in θ, and the GGN matrix is the Hessian of −log p(y | x, θ), by torch.func."""
    model, data = build(TINY_NETS["mlp"], "l2", TARGETS[target])
    torch.manual_seed(0)
    model = br.Model(nn.Linear(3, TARGETS[target].outputs).double(), "l2", TARGETS[target].likelihood, size=6)
    theta = dict(model.net.named_parameters())
    names, sizes = list(theta), [p.numel() for p in theta.values()]

    def loss(vector):
        named = {n: v.reshape(theta[n].shape) for n, v in zip(names, vector.split(sizes), strict=True)}
        p = model.likelihood(functional_call(model.net, named, (data.x,)), {})
        return -p.log_prob(model.likelihood.target(data.y, p)).sum()

    at = torch.cat([p.detach().flatten() for p in theta.values()])
    found, log_likelihood = ggn(model, theta, names, data, diagonal=False)
    assert found.numpy() == pytest.approx(hessian(loss)(at).numpy(), abs=1e-10)
    assert log_likelihood == pytest.approx(-loss(at).item(), rel=1e-12)
    diagonal, _ = ggn(model, theta, names, data, diagonal=True)
    assert diagonal.numpy() == pytest.approx(found.diagonal().numpy(), rel=1e-9)


def by_hand(net, x):
    """J [B, K, P] of a network in eval mode, one backward pass an output."""
    rows = []
    for n in range(len(x)):
        for f in net(x[n : n + 1]).flatten():
            net.zero_grad()
            f.backward(retain_graph=True)
            rows.append(torch.cat([p.grad.flatten() for p in net.parameters()]))
    return torch.stack(rows).reshape(len(x), -1, rows[0].numel())


DERIVED = [(net, torch.float64, 1e-10) for net in TINY_NETS if net != "vae"] + [("lstm", torch.float32, 1e-5)]


@pytest.mark.parametrize(("name", "dtype", "tolerance"), DERIVED)
def test_jacobians_and_the_linearised_outputs(name, dtype, tolerance):
    """Of every network, those without a batching rule or forward mode among them; in single precision oneDNN's LSTM."""
    model, data = build(TINY_NETS[name], "l2", TARGETS["categorical"], dtype)
    model.eval()
    theta = {n: p.detach() for n, p in model.net.named_parameters()}
    step = {n: torch.randn(p.shape, generator=torch.Generator().manual_seed(0)).to(dtype) for n, p in theta.items()}
    with torch.no_grad():
        J = jacobian(model.outputs, theta, data.x)
        found = linearised(model.outputs, theta, step, data.x)
    expected = by_hand(model.copy().net.eval().requires_grad_(), data.x)
    torch.testing.assert_close(J, expected, rtol=0, atol=tolerance)
    moved = model.outputs(theta, data.x).detach() + expected @ torch.cat([s.flatten() for s in step.values()])
    torch.testing.assert_close(found, moved, rtol=0, atol=100 * tolerance)


def test_the_ggn_matrix_of_a_network_by_hand():
    model, data = build(TINY_NETS["mlp"], "l2", TARGETS["categorical"])
    theta = {n: p.detach() for n, p in model.net.named_parameters()}
    J, p = by_hand(model.copy().net.requires_grad_(), data.x), model.outputs(theta, data.x).softmax(-1)
    expected = sum(j.T @ (torch.diag(q) - torch.outer(q, q)) @ j for j, q in zip(J, p, strict=True))
    assert ggn(model, theta, list(theta), data, diagonal=False)[0].numpy() == pytest.approx(expected.numpy(), abs=1e-10)


# --- The prior's curvature ---


def test_the_curvature_of_priors():
    """1/σ² under l2, α under ard where it is, (1−ρ) λ under the elastic net off 0, and 0 of a flat density."""
    for prior, expected in {
        br.L2(scale=SCALE): SCALE**-2,
        br.ElasticNet(rate=3.0, l1_ratio=0.25): 2.25,
        br.L1(scale=1.0): 0.0,
        br.ARD(temper=2.0): None,
    }.items():
        model, _ = build(TINY_NETS["mlp"], prior, TARGETS["categorical"])
        sites = model.initial()
        density, bends = of_prior(model, sites)
        named = model.unpack(sites)
        for name in ("head.weight", "body.0.weight"):
            wanted = 2.0 * named[f"precision.{name}"] if expected is None else torch.full_like(named[name], expected)
            assert bends[name].numpy() == pytest.approx(wanted.numpy(), rel=1e-6)
            assert bends[name.replace("weight", "bias")].abs().max() == 0
        assert math.isfinite(density)


def test_gaussian_by_determinants():
    """The eigenvalues given the other parameters: log |H|, δ and log Z as by brute force, in units of parameters."""
    g = torch.Generator().manual_seed(3)
    A = torch.randn(7, 3, dtype=torch.float64, generator=g)
    H, own, free = A @ A.T, torch.full((7,), 0.7).double(), torch.arange(7) > 2  # of rank 3
    centre, unit = torch.randn(7, dtype=torch.float64, generator=g), torch.tensor([1.0] * 5 + [100.0] * 2).double()
    found = gaussian(H, own, free, centre, unit)
    again = gaussian(H * unit[:, None] * unit, own * unit**2, free, centre / unit, torch.ones_like(unit))
    assert found.isotropic == pytest.approx(again.isotropic, rel=1e-5)

    def log_z(delta):
        prior = torch.distributions.Normal(0.0, unit[free] * delta**-0.5).log_prob(centre[free]).sum().item()
        precision = H + torch.diag(own.where(~free, delta / unit**2))
        return prior - torch.logdet(precision / (2 * math.pi)).item() / 2

    assert all(log_z(found.isotropic) >= log_z(found.isotropic * by) for by in (0.5, 0.99, 1.01, 2))
    assert found.log_evidence(0.0) == pytest.approx(log_z(found.isotropic), rel=1e-10)


# --- The fit, and the predictive ---


def small(guide="laplace", prior="l2:0.01", likelihood="gaussian fixed", **options):
    model, data = build(TINY_NETS["mlp"], prior, TARGETS[likelihood])
    return data, br.fit(model, data, guide=guide, **({"epochs": 4, "batch_size": 4} | options), **QUIET)


def test_the_point_is_map_bit_for_bit():
    """So is the history, but for the predictions after the last epoch."""
    for prior, likelihood in (("ard", "gaussian"), ("none", "categorical")):
        data, ours = small(prior=prior, likelihood=likelihood)
        _, theirs = small("delta", prior, likelihood)
        ours_, theirs_ = ours.parameters(), theirs.parameters()
        assert ours_.keys() == theirs_.keys()
        assert all(torch.equal(value, theirs_[name]) for name, value in ours_.items())
        assert ours.history["loss"].tolist() == theirs.history["loss"].tolist()
        torch.testing.assert_close(ours.outputs(data.x), theirs.outputs(data.x), rtol=1e-12, atol=1e-14)


def test_the_predictive_has_the_variance_of_the_linearised_network():
    """J Σ Jᵀ + σ², in closed form; at a draw f(x; θ̂) + J(x) (θ − θ̂) exactly."""
    data, posterior = small()
    net, names = posterior.network(), [name for block in posterior.model.blocks for name in block.shapes]
    order = torch.cat([torch.full((p.numel(),), names.index(name)) for name, p in net.named_parameters()]).argsort(
        stable=True
    )
    J = by_hand(net, data.x)[:, 0][:, order]  # the weights before the biases, as in q
    expected = ((J @ covariance(posterior)) * J).sum(1) + 0.5**2
    predictive, f = posterior.predict(data.x, draws=1000), posterior.outputs(data.x)[:, 0]
    assert predictive.variance.numpy() == pytest.approx(expected.numpy(), rel=5 * (2 / 1000) ** 0.5)
    assert ((predictive.mean - f).abs() < 5 * (expected / 1000).sqrt()).all()
    theta = {name: value[0] for name, value in posterior.draws(1).items()}
    steps = torch.cat([(theta[name] - posterior.parameters()[name]).flatten() for name in names])
    at_draw = posterior.inference.outputs(posterior, theta, data.x)[:, 0]
    assert at_draw.detach().numpy() == pytest.approx((f + J @ steps).numpy(), abs=1e-10)


def test_structures():
    """H of the last layer is that block of the full GGN matrix and the prior's precision; the diagonal is its own."""
    _, full = small(prior=br.L2(scale=0.5, on="all"))
    _, last = small("laplace:structure=last_layer", br.L2(scale=0.5, on="all"))
    _, diagonal = small("laplace:structure=diagonal", br.L2(scale=0.5, on="all"))
    H = full.guide.factor @ full.guide.factor.T
    where = [full.guide.index.tolist().index(i) for i in last.guide.index.tolist()]
    assert len(where) == 5
    assert (last.guide.factor @ last.guide.factor.T).numpy() == pytest.approx(H[where][:, where].numpy(), rel=1e-9)
    assert diagonal.guide.factor.numpy() == pytest.approx(H.diagonal().numpy(), rel=1e-9)
    expected = covariance(last)[:4, :4].numpy(), np.diag(covariance(diagonal).diagonal()[-5:-1].numpy())
    for posterior, wanted in zip((last, diagonal), expected, strict=True):
        drawn = posterior.draws(20_000)["head.weight"][:, 0]
        assert drawn.T.cov().numpy() == pytest.approx(wanted, abs=5 * (2 / 20_000) ** 0.5 * wanted.max())
    drawn = last.draws(3)
    assert torch.equal(drawn["body.0.weight"][0], drawn["body.0.weight"][1])
    assert not torch.equal(drawn["head.bias"][0], drawn["head.bias"][1])


# --- Under every likelihood, from a file, and what is refused ---


def test_it_conforms(tmp_path):
    check(TINY_NETS["mlp"], "ard", TARGETS["gaussian"], "laplace", tmp_path)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("prior", ["none", "l2", "elastic_net", "ard"])
def test_fits_under_every_likelihood(prior, target, tmp_path):
    """Its training is delta's, whose conformance is tested under every prior."""
    others = [Laplace("last_layer", "evidence"), "laplace:structure=diagonal"] if prior == "l2" else []
    for guide in ["laplace", *others]:
        check_fit(*build(TINY_NETS["mlp"], prior, TARGETS[target], torch.float32), guide, tmp_path)


@pytest.mark.parametrize("net", ["resnet18", "lstm", "bilstm", "transformer"])
def test_networks_of_every_kind(net, tmp_path):
    model, data = build(TINY_NETS[net], "l2", TARGETS["categorical"], torch.float32)
    check_fit(model, data, "laplace:structure=last_layer" if net == "resnet18" else "laplace", tmp_path)


def test_its_options_in_text():
    guide = as_guide("laplace:structure=full,precision=evidence")
    assert guide == Laplace("full", "evidence") == as_guide(guide.text)
    assert br.Method.parse("l2@laplace:structure=diagonal").text.endswith("@laplace:structure=diagonal")
    with pytest.raises(ValueError, match=r"Laplace\(structure='banded'\): one of auto, full, last_layer, diagonal"):
        as_guide("laplace:structure=banded")
    with pytest.raises(ValueError, match=r"Laplace\(precision=3\): one of prior, evidence"):
        Laplace(precision=3)


def test_free_parameters_may_come_first():
    """The weights of the last layer under no prior, its bias under one: H = GGN + diag(1/s², δ, δ, δ, δ)."""
    data, posterior = small("laplace:structure=last_layer,precision=prior", br.L2(scale=0.5, on="head.bias"))
    q, model = posterior.guide, posterior.model
    expected, _ = ggn(model.eval(), posterior.parameters(), ["head.bias", "head.weight"], data, diagonal=False)
    delta = torch.nan_to_num(q.isotropic_precision)
    expected += torch.diag(torch.cat([delta.new_tensor([4.0]), delta.expand(4)]))
    torch.testing.assert_close(q.factor @ q.factor.T, expected, rtol=1e-9, atol=1e-9)
    assert q.index.tolist() == sorted(q.index.tolist())  # the site of the bias is first


def test_a_prior_of_hardly_any_precision_loses_no_fit():
    """10⁻²⁰ on a softmax, whose GGN matrix has eigenvalues 0: rounding would leave H without a factor."""
    for dtype in (torch.float32, torch.float64):
        model, data = build(TINY_NETS["mlp"], br.L2(scale=1e10, on="all"), TARGETS["categorical"], dtype)
        posterior = br.fit(model, data, guide="laplace", epochs=2, **QUIET)
        assert posterior.guide.isotropic_precision > 0
        assert posterior.predict(data.x).probs.isfinite().all()


def test_auto_is_full_then_last_layer_then_diagonal():
    sizes = {64: "full", 100: "last_layer", 7000: "diagonal"}
    for hidden, structure in sizes.items():
        net = br.nets.mlp(1 if structure == "diagonal" else 20, 1, hidden=[hidden] * (1 + (hidden == 100)))
        model = br.Model(net, "l2", br.Gaussian(), size=5)
        assert Laplace()._structure(model) == structure


REFUSED = {
    "l1": ({"prior": "l1"}, "laplace", r"L1.*is not above 0 for body.0.weight: take l2, .* laplace:precision=evidence"),
    "a factor": ({"prior": "l2:0.1+smoothness:0.1"}, "laplace", r"Smoothness.* is a factor on the network's function"),
    "latents of each example": ({"net": "vae"}, "laplace", "has latents of each example"),
    "early stopping": ({"early_stopping": True}, "laplace", "laplace is made of the parameters at the end of training"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_before_training(what, monkeypatch):
    options, guide, words = REFUSED[what]
    monkeypatch.setattr(fit_module, "_Run", None)
    net, prior = TINY_NETS[options.pop("net", "mlp")], options.pop("prior", "l2")
    model, data = build(net, prior, TARGETS["categorical"])
    with pytest.raises(ValueError, match=words):
        br.fit(model, data, guide=guide, epochs=1, validation=data, **options, **QUIET)


def test_networks_that_stay_random_and_priors_that_couple_are_refused():
    net = br.Method.parse("mc_dropout:0.2").network(nn.Sequential(nn.Linear(3, 4), nn.SiLU(), nn.Linear(4, 1)))
    with pytest.raises(ValueError, match="stays random in prediction, and the guide laplace linearises one function"):
        br.guides.create("laplace", br.Model(net, "l2", br.Gaussian(), size=5))

    class Coupled(br.WeightPrior):
        def sample(self, site, initial):
            sigma = torch.eye(len(initial)).to(initial) + 0.5
            return {site: pyro.sample(site, dist.MultivariateNormal(torch.zeros_like(initial), sigma))}

    with pytest.raises(ValueError, match=r"Coupled.* couples them: take the guide delta or normal"):
        br.guides.create("laplace", br.Model(nn.Linear(3, 1), Coupled(), br.Gaussian(), size=5))


def test_l1_under_evidence_and_precisions_of_ard():
    """With evidence any weight prior will do; under ard H has the learned α."""
    _, posterior = small("laplace:precision=evidence", "l1")
    assert posterior.guide.isotropic_precision > 0
    data, posterior = small(prior="ard")
    model, theta = posterior.model, posterior.parameters()
    names = [name for block in model.blocks for name in block.shapes]
    model.eval()
    without = ggn(model, theta, names, data, diagonal=False)[0]
    H = posterior.guide.factor @ posterior.guide.factor.T
    weights = torch.cat([theta[f"precision.{name}"].flatten() for name in names if "weight" in name])
    assert (H - without).diagonal()[: len(weights)].numpy() == pytest.approx(weights.numpy(), rel=1e-6)


def test_too_large_for_memory_says_the_number(monkeypatch):
    model = br.Model(br.nets.mlp(1000, 10, hidden=200), "l2", br.Categorical(), size=5)
    monkeypatch.setattr(memory, "total", lambda: memory.Memory(2**33))
    with pytest.raises(ValueError, match=r"laplace:structure=full of 242,410 unknowns takes 1,751\.. GB .*last_layer"):
        br.guides.create("laplace:structure=full", model)
    assert br.guides.create("laplace", model)


def test_an_interrupted_fit_ends_with_its_posterior(monkeypatch, tmp_path):
    """Also where it was interrupted after the last epoch, while it was judged."""
    model, data = build(TINY_NETS["mlp"], "l2", TARGETS["categorical"])
    options = {"guide": "laplace", "epochs": 3, "batch_size": 4, "checkpoint": tmp_path / "c.pt"} | QUIET
    whole = br.fit(model, data, **options).draws(2)
    monkeypatch.setattr(fit_module, "SAVED_EVERY", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(fit_module, "judge", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            br.fit(model, data, **options)
    assert (tmp_path / "c.pt").exists()
    assert all(torch.equal(value, whole[name]) for name, value in br.fit(model, data, **options).draws(2).items())
