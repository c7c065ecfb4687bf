"""A comparison recommends what is known to be right, and nothing where there is nothing to learn."""

import numpy as np
import pytest
import torch
from inprocess import InProcess
from torch import nn

import bayesreg as br
from bayesreg.engine import ENGINES

TRAIN, INPUTS = 60, 30


@pytest.fixture(autouse=True)
def in_process(monkeypatch):
    monkeypatch.setitem(ENGINES, "local", InProcess)


def few(x, y):
    """60 rows to train on, 200 to choose and 400 to judge by."""
    x, y = torch.tensor(x).float(), torch.tensor(y)
    y = y if y.dtype == torch.int64 else y.float()
    cuts = ((0, TRAIN), (TRAIN, TRAIN + 200), (TRAIN + 200, TRAIN + 600))
    parts = (br.Dataset(x[start:stop], y[start:stop]) for start, stop in cuts)
    return br.Data("mine", *parts, 2 if y.dtype == torch.int64 else None, "y", {})


def compare(net, x, y, method, folder, epochs=30):
    options = {"seeds": 2, "folds": 1, "epochs": epochs, "batch_size": TRAIN, "lr": 0.1, "progress": False}
    return br.compare(net, few(x, y), methods=["none", method], output=folder, **options)


def test_few_relevant_inputs_among_many_want_a_sparse_prior(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(TRAIN + 600, INPUTS))
    y = 2 * x[:, 0] - 2 * x[:, 1] + rng.normal(size=len(x))
    study = compare(lambda: nn.Linear(INPUTS, 1), x, y, "l1", tmp_path)
    row = study.results.set_index("method").loc["l1"]
    assert study.recommendation.startswith("Use l1 at strength ")
    assert (row["nll_verdict"], row["recommended"]) == ("better", True)
    noise = 0.5 * np.log(2 * np.pi * np.e)  # nats, which no prediction beats
    assert noise < row["nll"] < noise + 0.35


def test_many_small_weights_want_weight_decay_at_an_interior_strength(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(TRAIN + 600, INPUTS))
    y = x @ rng.normal(scale=0.3, size=INPUTS) + rng.normal(size=len(x))
    study = compare(lambda: nn.Linear(INPUTS, 1), x, y, "l2", tmp_path)
    row = study.results.set_index("method").loc["l2"]
    assert study.recommendation.startswith("Use l2 at strength ")
    assert row["nll_verdict"] == "better"
    assert not row["edge"]
    assert study.best.model.prior == br.L2.from_strength(row["strength"], TRAIN)


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_recommended_on_noise(tmp_path, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(TRAIN + 600, 5))
    y = rng.integers(0, 2, len(x)) if seed % 2 else rng.normal(size=len(x))
    study = compare(lambda: br.nets.mlp(5, 1 + seed % 2, hidden=4), x, y, "l2", tmp_path, epochs=10)
    assert study.recommendation.startswith("Nothing to recommend: ")
    assert "the inputs say little about the target" in study.recommendation
    assert not study.results["recommended"].any()
