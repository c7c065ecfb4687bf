"""Whether a fit has converged: judged as gradient descent on known functions, and real fits, would have it."""

import logging
import math

import pytest
import torch
from torch import nn

import bayesreg as br
from bayesreg import convergence, schedule
from bayesreg.convergence import Convergence, judge
from bayesreg.fit import order
from bayesreg.step import Step
from bayesreg.units import start_in_unit_of

QUIET = {"device": "cpu", "progress": False}


def classes(n=400):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(n, 5, generator=g)
    return br.Dataset(x, (x @ torch.randn(5, 3, generator=g) + torch.randn(n, 3, generator=g)).argmax(1))


def model(train, net=None, prior=None):
    torch.manual_seed(0)
    return br.Model(net or br.nets.mlp(5, 3, hidden=16), prior or br.L2(scale=0.3), br.Categorical(), size=len(train))


@pytest.mark.parametrize("guide", ["delta", "normal"])
def test_short_fits_have_not_converged_and_long_ones_have(guide, caplog):
    train = classes()
    short = br.fit(model(train), train, guide=guide, epochs=3, batch_size=32, lr=1e-3, **QUIET)
    assert not short.convergence.converged
    assert "still falling by" in caplog.text
    caplog.clear()
    long = br.fit(model(train), train, guide=guide, epochs=300, batch_size=100, lr=1e-2, **QUIET)
    assert long.convergence.converged, long.convergence
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_the_defaults_converge_on_a_convex_problem_whose_optimum_is_known():
    """Logistic regression: the loss that is left is what scikit-learn still finds, and small."""
    from sklearn.linear_model import LogisticRegression

    train = classes()
    posterior = br.fit(model(train, nn.Linear(5, 3), br.L2.from_strength(0.01, len(train))), train, **QUIET)
    best = LogisticRegression(C=1 / (0.01 * len(train)), tol=1e-8, max_iter=1000).fit(train.x.numpy(), train.y.numpy())
    theta = posterior.parameters()
    optimum = {"weight": torch.tensor(best.coef_), "bias": torch.tensor(best.intercept_)}
    losses = [
        -posterior.model.log_joint({k: v.float() for k, v in at.items()}, train.x, train.y).item() / len(train)
        for at in (theta, optimum)
    ]
    assert posterior.convergence.converged
    assert 0 <= losses[0] - losses[1] + 1e-5 < 1e-3


def test_the_fall_is_that_of_adams_own_way():
    """A linear network and squared errors: gradient, way and fall by hand, in float64."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(64, 3, generator=g, dtype=torch.float64)
    train = br.Dataset(x, x @ torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64))
    net = nn.Linear(3, 1, bias=False).double()
    made = br.Model(net, br.Flat(), br.Gaussian(scale=1.0), size=64)
    step = Step(made, br.guides.delta(made), lr=1e-3, steps=1000)
    for _ in range(5):
        step(train.x, train.y)
    (parameter,) = step.parameters
    moments = step.optimiser.state[parameter]
    pace = 1e-3 / ((moments["exp_avg_sq"] / (1 - 0.999 ** moments["step"].item())).sqrt() + 1e-8)

    def loss(w):
        return 0.5 * (train.y - train.x @ w).square().mean()

    end = parameter.clone()
    w = end.clone()
    for _ in range(convergence.TRIALS):  # so far from the optimum, no part of the way leads uphill
        last = loss(w)
        w = w + convergence.FIRST * pace * (train.x * (train.y - train.x @ w)[:, None]).mean(0)
    found = judge(step, train, batch_size=64, losses=[0.0] * 10, work=1e3)
    assert found.fall == pytest.approx(((last - loss(w)) / convergence.FIRST).item(), rel=1e-9)
    assert (found.error, found.epochs, found.horizon) == (0.0, 10, schedule.STEPS)
    assert torch.equal(parameter, end)


def test_judging_leaves_everything_as_it_is():
    train = classes()
    body = [nn.Linear(5, 8), nn.BatchNorm1d(8), nn.SiLU(), nn.Dropout(0.5), nn.Linear(8, 3)]
    made = model(train, nn.Sequential(*body)).train()
    step = Step(made, br.guides.normal(made), lr=1e-3, steps=1000)
    for batch in order(len(train), 0, 0).split(32):
        step(train.x[batch], train.y[batch])
    torch.manual_seed(1)
    before = [torch.get_rng_state(), *(t.clone() for t in [*step.parameters, *made.net.buffers()])]
    judge(step, train, 32, [0.0], work=1e3)
    after = [torch.get_rng_state(), *step.parameters, *made.net.buffers()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("fall", "error", "epochs", "converged"),
    [
        (0.01, 0.0, 100, False),
        (0.001, 0.0, 100, True),  # negligible
        (0.01, 0.006, 100, True),  # chance explains it
        (-1.0, 0.0, 100, True),
    ],
)
def test_what_is_negligible(fall, error, epochs, converged):
    made = Convergence(fall, error, epochs, horizon=epochs)
    assert made.converged is converged
    assert ("still falling by 0.01 nats an epoch after 100 epochs" in str(made)) is not converged


def test_a_short_fit_is_judged_by_its_history_and_leaves_the_network_alone():
    train = classes(100)
    made = model(train)
    step = Step(made, br.guides.delta(made), lr=1e-3, steps=40)
    made.net = None  # nothing may be run
    losses = [1.0] * 9 + [0.7, 0.5] + [0.4] * 7 + [0.3, 0.1]
    found = judge(step, train, 50, losses, work=1e3)
    assert found.fall == pytest.approx((0.6 - 0.2) / (0.09 * 20))
    assert found.error == pytest.approx(math.sqrt((0.1**2 + 0.1**2) / 2) / (0.09 * 20))
    assert not found.converged
    assert judge(step, train, 50, [1.0] * 20, work=1e3).converged
    unknown = judge(step, train, 50, [1.0, 1.0], work=1e3)
    assert not unknown.converged
    assert "not known to have converged: 2 epochs" in str(unknown)


def test_where_trials_would_take_long_beside_the_fit_the_history_tells():
    train = classes(5000)
    made = model(train)
    step = Step(made, br.guides.delta(made), lr=1e-3, steps=500)
    made.net = None  # nothing may be run: all 50 batches, 17 times, are more than the fit's steps
    assert judge(step, train, 100, [1.0] * 10, work=1e3).fall == 0.0


def test_it_is_saved_and_loaded(tmp_path):
    train = classes(50)
    posterior = br.fit(model(train), train, epochs=3, **QUIET)
    again = br.Posterior.load(posterior.save(tmp_path / "posterior.pt"), posterior.model.net)
    assert again.convergence == posterior.convergence
    assert again.convergence is not None


@pytest.mark.parametrize("size", [1, 5, 32, 100, 512, 1000, 2048, 50_000])
def test_the_schedule_by_the_number_of_data(size):
    batch = schedule.batch_size(size)
    assert batch == min(size, 32 if size < 700 else 64 if size < 1448 else 128)
    steps = math.ceil(size / batch)
    epochs = schedule.epochs(size, batch)
    assert (epochs - 1) * steps < schedule.STEPS <= epochs * steps


def test_fit_takes_the_schedule_where_nothing_is_said(monkeypatch):
    monkeypatch.setattr(schedule, "STEPS", 30)
    train = classes(100)
    history = br.fit(model(train), train, **QUIET).history
    assert len(history) == 8  # four batches of 32 and one of 4 an epoch


def test_a_profiled_start_is_part_of_what_is_judged():
    """y far from 0 in a large unit: without the unit the defaults would end far from the optimum, and say so."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(300, 1, generator=g)
    train = br.Dataset(x, 50 + 20 * x[:, 0] + torch.randn(300, generator=g))

    class Hidden(nn.Linear):  # no plain linear layer: the unit is not found
        pass

    made = br.Model(Hidden(1, 1), br.Flat(), br.Gaussian(), size=300)
    assert start_in_unit_of(made.copy(), train, 1e-3, 100).keys() == {"noise.scale"}
    assert not br.fit(made, train, epochs=10, **QUIET).convergence.converged
