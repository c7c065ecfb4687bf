"""A graph of an earlier fit is taken again where it does the same, and gives the bits that a new one would give."""

from __future__ import annotations

import gc
import threading
import weakref
from dataclasses import dataclass

import pytest
import torch
from torch import nn

import bayesreg as br
from bayesreg import objective
from bayesreg.objective import PROGRAMS, Gradient, Objective
from bayesreg.step import Step

N, BATCH = 16, 8
NETS = {
    "mlp": (lambda: br.nets.mlp(3, 3, hidden=4), (3,)),
    "batch norm": (lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.SiLU(), nn.Linear(4, 3)), (3,)),
    "dropout": (lambda: nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.3), nn.SiLU(), nn.Linear(4, 3)), (3,)),
    "frozen": (lambda: nn.Sequential(nn.Linear(3, 4).requires_grad_(False), nn.SiLU(), nn.Linear(4, 3)), (3,)),
    "lstm": (lambda: br.nets.lstm(2, 3, hidden=3), (3, 2)),
}
OTHER_STRENGTHS = {"none": "none", "ard": "ard:0.7"}


@pytest.fixture(autouse=True)
def _nothing_is_known():
    PROGRAMS.clear()


@pytest.fixture
def traces(monkeypatch):
    """One entry a capture."""
    found, trace = [], objective.trace
    monkeypatch.setattr(objective, "trace", lambda *args: found.append(1) or trace(*args))
    return found


def gradient_of(net, prior, guide="delta", seed=0, shape=(3,), likelihood=None, size=N, batch=BATCH):
    """A gradient that is prepared, and a batch."""
    torch.manual_seed(seed)
    prior = br.priors.parse(prior, size, smoothness={"every": 1}) if isinstance(prior, str) else prior
    model = br.Model(net(), prior, likelihood or br.Categorical(), size).train()
    x, y = torch.randn(batch, *shape), torch.randint(0, 3, (batch,))
    made = Gradient(Objective(model, br.guides.create(guide, model)))
    made.objective.step = 0
    assert made.prepare(x, y).startswith("captured")
    return made, x, y


def results(run, x, y):
    """All that two calls give, and the random state that they leave; what buffers they leave shows in the second."""
    torch.manual_seed(7)
    return [*(t.clone() for each in (x, 2 * x) for t in run(each, y)), torch.get_rng_state()]


def same(ours, theirs):
    return all(map(torch.equal, ours, theirs)) and len(ours) == len(theirs)


PRIORS = [("mlp", prior) for prior in br.priors.PRIORS] + [(net, "l2+entropic") for net in NETS]


@pytest.mark.parametrize("guide", ["delta", "normal"])
@pytest.mark.parametrize(("net", "prior"), PRIORS)
def test_other_weights_data_and_strengths_give_the_bits_of_a_graph_of_their_own(net, prior, guide, traces):
    make, shape = NETS[net]
    first = "ard:0.3" if prior == "ard" else prior
    gradient_of(make, first, guide, seed=0, shape=shape)
    other = OTHER_STRENGTHS.get(prior, "+".join(f"{term}:0.37" for term in prior.split("+")))
    again = gradient_of(make, other, guide, seed=1, shape=shape)
    assert len(traces) == 1
    ours = results(*again)
    PROGRAMS.clear()
    theirs = results(*gradient_of(make, other, guide, seed=1, shape=shape))
    assert len(traces) == 2
    assert same(ours, theirs)


# --- What would be another graph ---

SCALE = 0.5


class Odd(nn.Module):
    """A linear layer, and whatever else may tell networks apart."""

    def __init__(self, how=None, number=1.0, tensor=None, hook=None):
        super().__init__()
        self.body, self.how, self.number, self.tensor = nn.Linear(3, 3), how, number, tensor
        if hook is not None:
            self.body.register_forward_hook(lambda module, args, out: out * hook)

    def forward(self, x):
        h = self.body(x) * self.number
        h = h if self.tensor is None else h * self.tensor
        return h if self.how is None else self.how(h)


def times(number):
    return lambda h: h * number


def halved(h):
    return h * SCALE


class Mine(br.priors.WeightPrior):
    """A normal density by a float that no other can stand for."""

    def __init__(self, scale, on="weights"):
        self.scale, self.on = scale, on

    def sample(self, site, initial):
        import pyro
        import pyro.distributions as dist

        fn = dist.Normal(0, float(f"{self.scale:.6f}")).expand(initial.shape).to_event(1)
        return {site: pyro.sample(site, fn)}


@dataclass(frozen=True)
class Own(br.Categorical):
    """A likelihood with a number of its own."""

    sharper: float = 1.0

    def __call__(self, f, latents, batch_dims=1):
        return super().__call__(f * self.sharper, latents, batch_dims)


def ones():
    return torch.ones(3)


APART = {
    "label smoothing": [{"likelihood": br.Categorical(label_smoothing=e)} for e in (0.1, 0.1001)],
    "a likelihood of one's own": [{"likelihood": Own(sharper=s)} for s in (1.0, 1.0001)],
    "a closure": [{"net": lambda s=s: Odd(times(s))} for s in (1.0, 1.0001)],
    "an attribute": [{"net": lambda s=s: Odd(number=s)} for s in (1.0, 1.0001)],
    "a tensor": [{"net": lambda s=s: Odd(tensor=ones() * s)} for s in (1.0, 1.0001)],
    "a mask": [{"net": lambda m=m: Odd(tensor=m)} for m in (torch.tensor([1, 0, 1]).bool(), ones().bool())],
    "a hook": [{"net": lambda s=s: Odd(hook=s)} for s in (None, 1.0, 1.0001)],
    "dropout": [{"net": lambda p=p: nn.Sequential(nn.Linear(3, 3), nn.Dropout(p))} for p in (0.1, 0.1001)],
    "a layer": [{"net": lambda f=f: nn.Sequential(nn.Linear(3, 3), f())} for f in (nn.Tanh, nn.SiLU)],
    "the size of the data": [{"size": n} for n in (N, N + 1)],
    "the size of the batch": [{"batch": n} for n in (BATCH, BATCH - 1)],
    "the parameters of a prior": [{"prior": br.L2(0.5, on=on)} for on in ("weights", "all", "head.*")],
    "the guide": [{"guide": g} for g in ("delta", "normal")],
    "a prior of one's own": [{"prior": Mine(s)} for s in (0.5, 0.5001)],
    "a shape of a prior": [{"prior": br.ARD(a=a), "guide": "normal"} for a in (1.0, 1.0001)],
    "the depth": [{"net": lambda f=f: br.nets.mlp(3, 3, hidden=f)} for f in (3, (3,))],
}


@pytest.mark.parametrize("name", APART)
def test_what_makes_another_graph_is_never_taken_for_the_same(name, traces):
    """Nor for what differs too little to show in the check of the first batch."""
    usual = {"net": lambda: br.nets.mlp(3, 3, hidden=4), "prior": "l2"}
    if name == "the parameters of a prior":
        usual["net"] = NETS["mlp"][0]
    for number, options in enumerate(APART[name], start=1):
        gradient, x, y = gradient_of(**(usual | options))
        assert len(traces) == number
        assert same(results(gradient, x, y), results(gradient.plain, x, y))


def test_a_closure_a_hook_or_a_tensor_of_the_same_content_is_the_same(traces):
    for make in (lambda: Odd(times(2.0)), lambda: Odd(hook=2.0), lambda: Odd(tensor=ones() * 2)):
        traces.clear()
        for seed in range(3):
            gradient_of(make, "l2", seed=seed)
        assert len(traces) == 1


def test_a_number_of_a_module_that_has_changed_is_seen_in_the_first_batch(traces, monkeypatch):
    """Where a function is told by its name alone; by 1e-4 only, which rounding would not excuse."""
    gradient_of(lambda: Odd(halved), "l2")
    monkeypatch.setitem(globals(), "SCALE", 0.50005)
    gradient, x, y = gradient_of(lambda: Odd(halved), "l2")
    assert len(traces) == 2
    assert same(gradient(x, y), gradient.plain(x, y))


def test_what_pickle_does_not_take_is_captured_anew(traces):
    def make():
        net = Odd()
        net.lock = threading.Lock()
        net.__deepcopy__ = lambda memo: net
        return net

    for _ in range(2):
        gradient_of(make, "l2")
    assert len(traces) == 2


def test_a_prior_may_be_shared_and_stays_as_it_is(traces):
    prior = br.L2(0.5) + br.Entropic(0.1)
    for size in (N, N):
        gradient_of(NETS["mlp"][0], prior, size=size)
    assert prior == br.L2(0.5) + br.Entropic(0.1)
    assert len(traces) == 1


def test_what_is_kept_holds_neither_model_nor_prior():
    gradient, *_ = gradient_of(NETS["dropout"][0], "ard:0.3", "normal")
    model = weakref.ref(gradient.objective.model)
    prior = weakref.ref(gradient.objective.model.prior)
    assert len(PROGRAMS) == 1
    del gradient
    gc.collect()
    assert model() is None
    assert prior() is None


# --- Several at once ---


def steps_of(number, net="batch norm", prior="l2", guide="delta"):
    """Steps of different fits, and their batches."""
    make, shape = NETS[net]
    found = []
    for seed in range(number):
        torch.manual_seed(seed)
        model = br.Model(make(), f"{prior}:{0.1 + seed}", br.Categorical(), N).train()
        x, y = torch.randn(BATCH, *shape), torch.randint(0, 3, (BATCH,))
        step = Step(model, br.guides.create(guide, model), lr=0.01, steps=60)
        assert step.prepare(x, y, 60, 1.0).startswith("captured")
        found.append((step, x, y))
    return found


def trained(step):
    return [t.clone() for t in (*step.parameters, *step.gradient.buffers.values())]


@pytest.mark.parametrize("guide", ["delta", "normal"])
def test_fits_that_share_a_graph_do_not_touch_each_other(guide, traces, monkeypatch):
    """Whether they take turns or come one after the other; long vectors in kept memory too."""
    monkeypatch.setattr("bayesreg.graph.memory.LONG", 8)
    together, apart = steps_of(2, guide=guide), []
    assert len(traces) == 1
    torch.manual_seed(0)
    for _ in range(5):
        state = torch.get_rng_state()
        for step, x, y in together:
            torch.set_rng_state(state)
            step(x, y)
    for number in range(2):
        PROGRAMS.clear()
        step, x, y = steps_of(2, guide=guide)[number]
        torch.manual_seed(0)
        for _ in range(5):
            step(x, y)
        apart.append(trained(step))
    for (step, *_), alone in zip(together, apart, strict=True):
        assert same(trained(step), alone)


def test_two_threads_may_use_one_graph():
    ours, theirs = steps_of(2, "mlp"), steps_of(2, "mlp")

    def train(step, x, y):
        for _ in range(50):
            step(x, y)

    threads = [threading.Thread(target=train, args=each) for each in ours]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for (step, *_), other in zip(ours, theirs, strict=True):
        train(*other)
        assert same(trained(step), trained(other[0]))
