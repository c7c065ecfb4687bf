from itertools import pairwise

import pyro
import pytest
import torch
from pyro import poutine
from torch.distributions import Normal, kl_divergence

import bayesreg as br
from bayesreg.curvature import curvature
from bayesreg.nets import NETS, conv_vae, vae


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def parameters(net):
    return sum(p.numel() for p in net.parameters())


def mlp_parameters(inputs, outputs, hidden):
    return (inputs + 1) * hidden + (hidden + 1) * hidden + (hidden + 1) * outputs


def test_has_the_parameters_of_the_formula():
    assert parameters(NETS["vae"](784)) == mlp_parameters(784, 40, 400) + mlp_parameters(20, 784, 400)
    assert parameters(vae(6, 3, latent=2, hidden=5)) == mlp_parameters(6, 4, 5) + mlp_parameters(2, 3, 5)
    widths = [3, 4, 8, 16, 32]
    down = sum((9 * a + 1) * b for a, b in pairwise(widths))
    up = sum((9 * a + 1) * b for a, b in [(32, 16), (16, 8), (8, 4), (4, 4), (4, 3)])
    linear = (32 * 4 + 1) * 14 + (7 + 1) * 32 * 4
    assert parameters(conv_vae((3, 32, 32), latent=7, width=4)) == down + up + linear


@pytest.mark.parametrize(
    ("net", "taken", "given"),
    [
        (lambda: vae(6, hidden=4), (6,), (6,)),
        (lambda: vae((1, 2, 3), hidden=4), (1, 2, 3), (1, 2, 3)),
        (lambda: vae((1, 2, 3), 5, hidden=4), (1, 2, 3), (5,)),
        (lambda: conv_vae((3, 16, 32), width=2), (3, 16, 32), (3, 16, 32)),
        (lambda: conv_vae(width=1), (3, 64, 64), (3, 64, 64)),
    ],
)
def test_shapes(net, taken, given):
    net, x = net(), torch.rand(5, *taken)
    assert net(x).shape == net.model(x).shape == (5, *given)
    assert net.guide(x).shape == (5, net.latent)


def test_is_the_equations_it_says():
    net, x = vae(3, 2, latent=2, hidden=4), torch.randn(5, 3)
    mean, log_scale = net.encoder(x).chunk(2, -1)
    torch.testing.assert_close(net(x), net.decoder(mean))
    assert torch.equal(net(x), net(x))
    trace = poutine.trace(net.guide).get_trace(x)
    q = trace.nodes["z"]["fn"].base_dist
    torch.testing.assert_close((q.loc, q.scale), (mean, log_scale.exp()))
    run = poutine.trace(poutine.replay(net.model, trace=trace))
    torch.testing.assert_close(run.get_trace(x).nodes["_RETURN"]["value"], net.decoder(trace.nodes["z"]["value"]))


def test_log_densities_give_the_divergence_of_q_from_the_prior():
    net = vae(3, latent=2, hidden=4)
    x = torch.randn(1, 3).expand(20_000, 3)
    guide = poutine.trace(net.guide).get_trace(x)
    model = poutine.trace(poutine.replay(net.model, trace=guide)).get_trace(x)
    estimates = guide.nodes["z"]["fn"].log_prob(guide.nodes["z"]["value"])
    estimates = (estimates - model.nodes["z"]["fn"].log_prob(guide.nodes["z"]["value"])).detach()
    mean, log_scale = net.encoder(x[:1]).chunk(2, -1)
    expected = kl_divergence(Normal(mean, log_scale.exp()), Normal(0.0, 1.0)).sum().item()
    assert estimates.mean().item() == pytest.approx(expected, abs=4 * estimates.std().item() / 20_000**0.5)


def test_an_extreme_scale_stays_finite():
    net = vae(2, latent=1, hidden=2)
    for bias in (-1e4, 1e4):
        net.encoder.head.bias.data[1] = bias
        with pyro.validation_enabled(True):
            trace = poutine.trace(net.guide).get_trace(torch.zeros(3, 2))
        trace.compute_log_prob()
        assert trace.log_prob_sum().isfinite()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: vae(0), "inputs=0 must be at least 1"),
        (lambda: vae((1, 0, 3)), "inputs=0"),
        (lambda: vae(3, latent=0), "latent=0"),
        (lambda: vae(3, hidden=-1), "hidden=-1"),
        (lambda: conv_vae(width=0), "width=0"),
        (lambda: conv_vae((3, 60, 64)), r"shape=\(3, 60, 64\).*multiples of 16"),
        (lambda: conv_vae((3, 0, 64)), r"multiples of 16"),
    ],
)
def test_sizes_that_cannot_be_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# --- Curvature of the reconstruction with respect to the image ---


def test_curvature_is_that_of_the_hessian():
    net, x = vae((1, 2, 2), latent=2, hidden=5).double(), torch.randn(3, 1, 2, 2).double()
    expected = []
    for one in x:
        hessian = torch.func.hessian(lambda flat: net(flat.reshape(1, 1, 2, 2)).flatten())(one.flatten())
        expected.append(hessian.diagonal(dim1=1, dim2=2).square().sum())
    assert min(expected) > 0
    torch.testing.assert_close(curvature(net, x), torch.stack(expected))


def test_curvature_of_the_convolutional_one_is_that_of_finite_differences():
    net, h = conv_vae((1, 16, 16), latent=3, width=1).double(), 1e-3
    for p in net.parameters():
        p.data *= 2.0  # from its beginnings the network is all but linear
    x = torch.rand(1, 1, 16, 16).double()
    steps = h * torch.eye(256).double().reshape(256, 1, 16, 16)
    second = (net(x + steps) - 2 * net(x) + net(x - steps)) / h**2
    assert second.abs().max() > 1e-3
    torch.testing.assert_close(curvature(net, x), second.square().sum().reshape(1), rtol=1e-4, atol=0)


def test_the_smoothness_prior_is_of_the_reconstruction():
    net, x = vae(4, latent=2, hidden=5).double(), torch.rand(6, 4).double()
    joints = []
    for prior in (br.Flat(), br.Smoothness(0.7)):
        model = br.Model(net, prior, br.Bernoulli(), size=6)
        torch.manual_seed(1)
        joints.append(model.log_joint(model.unpack(model.initial()), x, x))
    expected = -0.5 * 0.7 * 6 * curvature(net, x).mean()
    assert expected < -1e-9
    torch.testing.assert_close(joints[1] - joints[0], expected, rtol=1e-3, atol=1e-12)


def test_the_entropic_prior_is_of_the_decoder_at_z():
    net, x = vae(4, latent=2, hidden=5).double(), torch.rand(6, 4).double()
    joints = []
    for prior in (br.Flat(), br.Entropic(0.7)):
        model = br.Model(net, prior, br.Bernoulli(), size=6)
        torch.manual_seed(1)
        joints.append(model.log_joint(model.unpack(model.initial()), x, x))
    torch.manual_seed(1)
    p = torch.sigmoid(net.decoder(net.guide(x)))
    entropy = -(p * p.log() + (1 - p) * (1 - p).log()).sum(1)
    torch.testing.assert_close(joints[1] - joints[0], 0.7 * entropy.sum())


# --- Convolutional, under every prior and guide ---


@pytest.mark.parametrize("guide", ["delta", "normal"])
@pytest.mark.parametrize("prior", br.priors.PRIORS)
def test_convolutional_under_every_prior_and_guide(prior, guide, tmp_path):
    """Of bytes, as photographs are stored."""
    x = torch.randint(0, 256, (6, 3, 16, 16), dtype=torch.uint8)
    data = br.Dataset(x, x.float() / 255)
    net = conv_vae((3, 16, 16), latent=2, width=2)
    model = br.Model(net, br.priors.parse(prior, 6), br.Bernoulli(), size=6)
    options = {"epochs": 2, "batch_size": 4, "device": "cpu", "progress": False}
    posterior = br.fit(model, data, guide=guide, validation=data, **options)
    assert posterior.history.map(float).notna().all(axis=None)
    scores = posterior.evaluate(data, draws=2)
    assert set(scores) == {"mse", "nll"}
    mean = posterior.predict(x, draws=2).mean
    assert scores["mse"] == pytest.approx((mean - data.y).square().mean().item(), rel=1e-5)
    again = br.Posterior.load(posterior.save(tmp_path / "posterior.pt"), net)
    assert again.evaluate(data, draws=2) == scores
