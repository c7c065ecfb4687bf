"""The draws as ArviZ gets them, and the plots: each number against the posterior's own draws."""

import os
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import bayesreg as br
from bayesreg import diagnostics

with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)  # 0.23 announces 1.0
    import arviz

SIZE, SEEDS = 40, 3
LEVELS = [0.05, 0.25, 0.5, 0.75, 0.95]


def net(hidden=4, activation=nn.SiLU):
    return nn.Sequential(nn.Linear(2, hidden), activation(), nn.Linear(hidden, 1))


def posterior(prior, guide="delta", seed=0, network=None, likelihood=None, size=SIZE):
    """Barely trained: enough for every seed to be another."""
    torch.manual_seed(seed)
    x = torch.randn(size, 2)
    model = br.Model(network or net(), prior, likelihood or br.Gaussian(), size=size)
    data = br.Dataset(x, x.sum(1, keepdim=True))
    return br.fit(model, data, guide=guide, epochs=2, batch_size=20, lr=0.02, seed=seed, progress=False)


@pytest.fixture(scope="module", params=["delta", "normal"])
def guide(request):
    return request.param


@pytest.fixture(scope="module")
def ard(guide):
    return [posterior(br.ARD(b=1e-3), guide, seed) for seed in range(SEEDS)]


@pytest.fixture(scope="module")
def l2(guide):
    return [posterior(br.L2(), guide, seed) for seed in range(SEEDS)]


@pytest.fixture(scope="module", params=["ard", "l2"])
def either(request, ard, l2):
    return {"ard": ard, "l2": l2}[request.param]


# --- to_arviz ---


def test_every_draw_is_there_under_its_name_with_a_chain_a_seed(ard, guide):
    data = br.to_arviz(ard, draws=7)
    own = ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert set(data.posterior.data_vars) == {
        *own,
        "precision.0.weight",
        "precision.2.weight",
        "noise.scale",
    }
    draws = 1 if guide == "delta" else 7
    for name, shape in {"0.weight": (4, 2), "precision.2.weight": (1, 4), "2.bias": (1,), "noise.scale": ()}.items():
        assert data.posterior[name].shape == (SEEDS, draws, *shape)
        assert data.posterior[name].dims[:2] == ("chain", "draw")
    for chain, one in enumerate(ard):
        for name, values in one.draws(7, seed=chain).items():
            np.testing.assert_array_equal(data.posterior[name].values[chain], values)


def test_one_posterior_is_one_chain_and_others_may_join_it(ard):
    assert ard[0].to_arviz(draws=3).posterior.sizes["chain"] == 1
    together = ard[0].to_arviz(ard[1], ard[2], draws=3).posterior
    for name, values in br.to_arviz(ard, draws=3).posterior.items():
        np.testing.assert_array_equal(together[name], values)


def test_netcdf_there_and_back(ard, tmp_path):
    data = br.to_arviz(ard, draws=5)
    data.to_netcdf(tmp_path / "posterior.nc")
    back = arviz.from_netcdf(tmp_path / "posterior.nc")
    assert set(back.posterior.data_vars) == set(data.posterior.data_vars)
    for name, values in data.posterior.items():
        assert back.posterior[name].dims == values.dims
        np.testing.assert_array_equal(back.posterior[name].values, values.values)


def test_the_global_random_states_stay(ard, tmp_path):
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    br.to_arviz(ard, draws=2)
    diagnostics.draw(ard, tmp_path, draws=2)
    assert torch.equal(before, torch.get_rng_state())
    np.testing.assert_array_equal(numpy_before, np.random.get_state()[1])  # noqa: NPY002


def test_posteriors_of_different_models_are_refused():
    first = posterior(br.L2())
    others = {
        "guide": posterior(br.L2(), "normal"),
        "size": posterior(br.L2(), size=20),
        "likelihood": posterior(br.L2(), likelihood=br.Gaussian(1.0)),
        "prior": posterior(br.L2(scale=2.0)),
        "parameters": posterior(br.L2(), network=net(hidden=5)),
        "network": posterior(br.L2(), network=net(activation=nn.Tanh)),
    }
    for what, other in others.items():
        for function in (br.to_arviz, diagnostics.quantiles):
            with pytest.raises(ValueError, match=f"different models, of {what} .* differ only in their seed"):
                function([first, first, other])
    with pytest.raises(ValueError, match=r"of prior .*l2.*l1"):
        br.to_arviz([first, posterior(br.L1())])


@pytest.mark.parametrize(("count", "draws"), [(0, 10), (1, 0)])
def test_nothing_to_show_is_refused(count, draws):
    posteriors = [posterior(br.L2())] * count
    for function in (br.to_arviz, diagnostics.quantiles):
        with pytest.raises(ValueError, match=f"{count} posteriors, draws={draws}: give at least one of each"):
            function(posteriors, draws)


def test_a_loaded_posterior_is_of_the_same_model(tmp_path):
    trained = posterior(br.ARD(on=lambda name, p: name.startswith("2.")))
    loaded = br.Posterior.load(trained.save(tmp_path / "posterior.pt"), net())
    chains = br.to_arviz([trained, loaded]).posterior["precision.2.bias"].values
    np.testing.assert_array_equal(chains[0], chains[1])


# --- quantiles ---


def by_hand(posteriors, names, draws):
    """[seed, draw, layer, quantile] of the draws, one call of `draws` for each."""
    draws = 1 if posteriors[0].guide_name == "delta" else draws
    each = [[one.draws(1, seed=s * draws + d) for d in range(draws)] for s, one in enumerate(posteriors)]
    return np.array([[[np.quantile(d[n].numpy(), LEVELS) for n in names] for d in one] for one in each])


def test_quantiles_of_the_precisions(ard):
    table = diagnostics.quantiles(ard, draws=4)
    assert list(table.columns) == ["5 %", "25 %", "50 %", "75 %", "95 %"]
    assert list(table.index) == ["0.weight", "2.weight"]
    expected = by_hand(ard, ["precision.0.weight", "precision.2.weight"], 4).mean((0, 1))
    np.testing.assert_allclose(table, expected, rtol=1e-6)


def test_quantiles_of_the_weights_without_precisions_and_without_biases(l2):
    table = diagnostics.quantiles(l2, draws=4)
    assert list(table.index) == ["0.weight", "2.weight"]
    np.testing.assert_allclose(table, by_hand(l2, table.index, 4).mean((0, 1)), rtol=1e-6, atol=1e-9)


class Odd(nn.Module):
    """Vectors, and no matrix."""

    def __init__(self):
        super().__init__()
        self.gain, self.shift = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(1))

    def forward(self, x):
        return (x * self.gain + self.shift).sum(1, keepdim=True)


def test_precisions_of_everything_claimed_are_shown_whatever_their_shape(tmp_path):
    table = diagnostics.quantiles([posterior(br.ARD(on="all"))])
    assert set(table.index) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    odd = [posterior(br.ARD(on="all"), "normal", network=Odd())]
    assert set(diagnostics.quantiles(odd, draws=2).index) == {"gain", "shift"}
    assert len(diagnostics.draw(odd, tmp_path, draws=2)) == 3


def test_a_network_without_a_matrix_shows_what_it_has(tmp_path):
    odd = [posterior(br.Flat(), network=Odd(), likelihood=br.Gaussian(1.0))]
    assert set(diagnostics.quantiles(odd).index) == {"gain", "shift"}
    assert len(diagnostics.draw(odd, tmp_path)) == 3


# --- the pictures ---


@pytest.mark.parametrize("seeds", [1, SEEDS])
def test_draw_writes_two_pictures_and_their_numbers(either, seeds, tmp_path):
    posteriors = either[:seeds]
    written = diagnostics.draw(posteriors, tmp_path / "new" / "folder", draws=5)
    assert [path.name for path in written] == ["quantiles.png", "histogram.png", "quantiles.csv"]
    assert sorted(os.listdir(tmp_path / "new" / "folder")) == sorted(path.name for path in written)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written[:2])
    numbers = pd.read_csv(written[2], index_col="layer")
    pd.testing.assert_frame_equal(numbers, diagnostics.quantiles(posteriors, 5), check_names=False)


def test_draws_are_taken_once_and_one_at_a_time(ard, guide, monkeypatch, tmp_path):
    taken, draws = [], br.Posterior.draws
    monkeypatch.setattr(br.Posterior, "draws", lambda self, *a, **k: taken.append((a, k)) or draws(self, *a, **k))
    diagnostics.draw(ard, tmp_path, draws=6)
    assert taken == [((1,), {"seed": seed}) for seed in range(SEEDS * (1 if guide == "delta" else 6))]


def drawn(axes):
    """Points [(x, y), ...] and intervals [(low, high, y), ...] of a picture, sorted, however ArviZ made them."""
    points, intervals = [], []
    for line in axes.lines:
        x, y = map(np.atleast_1d, line.get_data())
        (intervals if len(x) == 2 else points).extend([(*x, y[0])] if len(x) else [])
    for group in axes.collections:
        if hasattr(group, "get_segments"):
            segments = group.get_segments() if group.get_linewidths()[0] > 0 else []
            intervals += [(low, high, y) for (low, y), (high, _) in segments]
        else:
            points += [tuple(offset) for offset in group.get_offsets()]
    return np.array(sorted(points)), np.array(sorted(intervals))


def shortest(values, share=0.94):
    """The interval of highest density of sorted values [n, ...], by hand."""
    steps = int(np.floor(share * len(values)))
    widths = values[steps:] - values[: len(values) - steps]
    low = widths.argmin(0)
    return np.take_along_axis(values, low[None], 0)[0], np.take_along_axis(values, low[None] + steps, 0)[0]


def test_the_picture_shows_the_quantiles_and_intervals_under_the_normal_guide_alone(ard, guide):
    axes = diagnostics._quantile_figure(diagnostics._summary(ard, 20)).axes[0]
    points, intervals = drawn(axes)
    values = by_hand(ard, ["precision.0.weight", "precision.2.weight"], 20)
    np.testing.assert_allclose(points[:, 0], np.sort(np.median(values, axis=1).ravel()), rtol=1e-5)
    if guide == "delta":
        assert len(intervals) == 0
        assert "3 seeds, MAP" in axes.texts[0].get_text()
        assert "no intervals" in axes.texts[0].get_text()
    else:
        low, high = shortest(np.sort(np.moveaxis(values, 1, 0), axis=0))
        np.testing.assert_allclose(intervals[:, 0], np.sort(low.ravel()), rtol=1e-5)
        np.testing.assert_allclose(np.sort(intervals[:, 1]), np.sort(high.ravel()), rtol=1e-5)
        assert "3 seeds, 20 draws per seed" in axes.texts[0].get_text()
        assert "94 % interval" in axes.texts[0].get_text()


def summary(values, layers, symbol="α"):
    """As under MAP, every layer with the same [seed, quantile]."""
    table = np.repeat(np.array(values, dtype=float)[:, None, None], len(layers), axis=2)
    return diagnostics._Summary(symbol, layers, table, table.ravel())


def test_layers_and_seeds_stand_from_the_top_and_are_named_once():
    layers = [f"layer{i}.0.conv1.weight" for i in range(20)] + ["fc.weight", "fc.bias"]
    axes = diagnostics._quantile_figure(summary([[1, 2, 3, 4, 5], [1, 2, 3, 4, 5.5]], layers)).axes[0]
    places = {label.get_text(): y for label, y in zip(axes.get_yticklabels(), axes.get_yticks(), strict=True)}
    names = [f"layer{i}.0.conv1" for i in range(20)] + ["fc", "fc.bias"]
    assert sorted(places, key=places.get, reverse=True) == names
    points, _ = drawn(axes)
    first, second = (sorted(y for x, y in points if x == value)[::-1] for value in (5, 5.5))
    assert len(first) == len(second) == len(names)
    for name, above, below in zip(names, first, second, strict=True):
        assert above > places[name] > below


def test_a_wide_range_of_precisions_gets_a_log_axis():
    def scale(*values):
        return diagnostics._quantile_figure(summary([values], ["a", "b"])).axes[0].get_xscale()

    assert scale(0.1, 0.2, 0.3, 0.4, 0.5) == "linear"
    assert scale(0.1, 0.2, 0.3, 40, 500) == "log"
    assert diagnostics._quantile_figure(summary([[-9, -1, 0, 1, 200]], ["a"], "θ")).axes[0].get_xscale() == "linear"


def test_the_histogram_is_of_every_value(either):
    numbers = diagnostics._summary(either, 5)
    assert len(numbers.values) == np.prod(numbers.quantiles.shape[:2]) * 12
    axes = diagnostics._histogram(numbers).axes[0]
    values = np.log10(numbers.values) if numbers.symbol == "α" else numbers.values
    assert axes.get_xlabel() == ("log₁₀ α" if numbers.symbol == "α" else "θ")
    heights, edges = np.histogram(values, 80, density=True)
    if axes.patches:
        shown = np.array([bar.get_height() for bar in axes.patches])
        np.testing.assert_allclose([bar.get_x() for bar in axes.patches], edges[:-1], rtol=1e-5, atol=1e-6)
    else:  # one outline, whose corners hold every height
        corners = axes.collections[0].get_paths()[0].vertices
        shown = np.array([corners[np.isclose(corners[:, 0], edge, atol=1e-6), 1].max() for edge in edges[:-1]])
        heights = np.maximum(heights, np.r_[0, heights[:-1]])
    np.testing.assert_allclose(shown, heights, rtol=1e-5)


def test_a_large_network_shows_some_of_its_values(l2, guide, monkeypatch):
    monkeypatch.setattr(diagnostics, "MOST_SHOWN", 30)
    values = diagnostics._summary(l2, 5).values
    assert len(values) == (3 * 11 if guide == "delta" else 15 * 3)
    assert set(diagnostics._summary(l2[:1], 5).values) <= set(
        np.concatenate([one[n].ravel() for one in draws_of(l2[0]) for n in ("0.weight", "2.weight")]).tolist()
    )


def draws_of(one):
    return [{k: v.numpy() for k, v in one.draws(1, seed=seed).items()} for seed in range(5)]


WITHOUT_A_DISPLAY = """
import sys, warnings
import bayesreg as br
import torch
slow = {"arviz", "matplotlib.pyplot"} & set(sys.modules)
assert not slow, f"import bayesreg imports {slow}"
warnings.simplefilter("error")
x = torch.randn(20, 2)
def posterior(seed):
    model = br.Model(torch.nn.Linear(2, 1), br.ARD(), br.Gaussian(), size=20)
    return br.Posterior(model, br.guides.create("delta", model), "delta")
posteriors = [posterior(seed) for seed in range(3)]
br.to_arviz(posteriors)
br.diagnostics.draw(posteriors, sys.argv[1])
from matplotlib import pyplot, rcParams
assert pyplot.get_fignums() == []
assert dict.__getitem__(rcParams, "backend") == "module://there_is_none"
"""


def test_no_display_no_pyplot_no_warning_and_a_fast_import(tmp_path):
    """With a backend that can't be loaded, anything that asks pyplot for a figure fails."""
    environment = os.environ | {"MPLBACKEND": "module://there_is_none"}
    script = [sys.executable, "-c", WITHOUT_A_DISPLAY, str(tmp_path)]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(tmp_path)) == ["histogram.png", "quantiles.csv", "quantiles.png"]
