"""MAP of a linear network against what scikit-learn computes of the same data, and ARD against SciPy.

Full batches in float64, so that only the optimiser's last steps differ. σ is the noise scale, s the prior's.
"""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.linear_model import ARDRegression, Lasso, LinearRegression, LogisticRegression, Ridge
from torch import nn

import bayesreg as br

N, D, NOISE = 60, 5, 0.5


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, D)) * [1.0, 2.0, 0.5, 1.0, 1.0]
    y = x @ [1.5, -1.0, 0.8, 0.05, 0.0] + 0.7 + NOISE * rng.normal(size=N)
    return x, y


def fitted(x, y, prior, likelihood, outputs=1, epochs=1200, lr=0.1):
    """θ by name at the MAP estimate."""
    torch.manual_seed(1)
    net = nn.Linear(x.shape[1], outputs).double()
    model = br.Model(net, prior, likelihood, size=len(x))
    train = br.Dataset(torch.tensor(x), torch.tensor(y))
    posterior = br.fit(model, train, epochs=epochs, batch_size=len(x), lr=lr, device="cpu", progress=False)
    return {name: value.numpy() for name, value in posterior.parameters().items()}


def same_line(theta, peer, tolerance):
    np.testing.assert_allclose(theta["weight"].ravel(), peer.coef_, atol=tolerance)
    np.testing.assert_allclose(theta["bias"], peer.intercept_, atol=tolerance)


@pytest.mark.parametrize("scale", [0.1, 1.0])
def test_l2_is_ridge(data, scale):
    peer = Ridge(alpha=NOISE**2 / scale**2).fit(*data)
    assert np.abs(peer.coef_ - LinearRegression().fit(*data).coef_).max() > 1e-3  # the prior does something
    same_line(fitted(*data, br.L2(scale=scale), br.Gaussian(scale=NOISE)), peer, 1e-5)


def test_l2_by_strength_is_ridge(data):
    """strength × ½‖θ‖² beside the mean NLL: α = N σ² strength."""
    peer = Ridge(alpha=N * NOISE**2 * 0.3).fit(*data)
    same_line(fitted(*data, br.L2.from_strength(0.3, N), br.Gaussian(scale=NOISE)), peer, 1e-5)


def test_l1_is_lasso(data):
    """scikit-learn minimises ‖r‖²/(2N) + α‖θ‖₁, so α = σ²/(N b). Adam steps across 0, hence the small lr."""
    scale = 0.05
    peer = Lasso(alpha=NOISE**2 / (N * scale), tol=1e-10).fit(*data)
    assert (peer.coef_ == 0).any()
    assert (peer.coef_ != 0).any()
    theta = fitted(*data, br.L1(scale=scale), br.Gaussian(scale=NOISE), epochs=2500, lr=0.02)
    same_line(theta, peer, 1e-4)


def test_no_prior_and_learned_noise_is_least_squares(data):
    """σ² = mean squared residual, the maximum-likelihood estimate."""
    x, y = data
    theta = fitted(x, y, br.Flat(), br.Gaussian(), epochs=2500)
    peer = LinearRegression().fit(x, y)
    same_line(theta, peer, 1e-5)
    residual = np.mean((y - peer.predict(x)) ** 2)
    assert theta["noise.scale"] ** 2 == pytest.approx(residual, rel=1e-5)


def test_learned_noise_under_l2_solves_both_equations(data):
    """θ is Ridge at the learned σ, and σ² the mean squared residual at that θ."""
    x, y = data
    theta = fitted(x, y, br.L2(scale=0.3), br.Gaussian(), epochs=2500)
    variance = theta["noise.scale"] ** 2
    same_line(theta, Ridge(alpha=variance / 0.3**2).fit(x, y), 1e-5)
    residual = np.mean((y - x @ theta["weight"].ravel() - theta["bias"]) ** 2)
    assert variance == pytest.approx(residual, rel=1e-5)


@pytest.mark.parametrize(("a", "b", "temper"), [(1.0, 1.0, 1.0), (2.5, 0.1, 1.0), (1.0, 1.0, 6.0)])
def test_ard_is_at_its_stationary_point(data, a, b, temper):
    """α = (a−½)/(b+½θ²), and θ the optimum of what remains: Σ r²/(2σ²) + λ (a−½) Σ log(b+½θ²)."""
    x, y = data
    prior = br.ARD(a=a, b=b, temper=temper)
    theta = fitted(x, y, prior, br.Gaussian(scale=NOISE), epochs=2500)
    weight, alpha = theta["weight"].ravel(), theta["precision.weight"].ravel()
    np.testing.assert_allclose(alpha, (a - 0.5) / (b + weight**2 / 2), rtol=1e-5)

    residual = y - x @ weight - theta["bias"]
    slope = x.T @ residual / NOISE**2 - temper * alpha * weight  # ∂ log p(y, θ, α | x)/∂θ by hand
    assert np.abs(slope).max() < 1e-4 * np.abs(x.T @ y).max() / NOISE**2

    def profile(v):
        r = y - x @ v[:-1] - v[-1]
        return (r @ r) / (2 * NOISE**2) + temper * (a - 0.5) * np.log(b + v[:-1] ** 2 / 2).sum()

    start = np.append(weight, theta["bias"]) + 0.05
    best = minimize(profile, start, method="BFGS", options={"gtol": 1e-6})
    np.testing.assert_allclose(np.append(weight, theta["bias"]), best.x, atol=1e-4)

    model = br.Model(nn.Linear(D, 1).double(), prior, br.Gaussian(scale=NOISE), size=N)
    at = {name: torch.tensor(value, requires_grad=True) for name, value in theta.items()}
    model.log_joint(at, torch.tensor(x), torch.tensor(y)).backward()
    np.testing.assert_allclose(at["weight"].grad.numpy().ravel(), slope, atol=1e-8)
    np.testing.assert_allclose(at["precision.weight"].grad.numpy(), 0, atol=1e-3 * temper)


def test_the_ard_of_the_paper_cannot_prune(data):
    """With a = b = 1 no precision exceeds ½, not even that of a weight of no use."""
    theta = fitted(*data, br.ARD(), br.Gaussian(scale=NOISE))
    assert theta["precision.weight"].max() <= 0.5 + 1e-6


@pytest.mark.parametrize("scale", [0.3, 2.0])
def test_categorical_and_l2_is_logistic_regression(data, scale):
    """scikit-learn minimises C Σ nll + ½‖θ‖², so C = s². Intercepts are known up to a common shift."""
    x, _ = data
    rng = np.random.default_rng(2)
    y = (x @ rng.normal(size=(D, 3)) + rng.gumbel(size=(N, 3))).argmax(1)
    peer = LogisticRegression(C=scale**2, tol=1e-10, max_iter=5000).fit(x, y)
    theta = fitted(x, y, br.L2(scale=scale), br.Categorical(), outputs=3, epochs=2500)
    np.testing.assert_allclose(theta["weight"], peer.coef_, atol=1e-4)
    centred = theta["bias"] - theta["bias"].mean()
    np.testing.assert_allclose(centred, peer.intercept_ - peer.intercept_.mean(), atol=1e-4)


def test_bernoulli_and_l2_is_logistic_regression_too(data):
    x, y = data
    labels = (y > 0.5).astype(np.int64)
    peer = LogisticRegression(C=0.25, tol=1e-10, max_iter=5000).fit(x, labels)
    theta = fitted(x, labels, br.L2(scale=0.5), br.Bernoulli(), epochs=2500)
    np.testing.assert_allclose(theta["weight"], peer.coef_, atol=1e-4)
    np.testing.assert_allclose(theta["bias"], peer.intercept_, atol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_sparse_ard_selects_the_relevant_inputs(seed):
    """5 of 50, by α at the normal guide's defaults: a gap of ten times, and scikit-learn's five. a = b = 1 has none."""
    rng = np.random.default_rng(seed)
    x, true = rng.normal(size=(100, 50)), rng.permutation([1.5, -1.0, 0.8, -0.6, 1.2, *[0.0] * 45])
    y = x @ true + 0.3 * rng.normal(size=100)
    alpha = {}
    for prior in ("ard:sparse", "ard") if seed == 0 else ("ard:sparse",):
        torch.manual_seed(seed)
        model = br.Model(nn.Linear(50, 1).double(), prior, br.Gaussian(), size=100)
        options = {"guide": "normal", "epochs": 500, "batch_size": 100, "seed": seed}
        posterior = br.fit(model, (x, y), **options, device="cpu", progress=False)
        alpha[prior] = posterior.parameters()["precision.weight"].ravel().numpy()
    relevant, ours = true != 0, alpha["ard:sparse"]
    assert ours[~relevant].min() > 10 * ours[relevant].max()
    peer = ARDRegression().fit(x, y)
    assert set(np.argsort(peer.lambda_)[:5]) == set(np.argsort(ours)[:5]) == set(np.flatnonzero(relevant))
    if seed == 0:
        assert alpha["ard"].max() < 2
