"""A guide as an object: its options and its text, one's own guide of Pyro's, and what is refused before training."""

import copy
import importlib

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer.autoguide import AutoDelta, AutoDiagonalNormal, AutoGuideList, AutoMultivariateNormal
from pyro.nn import PyroModule, PyroParam
from torch import nn

import bayesreg as br
from bayesreg import memory, schedule
from bayesreg.guides import Guide, Normal, Own, as_guide
from bayesreg.guides.start import local_parameters
from bayesreg.objective import Gradient, Objective
from bayesreg.step import Step
from bayesreg.testing import TARGETS, TINY_NETS, check

fit_module = importlib.import_module("bayesreg.fit")  # `bayesreg.fit` itself is the function
N, NOISE, SCALE = 40, 0.5, 0.8
QUIET = {"device": "cpu", "progress": False}


def data():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(N, 2, generator=g, dtype=torch.float64) @ torch.tensor([[1.0, 0.9], [0.0, 0.4]]).double()
    return br.Dataset(x, x @ torch.tensor([1.0, -0.5]).double() + NOISE * torch.randn(N, generator=g).double())


def model(net=None, prior=None):
    torch.manual_seed(0)
    net = nn.Linear(2, 1, bias=False).double() if net is None else net
    return br.Model(net, prior or br.L2(scale=SCALE), br.Gaussian(scale=NOISE), size=N)


def closed_form():
    """μ and Λ⁻¹ of the posterior: Λ = XᵀX/σ² + 1/s², μ = Λ⁻¹Xᵀy/σ²."""
    x, y = data().x, data().y
    covariance = torch.linalg.inv(x.T @ x / NOISE**2 + torch.eye(2) / SCALE**2)
    return covariance @ x.T @ y / NOISE**2, covariance


class Rank1(PyroModule):
    """A guide of one's own with no class of Pyro's behind it: θ = m + s ε, one ε for all; it has no median."""

    def __init__(self, model):
        super().__init__()
        start = model.initial()["weights"]
        self.mean = PyroParam(start.clone())
        self.scale = PyroParam(torch.full_like(start, 0.1), dist.constraints.positive)

    def forward(self, x=None, y=None):
        noise = dist.Normal(torch.zeros_like(self.mean), 1.0).to_event(1)
        moved = dist.TransformedDistribution(noise, [dist.transforms.AffineTransform(self.mean, self.scale, 1)])
        pyro.sample("weights", moved)


def test_a_guide_of_ones_own_finds_the_posterior():
    """The full Normal's, of a linear model: its mean and covariance, correlations included, in closed form."""
    options = {"guide": AutoMultivariateNormal, "epochs": 500, "batch_size": N, "lr": 0.1}
    posterior = br.fit(model(), data(), **options, **QUIET)
    mean, covariance = closed_form()
    assert posterior.parameters()["weight"][0].numpy() == pytest.approx(mean.numpy(), abs=0.03)
    drawn = posterior.draws(4000)["weight"][:, 0]
    assert (drawn.T.cov() / covariance).numpy() == pytest.approx(1, abs=0.35)
    correlation = covariance[0, 1] / (covariance[0, 0] * covariance[1, 1]).sqrt()
    assert drawn.T.corrcoef()[0, 1].item() == pytest.approx(correlation.item(), abs=0.05)
    assert correlation < -0.8
    assert "guide='AutoMultivariateNormal'" in repr(posterior)


def test_a_guide_of_ones_own_is_a_class_an_object_or_a_function():
    """The same fit, bit for bit; the object stays as it is, and may have been used with Pyro's own SVI before."""
    built = model()
    made = br.guides.at_own_weights(AutoDiagonalNormal, built)
    before = copy.deepcopy(made.state_dict())
    guides = [AutoDiagonalNormal, made, lambda model: br.guides.at_own_weights(AutoDiagonalNormal, model)]
    found = [br.fit(built, data(), guide=guide, epochs=3, **QUIET).guide.state_dict() for guide in guides]
    assert all(torch.equal(one[name], found[0][name]) for one in found for name in before)
    assert not torch.equal(found[0]["loc"], before["loc"])
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())
    assert br.fit(built, data(), guide=AutoDiagonalNormal(built.latents), epochs=1, **QUIET).draws(2)


def test_a_guide_of_ones_own_conforms(tmp_path):
    check(TINY_NETS["mlp"], "ard", TARGETS["gaussian"], AutoDiagonalNormal, tmp_path)


def test_a_guide_without_a_median_has_a_centre(tmp_path):
    built, train = model(), data()
    posterior = br.fit(built, train, guide=Rank1, epochs=300, batch_size=N, lr=0.02, **QUIET)
    at = posterior.parameters()["weight"][0]
    assert torch.equal(at, posterior.parameters()["weight"][0])
    assert at.numpy() == pytest.approx(closed_form()[0].numpy(), abs=0.1)
    path = posterior.save(tmp_path / "own.pt")
    with pytest.raises(ValueError, match=r"guide 'own', which is not registered: pass guide="):
        br.Posterior.load(path, built.net)
    with pytest.raises(ValueError, match="saved under another guide"):
        br.Posterior.load(path, built.net, guide="normal")
    again = br.Posterior.load(path, built.net, guide=Rank1)
    assert torch.equal(again.draws(3, seed=1)["weight"], posterior.draws(3, seed=1)["weight"])


def test_a_checkpoint_of_a_guide_of_ones_own_is_its_own(monkeypatch, tmp_path):
    """Functions of one name that do another thing, and objects with another start, are other fits."""
    built, train, path = model(), data(), tmp_path / "c.pt"
    monkeypatch.setattr(fit_module, "SAVED_EVERY", 0.0)
    monkeypatch.setattr(fit_module.Checkpoint, "__exit__", lambda *ended: None)
    own = [
        lambda model: AutoDiagonalNormal(model.latents),
        lambda model: AutoDiagonalNormal(model.latents, init_scale=0.2),
    ]
    br.fit(built, train, guide=own[0], epochs=1, checkpoint=path, **QUIET)
    with pytest.raises(ValueError, match="options of the guide"):
        br.fit(built, train, guide=own[1], epochs=1, checkpoint=path, **QUIET)
    with pytest.raises(ValueError, match=r"options of the guide"):
        br.fit(built, train, guide=Normal(init_scale=0.2), epochs=1, checkpoint=path, **QUIET)


def partial_guide(built):
    parts = AutoGuideList(built.latents)
    parts.append(AutoDelta(pyro.poutine.block(built.latents, hide=["weights"])))
    return parts


def of_another(built):
    return AutoDelta(model(nn.Linear(3, 1, bias=False).double()).latents)


DEEP = br.nets.mlp(2, 1, hidden=3).double()
REFUSED = {
    "misses sites": (DEEP, partial_guide, r"AutoGuideList misses the sites weights: build it on model\.latents.*flat"),
    "of another network": (
        None,
        lambda built: of_another(built),
        r"'weights' of shape \[3\], and the model has.*\[2\]",
    ),
    "of no model": (None, lambda built: lambda model: 3, r"<lambda> cannot be made.*int.*PyroModule"),
    "of the whole model": (
        None,
        lambda built: AutoDiagonalNormal(built),
        "AutoDiagonalNormal cannot be made, or called ",
    ),
    "no guide": (None, lambda built: 3, "unknown guide 3"),
    "another option": (None, lambda built: "normal:scale=1", r"the guide normal has no option 'scale': init_scale"),
    "no number": (None, lambda built: "normal:init_scale=x", r"normal:init_scale=x: could not convert"),
    "no option": (None, lambda built: "map:x=1", r"the guide delta has no option 'x': it has none"),
    "out of range": (None, lambda built: "normal:init_scale=-1", r"Normal\(init_scale=-1\.0\): a number above 0"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_before_training(what, monkeypatch):
    net, guide, words = REFUSED[what]
    monkeypatch.setattr(fit_module, "_Run", None)
    built = model(net)
    with pytest.raises(ValueError, match=words):
        br.fit(built, data(), guide=guide(built), epochs=1, **QUIET)


@pytest.mark.parametrize("guide", br.guides.GUIDES)
def test_a_guide_too_large_for_memory_is_refused_with_the_number(guide, monkeypatch):
    """2 weights of 8 bytes, 4 vectors for a point and 8 for means and scales; 100 bytes are there."""
    needs = {"delta": 64, "normal": 128}
    built = model()
    assert as_guide(guide).memory(built) == needs.get(guide, as_guide(guide).memory(built))
    monkeypatch.setattr(memory, "total", lambda: memory.Memory(as_guide(guide).memory(built) - 1))
    with pytest.raises(ValueError, match=rf"guide {guide} of 2 unknowns takes .* GB in training, and there are"):
        br.fit(built, data(), guide=guide, epochs=1, **QUIET)


def test_options_are_read_written_and_kept(tmp_path):
    guide = as_guide("vi:init_scale=0.1")
    assert guide == Normal(init_scale=0.1) == as_guide(guide) == as_guide(guide.text)
    assert as_guide(Normal) == as_guide("normal") == Normal()
    method = br.Method.parse("l2:1e-3@normal:init_scale=0.1")
    assert (method.guide, method.text, br.Method("l2:1e-3", guide=guide)) == (
        guide,
        "l2:0.001@normal:init_scale=0.1",
        method,
    )
    assert method.record()["options of the guide"]["init_scale"] == 0.1
    assert method != br.Method.parse("l2:1e-3@normal")
    posterior = br.fit(model(), data(), guide=guide, epochs=1, lr=1e-12, **QUIET)
    assert (posterior.draws(500)["weight"] - posterior.parameters()["weight"]).std().item() == pytest.approx(
        0.1, rel=0.2
    )
    assert "guide='normal:init_scale=0.1'" in repr(posterior)
    again = br.Posterior.load(posterior.save(tmp_path / "p.pt"), posterior.model.net)
    assert (again.inference, again.guide_name) == (guide, "normal")


def test_map_runs_are_recorded_without_a_word_more():
    """So that what was computed before is still found."""
    record = br.Method.parse("l2:0.01@map").record()
    assert record == {"method": "l2", "text": "l2:0.01", "strengths": [0.01], "guide": "delta"} | record
    assert "options of the guide" not in record


def test_a_method_takes_no_guide_without_a_name():
    with pytest.raises(ValueError, match="no name that tells its runs apart"):
        br.Method("l2", guide=Own(AutoDelta))


def test_a_class_of_ones_own_is_a_guide_with_hooks(monkeypatch):
    """Several fits as one posterior, something done at the end, and another function in prediction."""

    class Two(Guide):
        name = "two"
        point = True

        def create(self, model):
            return br.guides.delta(model)

        def train(self, once):
            one, other = once(), once(seed=1)
            one.others = [other]
            return one

        def finish(self, posterior, train):
            posterior.seen = len(train)

        def outputs(self, posterior, theta, x):
            return 2 * posterior.model.outputs(theta, x)

    train, options = data(), {"epochs": 3, "batch_size": 16, "lr": 0.01} | QUIET
    posterior = br.fit(model(), train, guide=Two(), **options)
    single = [br.fit(model(), train, seed=seed, **options) for seed in (0, 1)]
    for ours, theirs in zip([posterior, *posterior.others], single, strict=True):
        assert torch.equal(ours.parameters()["weight"], theirs.parameters()["weight"])
        assert torch.equal(ours.predict(train.x).mean, 2 * theirs.predict(train.x).mean)
    assert posterior.seen == N


# --- The KL warm-up ---


def stepped(warm_up, steps=8, captured=False):
    """A step of the normal guide, and each term's own gradient for the draw of every seed, by plain autograd."""
    torch.manual_seed(0)
    built = br.Model(br.nets.mlp(2, 1, hidden=3).double(), "ard", br.Gaussian(), size=N)
    step = Step(built, br.guides.normal(built), lr=0.01, steps=steps, warm_up=warm_up)
    x, y = data().x[:8], data().y[:8]
    if captured:
        assert step.prepare(x, y, 1000, 1.0, "never").startswith("captured")
    return step, x, y


@pytest.mark.parametrize("captured", [False, True])
def test_the_weight_of_the_kl_term_rises_and_the_terms_are_those_of_the_elbo(captured, monkeypatch):
    """8 steps, half of them warm-up: 0, ¼, ½, ¾, then 1; the gradient is Σ of those of the terms, so weighted."""
    stepped(0.0, captured=captured)  # its graph is not taken for the other's
    step, x, y = stepped(0.5, captured=captured)
    called, found = step.gradient.__call__, []
    monkeypatch.setattr(Gradient, "__call__", lambda self, *batch: found.append(called(*batch)) or found[-1])
    for number in range(8):
        weight = [0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0][number]
        assert step.kl_weight(number) == weight
        torch.manual_seed(number)
        with local_parameters():
            terms = list(Objective(step.model, step.gradient.objective.guide)(x, y).values())
        parameters = [p for _, p in step.gradient.objective.guide.named_parameters()]
        loss = terms[0] + weight * sum(terms[1:])
        slopes = torch.autograd.grad(loss, parameters, materialize_grads=True)
        torch.manual_seed(number)
        reported = step(x, y)
        torch.testing.assert_close(reported, torch.stack(terms).detach(), rtol=1e-10, atol=1e-12)
        for mine, theirs in zip(found[-1][1:], slopes, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)


def test_convergence_is_judged_by_the_elbo_alone():
    """From the midst of a warm-up, the gradient and the losses are those of a fit without one."""
    (one, x, y), (other, _, _) = stepped(0.5), stepped(0.0)
    for _ in range(2):
        torch.manual_seed(0)
        one(x, y)
    other.put(one.clone())
    for measure in ("mean_gradient", "losses"):
        found = []
        for step in (one, other):
            torch.manual_seed(1)
            found.append(getattr(step, measure)([(x, y)]))
        assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_the_history_says_the_weight_and_the_elbo():
    """Its loss is the sum of its terms in every epoch; the second half of training has the weight 1."""
    posterior = br.fit(model(), data(), guide=Normal(warm_up=0.5), epochs=8, batch_size=20, **QUIET)
    history = posterior.history
    assert history["kl_weight"].tolist() == [1 / 16, 5 / 16, 9 / 16, 13 / 16, 1, 1, 1, 1]
    terms = history[[name for name in history if name.startswith("loss_")]]
    assert terms.sum(axis=1).to_numpy() == pytest.approx(history["loss"].to_numpy(), rel=1e-12)
    assert "kl_weight" not in br.fit(model(), data(), epochs=1, **QUIET).history
    assert "kl_weight" not in br.fit(model(), data(), guide="normal", epochs=1, **QUIET).history


def test_a_checkpoint_of_another_warm_up_is_of_another_fit():
    assert Normal().record() != Normal(warm_up=0.25).record()
    with pytest.raises(ValueError, match=r"Normal\(warm_up=0.75\): a share of training from 0 to 0.5"):
        Normal(warm_up=0.75)


# --- BatchNorm ---


class Normed(nn.Module):
    """BatchNorm after a layer whose outputs have a known distribution under q; a second one that stays frozen."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1, momentum=0.1)
        self.frozen, self.last = nn.BatchNorm1d(1), nn.Linear(1, 1)

    def train(self, mode=True):
        super().train(mode)
        self.frozen.eval()
        return self

    def forward(self, x):
        return self.last(self.frozen(self.norm(self.first(x))))


def test_the_statistics_of_batch_norm_are_those_of_the_posterior():
    """w ~ Normal(m, s) and x of variance v: the mean variance of w x over draws is (m² + s²) v, by E[w²]."""
    x = torch.randn(1600, 1, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    built = br.Model(Normed(), br.L2(scale=0.5), br.Gaussian(scale=1.0), size=1600)
    posterior = br.fit(built, (x, torch.zeros(1600)), guide=Normal(init_scale=2.0), epochs=1, lr=1e-9, **QUIET)
    net = posterior.model.net
    mean = built.net.first.weight.item()
    draws, number = (mean**2 + 4) * x.var().item(), 1600 / 100  # batches, each with a draw
    assert net.norm.num_batches_tracked == 1600 // schedule.batch_size(1600)
    assert net.norm.running_var.item() == pytest.approx(draws, abs=4 * 4 * 2**0.5 / number**0.5)
    assert (net.norm.momentum, net.frozen.num_batches_tracked.item()) == (0.1, 0)
    point = br.fit(built, (x, torch.zeros(1600)), epochs=2, batch_size=400, **QUIET).model.net
    assert point.norm.num_batches_tracked == 8  # as training has made them


def test_statistics_of_batch_norm_by_hand():
    """With draws that hardly differ: the plain means over the batches of that order."""
    x = torch.randn(70, 1, generator=torch.Generator().manual_seed(0)).sort(0).values
    torch.manual_seed(0)
    built = br.Model(Normed(), br.L2(scale=0.5), br.Gaussian(scale=1.0), size=70)
    posterior = br.fit(built, (x, torch.zeros(70)), guide=Normal(init_scale=1e-9), epochs=1, lr=1e-9, **QUIET)
    order = torch.randperm(70, generator=torch.Generator().manual_seed(0))
    f = built.net.first.weight.item() * x[order[:64]].reshape(2, 32)  # the rest makes no full batch
    assert posterior.model.net.norm.running_mean.item() == pytest.approx(f.mean().item(), rel=1e-4, abs=1e-6)
    assert posterior.model.net.norm.running_var.item() == pytest.approx(f.var(1).mean().item(), rel=1e-4)
