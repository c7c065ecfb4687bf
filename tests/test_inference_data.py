"""What ArviZ is handed, and what it makes of it: against the posterior's own draws and closed forms."""

import warnings

import byhand
import numpy as np
import pytest
import torch
from torch import nn

import bayesreg as br
from bayesreg import inference_data

with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)  # 0.23 announces 1.0
    import arviz

N, DRAWS = 12, 5
QUIET = {"device": "cpu", "progress": False}


def fit(likelihood, guide="normal", seed=0):
    case = byhand.LIKELIHOODS[likelihood]
    model = br.Model(byhand.network(case.outputs), br.L2(), case.likelihood, size=N)
    return br.fit(model, case.data(N), guide=guide, epochs=1, seed=seed, **QUIET), br.Dataset(*case.data(N))


# --- The groups ---


@pytest.mark.parametrize("likelihood", byhand.LIKELIHOODS)
def test_the_groups_are_those_of_the_draws(likelihood):
    """log p(y_i | x_i, θ_s) by hand, and a y that it could have given."""
    posteriors, data = [fit(likelihood, seed=seed)[0] for seed in range(2)], fit(likelihood)[1]
    made = br.to_arviz(posteriors, draws=DRAWS, data=data)
    assert {"posterior", "posterior_predictive", "log_likelihood", "observed_data"} == {
        name.strip("/") for name in getattr(made, "children", None) or made.groups()
    }
    observed, logs = made["observed_data"]["y"], made["log_likelihood"]["y"]
    np.testing.assert_array_equal(observed.values, data.y)
    assert logs.dims == ("chain", "draw", "example")
    assert made["posterior_predictive"]["y"].shape == (2, DRAWS, *data.y.shape)
    for chain, one in enumerate(posteriors):
        thetas = {name: value.double().numpy() for name, value in one.draws(DRAWS, seed=chain).items()}
        for s in range(DRAWS):
            theta = {name: value[s] for name, value in thetas.items()}
            f = byhand.forward(theta, data.x.numpy())[0]
            by_hand = byhand.LIKELIHOODS[likelihood].log_density(f, data.y.numpy(), theta.get("noise.scale"))
            np.testing.assert_allclose(logs.values[chain, s], by_hand, rtol=1e-8)


def test_what_is_predicted_has_the_mean_of_the_predictive():
    posterior, data = fit("gaussian_learned2")
    drawn = posterior.to_arviz(draws=1000, data=data)["posterior_predictive"]["y"].values[0]
    expected = posterior.predict(data.x, draws=400)
    deviation = expected.variance.sqrt().numpy()
    np.testing.assert_array_less(np.abs(drawn.mean(0) - expected.mean.numpy()), 0.2 * deviation)
    np.testing.assert_allclose(drawn.std(0), deviation, rtol=0.15)


def test_a_column_of_y_is_observed_as_it_is_predicted():
    posterior, data = fit("gaussian_fixed")
    made = posterior.to_arviz(draws=3, data=(data.x, data.y[:, None]))
    assert made["observed_data"]["y"].shape == (N,)
    assert made["log_likelihood"]["y"].shape == (1, 3, N)


def test_data_that_do_not_fit_are_refused():
    posterior, data = fit("categorical")
    with pytest.raises(ValueError, match="not one of the classes"):
        posterior.to_arviz(data=(data.x, data.y + 3))


def test_parts_are_those_of_the_whole(monkeypatch):
    posterior, data = fit("categorical")
    whole = posterior.to_arviz(draws=3, data=data)["log_likelihood"]["y"].values
    monkeypatch.setattr("bayesreg.posterior.JUDGED", 2 * 3 * 3)
    np.testing.assert_allclose(posterior.to_arviz(draws=3, data=data)["log_likelihood"]["y"].values, whole)


def test_r_hat_of_independent_draws_is_explained_where_it_is_shown():
    made = fit("categorical")[0].to_arviz(draws=3)
    assert "neither is evidence" in made["posterior"].attrs["draws"]


# --- The dimensions ---


class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)
        self.lstm, self.head = nn.LSTM(3, 2), nn.Linear(2, 5)
        self.gain = nn.Parameter(torch.ones(1))


def test_dimensions_are_named_by_layer_and_axis():
    model = br.Model(Mixed(), br.ARD(on="head.*"), br.Gaussian(), size=3)
    assert inference_data.dims(model) == {
        "head.weight": ["head.unit", "head.input"],
        "head.bias": ["head.unit"],
        "precision.head.weight": ["head.unit", "head.input"],
        "precision.head.bias": ["head.unit"],
        "gain": ["unit"],
        "conv.weight": ["conv.unit", "conv.input", "conv.row", "conv.column"],
        "conv.bias": ["conv.unit"],
        "norm.weight": ["norm.unit"],
        "norm.bias": ["norm.unit"],
        "lstm.weight_ih_l0": ["lstm.unit", "lstm.input"],
        "lstm.weight_hh_l0": ["lstm.unit", "lstm.weight_hh_l0.input"],
        "lstm.bias_ih_l0": ["lstm.unit"],
        "lstm.bias_hh_l0": ["lstm.unit"],
        "noise.scale": [],
    }


def test_the_dimensions_reach_arviz_and_its_files(tmp_path):
    model = br.Model(br.nets.mlp(2, 3, hidden=[4]), br.ARD(), br.Categorical(), size=N)
    data = br.Dataset(torch.randn(N, 2), torch.arange(N) % 3)
    made = br.fit(model, data, epochs=1, **QUIET).to_arviz(data=data)
    made.to_netcdf(tmp_path / "made.nc")
    for one in (made, arviz.from_netcdf(tmp_path / "made.nc")):
        for name, named in inference_data.dims(model).items():
            assert one["posterior"][name].dims == ("chain", "draw", *named)
