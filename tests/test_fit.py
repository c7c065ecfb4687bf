"""fit: the same seed gives the same result, nothing of the caller's changes, and what cannot work is refused."""

import copy
import importlib
import logging
import math
import random

import numpy as np
import pyro
import pytest
import torch
from torch import nn

import bayesreg as br
from bayesreg.posterior import Posterior

module = importlib.import_module("bayesreg.fit")  # `bayesreg.fit` itself is the function
step_module = importlib.import_module("bayesreg.step")
N, CLASSES = 22, 3
PRIORS = {
    "none": br.Flat(),
    "l1": br.L1(scale=0.5),
    "l2": br.L2(scale=0.5),
    "ard": br.ARD(),
    "entropic": br.Entropic(0.1),
    "smoothness": br.Smoothness(0.1),
    "sum": br.L2(scale=0.5, on="0.*") + br.ARD(on="4.weight") + br.Entropic(0.1),
}


def network(seed=0, dropout=0.25, bias=True):
    """With every thing that a run could get wrong: BatchNorm's buffers, dropout's random numbers."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        body = [nn.Linear(4, 6, bias=bias), nn.BatchNorm1d(6), nn.SiLU(), nn.Dropout(dropout)]
        return nn.Sequential(*body, nn.Linear(6, CLASSES))


def data(n=N, seed=0):
    g = torch.Generator().manual_seed(seed)
    return br.Dataset(torch.randn(n, 4, generator=g), torch.randint(0, CLASSES, (n,), generator=g))


def fit(net=None, prior=None, train=None, **options):
    """A short run, with a smaller last batch."""
    train = train or data()
    model = br.Model(net or network(), prior or br.L2(scale=0.5), br.Categorical(), size=len(train))
    defaults = {"epochs": 3, "batch_size": 8, "lr": 0.05, "device": "cpu", "progress": False}
    return br.fit(model, train, **(defaults | options))


def state(posterior):
    """Everything that a run has computed: guide, buffers and history."""
    numbers = {f"guide.{k}": v for k, v in posterior.guide.state_dict().items()}
    numbers |= dict(posterior.model.net.named_buffers())
    table = posterior.history.drop(columns="seconds")
    return numbers | {f"history.{name}": torch.tensor(table[name].to_numpy()) for name in table}


def differences(one, other):
    assert one.keys() == other.keys()
    return [name for name in one if not torch.equal(one[name], other[name])]


@pytest.fixture
def capturing(request, monkeypatch):
    monkeypatch.setattr(step_module, "WORTH_CAPTURING", 0 if request.param == "captured" else math.inf)
    return request.param


both_ways = pytest.mark.parametrize("capturing", ["captured", "plain"], indirect=True)
every_guide = pytest.mark.parametrize("guide", ["delta", "normal"])


# --- The same seed, the same result ---


@both_ways
@every_guide
def test_same_seed_same_result(guide, capturing):
    first = fit(guide=guide, validation=data(10, seed=1))
    torch.manual_seed(123)  # the caller's random state plays no part
    second = fit(guide=guide, validation=data(10, seed=1))
    assert differences(state(first), state(second)) == []
    assert (first.warmup_seconds > 0) == (capturing == "captured")
    other = state(fit(guide=guide, seed=1))
    assert "guide." + next(iter(dict(first.guide.named_parameters()))) in differences(
        {k: v for k, v in state(first).items() if k in other}, other
    )


@every_guide
@pytest.mark.parametrize("prior", PRIORS)
def test_captured_equals_plain(prior, guide, monkeypatch, caplog):
    caplog.set_level(logging.INFO, logger="bayesreg")
    states = []
    for steps in (0, math.inf):
        monkeypatch.setattr(step_module, "WORTH_CAPTURING", steps)
        # No bias before BatchNorm: its gradient is rounding alone, which Adam would blow up to a step.
        states.append(state(fit(network(bias=False), PRIORS[prior], guide=guide)))
    assert "cannot be captured" not in caplog.text
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        torch.testing.assert_close(value, states[1][name], rtol=1e-5, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("guide", ["delta", "normal:warm_up=0.5"])
def test_captured_equals_plain_bit_for_bit(guide, monkeypatch):
    states = []
    for steps in (0, math.inf):
        monkeypatch.setattr(step_module, "WORTH_CAPTURING", steps)
        states.append(state(fit(guide=guide)))
    assert differences(*states) == []


SEEN = []


class Recorder(nn.Linear):
    """A linear network that notes the weights and the batches it is run on."""

    def forward(self, x):
        value = x if type(x) is torch.Tensor else x.value  # under the smoothness prior a Jet
        SEEN.append((self.weight.detach().clone(), value.detach().clone()))
        return super().forward(x)


@pytest.mark.parametrize("guide", ["delta", "normal"])
def test_order_and_first_weights_know_only_the_seed(guide, monkeypatch):
    monkeypatch.setattr(step_module, "WORTH_CAPTURING", math.inf)
    own = Recorder(4, CLASSES)
    batches, starts = {}, {}
    priors = {name: prior for name, prior in PRIORS.items() if name != "sum"}
    for name, prior in priors.items():
        SEEN.clear()
        fit(copy.deepcopy(own), prior, guide=guide)
        training = [(w, x) for w, x in SEEN[-3 * 3 :]]
        batches[name], starts[name] = [x for _, x in training], training[0][0]
    train = data()
    for name in priors:
        assert [len(x) for x in batches[name]] == [8, 8, 6] * 3  # the smaller last batch is there
        for epoch in range(3):
            rows = torch.cat(batches[name][3 * epoch : 3 * epoch + 3])
            assert not torch.equal(rows, train.x)
            assert torch.equal(rows.sort(0).values, train.x.sort(0).values)  # every example once
        assert all(torch.equal(a, b) for a, b in zip(batches[name], batches["none"], strict=True))
        if guide == "delta":
            assert torch.equal(starts[name], own.weight)
        else:  # a draw, of standard deviation 0.01
            assert 0 < (starts[name] - own.weight).abs().max() < 0.06
    assert not torch.equal(batches["none"][0], batches["none"][3])  # another order in another epoch
    SEEN.clear()
    fit(copy.deepcopy(own), seed=1, guide=guide)
    assert not torch.equal(SEEN[-9][1], batches["none"][0])


@pytest.mark.parametrize("prior", PRIORS)
@every_guide
def test_guides_start_at_the_networks_own_weights(prior, guide):
    net = network()
    model = br.Model(net, PRIORS[prior], br.Categorical(), size=N)
    start = Posterior(model, br.guides.create(guide, model), guide).parameters()
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(start[name], parameter.detach(), rtol=1e-6, atol=1e-7)


def test_every_seed_and_epoch_has_an_order_of_its_own():
    orders = {tuple(module.order(20, seed, epoch).tolist()) for seed in range(10) for epoch in range(10)}
    assert len(orders) == 100
    assert all(sorted(order) == list(range(20)) for order in orders)


def test_ard_starts_at_the_optimum_given_the_weights():
    net = network()
    model = br.Model(net, br.ARD(a=2.0, b=0.3), br.Categorical(), size=N)
    start = Posterior(model, br.guides.delta(model), "delta").parameters()
    expected = 1.5 / (0.3 + net[4].weight.detach() ** 2 / 2)
    torch.testing.assert_close(start["precision.4.weight"], expected)


# --- Nothing of the caller's changes ---


@both_ways
@every_guide
def test_leaves_everything_as_it_is(guide, capturing):
    net = network().train()
    net[3].eval()
    net[0].bias.requires_grad_(False)
    model = br.Model(net, PRIORS["sum"], br.Categorical(), size=N)
    before = copy.deepcopy(net), copy.deepcopy(model)
    pyro.clear_param_store()
    torch.manual_seed(5)
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        posterior = br.fit(
            model, data(), guide=guide, epochs=1, batch_size=8, validation=data(9), device="cpu", progress=False
        )
        assert torch.get_num_threads() == threads + 1
    finally:
        torch.set_num_threads(threads)
    for now, then in zip((net, model), before, strict=True):
        assert all(torch.equal(v, then.state_dict()[k]) for k, v in now.state_dict().items())
        assert [m.training for m in now.modules()] == [m.training for m in then.modules()]
        wanted = [p.requires_grad for p in then.parameters()]
        assert [p.requires_grad for p in now.parameters()] == wanted
        assert all(p.grad is None for p in now.parameters())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1]  # noqa: NPY002
    assert random.getstate() == states[2]
    assert len(pyro.get_param_store()) == 0
    batches = 3 if posterior.inference.point else 1  # of all 22: its statistics are estimated anew
    assert posterior.model.net.state_dict()["1.num_batches_tracked"] == batches  # its own copy has been trained
    assert torch.equal(posterior.parameters()["4.weight"], net[4].weight) is False


def test_two_fits_of_one_model_are_apart():
    model = br.Model(network(), br.L2(), br.Categorical(), size=N)
    options = {"epochs": 1, "batch_size": 8, "device": "cpu", "progress": False}
    first = br.fit(model, data(), **options)
    kept = state(first)
    br.fit(model, data(), seed=1, **options)
    assert differences(kept, state(first)) == []
    assert differences(kept, state(br.fit(model, data(), **options))) == []


# --- History ---


def test_history():
    posterior = fit(prior=PRIORS["sum"], guide="normal", validation=data(10, seed=1), epochs=4)
    history = posterior.history
    assert history["epoch"].tolist() == [1, 2, 3, 4]
    terms = [name for name in history if name.startswith("loss_")]
    assert "loss_likelihood" in terms
    assert "loss_entropic" in terms
    assert "loss_guide" in terms
    np.testing.assert_allclose(history[terms].sum(axis=1), history["loss"])
    metrics = {f"validation_{name}" for name in ("accuracy", "macro_f1", "nll", "brier", "ece")}
    assert {name for name in history if name.startswith("validation_")} == metrics
    assert set(history) == {"epoch", "seconds", "loss", "nll", "penalty", *terms, *metrics}
    assert (history["seconds"] > 0).all()
    last = posterior.evaluate(data(10, seed=1))
    assert {f"validation_{k}": v for k, v in last.items()} == history.iloc[-1][sorted(metrics)].to_dict()


def test_without_validation_no_metrics():
    assert not [name for name in fit(epochs=1).history if name.startswith("validation")]


@both_ways
def test_the_smaller_last_batch_counts(capturing):
    """With one batch of 8 and one of 3 an epoch is 2 steps, on a linear network whose loss is known."""
    g = torch.Generator().manual_seed(0)
    train = br.Dataset(torch.randn(11, 2, generator=g), torch.randn(11, generator=g))
    net = nn.Linear(2, 1)
    model = br.Model(net, br.Flat(), br.Gaussian(scale=1.0), size=11)
    history = br.fit(model, train, epochs=1, batch_size=8, lr=1e-9, device="cpu", progress=False).history
    order = module.order(11, 0, 0)
    squares = (train.y - net(train.x).detach().squeeze(1))[order] ** 2
    nll = squares / 2 + 0.5 * math.log(2 * math.pi)
    assert history["loss"][0] == pytest.approx((nll[:8].mean() + nll[8:].mean()).item() / 2, rel=1e-5)


# --- Divergence ---


def linear(prior, lr, scale=1.0, epochs=3, batch_size=5, **options):
    g = torch.Generator().manual_seed(0)
    train = br.Dataset(torch.randn(10, 2, generator=g), torch.randn(10, generator=g))
    model = br.Model(nn.Linear(2, 1), prior, br.Gaussian(scale=scale), size=10)
    options = {"device": "cpu", "progress": False} | options
    return br.fit(model, train, epochs=epochs, batch_size=batch_size, lr=lr, **options)


@both_ways
def test_divergence_names_epoch_step_and_term(capturing):
    with pytest.raises(br.Diverged, match=r"epoch 1, step 2; its largest term is likelihood = inf") as caught:
        linear(br.Flat(), lr=1e25)  # float32 overflows at 3e38, and the loss squares
    assert (caught.value.epoch, caught.value.step) == (1, 2)
    assert caught.value.terms["likelihood"] == math.inf
    assert "lower the learning rate" in str(caught.value)


def test_divergence_in_a_later_epoch_keeps_the_history():
    with pytest.raises(br.Diverged, match=r"epoch 2, step 1;") as caught:
        linear(br.Flat(), lr=1e25, batch_size=10)
    assert [row["epoch"] for row in caught.value.history] == [1]


def test_divergence_of_the_prior_is_told_from_that_of_the_likelihood():
    with pytest.raises(br.Diverged, match=r"step 2; its largest term is weights = inf") as caught:
        fit(nn.Linear(4, CLASSES), br.L2(), lr=1e20)  # θ² overflows, logits of 1e20 do not
    assert math.isfinite(caught.value.terms["likelihood"])


def test_overflow_in_the_last_step_is_divergence_with_validation_or_without():
    validation = br.Dataset(torch.ones(3, 4), torch.tensor([0, 1, 2]))
    with pytest.raises(br.Diverged, match=r"epoch 1, step 1; its largest term is validation_nll"):
        fit(network(dropout=0.0), batch_size=N, lr=1e36, validation=validation)  # finite weights, infinite outputs
    with pytest.raises(br.Diverged, match=r"epoch 1, step 1; its largest term is a parameter after its update"):
        fit(network(dropout=0.0), batch_size=N, lr=1e38)


# --- Resuming ---


class Interrupted(Exception):
    """As by a signal."""


@both_ways
@pytest.mark.parametrize("guide", ["delta", "normal:warm_up=0.5"])
def test_resumes_bit_for_bit(guide, capturing, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "SAVED_EVERY", 0.0)  # after every epoch, not every 20 s
    options = {"guide": guide, "prior": PRIORS["sum"], "epochs": 5, "validation": data(10, seed=1)}
    whole = state(fit(**options))

    checkpoint = tmp_path / "checkpoint.pt"
    evaluate, calls = Posterior.evaluate, []

    def interrupted(self, *args, **kwargs):
        calls.append(self)
        if len(calls) == 4:
            raise Interrupted
        return evaluate(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Posterior, "evaluate", interrupted)
        with pytest.raises(Interrupted):
            fit(**options, checkpoint=checkpoint)
    torch.manual_seed(99)
    assert checkpoint.exists()
    epochs = []
    run_epoch = module._Run.epoch
    monkeypatch.setattr(module._Run, "epoch", lambda self, *args: epochs.append(1) or run_epoch(self, *args))
    resumed = fit(**options, checkpoint=checkpoint)
    assert len(epochs) == 2  # three were kept
    assert differences(whole, state(resumed)) == []
    assert list(tmp_path.iterdir()) == []  # neither the checkpoint nor half of one


def test_no_checkpoint_file_unless_asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit(epochs=1)
    assert list(tmp_path.iterdir()) == []


# --- Bad input: an error before training, that names the value, the place and the remedy ---


def model(prior=None, likelihood=None, net=None, size=N):
    return br.Model(net or network(), prior or br.Flat(), likelihood or br.Categorical(), size=size)


def run(train=None, **options):
    """Whatever is given goes to the model or to fit."""
    built = model(**{k: options.pop(k) for k in ("prior", "likelihood", "net", "size") if k in options})
    defaults = {"epochs": 1, "batch_size": 8, "device": "cpu", "progress": False}
    return br.fit(built, train or data(), **(defaults | options))


def regression(y, outputs=1, likelihood=None, **options):
    net, train = nn.Linear(4, outputs), br.Dataset(data().x, y)
    return run(train, net=net, likelihood=likelihood or br.Gaussian(), **options)


def labels(place, value):
    y = data().y.clone()
    y[place] = value
    return br.Dataset(data().x, y)


def poisoned(value, which):
    x, y = torch.zeros(5, 4), torch.zeros(5)
    (x if which == "x" else y)[3] = value
    return br.Dataset(x, y)


IMAGES = br.Dataset(torch.rand(N, 3, 16, 16), data().y)
TOKENS = br.Dataset(torch.randint(0, 7, (N, 5)), data().y)


class OneHot(nn.Module):
    """A network on integer tokens, without embeddings."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(7, CLASSES)

    def forward(self, x):
        return self.head(nn.functional.one_hot(x, 7).float().mean(1)).tanh()


def relu():
    return nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, CLASSES))


def image_net():
    return nn.Sequential(nn.Flatten(), nn.Linear(768, 2), nn.SiLU(), nn.Linear(2, CLASSES))


# what is wrong: (a call, and what the message must hold: the value, the place, the remedy)
REFUSED = {
    "unknown prior": (lambda: br.priors.parse("l3:0.1", N), ["'l3'", "did you mean 'l", "smoothness"]),
    "misspelt prior": (lambda: br.priors.parse("l2+entropc:1", N), ["'entropc'", "l2\\+entropc", "'entropic'"]),
    "prior nothing like it": (lambda: br.priors.parse("xyzzy", N), ["'xyzzy'", "Priors: none, l1"]),
    "no prior's name": (lambda: br.priors.parse("", N), ["''", "Priors: none"]),
    "strength no number": (lambda: br.priors.parse("l2:much", N), ["'much'", "'l2:much'", "l2:1e-4"]),
    "strength of none": (lambda: br.priors.parse("none:1", N), ["none has no strength", "1", "leave"]),
    "unknown guide": (lambda: run(guide="nomral"), ["'nomral'", "guide", "did you mean 'normal'", "delta"]),
    "guide nothing like it": (lambda: run(guide="zzz"), ["'zzz'", "guide", "delta, normal"]),
    "not a prior": (lambda: model(prior=1e-4), ["0.0001", "prior=", "br.L2\\(scale=1.0\\)"]),
    "ard under MAP": (
        lambda: run(prior=br.ARD(a=0.5)),
        ["a=0.5", "ARD", "MAP", "take a > ½", "normal"],
    ),
    "ard in a sum under MAP": (
        lambda: run(prior=br.Entropic(0.1) + br.ARD(a=0.1)),
        ["a=0.1", "ARD", "take a > ½"],
    ),
    "two priors, one parameter": (
        lambda: model(br.L2(scale=0.3) + br.L1(scale=0.7, on="4.*")),
        ["'4.weight'", "scale=0.3", "scale=0.7", "on="],
    ),
    "on matches nothing": (lambda: model(br.L2(on="head.*")), ["'head.\\*'", "L2", "0.weight, 0.bias"]),
    "callable on matches nothing": (
        lambda: model(br.L1(on=lambda name, parameter: False)),
        ["L1", "claims no parameter", "0.weight"],
    ),
    "entropic, fixed variance": (
        lambda: model(br.Entropic(0.1), br.Gaussian(scale=1.0)),
        ["scale=1.0", "entropic", "constant", "Gaussian\\(\\)"],
    ),
    "smoothness, ReLU": (
        lambda: model(br.Smoothness(0.1), net=relu()),
        ["ReLU", "smoothness", "zero", "nn.SiLU"],
    ),
    "smoothness, tokens without embeddings": (
        lambda: run(TOKENS, prior=br.Smoothness(0.1), net=OneHot()),
        ["int64", "curvature", "nn.Embedding"],
    ),
    "smoothness, share": (lambda: br.Smoothness(0.1, fraction=0.0), ["fraction=0.0", "above 0 and at most 1"]),
    "smoothness, steps": (lambda: br.Smoothness(0.1, every=0), ["every=0", "at least 1"]),
    "smoothness, coordinates": (lambda: br.Smoothness(0.1, coordinates=1.5), ["coordinates=1.5", "whole number"]),
    "label too large": (lambda: run(labels(7, 3)), ["y\\[7\\] = 3", "0..2", "number the classes from 0"]),
    "label below 0": (lambda: run(labels(-1, -1)), [f"y\\[{N - 1}\\] = -1", "0..2", "number the classes"]),
    "validation label": (
        lambda: run(validation=labels(2, 9)),
        ["y\\[2\\] = 9", "0..2", "number the classes"],
    ),
    "labels not integers": (
        lambda: run(br.Dataset(data().x, data().y.float())),
        ["torch.float32", "Categorical", "y.long\\(\\)"],
    ),
    "labels for Bernoulli": (
        lambda: regression(data().y, likelihood=br.Bernoulli()),
        ["= 2", "Bernoulli", "0 and 1"],
    ),
    "one output for Categorical": (
        lambda: run(net=nn.Linear(4, 1)),
        ["\\[\\d, 1\\]", "Categorical", "Bernoulli\\(\\)"],
    ),
    "NaN in x": (lambda: poisoned(math.nan, "x"), ["x\\[3, 0\\]", "nan", "impute or drop"]),
    "infinity in x": (lambda: poisoned(math.inf, "x"), ["x\\[3, 0\\]", "inf", "impute or drop"]),
    "NaN in y": (lambda: poisoned(math.nan, "y"), ["y\\[3\\]", "nan", "impute or drop"]),
    "infinity in y": (lambda: poisoned(-math.inf, "y"), ["y\\[3\\]", "-inf", "impute or drop"]),
    "unequal lengths": (lambda: br.Dataset(torch.ones(3, 1), torch.ones(4)), ["3 rows", "4", "one y for each x"]),
    "wrong size": (lambda: run(size=N + 5), [f"size={N + 5}", f"{N}", "size=len\\(data.train\\)"]),
    "size 0": (lambda: model(size=0), ["size=0", "Model", "at least 1"]),
    "size no integer": (lambda: model(size=10.0), ["size=10.0", "Model", "len\\(data.train\\)"]),
    "[n] against [n, K]": (
        lambda: regression(torch.zeros(N), outputs=3),
        ["\\['N', 3\\]", f"got \\[{N}\\]", "reshape y"],
    ),
    "[n, K] against [n]": (
        lambda: regression(torch.zeros(N, 3)),
        ["\\['N'\\]", f"got \\[{N}, 3\\]", "reshape y"],
    ),
    "labels [n, K]": (
        lambda: run(br.Dataset(data().x, torch.zeros(N, 3).long())),
        ["Categorical", "\\[22, 3\\]", "reshape y"],
    ),
    "device that is not there": (lambda: run(device="cuda:99"), ["'cuda:99'", "device", "--device cpu"]),
    "device of no kind": (lambda: run(device="toaster"), ["'toaster'", "device", "--device cpu"]),
    "no epochs": (lambda: run(epochs=0), ["epochs=0", "fit", "at least 1"]),
    "half an epoch": (lambda: run(epochs=0.5), ["epochs=0.5", "fit", "whole number"]),
    "empty batches": (lambda: run(batch_size=0), ["batch_size=0", "fit", "at least 1"]),
    "lr 0": (lambda: run(lr=0.0), ["lr=0.0", "fit", "above 0"]),
    "lr NaN": (lambda: run(lr=math.nan), ["lr=nan", "fit", "finite"]),
    "nothing to learn": (
        lambda: model(net=network().requires_grad_(False)),
        ["no parameter that requires a gradient", "nothing to learn"],
    ),
    "x the network cannot take": (
        lambda: run(br.Dataset(torch.ones(N, 9), data().y)),
        ["the network does not take x of shape \\[\\d, 9\\]"],
    ),
    "a last batch of one under BatchNorm": (
        lambda: run(batch_size=7),
        ["shape \\[1, 4\\]", "last batch of an epoch has one", "another batch_size"],
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_before_training(what, monkeypatch):
    monkeypatch.setattr(module, "_Run", None)  # nothing may be trained
    call, words = REFUSED[what]
    with pytest.raises(ValueError, match=r"\w") as caught:
        call()
    for word in words:
        assert caught.match(word)


NUMBERS = [-1.0, 0.0, math.nan, math.inf, -math.inf, "1", True, None]
BUILDERS = {
    "L1(scale": lambda v: br.L1(scale=v),
    "L2(scale": lambda v: br.L2(scale=v),
    "ARD(a": lambda v: br.ARD(a=v),
    "ARD(b": lambda v: br.ARD(b=v),
    "ARD(temper": lambda v: br.ARD(temper=v),
    "Entropic(strength": lambda v: br.Entropic(strength=v),
    "Smoothness(strength": lambda v: br.Smoothness(strength=v),
    "L1(strength": lambda v: br.L1.from_strength(v, N),
    "L2(strength": lambda v: br.L2.from_strength(v, N),
    "ARD(strength": lambda v: br.ARD.from_strength(v, N),
    "L2(size": lambda v: br.L2.from_strength(0.1, v),
    "ARD(size": lambda v: br.ARD.from_strength(0.1, v),
}


@pytest.mark.parametrize("value", NUMBERS, ids=repr)
@pytest.mark.parametrize("owner", BUILDERS)
def test_numbers_that_mean_nothing_are_refused(owner, value):
    if owner == "ARD(strength" and value is None:  # ARD without a strength is the untempered one
        assert BUILDERS[owner](value).temper == 1.0
        return
    with pytest.raises(ValueError, match=r"must be") as caught:
        BUILDERS[owner](value)
    assert owner + "=" in str(caught.value)
    assert str(value) in str(caught.value)


@pytest.mark.parametrize("number", ["-1", "0", "nan", "inf"])
@pytest.mark.parametrize("name", [name for name in br.priors.PRIORS if name != "none"])
def test_strengths_in_text_that_mean_nothing_are_refused(name, number):
    with pytest.raises(ValueError, match=rf"{br.priors.PRIORS[name].__name__}\(strength={float(number)}.*above 0"):
        br.priors.parse(f"{name}:{number}", N)


@pytest.mark.parametrize("scale", [-1.0, 0.0, math.nan, math.inf])
def test_noise_scales_that_mean_nothing_are_refused(scale):
    with pytest.raises(ValueError, match=rf"Gaussian\(scale={scale}\).*None to learn it"):
        br.Gaussian(scale=scale)


def test_ard_with_a_small_shape_is_fine_under_the_normal_guide():
    posterior = run(prior=br.ARD(a=0.3), guide="normal")
    assert posterior.history["loss"].map(math.isfinite).all()
    br.guides.normal(model(br.ARD(a=0.5)))
    with pytest.raises(ValueError, match=r"ARD\(a=0\.5\) has no MAP"):
        br.guides.delta(model(br.ARD(a=0.5)))


def test_what_is_refused_has_changed_nothing():
    net, random_state = network(), torch.get_rng_state()
    before = copy.deepcopy(net.state_dict())
    built = br.Model(net, br.L2(), br.Categorical(), size=N)
    with pytest.raises(ValueError, match="batch_size"):
        br.fit(built, data(), batch_size=0, progress=False)
    assert all(torch.equal(v, before[k]) for k, v in [*net.state_dict().items(), *built.net.state_dict().items()])
    assert torch.equal(torch.get_rng_state(), random_state)
