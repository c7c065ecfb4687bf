"""The parts of uncertainty against Monte Carlo and closed forms, and what tells inputs of another kind apart."""

import byhand
import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import bayesreg as br
from bayesreg import posterior as module

N, DRAWS = 9, 6
QUIET = {"epochs": 1, "device": "cpu", "progress": False}


def fit(likelihood, guide="normal", net=None, scale=0.5):
    """Its draws lie apart, as if there were few data."""
    case = byhand.LIKELIHOODS[likelihood]
    model = br.Model(net or byhand.network(case.outputs), br.L2(), case.likelihood, size=N)
    posterior = br.fit(model, case.data(N), guide=guide, **QUIET)
    with torch.no_grad():
        for name, parameter in posterior.guide.named_parameters():
            if name.startswith("scales.") and "noise" not in name:
                parameter.fill_(np.log(scale))
    return posterior, case.data(N)[0]


def by_draw(posterior, x):
    """A distribution of y a draw, each of batch shape [N]."""
    thetas = posterior.draws(DRAWS)
    each = [{name: value[s] for name, value in thetas.items()} for s in range(DRAWS)]
    model = posterior.model
    return [model.likelihood(model.outputs(theta, x), theta) for theta in each]


# --- What it is ---


@pytest.mark.parametrize("likelihood", byhand.LIKELIHOODS)
def test_the_parts_add_up_and_are_those_of_the_draws(likelihood):
    posterior, x = fit(likelihood)
    found = posterior.uncertainty(x, draws=DRAWS)
    torch.testing.assert_close(found.total, found.aleatoric + found.epistemic, rtol=0, atol=0)
    predictive = posterior.predict(x, draws=DRAWS)
    torch.testing.assert_close(found.mean, posterior.model.likelihood.point(predictive))
    each = by_draw(posterior, x)
    if likelihood in ("categorical", "bernoulli", "bernoulli3"):
        p = torch.stack([one.probs if likelihood == "categorical" else one.mean for one in each]).detach().numpy()
        if likelihood != "categorical":
            p = np.stack([p, 1 - p], -1)
        total, aleatoric = stats.entropy(p.mean(0), axis=-1), stats.entropy(p, axis=-1).mean(0)
    else:
        means = torch.stack([one.mean for one in each]).detach().numpy()
        aleatoric = torch.stack([one.variance for one in each]).detach().numpy().mean(0)
        total = aleatoric + means.var(0)
    np.testing.assert_allclose(found.total, total, rtol=1e-10)
    np.testing.assert_allclose(found.aleatoric, aleatoric, rtol=1e-10)
    assert (found.epistemic > 1e-4).all()


@pytest.mark.parametrize("likelihood", ["gaussian_learned2", "heteroscedastic"])
def test_the_total_is_the_variance_of_what_is_predicted(likelihood):
    """20,000 values of y: the sd of their variance is 1 % of it, or some more where tails are heavy."""
    posterior, x = fit(likelihood, scale=0.1)
    torch.manual_seed(0)
    drawn = posterior.predict(x, draws=DRAWS).sample((20_000,))
    found = posterior.uncertainty(x, draws=DRAWS)
    torch.testing.assert_close(drawn.var(0), found.total, rtol=0.1, atol=0)
    torch.testing.assert_close(drawn.mean(0), found.mean, rtol=0, atol=5 * float(found.total.max() / 20_000) ** 0.5)


def test_in_linear_regression_the_epistemic_variance_is_that_of_a_row():
    """Var(θᵀx) = xᵀSx, with S the covariance of q, and the aleatoric variance is that of the noise."""
    torch.manual_seed(0)
    x = torch.randn(7, 3, dtype=torch.float64)
    model = br.Model(nn.Linear(3, 1, bias=False).double(), br.L2(), br.Gaussian(scale=0.3), size=7)
    posterior = br.fit(model, br.Dataset(x, x.sum(1)), guide="normal", **QUIET)
    S = torch.diag(torch.tensor([0.2, 0.5, 1.0], dtype=torch.float64) ** 2)
    with torch.no_grad():
        dict(posterior.guide.named_parameters())["scales.weights_unconstrained"].copy_(S.diagonal().log() / 2)
    found = posterior.uncertainty(x, draws=3_000)
    torch.testing.assert_close(found.epistemic, (x @ S @ x.T).diagonal(), rtol=0.12, atol=0)  # sd 2.6 %
    torch.testing.assert_close(found.aleatoric, torch.full_like(found.aleatoric, 0.09))


@pytest.mark.parametrize("likelihood", ["categorical", "bernoulli", "gaussian_learned", "heteroscedastic2"])
def test_a_point_agrees_with_itself_to_the_last_digit(likelihood):
    posterior, _ = fit(likelihood, "delta")
    found = posterior.uncertainty(torch.randn(500, 3, generator=torch.Generator().manual_seed(0)))
    assert not found.epistemic.any()
    torch.testing.assert_close(found.total, found.aleatoric, rtol=0, atol=0)


def test_a_point_of_a_network_that_draws_itself_does_not():
    net = br.Method.parse("mc_dropout:0.5").network(byhand.network(4))
    posterior, x = fit("categorical", "delta", net)
    found, again = posterior.uncertainty(x), posterior.uncertainty(x)
    assert (found.epistemic > 1e-6).any()
    torch.testing.assert_close(found.total, again.total, rtol=0, atol=0)


def test_a_class_without_probability_has_no_entropy_and_no_nan():
    found = br.Uncertainty.of(br.Categorical(), torch.tensor([[[1e4, 0.0, 0.0]], [[1e4, 0.0, 0.0]]]), {})
    assert found.total.item() == found.epistemic.item() == 0.0


# --- Of which inputs ---


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 4)

    def forward(self, a, b):
        return self.linear(a) * b


def test_several_inputs_in_parts_are_those_of_the_whole(monkeypatch):
    torch.manual_seed(0)
    x = torch.randn(N, 3), torch.rand(N, 1)
    model = br.Model(Two(), br.L2(), br.Categorical(), size=N)
    posterior = br.fit(model, br.Dataset(x, torch.arange(N) % 4), guide="normal", **QUIET)
    whole = posterior.uncertainty(x, draws=3)
    monkeypatch.setattr(module, "JUDGED", 2 * 4 * 3)
    for one, other in zip(posterior.uncertainty(x, draws=3), whole, strict=True):
        torch.testing.assert_close(one, other)


def test_outputs_that_overflow_are_refused():
    posterior, x = fit("categorical", "delta")
    posterior.guide.get_parameter("flat_unconstrained").data.fill_(torch.inf)
    with pytest.raises(FloatingPointError, match="NaN or infinite"):
        posterior.uncertainty(x)


# --- Other inputs than those of training ---


class Itself(nn.Module):
    """f = s · (x, 0): the further x is from 0, the surer."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return torch.cat([x, torch.zeros_like(x)], 1) * self.gain


def itself(likelihood, guide):
    model = br.Model(Itself(), br.L2(on="all"), likelihood, size=4)
    y = torch.zeros(4, 2) if isinstance(likelihood, br.Gaussian) else torch.zeros(4, dtype=torch.int64)
    return br.fit(model, br.Dataset(torch.zeros(4, 1), y), guide=guide, **QUIET)


def test_auroc_is_the_share_of_pairs_that_are_in_order():
    """Of 3 × 2 pairs 4 have the outer nearer to 0, and so the less sure; one is a tie."""
    inside, outside = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[0.5], [2.0]])
    found = br.ood(itself(br.Categorical(), "delta"), inside, outside)
    assert found == pytest.approx({"epistemic": 0.5, "total": 4.5 / 6, "max_probability": 4.5 / 6})


def test_auroc_of_numbers_is_that_of_the_variance_over_the_draws():
    inside, outside = torch.tensor([[0.1], [0.2], [3.0]]), torch.tensor([[-1.0], [5.0]])
    found = br.ood(itself(br.Gaussian(scale=1.0), "normal"), inside, outside)
    assert found == pytest.approx({"epistemic": 5 / 6, "total": 5 / 6})
