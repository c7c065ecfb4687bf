"""Every registered prior × guide × likelihood × network: it is refused with a reason, or all of it works.

The registries PRIORS, GUIDES, LIKELIHOODS and NETS are read here: a new entry is covered without another word,
except that a network needs a tiny one of itself in TINY_NETS, and a likelihood its targets in TARGETS.
"""

import importlib
import math

import numpy as np
import pytest
import torch

import bayesreg as br
from bayesreg.likelihoods import LIKELIHOODS
from bayesreg.nets import NETS
from bayesreg.objective import Gradient, Objective

fit_module = importlib.import_module("bayesreg.fit")  # `bayesreg.fit` itself is the function
N, BATCH, OUTPUTS = 6, 4, 3


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


TOKENS = torch.tensor([[1, 2, 3], [4, 0, 0], [2, 2, 0], [1, 0, 0], [3, 4, 1], [2, 1, 0]])

# name in NETS: (a tiny network with that many outputs, inputs for it)
TINY_NETS = {
    "mlp": (lambda outputs: br.nets.mlp(3, outputs, hidden=4), lambda: normal(N, 3)),
    "resnet18": (lambda outputs: br.nets.resnet18(outputs, width=2), lambda: normal(N, 3, 4, 4)),
    "lstm": (lambda outputs: br.nets.lstm(2, outputs, hidden=3), lambda: normal(N, 3, 2)),
    "bilstm": (lambda outputs: br.nets.bilstm(5, outputs, embedding=2, hidden=2, dropout=0.0), lambda: TOKENS),
    "transformer": (lambda outputs: br.nets.transformer(2, outputs, 4, layers=1, heads=2), lambda: normal(N, 3, 2)),
    "vae": (lambda outputs: br.nets.vae(3, outputs, latent=2, hidden=4), lambda: normal(N, 3)),
}
# name in LIKELIHOODS, and a variant where it has one: (the likelihood, outputs of the network, targets)
TARGETS = {
    "categorical": (br.Categorical(), OUTPUTS, torch.tensor([0, 1, 2, 0, 1, 2])),
    "bernoulli": (br.Bernoulli(), 1, torch.tensor([0, 1, 1, 0, 1, 0])),
    "gaussian fixed": (br.Gaussian(scale=0.5), 1, normal(N)),
    "gaussian": (br.Gaussian(), 2, normal(N, 2)),
    "heteroscedastic": (br.Heteroscedastic(), 2, normal(N)),
}
# Strengths at which a factor's sum over the data matters beside the likelihood's; the others take the default.
IN_FULL = {"fraction": 1.0, "every": 1, "coordinates": 256}  # in training, too: what is estimated is in test_smoothness
SUMS = {"l2+entropic": "l2:0.01+entropic:0.1"}


def refused(prior, likelihood):
    """The pairs that the issue refuses, and no others: the entropy of a Gaussian of fixed scale is constant."""
    return "entropic" in prior and likelihood == "gaussian fixed"


def build(net, prior, likelihood, dtype):
    kind, outputs, y = TARGETS[likelihood]
    make, inputs = TINY_NETS[net]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = make(outputs).to(dtype)
    y = y.to(dtype) if y.is_floating_point() else y
    x = inputs()
    data = br.Dataset(x.to(dtype) if x.is_floating_point() else x, y)
    prior = br.priors.parse(SUMS.get(prior, prior), N, smoothness=IN_FULL)
    return br.Model(module, prior, kind, size=N), data


@pytest.mark.parametrize("name", NETS)
def test_every_net_has_a_tiny_one(name):
    assert name in TINY_NETS, f"add a tiny {name!r} and inputs for it to TINY_NETS in tests/test_conformance.py"


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_every_likelihood_has_targets(name):
    covered = {type(kind) for kind, _, _ in TARGETS.values()}
    assert LIKELIHOODS[name] in covered, f"add targets for {name!r} to TARGETS in tests/test_conformance.py"


every_combination = [
    pytest.mark.parametrize("likelihood", TARGETS),
    pytest.mark.parametrize("prior", [*br.priors.PRIORS, *SUMS]),
    pytest.mark.parametrize("guide", br.guides.GUIDES),
    pytest.mark.parametrize("net", [name for name in NETS if name in TINY_NETS]),
]


def over_every_combination(test):
    for mark in every_combination:
        test = mark(test)
    return test


@over_every_combination
def test_refused_or_works(net, guide, prior, likelihood, tmp_path, monkeypatch):
    options = {"guide": guide, "epochs": 2, "batch_size": BATCH, "lr": 1e-3, "device": "cpu", "progress": False}
    if refused(prior, likelihood):
        monkeypatch.setattr(fit_module, "_Run", None)  # nothing may be trained
        with pytest.raises(ValueError, match="entropic"):
            br.fit(*build(net, prior, likelihood, torch.float32), **options)
        return
    model, data = build(net, prior, likelihood, torch.float32)
    posterior = br.fit(model, data, validation=data, **options)
    history = posterior.history
    assert len(history) == 2
    assert np.isfinite(history.to_numpy(dtype=float)).all()

    predictive = posterior.predict(data.x, draws=3)
    assert tuple(predictive.batch_shape + predictive.event_shape) == data.y.shape
    assert predictive.log_prob(data.y.to(predictive.mean.dtype)).isfinite().all()
    scores = posterior.evaluate(data, draws=3)
    assert {"nll"} < set(scores)
    assert all(math.isfinite(value) for value in scores.values())

    again = br.Posterior.load(posterior.save(tmp_path / "posterior.pt"), model.net)
    assert again.evaluate(data, draws=3) == scores
    thetas, loaded = posterior.parameters(), again.parameters()
    assert thetas.keys() == loaded.keys()
    assert all(torch.equal(value, loaded[name]) for name, value in thetas.items())
    assert all(value.isfinite().all() for value in thetas.values())

    group = posterior.to_arviz(draws=3)["posterior"]
    assert set(group.data_vars) == set(thetas)
    draws = posterior.draws(3)
    for name, value in draws.items():
        assert group[name].shape == (1, *value.shape)


@over_every_combination
def test_objective_is_finite_and_under_map_minus_the_log_joint(net, guide, prior, likelihood):
    if refused(prior, likelihood):
        with pytest.raises(ValueError, match="entropic"):
            build(net, prior, likelihood, torch.float64)
        return
    model, data = build(net, prior, likelihood, torch.float64)
    x, y = data.x[:BATCH], data.y[:BATCH]
    q = br.guides.create(guide, model)
    torch.manual_seed(0)
    terms = Objective(model, q)(x, y)
    assert all(value.isfinite() for value in terms.values())
    if guide == "delta":
        torch.manual_seed(0)  # of the latents of each example
        expected = -model.log_joint(model.unpack(model.initial()), x, y).item() / N
        assert sum(terms.values()).item() == pytest.approx(expected, rel=1e-12)


# Capturing takes seconds where the curvature of a deep network is in it, so not the whole product.
TO_CAPTURE = [(prior, "gaussian") for prior in [*br.priors.PRIORS, *SUMS]]
TO_CAPTURE += [("l2", likelihood) for likelihood in TARGETS if likelihood != "gaussian"]


@pytest.mark.parametrize(("prior", "likelihood"), TO_CAPTURE)
@pytest.mark.parametrize("guide", br.guides.GUIDES)
@pytest.mark.parametrize(
    ("net", "dtype", "tolerance"),
    [(net, torch.float64, 1e-12) for net in NETS if net in TINY_NETS]
    + [(net, torch.float32, 1e-6) for net in ("mlp", "lstm")],  # oneDNN runs the LSTM in single precision
)
def test_captured_equals_plain(net, dtype, tolerance, guide, prior, likelihood):
    """The terms and the gradient, relative to the largest."""
    model, data = build(net, prior, likelihood, dtype)
    x, y = data.x[:BATCH], data.y[:BATCH]
    gradient = Gradient(Objective(model, br.guides.create(guide, model)))
    gradient.prepare(x, y)
    assert gradient._steps, "not captured"
    results = []
    for run in (gradient, gradient.plain):
        with model.buffers_kept():
            torch.manual_seed(0)
            values, *slopes = run(x, y)
            results.append([values.clone(), torch.cat([slope.reshape(-1) for slope in slopes])])
    for captured, plain in zip(*results, strict=True):
        assert plain.abs().max() > 0
        largest = plain.abs().max().item()
        torch.testing.assert_close(captured, plain, rtol=tolerance, atol=tolerance * largest)


@pytest.mark.parametrize("prior", br.priors.PRIORS)
@pytest.mark.parametrize("net", [name for name in NETS if name in TINY_NETS])
def test_first_loss_of_map_is_minus_the_log_joint(net, prior):
    """With one batch an epoch the first row of the history is the objective at the network's own weights."""
    model, data = build(net, prior, "categorical", torch.float64)
    options = {"epochs": 1, "batch_size": N, "device": "cpu", "progress": False}
    history = br.fit(model, data, **options).history
    model.train()
    order = fit_module.order(N, seed=0, epoch=0)
    torch.manual_seed(0)  # of the latents of each example
    expected = -model.log_joint(model.unpack(model.initial()), data.x[order], data.y[order]).item() / N
    assert history["loss"][0] == pytest.approx(expected, rel=1e-12)
