"""The smoothness prior in training: an estimate of d without bias, of the very function that is trained."""

import math

import pytest
import torch
from pyro import poutine
from torch import nn

import bayesreg as br
from bayesreg.curvature import Share, curvature, double_backward, outputs_and_curvature
from bayesreg.nets import mlp, resnet18, transformer
from bayesreg.step import Step

DRAWS = 10_000


@pytest.fixture(autouse=True)
def _double():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class Words(nn.Module):
    """Tokens [B, T] to [B, 2], with dropout between embedding and network."""

    def __init__(self):
        super().__init__()
        self.table, self.drop, self.body = nn.Embedding(7, 3), nn.Dropout(0.5), mlp(9, 2, 5)

    def forward(self, x):
        return self.body(self.drop(self.table(x)).flatten(1))


def within_standard_errors(draws, exact, errors=4.0):
    return abs(draws.mean() - exact) <= errors * draws.std() / math.sqrt(len(draws))


# --- Random coordinates ---


@pytest.mark.parametrize("coordinates", [1, 3, 39])
def test_random_coordinates_have_no_bias_and_the_variance_that_is_documented(coordinates):
    net, x = mlp(40, 3, 16), torch.randn(1, 40)
    exact = curvature(net, x).item()
    with torch.no_grad():
        draws = curvature(net, x.expand(DRAWS, -1), coordinates)
    assert within_standard_errors(draws, exact)
    q = torch.stack([double_backward(*_outputs(net, x), torch.eye(40)[k].reshape(1, 1, 40)) for k in range(40)])
    torch.testing.assert_close(q.sum().item(), exact)
    variance = 40**2 / coordinates * (1 - coordinates / 40) * q.var().item()
    assert draws.var().item() == pytest.approx(variance, rel=0.1)


def _outputs(net, x):
    x = x.detach().requires_grad_()
    return net(x), x


def test_the_papers_estimator_has_a_bias_that_this_test_finds():
    """The square of one Rademacher probe, (v ⊙ H v)_k², has the mean of a row's squares, not H_kk²."""
    net, x = mlp(6, 1, 16), torch.randn(6)
    H = torch.autograd.functional.hessian(lambda z: net(z.reshape(1, -1)).sum(), x)
    v = torch.randint(0, 2, (DRAWS, 6)) * 2.0 - 1
    draws = (v * (v @ H)).square().sum(1)
    assert not within_standard_errors(draws, H.diagonal().square().sum())
    assert within_standard_errors(draws, H.square().sum())


def test_coordinates_are_drawn_without_replacement():
    x = torch.randn(500, 5)
    for coordinates in (2, 4):
        d = curvature(lambda x: x[:, :1] ** 2, x, coordinates)
        assert set(d.tolist()) == {0.0, 4 * 5 / coordinates}
    assert curvature(lambda x: x[:, :1] ** 2, x, 5).tolist() == [4.0] * 500


# --- A share of the batch: the same function, masks and statistics as in the whole ---


def nets():
    drop = nn.Dropout(0.4)
    return {
        "batch norm": (nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.SiLU(), drop, mlp(6, 3, 5)), (12, 4)),
        "resnet18": (resnet18(3, width=2), (12, 3, 4, 4)),
        "channel dropout": (nn.Sequential(nn.Conv1d(2, 3, 2), nn.Tanh(), nn.Dropout1d(0.5), nn.Flatten()), (12, 2, 3)),
        "transformer": (transformer(2, 3, 4, layers=2, heads=2, dropout=0.3), (12, 3, 2)),
        "lstm": (Recurrent(nn.LSTM), (12, 3, 2)),
        "gru": (Recurrent(nn.GRU), (12, 3, 2)),
        "rnn": (Recurrent(nn.RNN), (12, 3, 2)),
        "attention with weights": (Weighing(), (12, 3, 4)),
    }


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.body = kind(2, 3, 2, dropout=0.5, bidirectional=True)

    def forward(self, x):
        return self.body(x.transpose(0, 1))[0][-1]


class Weighing(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.MultiheadAttention(4, 2, dropout=0.5, batch_first=True)

    def forward(self, x):
        return torch.cat(self.body(x, x, x), -1).flatten(1)


@pytest.mark.parametrize("name", nets())
def test_the_curvature_is_that_of_this_very_run(name):
    net, shape = nets()[name]
    x = torch.randn(shape)
    everything = Share(1.0, None, 10**6)
    torch.manual_seed(1)
    outputs, d = outputs_and_curvature(net, x, everything)
    torch.manual_seed(1)
    plain, some = outputs_and_curvature(net, x, everything._replace(fraction=0.3))
    torch.testing.assert_close(outputs, plain, rtol=1e-10, atol=1e-12)
    assert len(some) == 4
    apart = (some[:, None] - d[None, :]).abs().min(1).values  # each is one of those of the whole batch
    assert apart.max() < 1e-8 * d.max()
    slopes = [torch.autograd.grad(each.sum(), list(net.parameters()), allow_unused=True) for each in (outputs, plain)]
    for one, other in zip(*slopes, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)


def test_the_gradient_of_a_share_is_that_of_the_whole_for_the_same_examples():
    """With BatchNorm, whose statistics of the whole batch depend on θ."""
    net, x = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.SiLU(), nn.Linear(4, 2)), torch.randn(6, 3)
    for draw in range(3):
        torch.manual_seed(draw)
        rows = torch.randperm(6)[:2]
        torch.manual_seed(draw)
        some = outputs_and_curvature(net, x, Share(1 / 3))[1].sum()
        whole = outputs_and_curvature(net, x)[1][rows].sum()
        weights = [p for name, p in net.named_parameters() if name != "3.bias"]
        for a, b in zip(*(torch.autograd.grad(d, weights) for d in (some, whole)), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


def test_running_statistics_move_once_a_step():
    for fraction in (0.25, 1.0):
        net, x = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.SiLU()), torch.randn(8, 3)
        expected = nn.BatchNorm1d(4)
        expected(net[0](x))
        outputs_and_curvature(net, x, Share(fraction))
        torch.testing.assert_close(net[1].running_var, expected.running_var)
        torch.testing.assert_close(net[1].running_mean, expected.running_mean)
        assert int(net[1].num_batches_tracked) == 1


def test_a_network_that_mixes_its_examples_with_time_uses_the_whole_batch():
    class Mixing(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.drop = nn.Linear(2, 3), nn.Dropout(0.5)

        def forward(self, x):
            return self.drop(torch.tanh(self.one(x.reshape(-1, 2)))).reshape(len(x), -1)

    assert len(outputs_and_curvature(Mixing(), torch.randn(8, 4, 2), Share(0.25))[1]) == 8


# --- Tokens ---


def test_tokens_are_curved_in_their_embeddings():
    net, tokens = Words().eval(), torch.randint(0, 7, (4, 3))
    at = net.table(tokens).detach()
    expected = curvature(lambda h: net.body(h.flatten(1)), at)
    d = curvature(net, tokens)
    torch.testing.assert_close(d, expected)
    assert torch.autograd.grad(d.sum(), net.table.weight)[0].abs().sum() > 0


@pytest.mark.parametrize("guide", ["delta", "normal"])
def test_a_network_on_tokens_is_fitted(guide):
    data = br.Dataset(torch.randint(0, 7, (20, 3)), torch.randint(0, 2, (20,)))
    model = br.Model(Words(), br.Smoothness(0.1) + br.L2(1.0), br.Categorical(), size=20)
    posterior = br.fit(model, data, guide=guide, epochs=4, batch_size=8, progress=False)
    assert posterior.history["loss_smoothness"][0] > 0


# --- In the model: every k-th step ---


def made(prior, size=12, inputs=4):
    net = nn.Sequential(nn.Linear(inputs, 5), nn.BatchNorm1d(5), nn.SiLU(), nn.Linear(5, 3))
    x, y = torch.randn(size, inputs), torch.randint(0, 3, (size,))
    return br.Model(net, prior, br.Categorical(), size=size).train(), x, y


def turn(model, step):
    return {name: term.turns[step % len(term.turns)] for name, term in model.terms.items()}


def factor(model, x, y, step=None):
    factors = None if step is None else turn(model, step)
    with model.buffers_kept():
        trace = poutine.trace(poutine.condition(model, data=model.initial())).get_trace(x, y, factors)
    return trace.nodes["smoothness"]["fn"].log_factor.item()


@pytest.mark.parametrize(("inputs", "coordinates"), [(4, None), (40, None), (40, 2)])
def test_the_steps_average_to_the_full_value(inputs, coordinates):
    model, x, y = made(br.Smoothness(0.5, fraction=0.3, every=3, coordinates=coordinates), inputs=inputs)
    exact = -0.5 * 0.5 * 12 * curvature(model.net, x).mean().item()
    if coordinates is None:
        assert factor(model, x, y) == pytest.approx(exact, rel=1e-10)
    rounds = []
    for start in range(0, 900, 3):
        values = [factor(model, x, y, step) for step in range(start, start + 3)]
        assert values[1:] == [0.0, 0.0]
        rounds.append(sum(values) / 3)
    assert within_standard_errors(torch.tensor(rounds), exact)


@pytest.mark.parametrize("guide", ["delta", "normal"])
@pytest.mark.parametrize("prior", ["smoothness", "l2+smoothness", "entropic+smoothness+ard"])
def test_every_step_is_captured_and_equals_plain_pyro(prior, guide):
    prior = br.priors.parse(prior, 12, smoothness={"fraction": 0.5, "every": 2})
    model, x, y = made(prior)
    step = Step(model, br.guides.create(guide, model), lr=0.01, steps=10)
    said = step.prepare(x, y, 1000, 1.0, "never")
    assert said.startswith("captured in")
    assert "plain" not in said
    assert step.names == list(step.gradient.objective(x, y))
    for number in range(4):
        step.gradient.objective.step = number
        results = []
        for run in (step.gradient, step.gradient.plain):
            torch.manual_seed(number)
            with model.buffers_kept():
                results.append([t.clone() for t in run(x, y)])
        for captured, plain in zip(*results, strict=True):
            torch.testing.assert_close(captured, plain, rtol=1e-12, atol=1e-14)
        assert (results[0][0][step.names.index("smoothness")] == 0) == (number % 2 == 1)


def test_fit_leaves_the_factor_exact():
    model, x, y = made(br.Smoothness(0.1))
    posterior = br.fit(model, br.Dataset(x, y), epochs=3, batch_size=6, progress=False)
    values = {posterior.model.log_joint(posterior.parameters(), x, y).item() for _ in range(3)}
    assert len(values) == 1


def test_images_of_any_size_are_fitted():
    data = br.Dataset(torch.randint(0, 256, (16, 3, 16, 16), dtype=torch.uint8), torch.randint(0, 3, (16,)))
    model = br.Model(resnet18(3, width=2).float(), br.Smoothness(1.0), br.Categorical(), size=16)
    posterior = br.fit(model, data, epochs=4, batch_size=8, progress=False)
    assert posterior.history["loss_smoothness"].sum() > 0


class Squeezed(nn.Module):
    """As in EfficientNet: squeeze and excitation, and examples that skip what the residual adds, at random."""

    def __init__(self, width, stride):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.SiLU())
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, 2, 1), nn.SiLU(), nn.Conv2d(2, width, 1))
        self.out, self.skip = nn.Sequential(nn.Conv2d(width, width, 1), nn.BatchNorm2d(width)), stride == 1

    def forward(self, x):
        h = self.body(x)
        h = self.out(h * torch.sigmoid(self.gate(h)))
        if self.skip and self.training:
            h = h * torch.empty(len(h), 1, 1, 1, dtype=h.dtype).bernoulli_(0.8) / 0.8
        return h + x if self.skip else h


def test_a_deep_network_with_one_pixel_left_is_judged_on_more_than_two_examples():
    """Between two that are alike BatchNorm has no variance, and the curvature of many layers of it overflows."""
    net = nn.Sequential(*(Squeezed(3, 2 if n < 4 else 1) for n in range(14)), nn.Flatten(), nn.Linear(3, 3)).float()
    x, y = torch.randn(32, 3, 16, 16, dtype=torch.float32), torch.randint(0, 3, (32,))
    x[[1, 16]] = x[0].clone()
    with torch.no_grad():
        assert net[:4](x).shape[2:] == (1, 1)
    model = br.Model(net, br.Smoothness(1e-3), br.Categorical(), size=32)
    history = br.fit(model, br.Dataset(x, y), epochs=1, batch_size=16, progress=False).history
    assert history["loss_smoothness"].item() > 0


def test_straightens_a_curve():
    """The MAP curve's own curvature falls as the strength grows."""
    x = torch.linspace(-1, 1, 40)[:, None]
    y = torch.sin(5 * x[:, 0]) + 0.1 * torch.randn(40)
    found = []
    for strength in (1e-4, 1e-1, 10.0):
        torch.manual_seed(0)
        model = br.Model(mlp(1, 1, 20), br.Smoothness(strength), br.Gaussian(scale=0.1), size=40)
        posterior = br.fit(model, br.Dataset(x, y), epochs=300, batch_size=40, lr=0.02, progress=False)
        found.append(curvature(posterior.network(), x).mean().item())
    assert found[0] > 3 * found[1] > 9 * found[2]
