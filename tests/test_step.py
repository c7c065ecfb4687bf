"""One step: what Adam and the schedule do to the gradient, and how each way of running it is chosen."""

import copy
import importlib
import logging
import math
import random
import shutil

import pytest
import torch
from torch import nn

import bayesreg as br
from bayesreg.step import COMPILING, GAIN, WORTH_CAPTURING, Step
from bayesreg.threads import choose_threads, flops

step_module = importlib.import_module("bayesreg.step")
N, STEPS = 22, 7


def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Linear(4, 6, bias=False), nn.BatchNorm1d(6), nn.SiLU(), nn.Dropout(0.25), nn.Linear(6, 3)
        )


def data(n=N):
    g = torch.Generator().manual_seed(0)
    return torch.randn(n, 4, generator=g), torch.randint(0, 3, (n,), generator=g)


def made(net=None, prior="l2", guide="delta", **options):
    model = br.Model(net or network(), br.priors.parse(prior, N), br.Categorical(), size=N).train()
    return Step(model, br.guides.create(guide, model), **({"lr": 0.05, "steps": STEPS} | options))


def everything(step):
    state = copy.deepcopy(step.state())
    tensors = [*state["parameters"].values(), *state["buffers"].values()]
    return tensors + [t for moments in state["moments"].values() for t in moments.values()]


def equal(one, other):
    return len(one) == len(other) and all(map(torch.equal, one, other))


def test_is_adam_with_a_half_cosine_of_pytorch_on_the_log_joint():
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    x, y = data()
    x, step = x.double(), made(net)
    model = step.gradient.objective.model
    theirs = {name: value.clone().requires_grad_() for name, value in model.unpack(model.initial()).items()}
    optimiser = torch.optim.Adam(theirs.values(), lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for _ in range(STEPS):
        loss = -model.log_joint(theirs, x, y) / N
        assert step(x, y).sum().item() == pytest.approx(loss.item(), rel=1e-12)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    ours = model.unpack({name.removeprefix("guide.").removesuffix("_unconstrained"): value
                         for name, value in step.gradient.parameters.items()})  # fmt: skip
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value.detach(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("capture", [False, True])
@pytest.mark.parametrize("guide", ["delta", "normal"])
def test_restores_its_state_in_place(guide, capture):
    step, (x, y) = made(prior="ard", guide=guide), data()
    if capture:
        assert step.prepare(x, y, WORTH_CAPTURING, 1.0, "never").startswith("captured")
    start, kept = everything(step), copy.deepcopy(step.state())
    ends = []
    for _ in range(2):
        torch.manual_seed(1)
        terms = [step(x, y).clone() for _ in range(3)]
        ends.append(everything(step) + terms)
        step.restore(kept)
        assert equal(everything(step), start)
    assert equal(*ends)
    assert not equal(ends[0][: len(start)], start)


def test_preparing_changes_nothing():
    step, (x, y) = made(guide="normal"), data()
    before, random_state = everything(step), torch.get_rng_state()
    step.prepare(x, y, WORTH_CAPTURING, 1.0, "never")
    assert equal(before, everything(step))
    assert torch.equal(random_state, torch.get_rng_state())


# --- Which way is chosen, and what is said ---


@pytest.fixture
def prepared(monkeypatch):
    """How many batches, of how much work, which option → what was said, and whether to compile."""
    step, (x, y) = made(), data()

    def prepare(steps, work, compile):
        asked = []
        monkeypatch.setattr(step.gradient, "prepare", lambda x, y, compile: asked.append(compile) or "captured")
        return step.prepare(x, y, steps, work, compile), asked

    return prepare


def test_short_runs_stay_plain_and_long_ones_are_compiled(prepared):
    said, asked = prepared(WORTH_CAPTURING - 1, 1e15, "auto")
    assert asked == []
    assert said == f"plain Pyro, since {WORTH_CAPTURING - 1} steps are too few for capturing to pay"
    said, asked = prepared(WORTH_CAPTURING, 1e3, "auto")
    assert asked == [False]
    assert said == "captured; not compiled, which pays from 10 minutes on (this: about 0 s)"
    hours = 1e4 * COMPILING / GAIN / WORTH_CAPTURING
    assert prepared(WORTH_CAPTURING, hours * 5e10, "auto") == ("captured", [True])
    assert prepared(WORTH_CAPTURING, hours * 5e10, "never") == ("captured", [False])
    assert prepared(3, 1.0, "always") == ("captured", [True])


def test_compiled_gives_what_plain_gives_dropout_and_buffers_included():
    x, y = data(8)
    ends = []
    for compile in (False, True):
        step = made(guide="normal")
        if compile:
            said = step.prepare(x, y, STEPS, 1.0, "always")
            assert said.startswith("compiled" if shutil.which("g++") else "captured")
        torch.manual_seed(3)
        ends.append([*(step(x, y).clone() for _ in range(3)), *everything(step)])
    for plain, compiled in zip(*ends, strict=True):
        torch.testing.assert_close(compiled, plain, rtol=1e-4, atol=1e-5)


class Moody(nn.Linear):
    """A network that is another function on every call: no graph can be right."""

    def forward(self, x):
        return super().forward(x) * random.random()


class Deciding(nn.Linear):
    """A network that looks at its values."""

    def forward(self, x):
        h = super().forward(x)
        return h * 2 if h.sum() > 0 else h


@pytest.mark.parametrize(
    ("net", "reason"), [(Moody, "other numbers than plain Pyro"), (Deciding, "depends on the values of a tensor")]
)
def test_what_cannot_be_captured_runs_plain_and_says_so(net, reason, monkeypatch, caplog):
    monkeypatch.setattr(step_module, "WORTH_CAPTURING", 0)
    caplog.set_level(logging.INFO, logger="bayesreg")
    x, y = data()
    torch.manual_seed(0)
    model = br.Model(net(4, 3), br.L2(), br.Categorical(), size=N)
    posterior = br.fit(model, br.Dataset(x, y), epochs=2, batch_size=8, device="cpu", progress=False)
    assert posterior.history["loss"].notna().all()
    (said,) = [record.getMessage() for record in caplog.records if record.name == "bayesreg.fit"]
    assert said.startswith("step: plain Pyro, since it cannot be captured (")
    assert reason in said
    assert "compiled" not in said


def test_threads_follow_the_work(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert (choose_threads(10**6), choose_threads(10**10)) == (1, 8)
    monkeypatch.undo()
    seen = []

    class Seeing(nn.Linear):
        def forward(self, x):
            seen.append(torch.get_num_threads())
            return super().forward(x)

    x, y = data()
    model = br.Model(Seeing(4, 3), br.L2(), br.Categorical(), size=N)
    for threads in (None, 2):
        seen.clear()
        br.fit(model, br.Dataset(x, y), epochs=1, batch_size=N, device="cpu", progress=False, threads=threads)
        assert seen[-1] == (threads or 1)
        assert torch.get_num_threads() == before
    for wrong in (0, 1.5, True):
        with pytest.raises(ValueError, match=rf"threads={wrong}"):
            br.fit(model, br.Dataset(x, y), epochs=1, batch_size=N, threads=wrong)
    with pytest.raises(ValueError, match=r"compile='yes'.*never, auto, always"):
        br.fit(model, br.Dataset(x, y), epochs=1, batch_size=N, compile="yes")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_flops_are_those_of_the_formulas(dtype):
    def count(net, x):
        return flops(br.Model(net.to(dtype), br.Flat(), br.Categorical(), size=9), x.to(dtype))

    assert count(br.nets.mlp(5, 3, 7), torch.randn(6, 5)) == 6 * 2 * (5 * 7 + 7 * 7 + 7 * 3)
    cell = 2 * 8 * (3 * 4 * 5 + 5 * 4 * 5)  # 8 steps, 3 inputs, 5 units, 4 gates
    assert count(br.nets.lstm(3, 2, 5), torch.randn(6, 8, 3)) == 6 * (cell + 2 * 5 * 2)
    convolution = nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU(), nn.Flatten(), nn.Linear(4 * 16, 2))
    assert count(convolution, torch.randn(5, 3, 6, 6)) == 5 * 2 * (16 * 27 * 4 + 64 * 2)


def test_bfloat16_is_for_the_network_alone():
    x, y = data()
    seen = []

    class Seeing(nn.Linear):
        def forward(self, x):
            out = super().forward(x)
            seen.append(out.dtype)
            return out

    torch.manual_seed(0)
    model = br.Model(nn.Sequential(nn.Linear(4, 8), nn.SiLU(), Seeing(8, 3)), br.L2(), br.Categorical(), size=N)
    options = {"epochs": 20, "batch_size": N, "lr": 0.01, "device": "cpu", "progress": False}
    full = br.fit(model, br.Dataset(x, y), **options)
    assert torch.bfloat16 not in seen
    half = br.fit(model, br.Dataset(x, y), bfloat16=True, **options)
    assert torch.bfloat16 in seen
    seen.clear()
    predicted = half.predict(x)
    half.model.train().log_joint(half.parameters(), x, y)
    assert seen == [torch.float32] * 2
    br.fit(model, br.Dataset(x, y), bfloat16=True, validation=br.Dataset(x, y), **(options | {"epochs": 1}))
    assert seen[-1] == torch.float32  # judged in full
    assert predicted.probs.dtype == torch.float32
    assert {value.dtype for value in half.parameters().values()} == {torch.float32}
    assert half.history["loss"].iloc[-1] == pytest.approx(full.history["loss"].iloc[-1], rel=0.02)
    assert math.isfinite(half.evaluate(br.Dataset(x, y))["nll"])
