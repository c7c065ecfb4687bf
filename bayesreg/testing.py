"""The conformance suite: what holds of every prior, guide, likelihood and network together, one's own included.

from bayesreg.testing import check_prior

def test_mine(tmp_path):
    check_prior(Mine(scale=0.3), tmp_path)
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from bayesreg import nets, priors
from bayesreg.datasets import Dataset
from bayesreg.fit import fit, order
from bayesreg.guides import DEFAULT, GUIDES, as_guide, create, known
from bayesreg.likelihoods import Bernoulli, Categorical, Gaussian, Heteroscedastic, Likelihood
from bayesreg.model import Model
from bayesreg.objective import Gradient, Objective
from bayesreg.posterior import Posterior
from bayesreg.priors import Prior

N, BATCH, OUTPUTS = 6, 4, 3
FAMILIES = ("delta", "normal")  # a point and draws: all else differs from them in q alone
QUIET: dict[str, Any] = {"device": "cpu", "progress": False}


def normal(*shape: int) -> Tensor:
    """Numbers that are the same every time, float64."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


class TinyNet(NamedTuple):
    """A tiny network, (outputs) -> nn.Module, and N inputs for it."""

    make: Callable[[int], nn.Module]
    x: Tensor


class Target(NamedTuple):
    """A likelihood, the outputs that it needs, and N targets."""

    likelihood: Likelihood
    outputs: int
    y: Tensor


TOKENS = torch.tensor([[1, 2, 3], [4, 0, 0], [2, 2, 0], [1, 0, 0], [3, 4, 1], [2, 1, 0]])
TINY_NETS = {  # by the names in nets.NETS
    "mlp": TinyNet(lambda outputs: nets.mlp(3, outputs, hidden=4), normal(N, 3)),
    "resnet18": TinyNet(lambda outputs: nets.resnet18(outputs, width=2), normal(N, 3, 4, 4)),
    "lstm": TinyNet(lambda outputs: nets.lstm(2, outputs, hidden=3), normal(N, 3, 2)),
    "bilstm": TinyNet(lambda outputs: nets.bilstm(5, outputs, embedding=2, hidden=2, dropout=0.0), TOKENS),
    "transformer": TinyNet(lambda outputs: nets.transformer(2, outputs, 4, layers=1, heads=2), normal(N, 3, 2)),
    "vae": TinyNet(lambda outputs: nets.vae(3, outputs, latent=2, hidden=4), normal(N, 3)),
}
TARGETS = {
    "categorical": Target(Categorical(), OUTPUTS, torch.tensor([0, 1, 2, 0, 1, 2])),
    "bernoulli": Target(Bernoulli(), 1, torch.tensor([0, 1, 1, 0, 1, 0])),
    "gaussian fixed": Target(Gaussian(scale=0.5), 1, normal(N)),
    "gaussian": Target(Gaussian(), 2, normal(N, 2)),
    "heteroscedastic": Target(Heteroscedastic(), 2, normal(N)),
}


def build(
    net: TinyNet, prior: Prior | str, target: Target, dtype: torch.dtype = torch.float64
) -> tuple[Model, Dataset]:
    """A model of a tiny network, and its data."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = net.make(target.outputs).to(dtype)
    x, y = (part.to(dtype) if part.is_floating_point() else part for part in (net.x, target.y))
    return Model(module, prior, target.likelihood, size=N), Dataset(x, y)


def check_prior(prior: Prior, directory: Path, refused: Collection[str] = ()) -> None:
    """AssertionError unless `check` holds of the prior under MAP, mean field and every likelihood, on a small MLP.

    refused: the names in TARGETS under which it has no meaning, so that the model is refused by ValueError. A guide
    that is a point is left out where the prior has no MAP estimate. directory: for files, which stay.
    """
    for name, target in TARGETS.items():
        if name in refused:
            _refuses(prior, target)
            continue
        for guide in FAMILIES:
            if _has_map(prior) or not GUIDES[guide].point:
                check(TINY_NETS["mlp"], prior, target, guide, directory)


def check_guide(guide: Any, directory: Path, priors: Iterable[str] = ("none", "l2", "ard")) -> None:
    """AssertionError unless `check` holds of the guide under some priors and every likelihood.

    guide: whatever `fit` takes: a name, an object, or a Pyro guide of one's own, made for each model by a function.
    """
    for prior, target in itertools.product(priors, TARGETS.values()):
        check(TINY_NETS["mlp"], prior, target, guide, directory)


def check(net: TinyNet, prior: Prior | str, target: Target, guide: Any, directory: Path) -> None:
    """AssertionError unless one of each works together: all that is below."""
    check_fit(*build(net, prior, target, torch.float32), guide, directory)
    check_objective(*build(net, prior, target), guide)
    check_capture(*build(net, prior, target), guide)
    if (
        as_guide(guide) == DEFAULT and not target.y.is_floating_point()
    ):  # in the unit of other y the weights start elsewhere
        check_first_loss(*build(net, prior, target))


def check_fit(model: Model, data: Dataset, guide: Any, directory: Path) -> None:
    """It is fitted; what it predicts and how that is judged is finite, of the right shape, and the same from a file."""
    posterior = fit(model, data, validation=data, guide=guide, epochs=2, batch_size=BATCH, lr=1e-3, **QUIET)
    history = posterior.history
    assert len(history) == 2
    assert np.isfinite(history.to_numpy(dtype=float)).all(), history

    draws = posterior.draws(3)
    assert {len(value) for value in draws.values()} == {1 if posterior.inference.point else 3}
    predictive = posterior.predict(data.x, draws=3)
    assert tuple(predictive.batch_shape + predictive.event_shape) == data.y.shape
    assert predictive.log_prob(data.y.to(predictive.mean.dtype)).isfinite().all()
    scores = posterior.evaluate(data, draws=3)
    assert {"nll"} < set(scores)
    assert all(math.isfinite(value) for value in scores.values()), scores

    registered = all(priors.known().get(term.name) is type(term) for term in model.prior.terms)
    path = posterior.save(directory / "posterior.pt")
    theirs = None if posterior.guide_name in known() else guide
    again = Posterior.load(path, model.net, prior=None if registered else model.prior, guide=theirs)
    assert again.evaluate(data, draws=3) == scores
    thetas, loaded = posterior.parameters(), again.parameters()
    assert thetas.keys() == loaded.keys()
    assert all(torch.equal(value, loaded[name]) for name, value in thetas.items())
    assert all(value.isfinite().all() for value in thetas.values())

    group = posterior.to_arviz(draws=3)["posterior"]
    assert set(group.data_vars) == set(thetas) == set(draws)
    assert all(group[name].shape == (1, *value.shape) for name, value in draws.items())


def check_objective(model: Model, data: Dataset, guide: Any) -> None:
    """Its terms are finite, and at the start of a guide that is a point their sum is −log p(y, θ | x)/N."""
    x, y = data.x[:BATCH], data.y[:BATCH]
    q = create(guide, model)
    torch.manual_seed(0)
    terms = Objective(model, q)(x, y)
    assert all(value.isfinite() for value in terms.values()), terms
    if as_guide(guide).point:
        torch.manual_seed(0)  # of the latents of each example
        assert _agree(sum(term.item() for term in terms.values()), _loss_at_start(model, x, y))


def check_capture(model: Model, data: Dataset, guide: Any, tolerance: float = 1e-12) -> None:
    """The captured graph gives the terms and the gradient that plain Pyro gives, relative to the largest."""
    x, y = data.x[:BATCH], data.y[:BATCH]
    gradient = Gradient(Objective(model, create(guide, model)))
    said = gradient.prepare(x, y)
    assert said.startswith("captured"), said
    results = []
    for run in (gradient, gradient.plain):
        with model.buffers_kept():
            torch.manual_seed(0)
            values, *slopes = run(x, y)
            results.append([values.clone(), torch.cat([slope.reshape(-1) for slope in slopes])])
    for captured, plain in zip(*results, strict=True):
        assert plain.abs().max() > 0
        torch.testing.assert_close(captured, plain, rtol=tolerance, atol=tolerance * plain.abs().max().item())


def check_first_loss(model: Model, data: Dataset) -> None:
    """With one batch an epoch the first row of the history is the objective at the network's own weights.

    That of the whole prior: one that is estimated while `fit` trains must be set to be exact.
    """
    history = fit(model, data, epochs=1, batch_size=N, **QUIET).history
    model.train()
    rows = order(N, seed=0, epoch=0)
    torch.manual_seed(0)  # of the latents of each example
    assert _agree(history["loss"][0], _loss_at_start(model, data.x[rows], data.y[rows]))


def _loss_at_start(model: Model, x: Tensor, y: Tensor) -> float:
    return -model.log_joint(model.unpack(model.initial()), x, y).item() / N


def _agree(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-12, abs_tol=1e-12)


def _refuses(prior: Prior, target: Target) -> None:
    try:
        build(TINY_NETS["mlp"], prior, target)
    except ValueError:
        return
    raise AssertionError(f"{prior} is not refused under {target.likelihood}")


def _has_map(prior: Prior) -> bool:
    try:
        for term in prior.terms:
            term.check_map()
    except ValueError:
        return False
    return True
