"""A prediction is Pyro's distribution in every respect, and says what it is."""

import copy
import importlib
import pickle

import byhand
import pyro.distributions as dist
import pytest
import torch

import bayesreg as br
from bayesreg import posterior as module

N = 12
KINDS = {  # likelihood: (the class that it stays, and its repr, under delta)
    "categorical": (dist.Categorical, "Prediction(Categorical of 4 classes, 12 examples, .probs [12, 4])"),
    "bernoulli": (dist.Bernoulli, "Prediction(Bernoulli, 12 examples, .probs [12])"),
    "bernoulli3": (dist.Independent, "Prediction(Bernoulli, 12 examples of shape [3], .mean [12, 3])"),
    "gaussian_fixed": (dist.Normal, "Prediction(Normal, 12 examples, .mean [12])"),
    "gaussian_learned2": (dist.Independent, "Prediction(Normal, 12 examples of shape [2], .mean [12, 2])"),
}
MIXED = {
    "categorical": (dist.Categorical, "Prediction(Categorical of 4 classes, 12 examples, .probs [12, 4])"),
    "bernoulli": (dist.MixtureSameFamily, "Prediction(mean over 5 draws of Bernoulli, 12 examples, .mean [12])"),
    "gaussian_learned2": (
        dist.MixtureSameFamily,
        "Prediction(mean over 5 draws of Normal, 12 examples of shape [2], .mean [12, 2])",
    ),
}
CASES = [("delta", name, *case) for name, case in KINDS.items()]
CASES += [("normal", name, *case) for name, case in MIXED.items()]


def fit(likelihood, guide="delta", **options):
    case = byhand.LIKELIHOODS[likelihood]
    model = br.Model(byhand.network(case.outputs), br.L2(), case.likelihood, size=N)
    options = {"epochs": 1, "device": "cpu", "progress": False} | options
    return br.fit(model, case.data(N), guide=guide, **options), case.data(N)


@pytest.mark.parametrize(("guide", "likelihood", "kind", "text"), CASES, ids=[f"{c[0]}-{c[1]}" for c in CASES])
def test_a_prediction_says_its_kind_and_shape_and_is_still_the_distribution(guide, likelihood, kind, text):
    posterior, (x, y) = fit(likelihood, guide)
    predictive = posterior.predict(x, draws=5)
    assert repr(predictive) == text
    assert isinstance(predictive, kind)
    y = y.to(predictive.mean.dtype).reshape(predictive.batch_shape + predictive.event_shape)
    expected = predictive.log_prob(y)
    for same in (pickle.loads(pickle.dumps(predictive)), copy.deepcopy(predictive), predictive.expand([N])):
        assert isinstance(same, kind)
        torch.testing.assert_close(same.log_prob(y), expected)
    assert predictive.sample((3,)).shape == (3, *y.shape)
    assert predictive.log_prob(y.expand(3, *y.shape)).shape == (3, N)


def test_a_column_is_one_number_an_example():
    posterior, (x, y) = fit("gaussian_fixed")
    predictive = posterior.predict(x)
    torch.testing.assert_close(predictive.log_prob(y[:, None]), predictive.log_prob(y))


def test_models_and_posteriors_say_what_they_are():
    posterior, _ = fit("categorical", epochs=3, validation=byhand.LIKELIHOODS["categorical"].data(5))
    said = repr(posterior)
    model = "Model(Sequential of 36 parameters, prior: L2(scale=1.0, on='weights'), likelihood: Categorical(), N = 12)"
    assert repr(posterior.model) == model
    last = posterior.history.iloc[-1]
    assert said == (
        f"Posterior({model}, guide='delta', epochs=3, loss {last['loss']:.4g}, "
        f"validation_nll {last['validation_nll']:.4g})"
    )


# --- The bar ---


class Bar:
    """A bar that notes what it is told."""

    made: list = []  # noqa: RUF012

    def __init__(self, total, desc, show, **options):
        self.total, self.desc, self.show, self.done = total, desc, show, 0
        Bar.made.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def update(self, number):
        self.done += number


@pytest.mark.parametrize(("guide", "draws"), [("delta", 1), ("normal", 3)])
def test_prediction_and_evaluation_count_every_example_of_every_draw(guide, draws, monkeypatch):
    posterior, (x, y) = fit("categorical", guide)
    Bar.made.clear()
    monkeypatch.setattr(module, "bar", Bar)
    monkeypatch.setattr(module, "CHUNK", 5 * 3)  # 5 examples at a time
    monkeypatch.setattr(module, "JUDGED", 7 * 3 * draws)  # 7
    posterior.predict(x, draws=draws)
    posterior.evaluate((x, y), draws=draws)
    posterior.uncertainty(x, draws=draws)
    posterior.evaluate((x, y), progress=False)
    said = [("predict", True), ("evaluate", True), ("uncertainty", True), ("evaluate", False)]
    assert [(bar.desc, bar.show) for bar in Bar.made] == said
    assert all(bar.done == bar.total for bar in Bar.made)
    assert {bar.total for bar in Bar.made[:3]} == {N * draws}


def test_while_it_trains_only_the_epochs_have_a_bar(monkeypatch):
    Bar.made.clear()
    monkeypatch.setattr(module, "bar", Bar)
    fit("categorical", validation=byhand.LIKELIHOODS["categorical"].data(5), progress=True)
    assert [bar.show for bar in Bar.made] == [False]


def test_the_bar_of_training_shows_what_can_move(monkeypatch):
    shown = []

    class Epochs(Bar):
        def __init__(self, epochs, show, **options):
            super().__init__(options["total"], "fit", show)
            self.epochs = epochs

        def __iter__(self):
            return iter(self.epochs)

        def set_postfix(self, named, refresh):
            shown.append(named)

    monkeypatch.setattr(importlib.import_module("bayesreg.fit"), "bar", Epochs)
    posterior, _ = fit("categorical", epochs=2, validation=byhand.LIKELIHOODS["categorical"].data(5))
    rows = posterior.history.to_dict("records")
    assert shown == [{k: f"{row[k]:.4g}" for k in ("nll", "penalty", "validation_nll")} for row in rows]


def test_what_is_quick_shows_no_bar(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    posterior, data = fit("categorical", epochs=3, progress=True)
    posterior.evaluate(data)
    assert capsys.readouterr().err == ""
