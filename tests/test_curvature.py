"""The curvature against the brute-force Hessian of each output at each example, in float64."""

import copy
import logging
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.attention import SDPBackend, sdpa_kernel

from bayesreg.curvature import Jet, Share, cell_steps, curvature, lstm_steps, outputs_and_curvature, say, zero_curvature
from bayesreg.nets import bilstm, lstm, mlp, resnet18, transformer


def brute(network, x: Tensor, alone: bool = True) -> Tensor:
    """Σ_c Σ_k H_kk² from whole Hessians: one example at a time, or (alone=False) as part of its batch."""
    rows = []
    for i in range(len(x)):

        def outputs(z: Tensor, i: int = i) -> Tensor:
            z = z.reshape(1, *x.shape[1:])
            whole = z if alone else torch.cat([x[:i], z, x[i + 1 :]])
            return network(whole)[0 if alone else i].reshape(-1)

        z = x[i].detach().reshape(-1)
        count = outputs(z).numel()
        with sdpa_kernel(SDPBackend.MATH):
            hessians = [torch.autograd.functional.hessian(lambda z, c=c: outputs(z)[c], z) for c in range(count)]
        rows.append(sum(H.diagonal().square().sum() for H in hessians))
    return torch.stack(rows)


def check(network, x: Tensor, rtol: float = 1e-8) -> Tensor:
    d = curvature(network, x)
    assert d.shape == x.shape[:1]
    torch.testing.assert_close(d.detach(), brute(network, x), rtol=rtol, atol=1e-20)
    return d


@pytest.fixture(autouse=True)
def _double():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def frozen(net: nn.Module, x: Tensor) -> nn.Module:
    """The network in evaluation mode, with the batch statistics that training mode has at x."""
    net = copy.deepcopy(net).eval()

    def keep(norm: nn.Module, args: tuple[Tensor]) -> None:
        dims = [i for i in range(args[0].dim()) if i != 1]
        norm.running_var, norm.running_mean = torch.var_mean(args[0], dims, correction=0)

    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(keep) for norm in norms]
    with torch.no_grad():
        net(x)
    for hook in hooks:
        hook.remove()
    return net


class Residual(nn.Module):
    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        out = self.inner(x)
        out += x
        return out


class Mixed(nn.Module):
    """Functional calls, attributes, indexing, in-place operators and products of several functions of x."""

    def __init__(self):
        super().__init__()
        self.first, self.gate = nn.Linear(6, 6), nn.Linear(6, 6)
        self.scale = nn.Parameter(torch.rand(6))

    def forward(self, x):
        assert x.ndim == x.dim() == len(x.shape)
        assert x.dtype == torch.float64
        h = F.silu(self.first(x), inplace=True) * torch.sigmoid(self.gate(x))
        h = h - h.mean(dim=-1, keepdim=True)
        pairs = h.view(h.size(0), 2, 3)
        square = torch.matmul(pairs, pairs.transpose(1, 2)) / 3 + 2 * pairs @ pairs.mT
        a, b = h.chunk(2, dim=1)
        ratio = a / (1 + b**2) - (1 - b) / 2 + 1 / (2 + torch.cos(a))
        where = torch.where(x > 0, h.exp(), self.scale * x)
        masked = h.masked_fill(torch.arange(6) % 2 == 0, 3.0)
        h = h + 1
        h *= 2
        h -= x.square()
        return torch.cat([square.flatten(1), ratio, where, masked, h[:, 1:3], -x[:, ::2], torch.ones(len(x), 1)], 1)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(3, 4) for _ in range(3))

    def forward(self, x):
        q, k, v = self.q(x), self.k(x), self.v(x)
        scores = (q @ k.transpose(-2, -1) / 2).masked_fill(torch.ones(4, 4).triu(1).bool(), float("-inf"))
        return scores.softmax(-1) @ v + F.scaled_dot_product_attention(q, k, v, is_causal=True)


class Folded(nn.Module):
    """The batch mixed with time and back, and second."""

    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x):
        h = torch.tanh(self.inner(x.reshape(-1, 3))).reshape(x.shape[0], -1, 4)
        later = self.outer(h.transpose(0, 1)).cumsum(0).transpose(0, 1)
        return later.exp() + self.outer(x.transpose(0, 1) @ self.inner.weight.T).sin().transpose(0, 1)


class BothWays(nn.Module):
    """Two layers, both directions, time first, and every result of the layer."""

    def __init__(self, kind, **options):
        super().__init__()
        self.body = kind(2, 3, 2, bidirectional=True, **options)

    def forward(self, x):
        states, last = self.body(x.transpose(0, 1))
        last = torch.cat(last, 0) if isinstance(last, tuple) else last
        return torch.cat([states.transpose(0, 1).flatten(1).sin(), last.transpose(0, 1).flatten(1)], 1)


class Cells(nn.Module):
    """A cell called step by step, from a state that is the network's own."""

    def __init__(self, kind):
        super().__init__()
        self.cell = kind(2, 3)

    def forward(self, x):
        state = None
        for each in x.unbind(1):
            state = self.cell(each, state)
        return torch.cat(state, -1) if isinstance(state, tuple) else state


class Weights(nn.Module):
    """What attention gives, and its weights."""

    def __init__(self, **options):
        super().__init__()
        self.body, self.options = nn.MultiheadAttention(4, 2, batch_first=True), options

    def forward(self, x):
        out, weights = self.body(x, x, x, **self.options)
        return torch.cat([out.flatten(1), weights.flatten(1)], 1)


class Fallback(nn.Module):
    """Functions without a rule: nested forward mode."""

    def forward(self, x):
        y = torch.einsum("bij,bkj->bik", x, x.sin())
        return torch.stack([y.amax(-1), y.logsumexp(-1), x.exp().norm(dim=-1), x.prod(-1), x.std(-1)], -1)


S, L = nn.Sequential, nn.Linear
CASES = {
    "mlp": (lambda: mlp(5, 3, 8), (4, 5)),
    "mlp on images": (lambda: mlp(8, 2, [6]), (3, 2, 2, 2)),
    "scalar x": (lambda: mlp(1, 2, 5), (4,)),
    "layer norm": (lambda: S(nn.LayerNorm(5), L(5, 7), nn.LayerNorm(7), nn.Tanh(), L(7, 2)), (3, 5)),
    "rms norm": (lambda: S(L(5, 7), nn.RMSNorm(7), nn.GELU(), L(7, 2)), (3, 5)),
    "group norm": (lambda: S(nn.Conv1d(2, 4, 2), nn.GroupNorm(2, 4), nn.SiLU(), L(3, 2)), (3, 2, 4)),
    "instance norm": (lambda: S(nn.Conv1d(2, 4, 2), nn.InstanceNorm1d(4, affine=True), nn.ELU()), (3, 2, 4)),
    "softmax": (lambda: S(L(4, 5), nn.Mish(), L(5, 3), nn.Softmax(-1)), (4, 4)),
    "log softmax": (lambda: S(L(4, 5), nn.Softplus(beta=2), L(5, 3), nn.LogSoftmax(-1)), (4, 4)),
    "sequence": (lambda: S(L(3, 4), nn.Tanh(), L(4, 6), nn.GLU(), nn.LayerNorm((2, 3))), (3, 2, 3)),
    "transposed": (lambda: S(nn.ConvTranspose2d(2, 3, 2), nn.SiLU(), nn.Upsample(None, 2)), (2, 2, 2, 2)),
    "max pool": (lambda: S(nn.Conv2d(2, 3, 2), nn.SiLU(), nn.MaxPool2d(2), nn.Tanh()), (2, 2, 3, 3)),
    "padding": (lambda: S(nn.ConstantPad2d(1, 3.0), nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"),
                          nn.SiLU(), nn.AvgPool2d(2)), (2, 2, 3, 3)),
    "in place": (lambda: S(L(4, 5), nn.SiLU(inplace=True), L(5, 3), nn.ELU(inplace=True)), (4, 4)),
    "residual": (lambda: S(Residual(S(L(4, 4), nn.SiLU())), Residual(S(nn.Tanh(), L(4, 4)))), (4, 4)),
    "mixed": (Mixed, (3, 6)),
    "attention": (Attention, (2, 4, 3)),
    "encoder": (lambda: nn.TransformerEncoderLayer(4, 2, 6, 0.0, F.silu, batch_first=True), (2, 3, 4)),
    "lstm": (lambda: lstm(2, 2, hidden=3, layers=2), (2, 3, 2)),
    "lstm both ways": (lambda: BothWays(nn.LSTM, bias=False), (2, 4, 2)),
    "gru both ways": (lambda: BothWays(nn.GRU), (2, 4, 2)),
    "gru without biases": (lambda: BothWays(nn.GRU, bias=False), (2, 3, 2)),
    "rnn both ways": (lambda: BothWays(nn.RNN), (2, 4, 2)),
    "gru cell": (lambda: Cells(nn.GRUCell), (2, 3, 2)),
    "rnn cell": (lambda: Cells(nn.RNNCell), (2, 3, 2)),
    "lstm cell": (lambda: Cells(nn.LSTMCell), (2, 3, 2)),
    "attention with weights": (Weights, (2, 3, 4)),
    "attention with weights a head": (
        lambda: Weights(average_attn_weights=False, attn_mask=torch.ones(3, 3).triu(1).bool()), (2, 3, 4)),
    "transformer": (lambda: transformer(2, 2, 4, layers=1, heads=2), (2, 3, 2)),
    "folded": (Folded, (3, 2, 3)),
    "fallback": (Fallback, (2, 3, 2)),
    "resnet18": (lambda: resnet18(2, width=2).eval(), (1, 3, 6, 6)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_equals_the_brute_force_hessian(name):
    make, shape = CASES[name]
    net, x = make(), torch.randn(shape)
    d = check(net, x)
    if list(net.parameters()):
        torch.autograd.grad(d.sum(), list(net.parameters()), allow_unused=True)


ELEMENTWISE = {
    **{f.__name__: f for f in (torch.sigmoid, torch.tanh, torch.exp, torch.expm1, torch.sin, torch.cos)},
    **{f.__name__: f for f in (torch.sinh, torch.cosh, torch.atan, torch.erf, torch.square)},
    **{f.__name__: f for f in (F.softplus, F.silu, F.gelu, F.mish, F.logsigmoid)},
    **{f.__name__: f for f in (F.elu, F.selu, F.celu, F.softsign, F.tanhshrink)},
    **{f.__name__: lambda v, f=f: f(1.5 + v * v) for f in (torch.log, torch.log1p, torch.sqrt, torch.rsqrt)},
    "reciprocal": lambda v: torch.reciprocal(1.5 + v * v),
    **{f"power {n}": lambda v, n=n: (v if n >= 0 else v.exp()) ** n for n in (-1, 0, 1, 2, 3)},
    "square root as power": lambda v: v.exp() ** 0.5,
    "power of a constant": lambda v: 2**v,
    "power of itself": lambda v: v.exp() ** v,
    "gelu by tanh": lambda v: F.gelu(v, approximate="tanh"),
    "hardswish": lambda v: F.hardswish(4 * v),
    "softplus with threshold": lambda v: F.softplus(v, 3.0, 1.0),
    "clamp": lambda v: v.clamp(-0.5, 0.5).square(),
    "named argument": lambda v: torch.exp(input=v) + torch.sin(v).detach() + v.round() + torch.ones_like(v),
}  # fmt: skip


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_each_elementwise_function_after_a_nonlinear_one(name):
    check(lambda x: ELEMENTWISE[name](torch.sin(x) + x), torch.randn(3, 4))


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_the_gradient_of_each_elementwise_function(name):
    """Of a function of what has no second derivative, and of what has one."""
    x = torch.randn(2, 3)
    f, w = ELEMENTWISE[name], torch.rand(2, 3, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w: curvature(lambda x: f(w * x), x), w)
    assert torch.autograd.gradcheck(lambda w: curvature(lambda x: f(torch.sin(w * x) + w * x), x), w)


def test_powers_at_zero():
    assert curvature(lambda x: x**2, torch.zeros(2, 3)).tolist() == [12.0, 12.0]
    assert curvature(lambda x: x**1 + x**0, torch.zeros(2, 3)).tolist() == [0.0, 0.0]


def test_closed_forms():
    x = torch.randn(5, 3)
    assert torch.allclose(curvature(lambda x: 3 * x[:, 0] ** 2 + x[:, 1] * x[:, 2], x), torch.full((5,), 36.0))
    torch.testing.assert_close(curvature(torch.sin, x), x.sin().square().sum(1))
    # The mixed derivatives do not count: d is not the squared norm of the Hessian.
    assert curvature(lambda x: x[:, 1] * x[:, 2], x).tolist() == [0.0] * 5


def test_networks_without_curvature_have_none():
    x = torch.randn(3, 4)
    for net in (nn.Linear(4, 2), lambda x: x, lambda x: torch.ones(3, 2), lambda x: x.detach().square()):
        assert curvature(net, x).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("name", ["mlp", "resnet18", "conv", "no affine"])
def test_batch_statistics_are_held_constant_and_left_as_they_were(name):
    rows, images = torch.randn(6, 4), torch.randn(3, 2, 3, 3)
    net, x = {
        "mlp": (S(L(4, 5), nn.BatchNorm1d(5), nn.SiLU(), nn.BatchNorm1d(5, momentum=None)), rows),
        "resnet18": (resnet18(2, width=2), torch.randn(2, 3, 6, 6)),
        "conv": (S(nn.BatchNorm2d(2), nn.Conv2d(2, 3, 2), nn.Tanh(), nn.BatchNorm2d(3)), images),
        "no affine": (S(L(4, 5), nn.BatchNorm1d(5, 1e-5, 0.1, False, False), nn.SiLU()), rows),  # no buffers
    }[name]  # fmt: skip
    before = {k: v.clone() for k, v in net.state_dict().items()}
    d = curvature(net, x)
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    assert net.training
    if name == "no affine":
        mean, scale = net[0](x).mean(0), (net[0](x).var(0, correction=0) + 1e-5).rsqrt()
        reference = lambda x: F.silu((net[0](x) - mean) * scale)  # noqa: E731
    else:
        reference = frozen(net, x)
    one = slice(1 if name == "resnet18" else None)
    torch.testing.assert_close(d[one], brute(reference, x[one]), rtol=1e-8, atol=0)


def test_one_dropout_mask_for_the_value_and_its_derivatives():
    net, x = S(L(4, 6), nn.SiLU(), nn.Dropout(0.5), L(6, 3), nn.Tanh()), torch.randn(5, 4)

    def seeded(x):
        torch.manual_seed(7)
        return net(x)

    torch.testing.assert_close(curvature(seeded, x), brute(seeded, x, alone=False), rtol=1e-8, atol=0)
    assert not torch.allclose(curvature(net, x), curvature(net, x))
    net.eval()
    check(net, x)


def test_each_example_is_on_its_own():
    net, x = mlp(4, 3, 8), torch.randn(5, 4)
    torch.testing.assert_close(curvature(net, x), torch.cat([curvature(net, x[i : i + 1]) for i in range(5)]))


@pytest.mark.parametrize("name", ["mlp", "batch norm", "layer norm", "conv", "lstm"])
def test_the_gradient_in_the_parameters_against_finite_differences(name):
    net, x = {
        "mlp": (mlp(3, 2, 3), torch.randn(3, 3)),
        # The statistics are constant in x, but not in θ.
        "batch norm": (S(L(3, 3), nn.Tanh(), nn.BatchNorm1d(3), nn.SiLU(), L(3, 2)), torch.randn(4, 3)),
        "layer norm": (S(L(3, 3), nn.LayerNorm(3), nn.Softmax(-1)), torch.randn(2, 3)),
        "conv": (S(nn.Conv1d(1, 2, 2), nn.GELU(), nn.AdaptiveAvgPool1d(2), L(2, 2)), torch.randn(2, 1, 4)),
        "lstm": (lstm(2, 2, hidden=2, layers=2), torch.randn(2, 3, 2)),
    }[name]  # fmt: skip
    names, theta = zip(*net.named_parameters(), strict=True)
    assert torch.autograd.gradcheck(
        lambda *theta: curvature(lambda x: functional_call(net, dict(zip(names, theta, strict=True)), (x,)), x),
        theta,
    )


@pytest.mark.parametrize("m", [0, 1, 2])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn_tanh"])
def test_the_backward_pass_through_the_steps_of_a_recurrent_layer(cell, m, monkeypatch):
    """In every argument, for the levels of every state, with the coefficients in several spans."""
    width = {"lstm": 8, "gru": 6, "rnn_tanh": 2}[cell]
    state = torch.randn(2, 2)
    steps, others = (
        (lstm_steps.steps, [state, torch.randn(2, 2)])
        if cell == "lstm"
        else (partial(cell_steps.steps, cell=cell), [torch.randn(width), state])
    )
    monkeypatch.setattr(lstm_steps if cell == "lstm" else cell_steps, "SPAN", 2)
    arguments = [t.requires_grad_() for t in (torch.randn(5, 1 + 2 * m, 2, width), torch.randn(width, 2), *others)]
    operator, options = getattr(steps, "func", steps), getattr(steps, "keywords", {})
    torch.library.opcheck(operator, arguments, options, test_utils=["test_schema", "test_faketensor"])
    assert torch.autograd.gradcheck(steps, arguments)


def test_traces_to_a_graph_with_its_gradient():
    net = S(L(4, 6), nn.BatchNorm1d(6), nn.SiLU(), nn.Softmax(-1), nn.LayerNorm(6), L(6, 3))
    names = [n for n, _ in net.named_parameters()]

    def step(x, *theta):
        theta = [t.detach().requires_grad_() for t in theta]
        d = curvature(lambda x: functional_call(net, dict(zip(names, theta, strict=True)), (x,)), x).mean()
        return d.detach(), *torch.autograd.grad(d, theta, allow_unused=True, materialize_grads=True)

    theta = [p.detach().clone() for p in net.parameters()]
    graph = make_fx(step, tracing_mode="real")(torch.randn(5, 4), *theta)
    x, theta = torch.randn(5, 4), [torch.randn_like(t) for t in theta]
    for traced, direct in zip(graph(x, *theta), step(x, *theta), strict=True):
        torch.testing.assert_close(traced, direct)
    assert int(net[1].num_batches_tracked) == 0


def test_float32_is_near_float64():
    net, x = mlp(6, 4, 16), torch.randn(8, 6)
    torch.testing.assert_close(
        curvature(net.float(), x.float()).double(), curvature(net.double(), x), rtol=1e-4, atol=0
    )


def test_the_first_layer_sees_one_example_and_the_last_no_first_derivative():
    calls = []
    eye = torch.eye(3).reshape(3, 1, 3)
    x = Jet(torch.randn(100, 3), lambda: eye)
    hidden = L(3, 4)(x)
    assert hidden.first().shape == (3, 1, 4)
    assert hidden.second is None
    assert S(nn.Flatten(), L(4, 5))(hidden).first().shape == (3, 1, 5)

    x = Jet(torch.randn(100, 3), lambda: calls.append(1) or eye)
    L(4, 2)(L(3, 4)(x))
    assert calls == []


PIECEWISE = [nn.ReLU(), nn.ReLU6(), nn.LeakyReLU(), nn.PReLU(), nn.RReLU(), nn.Hardtanh(), nn.Threshold(0, 0),
             nn.Softshrink(), nn.Hardshrink(), nn.Hardsigmoid(), nn.ReLU(inplace=True)]  # fmt: skip


@pytest.mark.parametrize("activation", PIECEWISE, ids=repr)
def test_piecewise_linear_activations_are_refused(activation):
    net = S(L(3, 4), S(activation), L(4, 2))
    with pytest.raises(ValueError, match="zero curvature almost everywhere; use SiLU, Tanh or GELU"):
        curvature(net, torch.randn(2, 3))
    assert zero_curvature(net) == [f"1.0 ({type(activation).__name__})"]
    assert zero_curvature(activation) == [f"network ({type(activation).__name__})"]


@pytest.mark.parametrize("function", [torch.relu, F.relu, torch.abs, abs, lambda x: x.relu_(), lambda x: x.abs()])
def test_piecewise_linear_functions_are_refused(function):
    with pytest.raises(ValueError, match=r"(relu|abs) has zero curvature"):
        curvature(lambda x: function(x.sin()), torch.randn(2, 3))


def test_zero_curvature_finds_functions_and_recurrent_layers_but_no_smooth_ones():
    assert zero_curvature(nn.TransformerEncoderLayer(4, 2, 4)) == ["network (relu)"]
    assert zero_curvature(S(nn.RNN(2, 2, nonlinearity="relu"))) == ["0 (RNN)"]
    assert zero_curvature(S(resnet18(), mlp(2, 2), nn.RNN(2, 2), nn.MaxPool2d(2), nn.ELU())) == []


def add(x):
    h = torch.zeros(x.shape)
    h.add_(x)
    return h.sin()


def assign(x):
    h = torch.zeros(x.shape)
    h[:, 0] = x[:, 0] ** 2
    return h * h


def overwrite(x):
    x[:, 0] = 1.0
    return x.exp()


class Own(torch.autograd.Function):
    """A function that takes tensors alone."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, grad):
        return 3 * ctx.saved_tensors[0] ** 2 * grad


WITHOUT_RULES = {
    "det": lambda x: torch.linalg.det(x[:, :4].reshape(-1, 2, 2)),
    "cumprod": lambda x: x.cumprod(1),
    "adds into a plain tensor": add,
    "assigns into a plain tensor": assign,
    "overwrites its input": overwrite,
    "a function of its own": Own.apply,
    "only tensors": lambda x: x.sin() if isinstance(x, Tensor) else None.fail,
}


@pytest.mark.parametrize("name", WITHOUT_RULES)
def test_what_has_no_rule_goes_by_reverse_mode_twice(name):
    """Also what torch's nested forward mode gets wrong, silently (pytorch issue 198017)."""
    network, x = WITHOUT_RULES[name], torch.randn(3, 5)
    torch.testing.assert_close(curvature(network, x), brute(lambda x: network(x.clone()), x), rtol=1e-8, atol=1e-20)
    outputs, d = outputs_and_curvature(network, x.clone())
    torch.testing.assert_close(d, curvature(network, x.clone()), rtol=1e-12, atol=1e-20)
    torch.testing.assert_close(outputs.detach(), network(x.clone()))


def test_what_has_no_rule_is_said_once(caplog):
    say.cache_clear()
    caplog.set_level(logging.INFO, logger="bayesreg")
    for _ in range(3):
        curvature(lambda x: x.sin().cumprod(1), torch.randn(2, 3))
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == len(set(said))
    assert any("cumprod" in text and "double backward" in text for text in said)


@pytest.mark.parametrize("net", ["mlp", "resnet18", "lstm", "bilstm", "transformer"])
def test_no_network_of_the_project_needs_a_fallback(net, caplog):
    say.cache_clear()
    made, x = {
        "mlp": (mlp(3, 2, 4), torch.randn(4, 3)),
        "resnet18": (resnet18(2, width=2), torch.randn(4, 3, 8, 8)),
        "lstm": (lstm(2, 2, 3, 2), torch.randn(4, 3, 2)),
        "bilstm": (bilstm(5, 2, 3, 3), torch.randint(0, 5, (4, 3))),
        "transformer": (transformer(2, 2, 4, layers=1, heads=2, dropout=0.1), torch.randn(4, 3, 2)),
    }[net]
    outputs_and_curvature(made, x, Share(0.5))
    outputs_and_curvature(made, x)
    assert caplog.records == []


def test_random_layers_without_a_rule_hold_their_mask():
    def network(x):
        torch.manual_seed(3)
        return F.alpha_dropout(torch.sin(x), 0.5, True).exp()

    x = torch.randn(4, 3)
    torch.testing.assert_close(curvature(network, x), brute(network, x, alone=False), rtol=1e-8, atol=1e-20)


def test_batch_norm_by_torchs_own_name():
    def network(x):
        return torch.tanh(torch.batch_norm(x, None, None, None, None, True, 0.1, 1e-5, False))

    x = torch.randn(5, 3)
    mean, scale = x.mean(0), (x.var(0, correction=0) + 1e-5).rsqrt()
    expected = brute(lambda z: torch.tanh((z - mean) * scale), x)
    torch.testing.assert_close(curvature(network, x), expected, rtol=1e-8, atol=1e-20)


def test_a_write_in_place_changes_no_earlier_layer():
    net = L(3, 3)

    def network(x):
        h = torch.sin(x)
        y = net(h)  # its derivatives are computed after h changes
        h.mul_(h)
        F.silu(h, inplace=True)
        return y * y + h

    def pure(x):
        h = torch.sin(x)
        return net(h) ** 2 + F.silu(h * h)

    x = torch.randn(4, 3)
    torch.testing.assert_close(curvature(network, x).detach(), brute(pure, x), rtol=1e-8, atol=0)


@pytest.mark.parametrize(
    ("network", "x", "message"),
    [
        (
            lambda x: x,
            torch.ones(2, 3, dtype=torch.long),
            r"tokens for nn.Embedding, got int64 \[2, 3\]",
        ),
        (lambda x: x, torch.tensor(1.0), r"got float32 \[\]"),
        (lambda x: (x, x), torch.randn(2, 3), "one output tensor .* got tuple"),
        (lambda x: x.sum(), torch.randn(2, 3), r"for x float32 \[2, 3\], got \[\]"),
        (lambda x: x.T, torch.randn(2, 3), r"got \[3, 2\]"),
    ],
)
def test_other_inputs_and_outputs_are_refused(network, x, message):
    with pytest.raises(ValueError, match=message):
        curvature(network, x)


WIDTH = 6
LAYERS = {
    "linear": lambda: L(WIDTH, WIDTH),
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "softplus": nn.Softplus,
    "layer norm": lambda: nn.LayerNorm(WIDTH),
    "group norm": lambda: nn.GroupNorm(2, WIDTH),
    "batch norm": lambda: nn.BatchNorm1d(WIDTH),
    "softmax": lambda: nn.Softmax(-1),
    "residual": lambda: Residual(S(nn.Tanh(), L(WIDTH, WIDTH))),
    "conv": lambda: S(nn.Unflatten(1, (2, 3)), nn.Conv1d(2, 2, 3, padding=1), nn.SiLU(), nn.Flatten()),
    "pool": lambda: S(nn.Unflatten(1, (2, 3)), nn.AvgPool1d(2, 1, 1, count_include_pad=False), nn.Flatten(),
                      nn.LazyLinear(WIDTH)),
    "transpose": lambda: S(nn.Unflatten(1, (3, 2)), Swap(), nn.Flatten()),
    "gate": lambda: S(L(WIDTH, 2 * WIDTH), nn.GLU()),
}  # fmt: skip


class Swap(nn.Module):
    def forward(self, x):
        return x.transpose(1, 2) / (1 + x.transpose(1, 2) ** 2)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(sorted(LAYERS)), min_size=1, max_size=5), st.integers(0, 2**16), st.booleans())
def test_random_compositions(layers, seed, training):
    torch.manual_seed(seed)
    net = S(L(3, WIDTH), *(LAYERS[name]() for name in layers), L(WIDTH, 2))
    x = torch.randn(3, 3)
    net(x)  # materialises the lazy layers, and moves the running statistics
    net.train(training)
    reference = frozen(net, x) if training else net
    torch.testing.assert_close(curvature(net, x), brute(reference, x), rtol=1e-8, atol=1e-20)
