"""What a newcomer types works if it is unambiguous, else the message names the value, the place and the remedy."""

import importlib
import re
import threading
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import bayesreg as br
from bayesreg.cli.run import run
from bayesreg.grid import Run
from bayesreg.tasks.diabetes import Diabetes
from experiments import compare

N, CLASSES = 20, 3
OPTIONS = {"epochs": 1, "batch_size": 8, "device": "cpu", "progress": False}
LINEAR = nn.Linear(4, CLASSES)
g = torch.Generator().manual_seed(0)
X, Y = torch.randn(N, 4, generator=g), torch.arange(N) % CLASSES


class After(nn.Module):
    """A linear network, and something after it."""

    def __init__(self, after):
        super().__init__()
        self.net, self.after = nn.Linear(4, CLASSES), after

    def forward(self, x):
        return self.after(self.net(x))


class Locked(nn.Linear):
    """A network that copy.deepcopy does not take."""

    def __init__(self):
        super().__init__(4, CLASSES)
        self.lock = threading.Lock()


def weight_norm():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # that it is the old one
        return nn.Sequential(nn.utils.weight_norm(nn.Linear(4, CLASSES)))


def model(net=LINEAR, prior="none", likelihood="categorical", size=N):
    return br.Model(net, prior, likelihood, size)


def fit(net=LINEAR, train=(X, Y), **options):
    return br.fit(model(net), train, **(OPTIONS | options))


def classify():
    return fit(validation=(X, Y))


# --- Works ---


@pytest.mark.parametrize(("name", "meant"), [("map", "delta"), ("MAP", "delta"), ("vi", "normal"), ("Delta", "delta")])
def test_a_guide_by_what_the_field_calls_it(name, meant):
    assert fit(guide=name).guide_name == meant
    assert type(br.guides.create(name, model())) is type(br.guides.create(meant, model()))


def same(one, other):
    assert all(torch.equal(value, other.parameters()[name]) for name, value in one.parameters().items())


PAIRS = {
    "tuple": (X, Y),
    "list": [X, Y],
    "arrays": (X.numpy(), Y.numpy()),
    "float64": (X.double(), Y),
    "a column of labels": (X, Y[:, None]),
}


@pytest.mark.parametrize("train", PAIRS.values(), ids=PAIRS)
def test_data_that_are_no_dataset(train):
    expected = fit(train=br.Dataset(X, Y), validation=br.Dataset(X, Y))
    ours = fit(train=train, validation=train)
    same(ours, expected)
    assert ours.evaluate(train) == expected.evaluate(br.Dataset(X, Y)) == pytest.approx(last(ours))


def last(posterior):
    row = posterior.history.iloc[-1]
    return {name.removeprefix("validation_"): row[name] for name in row.index if name.startswith("validation_")}


def test_a_whole_data_is_taken_by_its_splits():
    data = br.datasets.load("diabetes")
    built = br.Model(nn.Linear(10, 1), "l2:1e-3", br.Gaussian, size=len(data.train))
    ours, split = br.fit(built, data, validation=data, **OPTIONS), br.fit(built, data.train, **OPTIONS)
    same(ours, split)
    assert last(ours) == pytest.approx(split.evaluate(data.validation))
    assert ours.evaluate(data) == split.evaluate(data.test)


GIVEN = {"array": X.numpy(), "float64": X.double(), "float64 array": X.double().numpy(), "list": X.tolist()}


@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
def test_predictions_of_what_a_dataset_takes(given):
    posterior = classify()
    torch.testing.assert_close(posterior.predict(given).probs, posterior.predict(X).probs)
    precise = br.fit(model(nn.Linear(4, CLASSES).double()), (X.double(), Y), **OPTIONS)
    assert precise.predict(given).probs.dtype == torch.float64


def test_likelihoods_and_priors_by_class_and_text():
    for likelihood in (br.Gaussian, "gaussian", "Gaussian", br.Gaussian()):
        assert model(likelihood=likelihood).likelihood == br.Gaussian()
    expected = br.L2.from_strength(1e-4, N) + br.Entropic(0.1)
    assert model(prior="l2:1e-4+entropic:0.1").prior == expected
    assert model(size=np.int64(N)).size == N


def test_fewer_data_than_the_batch_are_one_batch(caplog):
    with caplog.at_level("INFO", "bayesreg"):
        same(fit(batch_size=10 * N), fit(batch_size=N))
    ours, expected = (line for line in caplog.messages if line.startswith("step: "))
    assert ours == expected  # captured, or not, for the same batches


def test_numbers_of_numpy_are_numbers():
    same(fit(batch_size=np.int64(8), epochs=np.int64(1), lr=np.float64(0.01), seed=np.int64(1)), fit(lr=0.01, seed=1))


def test_a_column_of_labels_is_labels_everywhere():
    posterior, column = classify(), Y[:, None]
    same(fit(train=(X, column)), posterior)
    assert posterior.evaluate((X, column)) == posterior.evaluate((X, Y))
    predictive = posterior.predict(X)
    assert torch.equal(predictive.log_prob(column), predictive.log_prob(Y))
    theta = posterior.parameters()
    assert torch.equal(model().log_joint(theta, X, column), model().log_joint(theta, X, Y))


# --- Refused ---

# the call, and what its message must match
REFUSED = {
    "guide unlike any": (lambda: fit(guide="hmc"), r"unknown guide 'hmc'.*delta, normal"),
    "guide None": (lambda: fit(guide=None), r"unknown guide None\. Guides: delta, normal"),
    "a network for a model": (lambda: br.fit(LINEAR, (X, Y)), r"fit\(model=Linear\).*br\.Model\(net, "),
    "data of no kind": (lambda: fit(train=X), r"train data.*Tensor.*Dataset\(x, y\)"),
    "validation of no kind": (lambda: fit(validation={"x": X}), r"validation data.*dict.*Dataset\(x, y\)"),
    "test data of no kind": (lambda: classify().evaluate(7), r"test data.*int.*Dataset\(x, y\)"),
    "no likelihood": (lambda: model(likelihood=None), r"likelihood=None.*br\.Categorical\(\).*br\.Gaussian\(\)"),
    "likelihood mistyped": (lambda: model(likelihood="gausian"), r"'gausian'.*did you mean 'gaussian'"),
    "prior mistyped": (lambda: model(prior="l3:1e-4"), r"unknown prior 'l3'.*did you mean"),
    "no prior": (lambda: model(prior=None), r"prior=None.*br\.Flat\(\) for none"),
    "prior and likelihood swapped": (
        lambda: br.Model(LINEAR, br.Categorical(), br.L2(), N),
        r"prior=Categorical\(\)\): not a prior; write br\.L2",
    ),
    "no network": (lambda: model(net=None), r"net=None.*br\.nets\.mlp"),
    "a network's class": (lambda: model(net=nn.Linear), r"net=Linear\) is a class.*Linear\(\.\.\.\)"),
    "a function": (lambda: model(net=torch.tanh), r"not a network.*torch\.nn\.Module"),
    "a lazy network": (lambda: model(net=nn.LazyLinear(3)), r"net=LazyLinear.*weight.*call the network once"),
    "the old weight norm": (lambda: model(net=weight_norm()), r"0\.weight.*parametrizations\.weight_norm"),
    "a network with a lock": (lambda: model(net=Locked()), r"net=Locked.*cannot be copied.*lock.*copy\.deepcopy"),
    "a tuple of outputs": (lambda: fit(After(lambda f: (f, f))), r"a tuple of Tensor, Tensor.*self\.net\(x\)\[0\]"),
    "a dict of outputs": (lambda: fit(After(lambda f: {"logits": f})), r"a dict of logits.*net\(x\)\['logits'\]"),
    "no outputs": (lambda: fit(After(lambda f: None)), r"returns None.*let its forward return"),
    "one output for all": (lambda: fit(After(torch.sum)), r"shape \[\] for 4 examples.*\[4, \.\.\.\]"),
    "lr as text": (lambda: fit(lr="1e-3"), r"lr='1e-3'.*number"),
    "seed None": (lambda: fit(seed=None), r"seed=None.*whole number"),
    "half a seed": (lambda: fit(seed=1.5), r"seed=1\.5.*whole number"),
    "seed below 0": (lambda: fit(seed=-1), r"seed=-1.*from 0 to 4294967295"),
    "seed of 70 bits": (lambda: fit(seed=2**70), r"seed=1180591620717411303424.*from 0 to 4294967295"),
    "seed of draws": (lambda: classify().predict(X, seed=-1), r"seed=-1.*from 0 to"),
    "no draws": (lambda: classify().predict(X, draws=0), r"draws=0.*at least 1"),
    "a million threads": (lambda: fit(threads=10**6), r"threads=1000000.*from 1 to \d+"),
    "device meta": (lambda: fit(device="meta"), r"'meta'.*--device cpu"),
    "size as text": (lambda: model(size="20"), r"size='20'.*len\(data\.train\)"),
    "x and y swapped": (lambda: fit(nn.Linear(4, 1), (torch.ones(N), X)), r"it takes y, so x and y may be swapped"),
    "whole numbers": (lambda: fit(train=(X.long(), Y)), r"torch\.int64.*x\.float\(\)"),
    "wider validation": (lambda: fit(validation=(torch.ones(3, 9), Y[:3])), r"validation: the network.*\[2, 9\]"),
    "validation in whole numbers": (lambda: fit(validation=(X.long(), Y)), r"validation: the network.*x\.float\(\)"),
    "validation label": (lambda: fit(validation=(X, Y + 1)), r"validation: y\[2\] = 3"),
    "wider x": (lambda: classify().predict(torch.ones(2, 9)), r"does not take x of shape \[2, 9\]"),
    "no x": (lambda: classify().predict(X[:0]), r"x is empty.*at least one"),
    "NaN in x": (lambda: classify().predict(X * torch.nan), r"x\[0, 0\] is nan.*impute"),
    "label that is none": (lambda: classify().evaluate((X, Y + 1)), r"y\[2\] = 3.*0\.\.2"),
    "y of another shape": (lambda: classify().evaluate((X, torch.ones(N, 3).long())), r"Categorical needs y"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_with_the_value_the_place_and_the_remedy(what):
    call, message = REFUSED[what]
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    said = str(caught.value)
    assert re.search(message, said), said
    assert len(said) < 400  # a line or two


def test_one_validation_example_has_no_variance():
    built = br.Model(nn.Linear(4, 1), "none", "gaussian", N)
    with pytest.raises(ValueError, match=r"validation has one example.*at least 2"):
        br.fit(built, (X, X[:, 0]), validation=(X[:1], X[:1, 0]), **OPTIONS)


# --- A network that ends in what the likelihood applies itself ---

ENDINGS = {  # a network, its likelihood, and the name of its ending where it has one
    "softmax module": (lambda: nn.Sequential(nn.Linear(4, CLASSES), nn.Softmax(-1)), br.Categorical, "softmax"),
    "softmax function": (lambda: After(lambda f: f.softmax(-1)), br.Categorical, "softmax"),
    "sigmoid module": (lambda: nn.Sequential(nn.Linear(4, 1), nn.Sigmoid()), br.Bernoulli, "sigmoid"),
    "sigmoid function": (lambda: After(lambda f: f[:, 0].sigmoid()), br.Bernoulli, "sigmoid"),
    "logits": (lambda: LINEAR, br.Categorical, None),
    "log softmax": (lambda: After(lambda f: f.log_softmax(-1)), br.Categorical, None),  # normalised again: the same
    "one logit": (lambda: nn.Linear(4, 1), br.Bernoulli, None),
    "sigmoid of a mean": (lambda: nn.Sequential(nn.Linear(4, 1), nn.Sigmoid()), br.Gaussian, None),
}


@pytest.mark.parametrize("what", ENDINGS)
def test_a_network_that_ends_in_what_the_likelihood_applies_is_warned_of(what):
    make, likelihood, ending = ENDINGS[what]
    built = br.Model(make(), br.L2(), likelihood, size=N)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        br.fit(built, (X, Y % 2), **OPTIONS)
    assert [w.category for w in caught] == [UserWarning] * (ending is not None)
    if ending:
        assert re.search(rf"ends in a {ending}.*before the {ending}", str(caught[0].message))
        assert caught[0].filename == __file__


def test_logits_that_happen_to_be_in_the_unit_interval_are_none():
    """Of 50 random networks a third give two values in [0, 1]."""
    checks = importlib.import_module("bayesreg.checks")
    torch.manual_seed(0)
    within = 0
    for _ in range(50):
        built = br.Model(nn.Linear(4, 1), br.L2(), br.Bernoulli(), size=N)
        within += built.likelihood.squashed(built.net(X[:2])) is not None
        checks.check(built, br.Dataset(X, Y % 2), guide="delta", epochs=1, batch_size=8, lr=0.1, device="cpu")
    assert within > 5


# --- The command line ---


def said_to(monkeypatch, capsys, tmp_path, main, *options):
    """What a command that exits with 2 says, in one line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["experiment", *options])
    with pytest.raises(SystemExit) as end:
        main()
    said = " ".join("".join(capsys.readouterr()).split())
    assert end.value.code == 2, said
    assert "Traceback" not in said
    assert not (tmp_path / "runs").exists()
    return said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--threads", "1000000"], r"threads=1000000.*from 1 to"),
        (["--device", "meta"], r"'meta' is not available.*--device cpu"),
        (["--width", str(10**15)], r"error: the network cannot be made.*make it smaller"),  # beyond any address space
        (["--train-size", "1"], r"validation has one example"),
        (["--seed", str(2**70)], r"seed=1180591620717411303424.*from 0 to 4294967295"),
        (["--seed", "-1"], r"seed=-1.*from 0 to 4294967295"),
        (["--guide", "mapp"], r"unknown guide 'mapp'.*Guides: delta, normal"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_experiment_says_it_in_a_line(monkeypatch, capsys, tmp_path, options, message):
    said = said_to(monkeypatch, capsys, tmp_path, lambda: run("diabetes", "x"), *options)
    assert re.search(message, said), said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seeds", "30000000"], r"seeds=30000000.*from 1 to"),
        (["--priors"], r"no method to compare: give at least one"),
        (["--experiments"], r"no task to compare on: give at least one"),
        (["--experiments", "digits 'half"], r"""digits 'half.*[Nn]o closing quotation"""),
        (["--experiments", ""], r"unknown task ''\. Tasks: synthetic"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_comparison_says_it_in_a_line(monkeypatch, capsys, tmp_path, options, message):
    said = said_to(monkeypatch, capsys, tmp_path, compare.main, *options)
    assert re.search(message, said), said


def test_map_on_the_command_line_is_the_delta_guide():
    runs = [Run(Diabetes(), br.Method.parse(f"l2@{guide}")) for guide in ("map", "delta")]
    assert runs[0].config == runs[1].config
