"""The steps of each technique equal those of a loop that is written out in PyTorch, to rounding."""

import math

import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import Lasso as SklearnLasso
from torch import nn

import bayesreg as br
from bayesreg.fit import order
from bayesreg.step import WORTH_CAPTURING, Step

N, BATCH, EPOCHS, LR = 24, 8, 6, 0.05
STEPS = EPOCHS * N // BATCH


def network(*hidden, outputs=3, dtype=torch.float64):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), *hidden, nn.Linear(6, outputs)).to(dtype)


def dropped(p, prediction=False):
    """The same with dropout before its last layer."""
    return network(nn.Dropout(p))


def data(seed=0, n=N):
    g = torch.Generator().manual_seed(seed)
    return br.Dataset(torch.randn(n, 4, generator=g, dtype=torch.float64), torch.randint(0, 3, (n,), generator=g))


def fitted(text, train=None, net=None, likelihood=None, capture=False, **options):
    """The posterior of a method, by `fit`."""
    method = br.Method.parse(text)
    train = train or data()
    likelihood = method.likelihood(likelihood or br.Categorical())
    model = br.Model(method.network(net or network()), method.prior(len(train)), likelihood, size=len(train))
    options = {"epochs": EPOCHS, "batch_size": BATCH, "lr": LR, "device": "cpu", "progress": False} | options
    compile = "always" if capture else "auto"
    return br.fit(model, train, guide=method.guide, compile=compile, **method.training(), **options)


def loop(net, loss, optimiser, train=None, after=None, epochs=EPOCHS):
    """A training loop as anyone would write it, with the batches of `fit`."""
    train = train or data()
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * math.ceil(len(train) / BATCH))
    torch.manual_seed(0)
    for epoch in range(epochs):
        net.train()
        for batch in order(len(train), 0, epoch).split(BATCH):
            optimiser.zero_grad()
            loss(net(train.x[batch]), train.y[batch]).backward()
            optimiser.step()
            schedule.step()
        if after:
            net.eval()
            after(net)
    return net.eval()


def decay(net, strength):
    """Parameter groups: matrices with decoupled decay, the rest without."""
    matrices = [p for p in net.parameters() if p.dim() > 1]
    return [{"params": matrices, "weight_decay": strength},
            {"params": [p for p in net.parameters() if p.dim() < 2], "weight_decay": 0.0}]  # fmt: skip


def same(posterior, net, rename=lambda name: name, **tolerance):
    ours = posterior.parameters()
    theirs = {rename(name): p.detach() for name, p in net.named_parameters()}
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, **({"rtol": 1e-9, "atol": 1e-11} | tolerance))


def adam(net, **options):
    return torch.optim.Adam(net.parameters(), lr=LR, **options)


def test_without_a_method_the_loops_agree():
    net = network()
    same(fitted("none"), loop(net, F.cross_entropy, adam(net)))


@pytest.mark.parametrize("name", ["dropout", "mc_dropout"])
def test_dropout(name):
    """Random numbers are PyTorch's in their order, so that the masks are the same."""
    net = dropped(0.3)
    theirs = loop(net, F.cross_entropy, adam(net))
    same(fitted(f"{name}:0.3"), theirs, lambda layer: layer.replace("3.", "2."))
    assert fitted(f"{name}:0.3").parameters()["0.weight"].ne(fitted("none").parameters()["0.weight"]).any()


def test_dropout_of_the_networks_own_is_set():
    net = dropped(0.3)
    same(fitted("dropout:0.3", net=dropped(0.9)), loop(net, F.cross_entropy, adam(net)))


@pytest.mark.parametrize("smoothing", [0.1, 0.5])
def test_label_smoothing(smoothing):
    net = network()
    theirs = loop(net, lambda f, y: F.cross_entropy(f, y, label_smoothing=smoothing), adam(net))
    posterior = fitted(f"label_smoothing:{smoothing}")
    same(posterior, theirs)
    nll = F.cross_entropy(theirs(data().x), data().y).item()  # of predictions themselves, which are not smoothed
    assert posterior.evaluate(data())["nll"] == pytest.approx(nll, rel=1e-9)


def test_label_smoothing_of_two_classes_in_one_output():
    train = br.Dataset(data().x, data().y % 2)
    net, smoothing = network(outputs=1), 0.2

    def loss(f, y):
        return F.binary_cross_entropy_with_logits(f[:, 0], (1 - smoothing) * y.double() + smoothing / 2)

    ours = fitted("label_smoothing:0.2", train, net=network(outputs=1), likelihood=br.Bernoulli())
    same(ours, loop(net, loss, adam(net), train))


@pytest.mark.parametrize("capture", [False, True])
@pytest.mark.parametrize("beside", ["", "+l2:0.1", "+l2:0.1+dropout:0.3"])
def test_adamw(beside, capture, monkeypatch):
    if capture:
        monkeypatch.setattr("bayesreg.step.WORTH_CAPTURING", 1)
    net = dropped(0.3) if "dropout" in beside else network()
    matrices = [p for p in net.parameters() if p.dim() > 1]

    def loss(f, y):
        penalty = 0.05 * sum(p.square().sum() for p in matrices) if beside else 0.0
        return F.cross_entropy(f, y) + penalty

    theirs = loop(net, loss, torch.optim.AdamW(decay(net, 0.7), lr=LR))
    rename = (lambda layer: layer.replace("3.", "2.")) if "dropout" in beside else (lambda layer: layer)
    same(fitted(f"adamw:0.7{beside}"), theirs, rename)


def test_adamw_in_the_unit_of_y_is_adamw_of_standardised_targets():
    """With `units` the last layer's steps are as long as y is wide; decay is the same share of it in any unit."""
    x = data().x
    ends = []
    for unit in (1.0, 1e4):
        y = unit * (x.sum(1) + x[:, 0] ** 2)
        posterior = fitted("adamw:0.7", br.Dataset(x, y), net=network(outputs=1), likelihood=br.Gaussian())
        ends.append(posterior.predict(x).mean / unit)
    torch.testing.assert_close(*ends, rtol=1e-6, atol=1e-6)


def test_early_stopping():
    """The loop keeps a copy of the best, as usual; later epochs overfit."""
    net, validation, best = network(), data(seed=1), {}

    def keep(net):
        nll = F.cross_entropy(net(validation.x), validation.y).item()
        if nll < best.get("nll", math.inf):
            best.update(nll=nll, parameters={name: p.clone() for name, p in net.state_dict().items()})

    net = loop(net, F.cross_entropy, adam(net), after=keep, epochs=20)
    posterior = fitted("early_stopping", validation=validation, epochs=20)
    last = {name: p.clone() for name, p in net.named_parameters()}
    net.load_state_dict(best["parameters"])
    same(posterior, net)
    assert not torch.equal(last["0.weight"], posterior.parameters()["0.weight"])
    assert posterior.evaluate(validation)["nll"] == pytest.approx(best["nll"], rel=1e-9)
    assert posterior.evaluate(validation)["nll"] == pytest.approx(posterior.history.validation_nll.min(), rel=1e-12)


# --- The lasso ---


def linear(inputs):
    net = nn.Linear(inputs, 1).double()
    with torch.no_grad():
        net.weight.normal_(generator=torch.Generator().manual_seed(0))
    return net


def sparse_data(n=80, inputs=12):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(n, inputs, generator=g, dtype=torch.float64)
    y = x[:, :3] @ torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64) + 0.3 * torch.randn(n, generator=g)
    return br.Dataset(x, y + 1)


@pytest.mark.parametrize("strength", [0.03, 0.1, 0.5])
def test_a_linear_model_is_the_lasso_of_scikit_learn_zeros_included(strength):
    """With σ = 1 the mean NLL is ½ mean squared error and a constant, which is scikit-learn's first term."""
    train = sparse_data()
    options = {"epochs": 500, "batch_size": 80, "lr": 0.05}
    posterior = fitted(f"lasso:{strength}", train, linear(12), br.Gaussian(scale=1.0), **options)
    theirs = SklearnLasso(alpha=strength, tol=1e-12, max_iter=100_000).fit(train.x, train.y)
    ours = posterior.parameters()
    torch.testing.assert_close(ours["weight"][0], torch.tensor(theirs.coef_), rtol=0, atol=1e-5)
    assert ours["bias"].item() == pytest.approx(theirs.intercept_, abs=1e-5)
    assert torch.equal(ours["weight"][0] == 0, torch.tensor(theirs.coef_ == 0))
    assert (ours["weight"] == 0).any()
    last = posterior.history.iloc[-1]
    assert last.penalty == pytest.approx(strength * abs(theirs.coef_).sum(), rel=1e-3)
    assert last.loss == pytest.approx(last.nll + last.penalty, rel=1e-12)
    assert last.loss_lasso == last.penalty


@pytest.mark.parametrize("method", ["lasso:0.5", "adamw:1"])
def test_a_fit_whose_own_objective_has_a_gradient_at_the_end_has_converged_all_the_same(method):
    options = {"epochs": 1000, "batch_size": 80, "lr": 0.05}
    posterior = fitted(method, sparse_data(), linear(12), br.Gaussian(scale=1.0), **options)
    assert posterior.convergence.converged


def test_the_l1_prior_has_the_lassos_minimum_but_no_zeros():
    """The gradient carries a weight across 0 and back: what the proximal step is for."""
    options = {"epochs": 500, "batch_size": 80, "lr": 0.05}
    prior = fitted("l1:0.1", sparse_data(), linear(12), br.Gaussian(scale=1.0), **options).parameters()["weight"]
    zeros = fitted("lasso:0.1", sparse_data(), linear(12), br.Gaussian(scale=1.0), **options).parameters()["weight"]
    torch.testing.assert_close(prior, zeros, rtol=0, atol=1e-2)
    assert not (prior == 0).any()


def test_the_lasso_in_another_unit_of_y():
    """The penalty is on the weights as they are: with a σ that is given, y and λ 100 times as large, so are they."""
    ends = []
    for unit in (1.0, 100.0):
        train = br.Dataset(sparse_data().x, sparse_data().y * unit)
        options = {"epochs": 500, "batch_size": 80, "lr": 0.05}
        posterior = fitted(f"lasso:{0.1 / unit}", train, linear(12), br.Gaussian(), **options)
        ends.append((posterior.parameters()["weight"] / unit, posterior.parameters()["noise.scale"] / unit))
    torch.testing.assert_close(ends[1], ends[0], rtol=0, atol=1e-6)
    assert torch.equal(ends[0][0] == 0, ends[1][0] == 0)


def test_the_proximal_step_by_hand():
    """One step: Adam's on the loss alone, then soft thresholding by lr λ / (√v̂ + ε); biases are left."""
    train, net, strength = data(), network(), 0.3
    loss = F.cross_entropy(net(train.x), train.y)
    weights = dict(net.named_parameters())
    gradients = dict(zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True))
    model = br.Model(network(), br.Flat(), br.Categorical(), size=N).train()
    step = Step(model, br.guides.create("delta", model), lr=LR, steps=10, update=br.methods.Lasso(strength))
    terms = step(train.x, train.y)
    assert step.names == ["likelihood", "lasso"]
    sizes = sum(p.abs().sum() for p in weights.values() if p.dim() > 1)
    assert terms.tolist() == pytest.approx([loss.item(), (strength * sizes).item()], rel=1e-12)
    (vector,) = step.parameters
    for name, ours in model.unpack({"flat": vector}).items():
        g = gradients[name]
        moved = weights[name] - LR * g / (g.abs() + 1e-8)  # Adam's first step: m̂ = g, v̂ = g²
        if moved.dim() > 1:
            moved = moved.sign() * (moved.abs() - LR * strength / (g.abs() + 1e-8)).clamp(min=0)
        torch.testing.assert_close(ours, moved.detach(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["adamw", "lasso"])
def test_captured_steps_are_the_same(name):
    ends = []
    for capture in (False, True):
        model = br.Model(network(dtype=torch.float32), "l2:0.01", br.Categorical(), size=N).train()
        update = br.methods.TECHNIQUES[name].from_strength(0.5)
        step = Step(model, br.guides.create("delta", model), LR, 20, update=update)
        x, y = data().x.float(), data().y
        if capture:
            assert step.prepare(x, y, WORTH_CAPTURING, 1.0, "never").startswith("captured")
        ends.append([*(step(x, y).clone() for _ in range(20)), *step.clone()])
    for plain, captured in zip(*ends, strict=True):
        torch.testing.assert_close(captured, plain, rtol=1e-5, atol=1e-6)
