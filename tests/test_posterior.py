"""A posterior predicts the mean over draws of p(y | x, θ), and comes back from a file as it was."""

import copy
import errno
import math
from dataclasses import dataclass

import byhand
import numpy as np
import pyro
import pytest
import torch
from byhand import LIKELIHOODS
from scipy.special import logsumexp
from torch import nn

import bayesreg as br
from bayesreg import files
from bayesreg import posterior as module
from bayesreg.posterior import Posterior

N = 12
OPTIONS = {"epochs": 2, "batch_size": N, "lr": 0.05, "device": "cpu", "progress": False}


def fit(likelihood="categorical", guide="normal", prior=None, dtype=torch.float64):
    """A posterior, and new inputs with targets."""
    case = LIKELIHOODS[likelihood]
    train = br.Dataset(*case.data(N, dtype))
    model = br.Model(byhand.network(case.outputs, dtype), prior or br.L2(), case.likelihood, size=N)
    return br.fit(model, train, guide=guide, **OPTIONS), br.Dataset(*case.data(7, dtype, seed=5))


def wide(posterior):
    """The normal guide's scales made large, so that its draws differ visibly."""
    for name, parameter in posterior.guide.named_parameters():
        if "scales" in name:
            parameter.data.fill_(math.log(0.5))
    return posterior


def theta(draws, s):
    return {name: value[s].numpy() for name, value in draws.items()}


# --- Predictions ---


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize(("guide", "number"), [("delta", 5), ("normal", 1), ("normal", 6)])
def test_predictive_is_the_mean_over_draws(likelihood, guide, number):
    posterior, new = fit(likelihood, guide)
    posterior = wide(posterior)
    draws = posterior.draws(number, seed=3)
    S = 1 if guide == "delta" else number
    assert len(draws["0.weight"]) == S
    case, x, y = LIKELIHOODS[likelihood], new.x.numpy(), new.y.numpy()
    log_p, outputs = [], []
    for s in range(S):
        values = theta(draws, s)
        f = byhand.forward(values, x)[0]
        log_p.append(case.log_density(f, y, values.get("noise.scale")))
        outputs.append(f)
    assert S == 1 or np.std(log_p, axis=0).min() > 1e-3
    expected = logsumexp(log_p, axis=0) - np.log(S)

    predictive = posterior.predict(new.x, draws=number, seed=3)
    assert tuple(predictive.batch_shape) == (7,)
    y = case.likelihood.target(new.y, predictive)
    np.testing.assert_allclose(predictive.log_prob(y).numpy(), expected, rtol=1e-10)
    assert posterior.evaluate(new, draws=number, seed=3)["nll"] == pytest.approx(-expected.mean(), rel=1e-10)
    scores = posterior.scores(new, draws=number, seed=3)["nll"]
    assert (scores.dtype, scores.device.type) == (torch.float32, "cpu")
    np.testing.assert_allclose(scores.numpy(), -expected, rtol=1e-6)

    if likelihood == "categorical":
        probabilities = np.mean([np.exp(f - logsumexp(f, axis=1, keepdims=True)) for f in outputs], axis=0)
        np.testing.assert_allclose(predictive.probs.numpy(), probabilities, rtol=1e-10)
    else:
        means = {"bernoulli": byhand.expit, "heteroscedastic": lambda f: f[:, : f.shape[1] // 2]}  # then the log scales
        link = next((g for name, g in means.items() if likelihood.startswith(name)), np.asarray)
        mean = np.mean([link(f) for f in outputs], axis=0).reshape(predictive.mean.shape)
        np.testing.assert_allclose(predictive.mean.numpy(), mean, rtol=1e-10)


@pytest.mark.parametrize("likelihood", ["gaussian_learned", "gaussian_fixed2", "heteroscedastic"])
def test_the_integral_transform_is_the_mean_over_draws(likelihood):
    """P(Y ≤ y) of the mixture: against the share of 40,000 of its samples."""
    posterior, new = fit(likelihood)
    pit = wide(posterior).judged(new, draws=4).pit
    torch.manual_seed(0)
    samples = posterior.predict(new.x, draws=4).sample((40_000,))
    share = (samples.reshape(40_000, len(new), -1) <= new.y.reshape(len(new), -1)).double().mean(0)
    torch.testing.assert_close(pit.reshape(len(new), -1), share, atol=0.015, rtol=0)


def test_what_reliability_diagrams_need():
    posterior, new = fit("categorical")
    judged = posterior.judged(new)
    assert judged.reliability()["confidence"].tolist() == judged.point.amax(1).float().tolist()
    posterior, new = fit("gaussian_learned")
    judged = posterior.judged(new)
    assert judged.reliability()["pit"].tolist() == judged.pit.float().tolist()
    posterior, new = fit("gaussian_fixed2")
    assert posterior.judged(new).reliability() == {}  # of two outputs


def test_evaluate_by_hand():
    posterior, new = fit("categorical", "delta")
    f, _ = byhand.forward(theta(posterior.draws(), 0), new.x.numpy())
    scores = posterior.evaluate(new)
    assert set(scores) == {"accuracy", "macro_f1", "nll", "brier", "ece"}
    correct = f.argmax(1) == new.y.numpy()
    assert scores["accuracy"] == pytest.approx(correct.mean())
    assert posterior.scores(new)["accuracy"].tolist() == correct.astype(float).tolist()
    posterior, new = fit("gaussian_learned", "delta")
    f, _ = byhand.forward(theta(posterior.draws(), 0), new.x.numpy())
    scores = posterior.evaluate(new)
    assert set(scores) == {"mse", "rmse", "r2", "nll", "coverage_error"}
    error = (f[:, 0] - new.y.numpy()) ** 2
    assert scores["mse"] == pytest.approx(error.mean())
    np.testing.assert_allclose(posterior.scores(new)["mse"].numpy(), error, rtol=1e-6)


def test_chunks_are_only_a_matter_of_memory(monkeypatch):
    posterior, new = fit()
    whole = posterior.predict(new.x).probs
    monkeypatch.setattr(module, "CHUNK", 3)
    torch.testing.assert_close(posterior.predict(new.x).probs, whole, rtol=1e-12, atol=0)


def test_predictions_leave_everything_as_it_is():
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.SiLU(), nn.Dropout(0.5), nn.Linear(4, 4))
    x, y = LIKELIHOODS["categorical"].data(N, torch.float32)
    train = br.Dataset(x, y)
    stored = len(pyro.get_param_store())
    posterior = br.fit(br.Model(net, br.L2(), br.Categorical(), size=N), train, guide="normal", **OPTIONS)
    before = copy.deepcopy(posterior.model.state_dict())
    training, random = [m.training for m in posterior.model.modules()], torch.get_rng_state()
    first = posterior.predict(x).probs
    assert torch.equal(posterior.predict(x).probs, first)  # no dropout
    together = posterior.predict(x[:3]).probs
    torch.testing.assert_close(together, first[:3])  # no batch statistics
    posterior.evaluate(train)
    posterior.parameters()
    assert all(torch.equal(value, before[name]) for name, value in posterior.model.state_dict().items())
    assert [m.training for m in posterior.model.modules()] == training
    assert torch.equal(torch.get_rng_state(), random)
    assert not first.requires_grad
    assert len(pyro.get_param_store()) == stored


def test_outputs_that_are_not_finite_are_refused():
    posterior, new = fit(guide="delta")
    with torch.no_grad():
        next(posterior.guide.parameters()).fill_(math.inf)
    with pytest.raises(FloatingPointError, match="NaN or infinite"):
        posterior.predict(new.x)


def test_bytes_are_images_in_the_unit_interval():
    g = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (N, 3, 2, 2), dtype=torch.uint8, generator=g)
    train = br.Dataset(images, torch.arange(N) % 3)
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    posterior = br.fit(br.Model(net, br.L2(), br.Categorical(), size=N), train, **OPTIONS)
    bytes_, floats = posterior.predict(images).probs, posterior.predict(images.float() / 255).probs
    torch.testing.assert_close(bytes_, floats)
    assert not torch.allclose(bytes_, posterior.predict(images.float()).probs)
    assert math.isfinite(posterior.evaluate(train)["nll"])


# --- Parameters and draws ---


@pytest.mark.parametrize("guide", ["delta", "normal"])
def test_names_and_shapes(guide):
    posterior, _ = fit("gaussian_learned", guide, br.ARD() + br.Entropic(0.1))
    shapes = {name: tuple(p.shape) for name, p in byhand.network(1).named_parameters()}
    shapes |= {f"precision.{name}": shapes[name] for name in ("0.weight", "2.weight")}
    shapes["noise.scale"] = ()
    assert {name: tuple(value.shape) for name, value in posterior.parameters().items()} == shapes
    S = 1 if guide == "delta" else 5
    draws = posterior.draws(5)
    assert {name: tuple(value.shape) for name, value in draws.items()} == {
        name: (S, *shape) for name, shape in shapes.items()
    }
    for name in draws:
        if name.startswith("precision.") or name == "noise.scale":
            assert (draws[name] > 0).all()
    assert not any(value.requires_grad for value in [*draws.values(), *posterior.parameters().values()])


def test_draws_by_seed():
    posterior, _ = fit()
    random = torch.get_rng_state()
    first, again, other = posterior.draws(3), posterior.draws(3, seed=0), posterior.draws(3, seed=1)
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(first["0.weight"], other["0.weight"])
    assert not torch.equal(first["0.weight"][0], first["0.weight"][1])
    assert torch.equal(torch.get_rng_state(), random)


def test_parameters_are_a_copy():
    posterior, _ = fit(guide="delta")
    posterior.parameters()["0.weight"].fill_(7.0)
    assert not (posterior.parameters()["0.weight"] == 7.0).any()


@pytest.mark.parametrize("guide", ["delta", "normal"])
def test_network_is_a_plain_module_with_the_same_predictions(guide):
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Dropout(0.5), nn.Linear(4, 4))
    x, y = LIKELIHOODS["categorical"].data(N, torch.float32)
    posterior = br.fit(br.Model(net, br.ARD(), br.Categorical(), size=N), br.Dataset(x, y), guide=guide, **OPTIONS)
    plain = posterior.network()
    assert type(plain) is nn.Sequential
    assert not plain.training
    assert all(p.requires_grad for p in plain.parameters())
    thetas = posterior.parameters()
    assert all(torch.equal(p, thetas[name]) for name, p in plain.named_parameters())
    assert torch.equal(plain[1].running_mean, posterior.model.net[1].running_mean)
    assert not torch.equal(plain[1].running_mean, net[1].running_mean)
    if guide == "delta":
        torch.testing.assert_close(plain(x).softmax(-1), posterior.predict(x).probs)
    before = posterior.predict(x).probs
    with torch.no_grad():
        plain[0].weight.fill_(0.0)
    assert torch.equal(posterior.predict(x).probs, before)


# --- Files ---


def claimed(name, parameter):
    return name == "2.weight"


SAVED = {name: prior for name, (prior, _) in byhand.PRIORS.items()} | {
    "glob": br.L2(scale=0.4, on="2.*"),
    "globs": br.L1(scale=0.4, on=["0.bias", "2.*"]),
    "callable": br.ARD(on=claimed) + br.Entropic(0.1),
}


def same(one, other, new):
    """Everything that can be asked of them is equal, bit for bit."""
    pairs = [(one.parameters(), other.parameters()), (one.draws(3), other.draws(3))]
    for mine, theirs in pairs:
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(value, theirs[name]) for name, value in mine.items())
    assert one.evaluate(new) == other.evaluate(new)
    assert one.history.equals(other.history)
    assert one.guide_name == other.guide_name
    assert one.warmup_seconds == other.warmup_seconds
    assert one.model.size == other.model.size
    assert one.model.likelihood == other.model.likelihood
    x, y = new.x, new.y
    density = [p.model.log_joint(p.parameters(), x, y).item() for p in (one, other)]
    assert density[0] == density[1]


@pytest.mark.parametrize("guide", ["delta", "normal"])
@pytest.mark.parametrize("prior", SAVED)
def test_round_trip(prior, guide, tmp_path):
    posterior, new = fit("gaussian_learned", guide, SAVED[prior])
    posterior.warmup_seconds = 1.5
    path = posterior.save(tmp_path / "deep" / "posterior.pt")
    assert [p.name for p in path.parent.iterdir()] == ["posterior.pt"]
    net = byhand.network(1, seed=9)  # of other weights
    before = copy.deepcopy(net.state_dict())
    same(posterior, br.Posterior.load(path, net), new)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(p.requires_grad for p in net.parameters())


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_round_trip_of_every_likelihood(likelihood, tmp_path):
    posterior, new = fit(likelihood)
    net = byhand.network(LIKELIHOODS[likelihood].outputs, seed=9)
    same(posterior, br.Posterior.load(posterior.save(tmp_path / "p.pt"), net), new)


def test_a_loaded_posterior_can_be_saved_again(tmp_path):
    posterior, new = fit(prior=SAVED["callable"])
    first = br.Posterior.load(posterior.save(tmp_path / "1.pt"), byhand.network(4))
    same(posterior, br.Posterior.load(first.save(tmp_path / "2.pt"), byhand.network(4)), new)


def test_batch_norm_and_frozen_layers_come_back(tmp_path):
    def build():
        return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.SiLU(), nn.Linear(4, 4))

    net = build()
    net[0].requires_grad_(False)
    x, y = LIKELIHOODS["categorical"].data(N, torch.float32)
    posterior = br.fit(br.Model(net, br.L2(), br.Categorical(), size=N), br.Dataset(x, y), **OPTIONS)
    path = posterior.save(tmp_path / "p.pt")
    for again in (build(), net, posterior.model.net):  # frozen or not, by the file it is known what was learned
        same(posterior, br.Posterior.load(path, again), br.Dataset(x, y))


@pytest.mark.parametrize("guide", ["delta", "normal"])
def test_evaluates_in_parts_as_in_one(guide, monkeypatch):
    for likelihood in LIKELIHOODS:
        posterior, new = fit(likelihood, guide)
        whole = posterior.evaluate(new, draws=3)
        with monkeypatch.context() as patch:
            patch.setattr(module, "JUDGED", 2 * 3 * new.x[0].numel())  # 2 examples at a time under normal
            assert posterior.evaluate(new, draws=3) == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize("guide", ["delta", "normal"])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_means_of_the_scores_are_what_evaluate_says(likelihood, guide, monkeypatch):
    """In float32 the nll loses nothing on its way."""
    posterior, new = fit(likelihood, guide, dtype=torch.float32)
    monkeypatch.setattr(module, "JUDGED", 2 * 3 * new.x[0].numel())
    judged = posterior.judged(new, draws=3)
    metrics, scores = judged.metrics(), judged.scores()
    assert metrics == posterior.evaluate(new, draws=3)
    assert list(scores) == list(metrics)
    assert scores["nll"].double().mean().item() == pytest.approx(metrics["nll"], rel=1e-14)
    for name, values in scores.items():
        assert values.shape == (len(new),)
        assert values.double().mean().item() == pytest.approx(metrics[name], rel=1e-5, abs=1e-6)
        assert torch.equal(values, posterior.scores(new, draws=3)[name])


def test_metrics_and_scores_are_of_one_pass(monkeypatch):
    posterior, new = fit()
    passes, predictive = [], Posterior._predictive
    monkeypatch.setattr(Posterior, "_predictive", lambda *args: passes.append(1) or predictive(*args))
    judged = posterior.judged(new)
    assert judged.metrics()
    assert judged.scores()
    assert passes == [1]


def test_grey_values_under_a_mixture_of_draws():
    """log (1/S) Σ_s Π_j p_sj^y_j (1 − p_sj)^(1 − y_j)."""
    x, y = torch.rand(N, 3).double(), torch.rand(N, 2).double()
    model = br.Model(nn.Linear(3, 2).double(), br.L2(), br.Bernoulli(), size=N)
    posterior = wide(br.fit(model, br.Dataset(x, y), guide="normal", **OPTIONS))
    draws = posterior.draws(5, seed=1)
    p = torch.sigmoid(torch.stack([x @ W.T + b for W, b in zip(draws["weight"], draws["bias"], strict=True)]))
    log_p = (y * p.log() + (1 - y) * (1 - p).log()).sum(-1)
    expected = log_p.logsumexp(0) - math.log(5)
    torch.testing.assert_close(posterior.predict(x, draws=5, seed=1).log_prob(y), expected)
    assert posterior.evaluate(br.Dataset(x, y), draws=5, seed=1)["nll"] == pytest.approx(-expected.mean().item())


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    posterior, _ = fit()
    path = posterior.save(tmp_path / "p.pt")
    before = path.read_bytes()

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "_comment", full)  # which is written last
    with pytest.raises(OSError, match=r"No space left on device: '.*p\.pt'"):
        posterior.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["p.pt"]


def test_a_damaged_file_is_refused(tmp_path):
    posterior, _ = fit()
    path = posterior.save(tmp_path / "p.pt")
    whole = path.read_bytes()
    for place in range(0, len(whole), 101):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(ValueError, match=r"p\.pt is not a posterior that bayesreg saved.*save the posterior again"):
            br.Posterior.load(path, posterior.model.net)


@pytest.mark.parametrize("content", [b"", b"accuracy 0.9", b"<html>", b"PK of a zip"])
def test_a_file_of_something_else_is_refused(tmp_path, content):
    (tmp_path / "p.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"p\.pt is not a posterior that bayesreg saved"):
        br.Posterior.load(tmp_path / "p.pt", nn.Linear(1, 1))


@pytest.mark.parametrize(
    "other",
    [
        lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Tanh(), nn.Linear(4, 4)),  # another name
        lambda: nn.Sequential(nn.Linear(3, 4, bias=False), nn.Tanh(), nn.Linear(4, 4)),  # one less
        lambda: nn.Sequential(nn.Linear(3, 9), nn.Tanh(), nn.Linear(9, 4)),  # another width
    ],
)
def test_another_network_is_refused(other, tmp_path):
    posterior, _ = fit(dtype=torch.float32)
    path = posterior.save(tmp_path / "p.pt")
    with pytest.raises(ValueError, match=r"p\.pt was saved from another network"):
        br.Posterior.load(path, other())


class Homemade(br.Prior):
    """A user's own prior, in no registry."""

    name = "homemade"

    def log_factor(self, batch):
        return -batch.network(batch.x).square().mean()


@dataclass(frozen=True)
class Cauchy(br.WeightPrior):
    """A density with an option of its own that no file can hold."""

    scale: float
    on: object = "weights"
    note: object = print

    def sample(self, site, initial):
        cauchy = pyro.distributions.Cauchy(initial * 0, self.scale).to_event(1)
        return {site: pyro.sample(site, cauchy)}


class Doubled(br.Gaussian):
    """A likelihood in no registry."""


def test_an_unregistered_prior_is_refused_at_load_not_at_save(tmp_path):
    posterior, new = fit(prior=br.L2() + Homemade())
    path = posterior.save(tmp_path / "p.pt")
    assert posterior.evaluate(new)["nll"] > 0
    with pytest.raises(ValueError, match=r"'homemade' is not registered.*pass prior=.*register it"):
        br.Posterior.load(path, byhand.network(4))


OWN = {
    "a factor": br.L2() + Homemade(),
    "a density": Cauchy(0.3),
    "by a function": Cauchy(0.3, on=claimed),
    "a NumPy number": br.L2(scale=np.float64(0.3)),
}
OTHERS = {"scale": Cauchy(0.4), "class": br.L2(), "sum": Cauchy(0.3) + Homemade(), "note": Cauchy(0.3, note=repr)}


@pytest.mark.parametrize("guide", ["delta", "normal"])
@pytest.mark.parametrize("prior", OWN)
def test_a_prior_of_ones_own_is_given_at_load(prior, guide, tmp_path):
    posterior, new = fit(prior=OWN[prior], guide=guide)
    path = posterior.save(tmp_path / "p.pt")
    same(posterior, br.Posterior.load(path, byhand.network(4), prior=OWN[prior]), new)


@pytest.mark.parametrize("other", OTHERS)
def test_another_prior_is_refused_at_load(other, tmp_path):
    posterior, _ = fit(prior=Cauchy(0.3))
    path = posterior.save(tmp_path / "p.pt")
    with pytest.raises(ValueError, match=r"p\.pt was saved under another prior.*cauchy.*was given"):
        br.Posterior.load(path, byhand.network(4), prior=OTHERS[other])
    with pytest.raises(ValueError, match=r"another network, or under another prior: it has.*this one"):
        br.Posterior.load(path, byhand.network(4), prior=Cauchy(0.3, on="all"))


def test_a_likelihood_of_ones_own_is_given_at_load(tmp_path):
    case = LIKELIHOODS["gaussian_learned"]
    model = br.Model(byhand.network(1), br.L2(), Doubled(), size=N)
    posterior, new = br.fit(model, case.data(N), **OPTIONS), br.Dataset(*case.data(7))
    path = posterior.save(tmp_path / "p.pt")
    with pytest.raises(ValueError, match=r"'doubled', which is not registered: pass likelihood="):
        br.Posterior.load(path, byhand.network(1))
    same(posterior, br.Posterior.load(path, byhand.network(1), likelihood=Doubled()), new)
    for other in (Doubled(scale=1.0), br.Gaussian()):
        with pytest.raises(ValueError, match=r"p\.pt was saved under another likelihood: it has.*was given"):
            br.Posterior.load(path, byhand.network(1), likelihood=other)


def test_a_registered_prior_of_ones_own_loads(tmp_path, monkeypatch):
    posterior, new = fit(prior=br.L2() + Homemade())
    monkeypatch.setitem(br.priors.PRIORS, "homemade", Homemade)
    same(posterior, br.Posterior.load(posterior.save(tmp_path / "p.pt"), byhand.network(4)), new)


def test_repr():
    posterior, _ = fit(guide="delta", prior=br.L2(scale=0.25))
    assert "scale=0.25" in repr(posterior)
    assert "'delta'" in repr(posterior)
