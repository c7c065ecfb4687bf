"""Every registered prior × guide × likelihood × network: it is refused with a reason, or all of it works.

The whole product under MAP and mean field; every other guide, which differs from them in q alone, with every prior,
likelihood and network once. The registries PRIORS, GUIDES, LIKELIHOODS and NETS are read here: a new entry is covered
without another word, except that a network needs a tiny one of itself in TINY_NETS of bayesreg/testing.py, and a
likelihood its TARGETS.
"""

import importlib
import re

import pytest
import torch

import bayesreg as br
from bayesreg import testing
from bayesreg.likelihoods import LIKELIHOODS
from bayesreg.nets import NETS
from bayesreg.testing import FAMILIES, TARGETS, TINY_NETS, N

fit_module = importlib.import_module("bayesreg.fit")  # `bayesreg.fit` itself is the function
# Strengths at which a factor's sum over the data matters beside the likelihood's; the others take the default.
IN_FULL = {"fraction": 1.0, "every": 1, "coordinates": 256}  # in training, too: what is estimated is in test_smoothness
SUMS = {"l2+entropic": "l2:0.01+entropic:0.1"}


def refused(prior, likelihood):
    """The pairs that have no meaning, and no others: the entropy of a Gaussian of fixed scale is constant."""
    return "entropic" in prior and likelihood == "gaussian fixed"


def build(net, prior, likelihood, dtype=torch.float64):
    prior = br.priors.parse(SUMS.get(prior, prior), N, smoothness=IN_FULL)
    return testing.build(TINY_NETS[net], prior, TARGETS[likelihood], dtype)


@pytest.mark.parametrize("name", NETS)
def test_every_net_has_a_tiny_one(name):
    assert name in TINY_NETS, f"add a tiny {name!r} and inputs for it to TINY_NETS in bayesreg/testing.py"


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_every_likelihood_has_targets(name):
    covered = {type(target.likelihood) for target in TARGETS.values()}
    assert LIKELIHOODS[name] in covered, f"add targets for {name!r} to TARGETS in bayesreg/testing.py"


every_combination = [
    pytest.mark.parametrize("likelihood", TARGETS),
    pytest.mark.parametrize("prior", [*br.priors.PRIORS, *SUMS]),
    pytest.mark.parametrize("guide", FAMILIES),
    pytest.mark.parametrize("net", [name for name in NETS if name in TINY_NETS]),
]


def over_every_combination(test):
    for mark in every_combination:
        test = mark(test)
    return test


@over_every_combination
def test_refused_or_works(net, guide, prior, likelihood, tmp_path, monkeypatch):
    if refused(prior, likelihood):
        monkeypatch.setattr(fit_module, "_Run", None)  # nothing may be trained
        with pytest.raises(ValueError, match="entropic"):
            testing.check_fit(*build(net, prior, likelihood, torch.float32), guide, tmp_path)
        return
    posterior = testing.check_fit(*build(net, prior, likelihood, torch.float32), guide, tmp_path)
    if likelihood == "gaussian":  # which has a site of its own: for ArviZ the others are as this, or as this without
        testing.check_arviz(posterior)


@over_every_combination
def test_objective_is_finite_and_under_map_minus_the_log_joint(net, guide, prior, likelihood):
    if refused(prior, likelihood):
        with pytest.raises(ValueError, match="entropic"):
            build(net, prior, likelihood)
        return
    testing.check_objective(*build(net, prior, likelihood), guide)


# Capturing takes seconds where the curvature of a deep network is in it, so not the whole product: a likelihood acts on
# outputs alone, whichever network they are of.
DOUBLE, SINGLE = (torch.float64, 1e-12), (torch.float32, 1e-6)
TO_CAPTURE = [
    *((net, *DOUBLE, prior, "gaussian") for net in NETS if net in TINY_NETS for prior in [*br.priors.PRIORS, *SUMS]),
    *(("mlp", *DOUBLE, "l2", likelihood) for likelihood in TARGETS if likelihood != "gaussian"),
    # oneDNN runs the LSTM in single precision.
    *((net, *SINGLE, prior, "gaussian") for net in ("mlp", "lstm") for prior in [*br.priors.PRIORS, *SUMS]),
]


@pytest.mark.parametrize(("net", "dtype", "tolerance", "prior", "likelihood"), TO_CAPTURE)
@pytest.mark.parametrize("guide", FAMILIES)
def test_captured_equals_plain(net, dtype, tolerance, guide, prior, likelihood):
    testing.check_capture(*build(net, prior, likelihood, dtype), guide, tolerance)


@pytest.mark.parametrize("prior", br.priors.PRIORS)
@pytest.mark.parametrize("net", [name for name in NETS if name in TINY_NETS])
def test_first_loss_of_map_is_minus_the_log_joint(net, prior):
    testing.check_first_loss(*build(net, prior, "categorical"))


def once_each():
    """(net, prior, likelihood): every one of each, in turn, but for pairs that have no meaning."""
    nets, priors, targets = list(TINY_NETS), [*br.priors.PRIORS, *SUMS], list(TARGETS)
    number = max(len(nets), len(priors), len(targets))
    rows = [(nets[i % len(nets)], priors[i % len(priors)], targets[-i % len(targets)]) for i in range(number)]
    return [row for row in rows if not refused(*row[1:])]


def test_once_each_is_every_one():
    for found, known in zip(zip(*once_each(), strict=True), (TINY_NETS, br.priors.PRIORS, TARGETS), strict=True):
        assert set(found) >= set(known)


OTHERS = [name for name in br.guides.GUIDES if name not in FAMILIES]


@pytest.mark.parametrize(("net", "prior", "likelihood"), once_each())
@pytest.mark.parametrize("guide", [{"ensemble": "ensemble:members=3"}.get(name, name) for name in OTHERS])  # quicker
def test_every_other_guide_works_or_is_refused_before_training(guide, net, prior, likelihood, tmp_path, monkeypatch):
    try:
        br.guides.create(guide, build(net, prior, likelihood)[0])
    except ValueError as refusal:
        monkeypatch.setattr(fit_module, "_Run", None)  # nothing may be trained
        with pytest.raises(ValueError, match=re.escape(str(refusal))):
            testing.check_fit(*build(net, prior, likelihood), guide, tmp_path)
        return
    testing.check_arviz(testing.check_fit(*build(net, prior, likelihood, torch.float32), guide, tmp_path))
    if not br.guides.as_guide(guide).trains_point:  # else the step is delta's, of which there is every combination
        testing.check_objective(*build(net, prior, likelihood), guide)
        testing.check_capture(*build(net, prior, likelihood), guide)
