"""Sparse variational dropout: its KL term, local reparameterisation, and the weights that it removes."""

import math

import pytest
import torch
from pyro.distributions import Normal as NormalDensity
from torch import nn

import bayesreg as br
from bayesreg import guides, testing
from bayesreg.guides import VariationalDropout
from bayesreg.guides.local_reparameterisation import outputs_drawn
from bayesreg.guides.start import local_parameters
from bayesreg.methods import Method, as_methods
from bayesreg.objective import Objective
from bayesreg.priors.log_uniform import LogUniformVector

QUIET = {"device": "cpu", "progress": False}


def random(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def model(net, size=6, likelihood=None):
    return br.Model(net, br.LogUniform(), likelihood or br.Gaussian(scale=1.0), size=size)


# --- The KL term ---


@pytest.mark.parametrize("log_alpha", [-8.0, -4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0, 8.0])
def test_the_kl_term_is_that_of_monte_carlo(log_alpha):
    """−½ log 2πe s² + E log |θ|, less its limit as α → ∞, −½ log 2πe + E log |ε| = −½ log 2πe − (γ + log 2)/2."""
    mean = torch.tensor([0.3], dtype=torch.float64)
    scale = mean * math.exp(log_alpha / 2)
    noise = random(400_000)
    theta = mean + scale * noise
    limit = -(0.5772156649015329 + math.log(2)) / 2
    exact = theta.abs().log().mean() - scale.log() - limit
    assert LogUniformVector.kl(NormalDensity(mean, scale)).item() == pytest.approx(exact.item(), abs=0.02)


def test_the_kl_term_takes_the_place_of_both_densities():
    net = nn.Linear(3, 2).double()
    built = model(net)
    q = guides.create("variational_dropout", built)
    terms = Objective(built, q)(random(6, 3), random(6, 2))
    (normal,) = q.normals().values()
    assert normal.scale.tolist() == pytest.approx([0.01] * 6)
    assert terms.keys() == {"likelihood", "weights"}  # no log q: the biases are points
    assert terms["weights"].item() == pytest.approx(LogUniformVector.kl(normal).item() / 6)


def test_a_weight_of_exactly_nought_has_a_gradient():
    mean, scale = torch.zeros(2, requires_grad=True), torch.full((2,), 0.1, requires_grad=True)
    slopes = torch.autograd.grad(LogUniformVector.kl(NormalDensity(mean, scale)), [mean, scale])
    assert all(slope.isfinite().all() for slope in slopes)


# --- Local reparameterisation ---


class Shared(nn.Module):
    """Two layers of one weight, and one of its own."""

    def __init__(self):
        super().__init__()
        self.one, self.other, self.own = (nn.Linear(3, 3, bias=False) for _ in range(3))
        self.other.weight = self.one.weight

    def forward(self, x):
        return self.own(self.other(self.one(x)))


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (nn.Linear(3, 2), random(1, 3)),
        (nn.Conv2d(2, 3, 3, padding=1, stride=2), random(1, 2, 4, 4)),
        (nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular", groups=2), random(1, 2, 4, 4)),
    ],
    ids=["linear", "conv2d", "circular"],
)
def test_the_outputs_that_are_drawn_have_the_moments_of_those_of_drawn_weights(layer, x):
    built, number = model(layer.double()), 2000
    start, (block, _) = built.initial(), built.blocks
    q = NormalDensity(start[block.site], 0.1 + random(block.size).abs())
    torch.manual_seed(0)
    means = built.unpack(start)
    with outputs_drawn(built, {block.site: q}), torch.no_grad():
        ours = torch.cat([built.outputs(means, x) for _ in range(number)])
    with torch.no_grad():
        theirs = torch.cat([built.outputs(means | block.unpack(q.sample()), x) for _ in range(number)])
    deviation = theirs.std(0)
    assert ((ours.mean(0) - theirs.mean(0)).abs() < 6 * deviation * (2 / number) ** 0.5).all()
    assert ((ours.std(0) / deviation - 1).abs() < 6 / number**0.5).all()
    assert "forward" not in vars(built.net)


def test_a_weight_that_two_layers_share_is_drawn_itself():
    built = model(Shared().double())
    start = built.initial()
    q = NormalDensity(start["weights"], torch.ones_like(start["weights"]))
    with outputs_drawn(built, {"weights": q}):
        assert ["forward" in vars(layer) for layer in (built.net.one, built.net.other, built.net.own)] == [
            False,
            False,
            True,
        ]


def test_its_gradient_has_the_same_mean_and_less_variance():
    """Over 200 draws, for 32 examples of a network with a hidden layer."""
    torch.manual_seed(0)
    built = model(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double(), size=32)
    q = guides.create(VariationalDropout(init_scale=0.3), built)
    x, y, found = random(32, 3), random(32, 1, seed=1), {}
    for q.by_layer in (True, False):
        torch.manual_seed(1)
        slopes = []
        with local_parameters():
            for _ in range(200):
                loss = Objective(built, q)(x, y)["likelihood"]
                slopes.append(torch.cat(torch.autograd.grad(loss, [q.weights, q.log_variances.weights])))
        found[q.by_layer] = torch.stack(slopes)
    ours, plain = found[True], found[False]
    error = ((ours.var(0) + plain.var(0)) / 200).sqrt()
    assert ((ours.mean(0) - plain.mean(0)).abs() < 5 * error).all()
    assert ours.var(0).sum() < 0.5 * plain.var(0).sum()


# --- What is removed ---


@pytest.fixture(scope="module")
def fitted():
    """5 relevant of 30 inputs."""
    x = random(200, 30)
    y = x @ torch.tensor([1.5, -1.0, 0.8, -0.6, 1.2, *[0.0] * 25]).double() + 0.3 * random(200, seed=1)
    torch.manual_seed(0)
    built = br.Model(nn.Linear(30, 1).double(), br.LogUniform(), br.Gaussian(), size=200)
    return br.fit(built, (x, y), guide="variational_dropout", epochs=400, batch_size=200, lr=0.03, **QUIET)


def test_irrelevant_weights_are_nought_in_parameters_draws_and_outputs(fitted):
    weight, guide = fitted.parameters()["weight"][0], fitted.inference
    (q,) = fitted.guide.normals().values()
    gone = (q.scale**2 / q.loc**2).log() > 3
    assert torch.equal(weight == 0, gone)
    assert not gone[:5].any()
    assert gone[5:].sum() >= 8
    assert guide.remaining(fitted.guide) == (30 - int(gone.sum()), 30)
    draws = fitted.draws(50)
    assert torch.equal((draws["weight"][:, 0] == 0).all(0), gone)
    assert (draws["bias"] == draws["bias"][0]).all()
    assert draws["weight"][:, 0, ~gone].std(0).numpy() == pytest.approx(q.scale[~gone].detach().numpy(), rel=0.6)
    assert guides.VariationalDropout(threshold=99.0).remaining(fitted.guide) == (30, 30)


def test_the_number_that_remains_is_said(caplog):
    with caplog.at_level("INFO"):
        x = random(20, 3)
        br.fit(model(nn.Linear(3, 1).double(), 20), (x, x[:, 0]), guide="variational_dropout", epochs=1, **QUIET)
    assert "weights that remain: 3 of 3, 1 times fewer" in caplog.text


# --- As a method, and what is refused ---


def test_it_is_a_method():
    method = Method.parse("log_uniform@variational_dropout:threshold=2.0")
    assert method == Method("log_uniform", guide=VariationalDropout(threshold=2.0)) == Method.parse(method.text)
    assert method != Method("log_uniform", guide="variational_dropout")
    assert method.prior(10) == br.LogUniform()
    assert method.record()["options of the guide"] == {"init_scale": 0.01, "warm_up": 0.5, "threshold": 2.0}
    assert "log_uniform" not in [each.name for each in as_methods("priors")]  # it goes with its own guide


@pytest.mark.parametrize(
    ("prior", "guide", "words"),
    [
        ("l2", "variational_dropout", r"of the prior log_uniform alone, and here is L2.*log_uniform@variational"),
        ("log_uniform+entropic:0.1", "variational_dropout", r"log_uniform alone, and here is LogUniform.* \+ Entropic"),
        ("log_uniform", "delta", "LogUniform has no MAP estimate.*log_uniform@variational_dropout"),
        ("log_uniform", "variational_dropout:warm_up=0.7", r"warm_up=0.7\): a share of training from 0 to 0.5"),
        ("log_uniform:1", "variational_dropout", "log_uniform has no strength"),
    ],
)
def test_refused(prior, guide, words):
    with pytest.raises(ValueError, match=words):
        guides.create(guide, br.Model(nn.Linear(2, 3), prior, br.Categorical(), size=4))


@pytest.mark.parametrize(("net", "target"), [*zip(testing.TINY_NETS, [*testing.TARGETS, "categorical"], strict=True)])
@pytest.mark.parametrize("guide", guides.PAIRED)
def test_conformance(net, target, guide, tmp_path):
    testing.check(testing.TINY_NETS[net], br.LogUniform(), testing.TARGETS[target], guide, tmp_path)
