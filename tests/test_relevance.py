"""The effective number of weights, α by input and the seeds' agreement: against closed forms, and the experiment."""

import runpy
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import bayesreg as br
from bayesreg import relevance
from bayesreg.guides.start import local_parameters

SIZE = 40
QUIET = {"device": "cpu", "progress": False}


def posterior(prior="ard:sparse", guide="normal", seed=0, epochs=2):
    torch.manual_seed(seed)
    x = torch.randn(SIZE, 3, dtype=torch.float64)
    net = nn.Sequential(nn.Linear(3, 4), nn.SiLU(), nn.Linear(4, 1)).double()
    model = br.Model(net, prior, br.Gaussian(), size=SIZE)
    return br.fit(model, (x, x.sum(1, keepdim=True)), guide=guide, epochs=epochs, lr=0.02, seed=seed, **QUIET)


@pytest.mark.parametrize("temper", [1.0, 2.0])
def test_effective_number_of_weights(temper):
    """Σ (1 − temper E[α] s²), with E[α] = exp(m + t²/2) of the normal guide's own m and t of log α, and its s."""
    found = posterior(br.ARD(a=0.5, b=1e-3, temper=temper))
    locs, scales = found.guide.locs, found.guide.scales
    with local_parameters(), torch.no_grad():
        s = torch.linspace(0.1, 1.0, 16).double()
        scales.weights = s
        m, t = locs.precision.weights, scales.precision.weights
        expected = (1 - temper * (m + t**2 / 2).exp() * s**2).sum().item()
    spread = (2 / 400 * (temper * (m + t**2 / 2).exp() * s**2).square().sum()).sqrt().item()
    assert relevance.effective(found, draws=400) == pytest.approx(expected, abs=5 * spread)
    assert abs(expected - 16) > 20 * spread


def test_a_point_has_no_effective_number_and_other_priors_no_precisions():
    assert np.isnan(relevance.effective(posterior("ard", "delta")))
    with pytest.raises(ValueError, match="draws=1: a variance takes at least two"):
        relevance.effective(posterior(), draws=1)
    for measure in (relevance.effective, relevance.by_input):
        with pytest.raises(ValueError, match=r"L2.* has no precision of each weight: take ARD, as ard:sparse@normal"):
            measure(posterior("l2"))


def test_alpha_by_input_is_the_least_over_the_units_and_knows_no_order_of_them():
    one, other = posterior("ard", "delta"), posterior("ard", "delta", seed=1)
    alpha = one.parameters()["precision.0.weight"]
    assert relevance.by_input(one).tolist() == alpha.amin(0).tolist()
    assert alpha.shape == (4, 3)
    ranks = [np.argsort(np.argsort(relevance.by_input(each))) for each in (one, other)]
    table = relevance.agreement([one, other])
    assert table[0][1] == pytest.approx(np.corrcoef(*ranks)[0, 1])
    with torch.no_grad():
        weights = one.guide.get_parameter("precision.weights_unconstrained")
        weights[:12] = weights[:12].reshape(4, 3)[[2, 0, 3, 1]].flatten().clone()  # the units in another order
    assert relevance.agreement([one, other]).equals(table)


def test_the_experiment_draws_and_says_the_numbers(monkeypatch, tmp_path, capsys):
    def run(*options):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["ard", *options])
        sys.modules.pop("experiments.ard", None)
        try:
            runpy.run_module("experiments.ard", run_name="__main__")
        except SystemExit as end:
            return end.code, capsys.readouterr().err
        return 0, capsys.readouterr().out

    status, out = run("--task", "diabetes --epochs 2", "--seeds", "2", "--quiet")
    assert (status, "MacKay, 1992" in out, "rank correlation of α: mean" in out) == (0, True, True)
    names = {"agreement.csv", "effective.csv", "histogram.png", "inputs.png", "quantiles.csv", "quantiles.png"}
    assert {path.name for path in (tmp_path / "reports/ard").iterdir()} == names
    table = pd.read_csv(tmp_path / "reports/ard/effective.csv", index_col="seed")
    assert table["weights"].tolist() == [4800, 4800]
    for options, message in {
        ("--method", "l2@normal"): "--method l2@normal has no precision of each weight",
        ("--method", "ard:sparse"): "has no MAP",
        ("--seeds", "0"): "--seeds 0: at least 1",
    }.items():
        status, err = run(*options, "--output", "elsewhere")
        assert (status, message in err, err.count("\n")) == (2, True, 1)
    assert not (tmp_path / "elsewhere").exists()
