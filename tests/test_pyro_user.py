"""What a user of Pyro does without `fit`: SVI, NUTS, Predictive, traces; and our objective against Pyro's ELBO."""

import copy
import math

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import MCMC, NUTS, SVI, Predictive, Trace_ELBO, TraceMeanField_ELBO
from torch import nn

import bayesreg as br
from bayesreg.objective import Gradient, Objective

N = 12


@pytest.fixture(autouse=True)
def _clean():
    pyro.clear_param_store()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
    pyro.clear_param_store()


def data(dtype=torch.float64):
    g = torch.Generator().manual_seed(1)
    return torch.randn(N, 3, dtype=dtype, generator=g), torch.randint(0, 4, (N,), generator=g)


def network(dropout=0.3):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        body = [nn.Linear(3, 5), nn.BatchNorm1d(5), nn.SiLU(), nn.Dropout(dropout), nn.Linear(5, 4)]
        return nn.Sequential(*body).double()


PRIORS = {
    "none": br.Flat(),
    "l1": br.L1(scale=0.5),
    "l2": br.L2(scale=0.5),
    "ard": br.ARD(a=1.5, b=0.5),
    "ard tempered": br.ARD(temper=0.3),
    "entropic": br.Entropic(0.2),
    "smoothness": br.Smoothness(0.2),
    "sum": br.L2(scale=0.5, on="0.*") + br.ARD(on="4.weight") + br.Entropic(0.2),
}


def elbo(model, guide, x, y, kind=Trace_ELBO):
    """Pyro's loss per datum and its gradient in the guide's own (unconstrained) parameters."""
    with pyro.settings.context(module_local_params=True):
        loss = kind().differentiable_loss(model, guide, x, y) / N
    parameters = dict(guide.named_parameters())
    return loss.item(), dict(zip(parameters, torch.autograd.grad(loss, list(parameters.values())), strict=True))


@pytest.mark.parametrize("batch", [N, 4])
@pytest.mark.parametrize("guide", ["delta", "normal"])
@pytest.mark.parametrize("prior", PRIORS)
def test_objective_equals_the_elbo_of_pyro(prior, guide, batch):
    """Loss, gradient and BatchNorm's buffers, plain and captured, with dropout, from the same random state."""
    model = br.Model(network(), PRIORS[prior], br.Categorical(), size=N).train()
    q = br.guides.create(guide, model)
    x, y = (tensor[:batch] for tensor in data())

    theirs = copy.deepcopy(model)
    torch.manual_seed(5)
    loss, slopes = elbo(theirs, q, x, y)

    for captured in (False, True):
        ours = copy.deepcopy(model)
        gradient = Gradient(Objective(ours, q))
        if captured:
            gradient.prepare(x, y)
            assert gradient._steps, "not captured"
        torch.manual_seed(5)
        terms, *found = gradient(x, y)
        assert terms.sum().item() == pytest.approx(loss, rel=1e-12)
        largest = max(slope.abs().max().item() for slope in slopes.values())
        assert largest > 0
        assert list(gradient.parameters) == [f"guide.{name}" for name in slopes]
        for mine, (name, slope) in zip(found, slopes.items(), strict=True):
            torch.testing.assert_close(mine, slope, rtol=1e-12, atol=1e-12 * largest, msg=lambda m, n=name: n + m)
        moved = False
        for name, buffer in theirs.net.named_buffers():
            torch.testing.assert_close(dict(ours.net.named_buffers())[name], buffer, rtol=1e-12, atol=1e-15)
            moved |= not torch.equal(buffer, dict(model.net.named_buffers())[name])
        assert moved


def test_the_objective_draws_anew():
    model = br.Model(network(), br.L2(), br.Categorical(), size=N)
    gradient = Gradient(Objective(model, br.guides.normal(model)))
    x, y = data()
    gradient.prepare(x, y)
    assert gradient._steps
    losses = {gradient(x, y)[0].sum().item() for _ in range(4)}
    assert len(losses) == 4


def by_hand(q, prior, x, y, net):
    """log p(y, θ, α | x) and log q(θ, α) of the guide's next draw, with ½ and π; q is Normal in log α."""
    with pyro.settings.context(module_local_params=True):
        draw = q()
        loc = {"weights": q.locs.weights, "alpha": getattr(q.locs.precision, "weights")}  # noqa: B009
        scale = {"weights": q.scales.weights, "alpha": getattr(q.scales.precision, "weights")}  # noqa: B009
    theta, alpha = draw["weights"], draw["precision.weights"]

    def log_normal(value, loc, scale):
        return (-0.5 * ((value - loc) / scale) ** 2 - scale.log() - 0.5 * math.log(2 * math.pi)).sum()

    a, b = torch.tensor([prior.a, prior.b], dtype=torch.float64)
    log_gamma = (a * b.log() - torch.lgamma(a) + (a - 1) * alpha.log() - b * alpha).sum()
    log_prior = prior.temper * (log_gamma + log_normal(theta, 0.0, alpha**-0.5))
    outputs = x @ theta.reshape(net.weight.shape).T
    log_likelihood = outputs.log_softmax(-1)[torch.arange(N), y].sum()
    jacobian = alpha.log().sum()  # dα = α d(log α)
    log_q = log_normal(theta, loc["weights"], scale["weights"])
    log_q = log_q + log_normal(alpha.log(), loc["alpha"], scale["alpha"]) - jacobian
    return (log_likelihood + log_prior).item(), log_q.item(), log_prior.item(), jacobian.item()


@pytest.mark.parametrize("temper", [1.0, 0.3])
def test_the_faults_of_trace_mean_field_elbo_stay_away(temper):
    """TraceMeanField_ELBO (pyro 1.9.2) ignores poutine.scale on the model and drops the Jacobian of positive sites.

    Its KL terms are wrong by more than the tolerance here, so taking it would fail this test.
    """
    net, prior = nn.Linear(3, 4, bias=False).double(), br.ARD(a=1.5, b=0.7, temper=temper)
    model = br.Model(net, prior, br.Categorical(), size=N)
    q = br.guides.normal(model, init_scale=0.3)
    x, y = data()
    torch.manual_seed(3)
    log_joint, log_q, log_prior, jacobian = by_hand(q, prior, x, y, net)
    expected = (log_q - log_joint) / N

    torch.manual_seed(3)
    with pyro.settings.context(module_local_params=True):
        ours = sum(Objective(model, q)(x, y).values()).item()
    assert ours == pytest.approx(expected, rel=1e-12)
    torch.manual_seed(3)
    assert elbo(model, q, x, y)[0] == pytest.approx(expected, rel=1e-12)

    torch.manual_seed(3)
    mean_field = elbo(model, q, x, y, TraceMeanField_ELBO)[0]
    assert abs(mean_field - expected) > 0.01
    assert abs(jacobian) / N > 0.01  # each fault alone would show
    assert temper == 1 or abs((1 / temper - 1) * log_prior) / N > 0.01


# --- SVI ---


def regression():
    g = torch.Generator().manual_seed(2)
    x = torch.randn(30, 3, dtype=torch.float64, generator=g)
    y = x @ torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64)
    return x, y + 0.3 * torch.randn(30, dtype=torch.float64, generator=g)


def linear(likelihood=None):
    return br.Model(nn.Linear(3, 1, bias=False).double(), br.L2(scale=0.5), likelihood or br.Gaussian(0.3), size=30)


def ridge(x, y):
    identity = torch.eye(3, dtype=torch.float64)
    return torch.linalg.solve(x.T @ x / 0.09 + identity / 0.25, x.T @ y / 0.09)


@pytest.mark.parametrize("guide", [br.guides.delta, br.guides.normal])
def test_svi_of_pyro_finds_the_posterior(guide):
    x, y = regression()
    model = linear()
    q = guide(model)
    optimiser = pyro.optim.ClippedAdam({"lr": 0.05, "lrd": 0.01 ** (1 / 600)})
    svi = SVI(model, q, optimiser, Trace_ELBO())
    losses = [svi.step(x, y) for _ in range(600)]
    assert losses[-1] < losses[0]
    tolerance = 1e-3 if guide is br.guides.delta else 0.03  # a third of a posterior deviation
    torch.testing.assert_close(q.median()["weights"].detach(), ridge(x, y), rtol=0, atol=tolerance)


def test_first_svi_step_is_minus_the_log_joint():
    x, y = regression()
    model = linear()
    svi = SVI(model, br.guides.delta(model), pyro.optim.Adam({"lr": 1e-3}), Trace_ELBO())
    expected = -model.log_joint(model.unpack(model.initial()), x, y).item()
    assert svi.step(x, y) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("guide", [br.guides.delta, br.guides.normal])
def test_two_guides_share_nothing_in_the_global_store(guide):
    x, y = regression()
    model = linear()
    first, second = guide(model), guide(model)
    untouched = {name: p.detach().clone() for name, p in second.named_parameters()}
    SVI(model, second, pyro.optim.Adam({"lr": 0.1}), Trace_ELBO()).evaluate_loss(x, y)
    svi = SVI(model, first, pyro.optim.Adam({"lr": 0.1}), Trace_ELBO())
    for _ in range(5):
        svi.step(x, y)
    assert not torch.equal(first.median()["weights"], second.median()["weights"])
    for name, parameter in second.named_parameters():
        assert torch.equal(parameter, untouched[name])
    names = list(pyro.get_param_store())
    assert len(names) == 2 * len(untouched)
    assert len({name.partition(".")[0] for name in names}) == 2


def test_a_fit_leaves_the_global_store_alone():
    x, y = regression()
    pyro.param("mine", torch.tensor(1.0))
    br.fit(linear(), br.Dataset(x, y), epochs=1, batch_size=30, device="cpu", progress=False)
    assert list(pyro.get_param_store()) == ["mine"]


# --- Predictive, NUTS, traces ---


@pytest.mark.parametrize("guide", [br.guides.delta, br.guides.normal])
def test_predictive_with_a_guide(guide):
    x, y = regression()
    model = linear()
    q = guide(model)
    svi = SVI(model, q, pyro.optim.Adam({"lr": 0.05}), Trace_ELBO())
    for _ in range(300):
        svi.step(x, y)
    drawn = Predictive(model, guide=q, num_samples=400)(x)
    assert drawn["y"].shape == (400, 30)
    mean = x @ ridge(x, y)
    error = (0.3**2 / 400) ** 0.5
    assert (drawn["y"].mean(0) - mean).abs().max() < 6 * error + 0.1
    assert drawn["y"].std(0).mean().item() == pytest.approx(0.3, rel=0.15)


def test_predictive_with_the_draws_of_nuts():
    x, y = regression()
    model = linear(br.Gaussian())
    mcmc = MCMC(NUTS(model), num_samples=100, warmup_steps=100, disable_progbar=True)
    mcmc.run(x, y)
    samples = mcmc.get_samples()
    assert {name: tuple(value.shape) for name, value in samples.items()} == {
        "weights": (100, 3),
        "noise.scale": (100,),
    }
    assert (samples["noise.scale"] > 0).all()
    drawn = Predictive(model, posterior_samples=samples)(x)["y"]
    assert drawn.shape == (100, 30)
    assert (drawn.mean(0) - y).abs().mean() < 0.4
    summary = mcmc.diagnostics()
    assert set(summary["divergences"]) == {"chain 0"}


@pytest.mark.parametrize("prior", [name for name in PRIORS if name != "none"])
def test_predictive_from_the_prior(prior):
    """Draws of y with nothing given; under `none` the weights have no density to be drawn from."""
    model = br.Model(network(), PRIORS[prior], br.Categorical(), size=N).eval()
    x, _ = data()
    drawn = Predictive(model, num_samples=7)(x)
    assert drawn["y"].shape == (7, N)
    assert drawn["y"].min() >= 0
    assert drawn["y"].max() <= 3


def test_trace_has_ordinary_sites():
    model = br.Model(network(), PRIORS["sum"], br.Categorical(), size=N)
    x, y = data()
    trace = poutine.trace(model).get_trace(x[:4], y[:4])
    trace.compute_log_prob()
    samples = {name for name, site in trace.nodes.items() if site["type"] == "sample"}
    assert {"y", "data", "entropic"} < samples
    assert trace.nodes["y"]["is_observed"]
    assert trace.nodes["y"]["scale"] == N / 4
    assert trace.nodes["y"]["log_prob"].shape == (4,)
    assert not [name for name in samples if name.endswith(".precision")]
    sizes = {b.site: sum(shape.numel() for shape in b.shapes.values()) for b in model.blocks}
    assert len(sizes) == 3  # one flat vector for each of L2, ARD and what nobody claims
    for site, size in sizes.items():
        assert trace.nodes[site]["value"].shape == (size,)


def test_trace_without_data_draws_y():
    model = br.Model(network(), br.L2(), br.Categorical(), size=N)
    x, _ = data()
    trace = poutine.trace(model).get_trace(x)
    assert not trace.nodes["y"]["is_observed"]
    assert trace.nodes["y"]["value"].shape == (N,)


def test_render_and_condition():
    model = linear()
    x, y = regression()
    weights = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    trace = poutine.trace(poutine.condition(model, data={"weights": weights})).get_trace(x, y)
    expected = model.log_joint({"weight": weights[None]}, x, y)
    torch.testing.assert_close(trace.log_prob_sum(), expected)
