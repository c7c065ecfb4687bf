"""The log joint of a small network, written out in numpy and scipy alone, for the tests to compare with.

One hidden layer: Ω(x) = V tanh(W x + b) + c, whose second derivatives are Σ_j V_cj tanh″(z_j) W_jk².
"""

import numpy as np
import torch
from scipy import integrate, stats
from scipy.special import expit, log_softmax, xlogy
from torch import nn

import bayesreg as br

INPUTS, HIDDEN = 3, 4


def network(outputs, dtype=torch.float64, seed=0):
    """The network; its parameters are "0.weight" W, "0.bias" b, "2.weight" V, "2.bias" c."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, outputs))
    return net.to(dtype)


class Case:
    """A likelihood, the outputs it takes, data that fit it, and its densities by hand."""

    def __init__(self, likelihood, outputs, targets, log_density, entropy):
        self.likelihood, self.outputs, self.targets = likelihood, outputs, targets
        self.log_density, self.entropy = log_density, entropy

    def data(self, size, dtype=torch.float64, seed=1):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(size, INPUTS)), self.targets(rng, size)
        return torch.tensor(x, dtype=dtype), torch.tensor(y, dtype=dtype if y.dtype == float else torch.int64)


def _bernoulli_entropy(f):
    p = expit(f)
    return -(xlogy(p, p) + xlogy(1 - p, 1 - p)).sum(1)


def _gaussian(scale, outputs):
    """`scale` None: the learned one, given as `noise`."""
    sigma = lambda noise: noise if scale is None else scale  # noqa: E731
    return Case(
        br.Gaussian(scale=scale),
        outputs,
        lambda rng, n: rng.normal(size=(n, outputs)) if outputs > 1 else rng.normal(size=n),
        lambda f, y, noise: stats.norm.logpdf(y.reshape(f.shape), f, sigma(noise)).sum(1),
        lambda f, noise: np.full(len(f), outputs * 0.5 * np.log(2 * np.pi * np.e * sigma(noise) ** 2)),
    )


LIKELIHOODS = {
    "categorical": Case(
        br.Categorical(),
        4,
        lambda rng, n: rng.integers(0, 4, size=n),
        lambda f, y, noise: log_softmax(f, axis=1)[np.arange(len(y)), y],
        lambda f, noise: -(np.exp(log_softmax(f, axis=1)) * log_softmax(f, axis=1)).sum(1),
    ),
    "bernoulli": Case(
        br.Bernoulli(),
        1,
        lambda rng, n: rng.integers(0, 2, size=n),
        lambda f, y, noise: np.where(y == 1, np.log(expit(f[:, 0])), np.log(expit(-f[:, 0]))),
        lambda f, noise: _bernoulli_entropy(f),
    ),
    "bernoulli3": Case(
        br.Bernoulli(),
        3,
        lambda rng, n: rng.integers(0, 2, size=(n, 3)),
        lambda f, y, noise: stats.bernoulli.logpmf(y, expit(f)).sum(1),
        lambda f, noise: _bernoulli_entropy(f),
    ),
    "gaussian_fixed": _gaussian(0.7, 1),
    "gaussian_learned": _gaussian(None, 1),
    "gaussian_fixed2": _gaussian(0.7, 2),
    "gaussian_learned2": _gaussian(None, 2),
    "heteroscedastic": Case(
        br.Heteroscedastic(),
        2,
        lambda rng, n: rng.normal(size=n),
        lambda f, y, noise: stats.norm.logpdf(y, f[:, 0], np.exp(f[:, 1])),
        lambda f, noise: stats.norm.entropy(scale=np.exp(f[:, 1])),
    ),
    "heteroscedastic2": Case(
        br.Heteroscedastic(),
        4,
        lambda rng, n: rng.normal(size=(n, 2)),
        lambda f, y, noise: stats.norm.logpdf(y, f[:, :2], np.exp(f[:, 2:])).sum(1),
        lambda f, noise: stats.norm.entropy(scale=np.exp(f[:, 2:])).sum(1),
    ),
}


def forward(theta, x):
    """Ω(x) [n, outputs], and d(x) = Σ_c Σ_k (∂²Ω_c/∂x_k²)² [n]."""
    t = np.tanh(x @ theta["0.weight"].T + theta["0.bias"])
    second = np.einsum("cj,nj,jk->nck", theta["2.weight"], -2 * t * (1 - t**2), theta["0.weight"] ** 2)
    return t @ theta["2.weight"].T + theta["2.bias"], (second**2).sum((1, 2))


def log_ard(theta, on, a, b, temper=1.0):
    return temper * sum(
        stats.gamma.logpdf(theta[f"precision.{k}"], a, scale=1 / b).sum()
        + stats.norm.logpdf(theta[k], 0, theta[f"precision.{k}"] ** -0.5).sum()
        for k in on
    )


def log_elastic_net(theta, rate, precision):
    """−r|θ| − q θ²/2 − log Z, with Z by quadrature."""
    Z = 2 * integrate.quad(lambda t: np.exp(-rate * t - precision * t**2 / 2), 0, np.inf, epsabs=0, epsrel=1e-13)[0]
    return -rate * np.abs(theta) - precision * theta**2 / 2 - np.log(Z)


WEIGHTS = ("0.weight", "2.weight")
EVERY = ("0.weight", "0.bias", "2.weight", "2.bias")

# name: (the prior, its log density by hand given θ, mean entropy H, mean curvature d and N)
PRIORS = {
    "none": (br.Flat(), lambda t, H, d, N: 0.0),
    "l1": (br.L1(scale=0.3), lambda t, H, d, N: sum(stats.laplace.logpdf(t[k], 0, 0.3).sum() for k in WEIGHTS)),
    "l2": (br.L2(scale=0.4), lambda t, H, d, N: sum(stats.norm.logpdf(t[k], 0, 0.4).sum() for k in WEIGHTS)),
    "elastic_net": (
        br.ElasticNet(rate=2.0, l1_ratio=0.3),
        lambda t, H, d, N: sum(log_elastic_net(t[k], 0.6, 1.4).sum() for k in WEIGHTS),
    ),
    "l2_all": (
        br.L2(scale=0.4, on="all"),
        lambda t, H, d, N: sum(stats.norm.logpdf(t[k], 0, 0.4).sum() for k in EVERY),
    ),
    "ard": (br.ARD(), lambda t, H, d, N: log_ard(t, WEIGHTS, 1.0, 1.0)),
    "ard_ab": (br.ARD(a=2.5, b=0.5), lambda t, H, d, N: log_ard(t, WEIGHTS, 2.5, 0.5)),
    "ard_tempered": (br.ARD(a=2.0, temper=0.3), lambda t, H, d, N: log_ard(t, WEIGHTS, 2.0, 1.0, 0.3)),
    "entropic": (br.Entropic(strength=0.2), lambda t, H, d, N: N * 0.2 * H),
    "smoothness": (br.Smoothness(strength=0.05), lambda t, H, d, N: -N * 0.05 * 0.5 * d),
    "l2+entropic": (
        br.L2(scale=0.4) + br.Entropic(strength=0.2),
        lambda t, H, d, N: sum(stats.norm.logpdf(t[k], 0, 0.4).sum() for k in WEIGHTS) + N * 0.2 * H,
    ),
    "entropic+smoothness+ard": (
        br.Entropic(strength=0.2) + br.Smoothness(strength=0.05) + br.ARD(on="0.*"),
        lambda t, H, d, N: N * 0.2 * H - N * 0.05 * 0.5 * d + log_ard(t, EVERY[:2], 1.0, 1.0),
    ),
    "two_weight_priors": (
        br.L2(scale=0.4, on="0.*") + br.L1(scale=0.3, on="2.weight"),
        lambda t, H, d, N: (
            sum(stats.norm.logpdf(t[k], 0, 0.4).sum() for k in EVERY[:2])
            + stats.laplace.logpdf(t["2.weight"], 0, 0.3).sum()
        ),
    ),
    "two_ards": (
        br.ARD(a=1.5, on="0.weight") + br.ARD(b=0.2, on="2.weight"),
        lambda t, H, d, N: log_ard(t, ["0.weight"], 1.5, 1.0) + log_ard(t, ["2.weight"], 1.0, 0.2),
    ),
}


def parameters(model, seed=2):
    """A value for every name of the model, positive where it must be, drawn from a generator of its own."""
    rng = np.random.default_rng(seed)
    named = {}
    for name, value in sorted(model.unpack(model.initial()).items()):
        positive = name.startswith("precision.") or name == "noise.scale"
        drawn = rng.gamma(3.0, 0.4, size=tuple(value.shape)) if positive else rng.normal(size=tuple(value.shape))
        named[name] = torch.as_tensor(drawn, dtype=value.dtype)
    return named


def log_joint(case, prior, theta, x, y, size):
    """log p(y, θ | x) by hand, from tensors; the batch x, y stands for `size` data."""
    theta, x, y = {k: v.double().numpy() for k, v in theta.items()}, x.double().numpy(), y.numpy()
    noise = theta.get("noise.scale")
    f, d = forward(theta, x)
    likelihood = size / len(x) * case.log_density(f, y, noise).sum()
    return likelihood + PRIORS[prior][1](theta, case.entropy(f, noise).mean(), d.mean(), size)
