"""NUTS against closed forms, its potential against the densities by hand, and what it refuses."""

import warnings

import byhand
import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import bayesreg as br
from bayesreg.potential import Potential
from bayesreg.proper import check_proper

with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)  # 0.23 announces 1.0
    import arviz

N, NOISE, SCALE = 40, 0.5, 0.8
QUIET = {"progress": False}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 3)) @ [[1.0, 0.8, 0.0], [0.0, 0.6, 0.3], [0.0, 0.0, 1.0]]
    return br.Dataset(x, x @ [1.0, -0.5, 0.3] + 0.4 + NOISE * rng.normal(size=N))


def model(likelihood=None, prior=None, net=None, size=N):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = net or nn.Linear(3, 1)
    return br.Model(net, prior or br.L2(scale=SCALE), likelihood or br.Gaussian(scale=NOISE), size=size)


@pytest.fixture(scope="module")
def posterior(data):
    return br.nuts(model(), data, draws=300, warmup=100, chains=2, **QUIET)


def closed_form(data):
    X = np.column_stack([data.x.numpy(), np.ones(N)])
    precision = X.T @ X / NOISE**2 + np.diag([SCALE**-2] * 3 + [0.0])
    return np.linalg.solve(precision, X.T @ data.y.numpy()) / NOISE**2, np.linalg.inv(precision)


# --- It is the posterior ---


def test_linear_regression_has_its_moments(posterior, data):
    """Means within 5 Monte Carlo errors by effective sample sizes, sds within 15 %."""
    mean, covariance = closed_form(data)
    made = posterior.to_arviz()
    theta = np.concatenate([made["posterior"]["weight"].values[:, :, 0], made["posterior"]["bias"].values], -1)
    assert theta.shape == (2, 300, 4)
    sizes = np.concatenate([arviz.ess(made)["weight"].values[0], arviz.ess(made)["bias"].values])
    assert sizes.min() > 100
    deviation = np.diagonal(covariance) ** 0.5
    error = deviation / np.minimum(sizes, 600) ** 0.5
    np.testing.assert_array_less(np.abs(theta.mean((0, 1)) - mean), 5 * error)
    np.testing.assert_allclose(theta.std((0, 1)), deviation, rtol=0.15)


def test_a_learned_noise_scale_has_its_moments(data):
    """With flat densities on θ and on σ > 0, 1/σ² ~ Gamma((N − p − 1)/2, RSS/2): without the Jacobian it is another."""
    X, y = np.column_stack([data.x.numpy(), np.ones(N)]), data.y.numpy()
    squares = np.linalg.lstsq(X, y, rcond=None)[1][0]
    shape = (N - 4 - 1) / 2
    found = br.nuts(model(br.Gaussian(), br.Flat()), data, draws=300, warmup=100, chains=1, **QUIET)
    draws = found.to_arviz()["posterior"]["noise.scale"].values[0] ** -2.0
    assert draws.mean() == pytest.approx(shape / (squares / 2), rel=5 / (shape * 100) ** 0.5)
    assert draws.std() == pytest.approx(shape**0.5 / (squares / 2), rel=0.3)


@pytest.mark.parametrize("prior", ["l2_all", "ard", "two_weight_priors", "entropic+smoothness+ard"])
@pytest.mark.parametrize("likelihood", ["categorical", "gaussian_learned", "heteroscedastic2"])
def test_the_potential_is_the_density_by_hand(prior, likelihood):
    """U = −log p(y, θ | x) − Σ log of what is positive, and its gradient by differences."""
    case = byhand.LIKELIHOODS[likelihood]
    x, y = case.data(8)
    built = br.Model(byhand.network(case.outputs), byhand.PRIORS[prior][0], case.likelihood, size=8)
    potential = Potential(built, br.Dataset(x, y))
    u = potential.start + 0.1 * torch.randn(len(potential.start), generator=torch.Generator().manual_seed(0))
    theta = built.unpack(potential.sites(u))
    positive = [v for k, v in theta.items() if k.startswith("precision.") or k == "noise.scale"]
    expected = -byhand.log_joint(case, prior, theta, x, y, 8) - sum(float(v.log().sum()) for v in positive)
    energy, gradient = potential(u)
    assert float(energy) == pytest.approx(expected, rel=1e-9)
    ray = torch.randn(len(u), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    slope = (potential(u + 1e-5 * ray)[0] - potential(u - 1e-5 * ray)[0]) / 2e-5
    assert float(gradient @ ray) == pytest.approx(float(slope), rel=1e-6, abs=1e-6)


def test_simulation_based_calibration():
    """Of θ from the prior and y given θ, the rank of θ among draws of the posterior is uniform (Talts et al., 2018)."""
    rng, ranks = np.random.default_rng(0), []
    built = br.Model(nn.Linear(1, 1, bias=False), br.L2(scale=1.0), br.Gaussian(scale=NOISE), size=3)
    for seed in range(40):
        x, theta = rng.normal(size=(3, 1)), rng.normal()
        y = x[:, 0] * theta + NOISE * rng.normal(size=3)
        drawn = br.nuts(built, (x, y), draws=31, warmup=15, chains=1, seed=seed, **QUIET).guide.chains["weights"]
        ranks.append(int((drawn < theta).sum()))
    counts = np.histogram(ranks, 4, (0, 32))[0]
    assert stats.chisquare(counts).pvalue > 0.01, counts


# --- It is a posterior ---


def test_it_predicts_by_the_closed_form(posterior, data):
    mean, covariance = closed_form(data)
    X = np.column_stack([data.x.numpy(), np.ones(N)])
    found = posterior.uncertainty(data.x, draws=400)
    variance = np.einsum("ij,jk,ik->i", X, covariance, X)
    np.testing.assert_allclose(found.mean, X @ mean, atol=0.1)
    np.testing.assert_allclose(found.epistemic, variance, rtol=0.35)
    assert posterior.evaluate(data)["nll"] == pytest.approx(0.7, abs=0.2)


def test_it_is_saved_and_loaded(posterior, data, tmp_path):
    again = br.Posterior.load(posterior.save(tmp_path / "posterior.pt"), nn.Linear(3, 1))
    for name, values in posterior.draws(7, seed=3).items():
        assert values.shape[0] == 7
        torch.testing.assert_close(again.draws(7, seed=3)[name], values, rtol=0, atol=0)
    assert again.evaluate(data) == posterior.evaluate(data)
    assert again.to_arviz()["sample_stats"]["lp"].equals(posterior.to_arviz()["sample_stats"]["lp"])


def test_arviz_has_its_chains(posterior, data):
    made = posterior.to_arviz(draws=100, data=data)
    assert dict(made["posterior"].sizes) == {"chain": 2, "draw": 100, "unit": 1, "input": 3}
    assert "Markov" in made["posterior"].attrs["draws"]
    assert made["log_likelihood"]["y"].shape == (2, 100, N)
    assert float(arviz.rhat(posterior.to_arviz()["sample_stats"]["lp"].to_dataset())["lp"]) < 1.05
    assert "the draws are of a guide" not in str(br.loo(posterior, data))


def test_seeds_and_chains_differ_and_repeat_and_nothing_else_moves(data):
    built, before = model(), torch.get_rng_state()
    state = {name: value.clone() for name, value in built.state_dict().items()}
    first, again, other = (
        br.nuts(built, data, draws=4, warmup=5, chains=2, seed=seed, **QUIET).guide.chains["weights"]
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first[0], first[1])
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(value, state[name]) for name, value in built.state_dict().items())


def test_images_in_bytes_and_batch_norm_in_eval_mode():
    net = nn.Sequential(nn.Conv2d(1, 1, 2), nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(4, 2))
    x = torch.randint(0, 256, (6, 1, 3, 3), dtype=torch.uint8)
    built = model(br.Categorical(), br.L2(on="all"), net, size=6)
    found = br.nuts(built, (x, torch.arange(6) % 2), draws=3, warmup=3, chains=1, **QUIET)
    assert found.predict(x).probs.isfinite().all()
    assert torch.equal(found.model.net[1].running_mean, torch.zeros(1))


def test_chains_that_have_not_mixed_say_so(data, caplog):
    br.nuts(model(), data, draws=4, warmup=1, chains=2, **QUIET)
    assert "r̂ of the log density is" in caplog.text


# --- What is refused ---


def hidden(activation):
    return nn.Sequential(nn.Linear(3, 2), activation, nn.Linear(2, 1))


def refused(**changes):
    options = {"draws": 2, "warmup": 2, "chains": 1, **QUIET}
    arguments = {"model": model(), "data": None} | changes
    return arguments.pop("model"), arguments.pop("data"), options | arguments


BAD = {
    "draws": (refused(draws=0), r"nuts\(draws=0\): draws must be a whole number of at least 1"),
    "warmup": (refused(warmup=1.5), r"nuts\(warmup=1.5\): warmup must be a whole number"),
    "chains": (refused(chains=0), r"nuts\(chains=0\)"),
    "seed": (refused(seed=-1), r"nuts\(seed=-1\)"),
    "model": (refused(model=nn.Linear(3, 1)), r"nuts\(model=Linear\) is no br.Model"),
    "size": (refused(model=model(size=7)), r"Model\(size=7\) is not the number of data, 40"),
    "large": (
        refused(model=model(net=br.nets.mlp(3, 1, hidden=[300, 340]))),
        r"103,881 unknowns would take about [\d.,]+ h: .* ms a gradient, some 127 of them a draw, 4 draws",
    ),
    "random": (
        refused(model=model(net=br.Method.parse("mc_dropout:0.2").network(hidden(nn.Tanh())))),
        "draws itself in prediction",
    ),
    "kind": (refused(model=model(br.Categorical(), net=nn.Linear(3, 2))), "integer class numbers"),
    "a unit that dies": (
        refused(model=model(net=hidden(nn.SiLU()))),
        r"improper: 0.bias has a flat prior.* on=\"all\"",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_drawn_is_refused_before_it_starts(case, data):
    (built, _, options), said = BAD[case]
    with pytest.raises(ValueError, match=said):
        br.nuts(built, data, **options)


def classes(y, prior):
    x = torch.tensor([[-2.0, 1.0], [-1.0, -1.0], [1.0, 1.0], [2.0, -1.0]])
    built = model(br.Categorical(), prior, nn.Linear(2, 2), size=4)
    return Potential(built, br.Dataset(x, torch.tensor(y)))


@pytest.mark.parametrize(
    ("y", "prior", "named"),
    [
        ([0, 0, 1, 1], br.L2(), "bias"),  # softmax does not see a shift of all
        ([0, 1, 0, 1], br.Flat(), "weight"),
        ([0, 0, 1, 1], br.L2(on="bias"), "weight"),  # parted
    ],
)
def test_classes_with_a_flat_prior_are_improper(y, prior, named):
    with pytest.raises(ValueError, match=f"improper: {named} has a flat prior"):
        check_proper(classes(y, prior))
    check_proper(classes(y, br.L2(on="all")))


def test_parted_classes_are_found_off_the_axes():
    """One output, so that nothing is invariant; parted by x_1 + x_2 alone."""
    x = torch.tensor([[1.0, -0.5], [-0.5, 1.0], [-1.0, 0.5], [0.5, -1.0]])
    built = model(br.Bernoulli(), br.Flat(), nn.Linear(2, 1, bias=False), size=4)
    with pytest.raises(ValueError, match="improper: all of weight"):
        check_proper(Potential(built, br.Dataset(x, torch.tensor([1, 1, 0, 0]))))
    check_proper(Potential(built, br.Dataset(x, torch.tensor([1, 0, 1, 0]))))
