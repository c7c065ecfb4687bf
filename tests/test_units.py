"""A fit of y = m + s z is the fit of z in another unit, and a learned noise scale ends at its optimum."""

import pytest
import torch
from torch import nn

import bayesreg as br
from bayesreg.units import start_in_unit_of

SHORT = {"epochs": 20, "device": "cpu", "progress": False}


def table(n=200, noise=0.05, shift=0.0, scale=1.0, outputs=1):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(n, 2, generator=g)
    z = torch.sin(x) * torch.tensor([1.0, 0.5]) + noise * torch.randn(n, 2, generator=g)
    y = shift + scale * z[:, :outputs]
    return br.Dataset(x, y if outputs > 1 else y[:, 0])


def fitted(train, net=None, likelihood=None, guide="delta", prior=None, outputs=None, **options):
    torch.manual_seed(0)
    net = net or br.nets.mlp(2, outputs or train.y[0].numel(), hidden=16)
    model = br.Model(net, prior or br.Flat(), likelihood or br.Gaussian(), size=len(train))
    return br.fit(model, train, guide=guide, **(SHORT | options))


@pytest.mark.parametrize("guide", ["delta", "normal"])
@pytest.mark.parametrize(("shift", "scale"), [(50.0, 20.0), (0.0, 1e-6), (3e5, 1e5), (1e6, 1e6)])
def test_the_unit_of_y_changes_nothing_but_the_unit(shift, scale, guide):
    plain, other = fitted(table(), guide=guide), fitted(table(shift=shift, scale=scale), guide=guide)
    x = table().x
    means = plain.predict(x).mean, (other.predict(x).mean - shift) / scale
    torch.testing.assert_close(*means, rtol=0, atol=0.02)
    sigmas = [p.parameters()["noise.scale"].item() for p in (plain, other)]
    assert sigmas[1] / scale == pytest.approx(sigmas[0], rel=0.05)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_steps_are_neither_lost_in_rounding_nor_in_adams_epsilon(scale):
    """Weights of a million, in float32, whose gradients are a millionth: least squares is reached all the same."""
    x, noise = table().x, 0.05 * torch.randn(200, generator=torch.Generator().manual_seed(1))
    y = scale * (1 + x[:, 0] + noise)
    design = torch.cat([x, torch.ones(200, 1)], 1).double()
    best = torch.linalg.lstsq(design, y.double()).solution
    found = fitted(br.Dataset(x, y), nn.Linear(2, 1), epochs=150, lr=2e-2).parameters()
    theta = torch.cat([found["weight"][0], found["bias"]]).double()
    torch.testing.assert_close(theta / scale, best / scale, rtol=0, atol=1e-3)


class Series(nn.Module):
    """One linear layer for every time: x [B, T, 2] -> [B, T]."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, x):
        return self.layer(x).squeeze(-1)


class Tied(nn.Module):
    """Its last layer has the first one's weight."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(2, 2), nn.Linear(2, 2)
        self.last.weight = self.first.weight

    def forward(self, x):
        return self.last(self.first(x).tanh())


def test_a_layer_that_gives_a_series_starts_in_the_unit_of_all_its_times():
    x = torch.randn(50, 7, 2, generator=torch.Generator().manual_seed(0))
    y = 50 + 20 * x.sum(-1) + torch.arange(7)
    model = br.Model(Series(), br.Flat(), br.Gaussian(), size=50)
    own = model.net.layer.weight.clone()
    start_in_unit_of(model, br.Dataset(x, y), lr=1e-3, steps=1000)
    torch.testing.assert_close(model.net.layer.weight, own * y.std(correction=0))
    assert br.fit(model, (x, y), **SHORT).history["loss"].notna().all()


def test_tied_weights_stay_tied():
    train = table(shift=50.0, scale=20.0, outputs=2)
    made = Tied()
    model = br.Model(made, br.Flat(), br.Gaussian(), size=len(train))
    assert set(start_in_unit_of(model, train, lr=1e-3, steps=1000)) == {"noise.scale"}
    posterior = fitted(train, made)
    trained = posterior.network()
    assert trained.last.weight is trained.first.weight
    assert not torch.equal(trained.last.weight, made.last.weight)
    torch.testing.assert_close(trained(train.x), posterior.predict(train.x).mean)


def test_what_computes_its_weight_from_another_is_fitted_as_it_is():
    for norm in (
        nn.utils.spectral_norm,
        nn.utils.parametrizations.spectral_norm,
        nn.utils.parametrizations.weight_norm,
    ):
        posterior = fitted(table(), nn.Sequential(nn.Linear(2, 4), nn.Tanh(), norm(nn.Linear(4, 1))))
        assert posterior.predict(table().x).mean.isfinite().all()


@pytest.mark.parametrize("guide", ["delta", "normal"])
@pytest.mark.parametrize(("of_y", "of_net"), [("float64", "float32"), ("float32", "float64"), ("int64", "float32")])
def test_y_of_another_precision_than_the_network(of_y, of_net, guide):
    train = table(shift=50.0, scale=20.0)
    train = br.Dataset(train.x, train.y.to(getattr(torch, of_y)))
    posterior = fitted(train, br.nets.mlp(2, 1, hidden=4).to(getattr(torch, of_net)), guide=guide, epochs=2)
    assert posterior.parameters()["noise.scale"].dtype == getattr(torch, of_net)


def test_several_outputs_each_have_their_unit():
    unit = torch.tensor([100.0, 0.01])
    train = table(outputs=2)
    other = br.Dataset(train.x, train.y * unit)
    likelihood = br.Heteroscedastic()
    posteriors = [fitted(d, None, likelihood, outputs=4) for d in (train, other)]
    means = [p.predict(train.x).mean for p in posteriors]
    torch.testing.assert_close(means[0], means[1] / unit, rtol=0, atol=0.02)


@pytest.mark.parametrize("size", [100, 1000, 10_000])
@pytest.mark.parametrize(("shift", "scale"), [(50.0, 20.0), (0.0, 0.01)])
def test_a_learned_noise_scale_ends_at_its_optimum_at_the_defaults(size, shift, scale):
    """A linear network, whose optimum least squares gives in closed form."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(size, 1, generator=g)
    y = shift + scale * (x[:, 0] + 0.05 * torch.randn(size, generator=g))
    design = torch.cat([x, torch.ones_like(x)], 1).double()
    residual = y - (design @ torch.linalg.lstsq(design, y.double()).solution)
    optimum = residual.square().mean().sqrt().item()
    model = br.Model(nn.Linear(1, 1), br.Flat(), br.Gaussian(), size=size)
    posterior = br.fit(model, br.Dataset(x, y), device="cpu", progress=False)
    assert posterior.parameters()["noise.scale"].item() == pytest.approx(optimum, rel=0.05)
    assert posterior.convergence.converged


def test_the_noise_scale_is_the_residuals_root_mean_square_exactly():
    class Odd(nn.Module):  # its last layer is not the end of it
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 1)

        def forward(self, x):
            return self.layer(x) * 2

    train = table(shift=5.0)
    for net in (None, Odd()):
        posterior = fitted(train, net, epochs=2)
        residual = train.y - posterior.predict(train.x).mean
        sigma = posterior.parameters()["noise.scale"].item()
        assert sigma == pytest.approx(residual.square().mean().sqrt().item(), rel=1e-5)


def test_the_last_layer_alone_starts_elsewhere_and_only_where_the_scale_is_learned():
    train = table(shift=50.0, scale=20.0)
    y = train.y
    for likelihood, moved in [(br.Gaussian(), True), (br.Gaussian(scale=1.0), False)]:
        model = br.Model(br.nets.mlp(2, 1, hidden=4), br.Flat(), likelihood, size=len(train))
        own = {name: p.clone() for name, p in model.net.named_parameters()}
        rates = start_in_unit_of(model, train, lr=1e-3, steps=1000)
        now = dict(model.net.named_parameters())
        changed = {name for name in own if not torch.equal(own[name], now[name])}
        if not moved:
            assert changed == set(rates) == set(model.start) == set()
            continue
        weight, bias = list(own)[-2:]
        assert changed == {weight, bias}
        sd = y.std(correction=0)
        torch.testing.assert_close(now[weight], own[weight] * sd)
        torch.testing.assert_close(now[bias], own[bias] * sd + y.mean())
        assert rates[weight].item() == pytest.approx(sd.item())
        residual = (y - model.net(train.x).squeeze(1)).square().mean().sqrt()
        assert model.start["noise.scale"].item() == pytest.approx(residual.item(), rel=1e-5)


def test_labels_have_no_unit():
    g = torch.Generator().manual_seed(0)
    train = br.Dataset(torch.randn(20, 2, generator=g), torch.randint(0, 3, (20,), generator=g))
    model = br.Model(br.nets.mlp(2, 3, hidden=4), br.Flat(), br.Categorical(), size=20)
    own = {name: p.clone() for name, p in model.net.named_parameters()}
    assert start_in_unit_of(model, train, 1e-3, 100) == {}
    assert all(torch.equal(own[name], p) for name, p in model.net.named_parameters())


def test_a_constant_target_is_no_division_by_zero():
    train = br.Dataset(torch.randn(20, 2), torch.full((20,), 7.0))
    posterior = fitted(train, nn.Linear(2, 1))
    assert posterior.predict(train.x).mean.isfinite().all()
