"""Odd but ordinary networks: captured equals plain to the last bit, or the log says why not, in words."""

import gc
import random
import re
import warnings
import weakref

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import bayesreg as br
from bayesreg.memory import only_new_garbage
from bayesreg.objective import PROGRAMS, Gradient, Objective
from bayesreg.randomness import random_state

N, BATCH = 16, 8


class Uses(nn.Module):
    """A linear layer, and a buffer or a function of what it gives."""

    def __init__(self, use, buffer=None):
        super().__init__()
        self.body, self.head, self.use = nn.Linear(4, 4), nn.Linear(4, 3), use
        self.register_buffer("held", buffer)

    def forward(self, x, scale=2.0, *, mask=None):
        h = self.body(x) * scale
        return self.head(self.use(h) if self.held is None else self.use(h, self.held))


class Causal(nn.Module):
    def __init__(self, mask):
        super().__init__()
        self.encoder = nn.TransformerEncoderLayer(4, 2, 8, 0.1, F.silu, batch_first=True)
        self.head = nn.Linear(4, 3)
        self.register_buffer("mask", mask)

    def forward(self, x):
        return self.head(self.encoder(x, src_mask=self.mask)[:, -1])


class Last(nn.Module):
    """The last output of a recurrent layer, or the mean of what attention gives."""

    def __init__(self, body, width=4):
        super().__init__()
        self.body, self.head = body, nn.Linear(width, 3)

    def forward(self, x):
        if isinstance(self.body, nn.MultiheadAttention):
            return self.head(self.body(x, x, x)[0].mean(1))
        return self.head(self.body(x)[0][:, -1])


class Cells(nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.cell, self.head = cell, nn.Linear(3, 3)

    def forward(self, x):
        state = None
        for each in x.unbind(1):
            state = self.cell(each, state)
        return self.head(state[0] if isinstance(state, tuple) else state)


class Shared(nn.Module):
    """One weight in two layers, and parameters in nested containers."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleDict({"a": nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)]), "b": nn.Linear(4, 3)})
        self.layers["a"][1].weight = self.layers["a"][0].weight
        self.scales = nn.ParameterDict({"last": torch.ones(3)})

    def forward(self, x):
        for layer in self.layers["a"]:
            x = torch.tanh(layer(x))
        return self.layers["b"](x) * self.scales["last"]


class Statistics(nn.Module):
    """Running statistics of its own, moved in place."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, 3)
        self.register_buffer("count", torch.tensor(0))
        self.register_buffer("mean", torch.zeros(3))

    def forward(self, x):
        h = self.body(x)
        if self.training:
            self.count += 1
            self.mean.lerp_(h.detach().mean(0), 0.1)
        return h - self.mean


def inplace(h):
    h = h.clone()
    h += 1
    h[:, 0] = h[:, 0] * 2
    h[h < 0] = 0
    return h.mul_(0.5).clamp_(-1, 1)


def around(layer):
    return lambda: nn.Sequential(nn.Linear(4, 4), layer(), nn.Linear(4, 3))


def held(dtype):
    return lambda: Uses(lambda h, b: h * (b.real if b.is_complex() else b).to(h.dtype), torch.ones(4).to(dtype))


def normed(by):
    return lambda: nn.Sequential(by(nn.Linear(4, 4)), nn.Tanh(), nn.Linear(4, 3))


TYPES = [torch.bool, torch.uint8, torch.int8, torch.int32, torch.int64, torch.uint16, torch.uint64]
TYPES += [torch.float16, torch.bfloat16, torch.float64, torch.complex64]
ROWS, SEQUENCES, IMAGES = (4,), (5, 4), (2, 5, 5)
FUNCTIONS = {
    "where": lambda h: torch.where(h > 0, h, h.exp()),
    "topk": lambda h: F.pad(h.topk(2, -1).values, (0, 2)),
    "columns in a random order": lambda h: h[:, torch.randperm(4)],
    "in place": inplace,
    "noise": lambda h: h + torch.randn_like(h) * torch.empty(len(h), 1).bernoulli_(0.8),
    "draws that nothing needs": lambda h: h + 0 * len(torch.rand(3)),
    "gumbel": lambda h: F.gumbel_softmax(h, hard=True),
    "scatter": lambda h: torch.zeros_like(h).scatter_(1, h.argsort(1), h),
    "a value as a number": lambda h: h * h.mean().item(),
    "a gradient": lambda h: torch.autograd.grad(torch.tanh(h).sum(), h, create_graph=True)[0],
}
CAPTURED = {
    **{f"buffer of {str(t).removeprefix('torch.')}": (held(t), ROWS) for t in TYPES},
    "infinite buffer": (lambda: Uses(lambda h, b: h.clamp(-b, b), torch.full((4,), torch.inf)), ROWS),
    "undefined buffer": (lambda: Uses(lambda h, b: h, torch.full((4,), torch.nan)), ROWS),
    "boolean causal mask": (lambda: Causal(torch.ones(5, 5).triu(1).bool()), SEQUENCES),
    "additive causal mask": (lambda: Causal(nn.Transformer.generate_square_subsequent_mask(5)), SEQUENCES),
    **{name: (lambda f=f: Uses(f), ROWS) for name, f in FUNCTIONS.items()},
    **{kind.__name__: (lambda kind=kind: Last(kind(4, 4, batch_first=True)), SEQUENCES) for kind in (nn.GRU, nn.RNN)},
    "deep GRU": (lambda: Last(nn.GRU(4, 3, 2, dropout=0.3, bidirectional=True, batch_first=True), 6), SEQUENCES),
    "GRU cell": (lambda: Cells(nn.GRUCell(4, 3)), SEQUENCES),
    "LSTM cell": (lambda: Cells(nn.LSTMCell(4, 3)), SEQUENCES),
    "attention with its weights": (lambda: Last(nn.MultiheadAttention(4, 2, 0.1, batch_first=True)), SEQUENCES),
    "shared": (Shared, ROWS),
    "running statistics": (Statistics, ROWS),
    "batch norm": (around(lambda: nn.BatchNorm1d(4)), ROWS),
    "batch norm without statistics": (around(lambda: nn.BatchNorm1d(4, track_running_stats=False)), ROWS),
    "alpha dropout": (around(lambda: nn.AlphaDropout(0.5)), ROWS),
    "feature dropout": (around(lambda: nn.FeatureAlphaDropout(0.5)), ROWS),
    "channel dropout": (
        lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.Dropout2d(0.5), nn.Flatten(), nn.Linear(27, 3)), IMAGES),
    "random pooling": (lambda: nn.Sequential(nn.FractionalMaxPool2d(2, 2), nn.Flatten(), nn.Linear(8, 3)), IMAGES),
    "weight norm": (normed(nn.utils.parametrizations.weight_norm), ROWS),
    "spectral norm": (normed(nn.utils.parametrizations.spectral_norm), ROWS),
    "orthogonal": (normed(nn.utils.parametrizations.orthogonal), ROWS),
    "frozen": (lambda: nn.Sequential(nn.Linear(4, 4).requires_grad_(False), nn.Tanh(), nn.Linear(4, 3)), ROWS),
}  # fmt: skip


def prepared(make, shape, prior="l2", guide="delta"):
    """The gradient of the network's objective, what was said of it, and data."""
    torch.manual_seed(0)
    model = br.Model(make(), prior_of(prior), br.Categorical(), size=N).train()
    x, y = torch.randn(N, *shape), torch.randint(0, 3, (N,))
    objective = Objective(model, br.guides.create(guide, model))
    objective.step = 0
    gradient = Gradient(objective)
    return gradient, gradient.prepare(x[:BATCH], y[:BATCH]), x, y


def prior_of(text):
    return br.priors.parse(text, N, smoothness={"every": 1, "fraction": 0.5, "coordinates": 1})


def steps(run, gradient, x, y):
    """All that two steps give and leave, the random state too."""
    torch.manual_seed(7)
    with gradient.objective.model.buffers_kept():
        found = [t.clone() for part in (slice(BATCH), slice(BATCH, N)) for t in run(x[part], y[part])]
        return [*found, *(b.clone() for b in gradient.buffers.values()), random_state(x.device)]


def same(a, b):
    return bool(((a == b) | ((a != a) & (b != b))).all())


@pytest.mark.parametrize("name", CAPTURED)
def test_captured_equals_plain(name):
    gradient, said, x, y = prepared(*CAPTURED[name])
    assert said.startswith("captured in")
    pairs = zip(steps(gradient, gradient, x, y), steps(gradient.plain, gradient, x, y), strict=True)
    assert all(same(captured, plain) for captured, plain in pairs)


SMOOTH = ["boolean causal mask", "attention with its weights", "GRU", "RNN", "deep GRU", "GRU cell", "LSTM cell"]


@pytest.mark.parametrize("guide", ["delta", "normal"])
@pytest.mark.parametrize("name", [*SMOOTH, "batch norm", "spectral norm", "noise", "channel dropout"])
def test_captured_equals_plain_under_the_smoothness_prior(name, guide):
    """Along the same random coordinates of the same examples."""
    gradient, said, x, y = prepared(*CAPTURED[name], prior="smoothness", guide=guide)
    assert said.startswith("captured in")
    pairs = zip(steps(gradient, gradient, x, y), steps(gradient.plain, gradient, x, y), strict=True)
    for captured, plain in pairs:
        torch.testing.assert_close(captured, plain, rtol=1e-5, atol=1e-7)


# --- What cannot be captured ---


class Packed(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.GRU(4, 3, batch_first=True), nn.Linear(3, 3)

    def forward(self, x):
        packed = nn.utils.rnn.pack_padded_sequence(x, [5] * len(x), batch_first=True)
        return self.head(self.body(packed)[1][-1])


class Annealed(nn.Module):
    """A temperature that falls with every call."""

    def __init__(self):
        super().__init__()
        self.body, self.calls = nn.Linear(4, 3), 0

    def forward(self, x):
        self.calls += 1
        return self.body(x) / max(0.5, 1 - 1e-6 * self.calls)


def decides(h):
    return h * 2 if h.sum() > 0 else h


def by_numpy(h):
    return h + float(h.detach().numpy().sum())


def own_generator(h):
    return h * torch.rand(4, generator=torch.Generator().manual_seed(3))


VALUES, OTHER = "what it computes depends on the values of a tensor: ", "it gives other numbers than plain Pyro"
REFUSED = {
    "batch norm without momentum": (
        around(lambda: nn.BatchNorm1d(4, momentum=None)), ROWS,
        VALUES + r"BatchNorm1d, batchnorm.py:\d+, `exponential_average_factor = .*float\(self.num_batches_tracked\)`"),
    "decides": (lambda: Uses(decides), ROWS, VALUES + r"Uses, test_capture.py:\d+, `return self.head\(self.use"),
    "as many as there are": (lambda: Uses(lambda h: h + h[h > 0].sum()), ROWS, VALUES[:-2]),
    "numpy": (lambda: Uses(by_numpy), ROWS, VALUES + "Uses"),
    "packed": (Packed, SEQUENCES, VALUES + "GRU"),
    "a generator of its own": (lambda: Uses(own_generator), ROWS, "it draws random numbers from a torch.Generator"),
    "other random numbers": (lambda: Uses(lambda h: h * random.random()), ROWS, OTHER),
    "counts its calls": (Annealed, ROWS, "its attribute calls changes from call to call: keep it in a buffer"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_captured_says_why_in_words_and_runs_plain(name):
    make, shape, why = REFUSED[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's own, of what it meets on its way
        gradient, said, *_ = prepared(make, shape)
    assert said.startswith("plain Pyro, since it cannot be captured (")
    assert re.search(why, said), said
    assert not gradient._steps


class Replacing(nn.Linear):
    """Running statistics that are put in place of the old ones, not written into them."""

    def __init__(self):
        super().__init__(4, 3)
        self.register_buffer("mean", torch.zeros(3))

    def forward(self, x):
        h = super().forward(x)
        self.mean = 0.9 * self.mean + 0.1 * h.detach().mean(0)
        return h - self.mean


def test_buffers_that_would_not_move_are_refused_before_training():
    model = br.Model(nn.Sequential(Replacing()), br.L2(), br.Categorical(), size=N)
    data = br.Dataset(torch.randn(N, 4), torch.arange(N) % 3)
    with pytest.raises(ValueError, match=r"buffer '0.mean', which would be lost: .* self.mean.copy_"):
        br.fit(model, data, epochs=1, batch_size=BATCH, progress=False)


def test_what_would_take_minutes_to_capture_is_not_and_says_so(monkeypatch):
    monkeypatch.setattr("bayesreg.graph.MOST", 20)
    PROGRAMS.clear()
    _, said, *_ = prepared(*CAPTURED["shared"])
    assert "it would take minutes: a step has more than 20 operations" in said


def test_a_step_that_draws_otherwise_than_plain_pyro_is_refused(monkeypatch):
    """Even where this batch shows no other number: the next would."""
    gradient, _, x, y = prepared(lambda: nn.Linear(4, 3), ROWS)
    captured = gradient._captured(x[:BATCH], y[:BATCH])

    def draws_once_more(x, y):
        torch.rand(())
        return captured(x, y)

    gradient._verify(captured, x[:BATCH], y[:BATCH])
    with pytest.raises(ArithmeticError, match="random numbers"):
        gradient._verify(draws_once_more, x[:BATCH], y[:BATCH])


def test_another_type_or_layout_of_the_batch_runs_plain():
    """A graph for bytes scales them to [0, 1], which floats are not."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(50, 3))
    model = br.Model(net, br.L2(), br.Categorical(), size=N).train()
    x, y = torch.randint(0, 256, (BATCH, 2, 5, 5), dtype=torch.uint8), torch.randint(0, 3, (BATCH,))
    gradient = Gradient(Objective(model, br.guides.delta(model)))
    assert gradient.prepare(x, y).startswith("captured")
    for other in (x.float(), x.float().to(memory_format=torch.channels_last)):
        pairs = zip([t.clone() for t in gradient(other, y)], gradient.plain(other, y), strict=True)
        assert all(map(torch.equal, *zip(*pairs, strict=True)))


class Cycle:
    def __init__(self):
        self.itself = self


def test_only_the_garbage_of_capturing_is_looked_for():
    """All of a process with PyTorch in it takes 0.2 s to look through, three times a capture."""
    gc.collect()
    before = weakref.ref(Cycle())
    with only_new_garbage():
        within = weakref.ref(Cycle())
        gc.collect()
        assert within() is None
        assert before() is not None
    gc.collect()
    assert before() is None
