"""The learned posterior for ArviZ: its draws, and pictures of the precisions α by layer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from bayesreg import inference_data
from bayesreg.files import write_atomically
from bayesreg.inference_data import arviz, from_dict, quiet

if TYPE_CHECKING:
    from bayesreg.posterior import Posterior

QUANTILES = {"5 %": 0.05, "25 %": 0.25, "50 %": 0.5, "75 %": 0.75, "95 %": 0.95}
COLOURS = ["#56B4E9", "#0072B2", "#000000", "#0072B2", "#56B4E9"]  # Okabe & Ito (2008); place tells 5 from 95 %
INTERVAL = 0.94  # of highest density, over the draws
BINS = 80
MOST_SHOWN = 200_000  # values in a histogram: more look the same


def to_arviz(posteriors: Sequence[Posterior], draws: int | None = None, data: Any = None) -> Any:
    """The draws of θ by name, each [chain, draw, ...], in the group "posterior": a chain a posterior, its seed.

    An InferenceData on ArviZ 0.x, a DataTree on 1.x; `.to_netcdf(path)` and `arviz.from_netcdf(path)` write
    and read either. Dimensions are named by layer and axis, "fc1.unit" and "fc1.input". A delta guide has one draw a
    chain, its mode: show points, no intervals. Draws of a guide are independent, so that r̂ within a fit is 1 however
    good it is; of NUTS the chains are Markov chains, and r̂ and ess mean what they say. All draws are in memory
    together, so take fewer of a large network: 200 of a ResNet18 under the normal guide are 9 GB.

    draws: of each chain; None takes 200, of a Markov chain all. data: a Dataset, or what `datasets.as_dataset` makes
    one of, adds the groups "posterior_predictive", a y for every x and draw, "log_likelihood", log p(y_i | x_i, θ), and
    "observed_data": for ArviZ's pictures of them, and of the data trained on for `loo`.

    ValueError where the posteriors are not of one model, or the data do not fit it.
    """
    _check(posteriors, draws)
    return inference_data.groups(posteriors, draws, data)


def quantiles(posteriors: Sequence[Posterior], draws: int = 50) -> pd.DataFrame:
    """Quantiles over the weights of each layer, averaged over draws and seeds: rows layers, columns quantiles.

    Of the precisions α under ARD, of the weights θ under any other prior.
    """
    return _summary(posteriors, draws).table()


def draw(posteriors: Sequence[Posterior], directory: str | Path, draws: int = 50) -> list[Path]:
    """Write the quantiles of α by layer, the histogram of log α, and the numbers beside them.

    Without ARD the same of the weights θ. Returns the files: two PNG pictures and a CSV.
    """
    summary, directory = _summary(posteriors, draws), Path(directory)
    return [
        _save(_quantile_figure(summary), directory / "quantiles.png"),
        _save(_histogram(summary), directory / "histogram.png"),
        write_atomically(directory / "quantiles.csv", lambda f: summary.table().to_csv(f, index_label="layer")),
    ]


def draw_rows(values: np.ndarray, names: list[str], path: Path, what: str, how: str, label: str) -> Path:
    """Write points, with intervals where there are draws, of [seed, draw, row] as a PNG picture: a row a name."""
    seeds, draws, rows = values.shape
    axes = _axes(1.2 + rows * (0.2 + 0.07 * seeds))
    _forest(axes, values, names, COLOURS[1], interval=draws > 1)
    axes.set_yticks(axes.get_yticks(), names[::-1])
    axes.set_xlabel(label)
    return _save(_finish(axes, what, how), path)


def _check(posteriors: Sequence[Posterior], draws: int | None) -> None:
    if not posteriors or (draws is not None and draws < 1):
        raise ValueError(f"{len(posteriors)} posteriors, draws={draws}: give at least one of each")
    first, *others = map(_model, posteriors)
    for what, other in ((what, other) for other in others for what in first if other[what] != first[what]):
        raise ValueError(
            f"posteriors of different models, of {what} {first[what]} and {other[what]}: "
            "give posteriors that differ in their seed alone"
        )


def _model(posterior: Posterior) -> dict[str, Any]:
    """What the seeds of a model share. `on` counts by what it claims: a callable is another one once loaded."""
    model = posterior.model
    return {
        "guide": posterior.inference.text,
        "size": model.size,
        "likelihood": str(model.likelihood),
        "prior": [(t.name, {k: v for k, v in t.natural().items() if k != "on"}) for t in model.prior.terms],
        "parameters": {b.site: {name: list(shape) for name, shape in b.shapes.items()} for b in model.blocks},
        "network": " ".join(str(model.net).split()),
    }


class _Summary(NamedTuple):
    """All that the pictures show, and all that is kept of every draw."""

    symbol: str  # "α" under ARD, else "θ"
    layers: list[str]
    quantiles: np.ndarray  # [seed, draw, layer, quantile], over the weights of a layer
    values: np.ndarray  # of all layers: every one, or about MOST_SHOWN of them taken at random

    def table(self) -> pd.DataFrame:
        return pd.DataFrame(self.quantiles.mean(axis=(0, 1)), index=self.layers, columns=list(QUANTILES))

    def __str__(self) -> str:
        seeds, draws = self.quantiles.shape[:2]
        return f"{seeds} seed{'s' * (seeds > 1)}, " + ("MAP" if draws == 1 else f"{draws} draws a seed")


def _summary(posteriors: Sequence[Posterior], draws: int) -> _Summary:
    """Draw by draw: the 50 of a ResNet18 under the normal guide would be 4.5 GB together."""
    _check(posteriors, draws)
    draws = 1 if posteriors[0].inference.point else draws
    number, random = draws * len(posteriors), np.random.default_rng(0)
    rows, values = [], []
    for seed in range(number):
        symbol, layers = _by_layer(posteriors[seed // draws], seed)
        rows.append([np.quantile(value, list(QUANTILES.values())) for value in layers.values()])
        pooled, most = np.concatenate(list(layers.values())), MOST_SHOWN // number + 1
        values.append(pooled if len(pooled) <= most else random.choice(pooled, most))
    shape = (len(posteriors), draws, len(layers), len(QUANTILES))
    return _Summary(symbol, list(layers), np.reshape(rows, shape), np.concatenate(values))


def _by_layer(posterior: Posterior, seed: int) -> tuple[str, dict[str, np.ndarray]]:
    """Of one draw all precisions, or without any the weights: arrays of two or more dimensions, if there are."""
    values = {name: value[0].cpu().numpy() for name, value in posterior.draws(1, seed=seed).items()}
    precisions = {n.removeprefix("precision."): v for n, v in values.items() if n.startswith("precision.")}
    weights = {name: values[name] for block in posterior.model.blocks for name in block.shapes}
    shown = precisions or {n: v for n, v in weights.items() if v.ndim >= 2} or weights
    return "α" if precisions else "θ", {name: value.ravel() for name, value in shown.items()}


def _quantile_figure(summary: _Summary) -> Any:
    seeds, draws, layers, _ = summary.quantiles.shape
    axes = _axes(1.2 + layers * (0.2 + 0.07 * seeds))
    for i, colour in enumerate(COLOURS):
        _forest(axes, summary.quantiles[..., i], summary.layers, colour, interval=draws > 1)
    if summary.symbol == "α" and summary.quantiles.max() > 10 * summary.quantiles.min():
        axes.set_xscale("log")
    axes.set_yticks(axes.get_yticks(), [layer.removesuffix(".weight") for layer in reversed(summary.layers)])
    axes.set_xlabel("precision α of a weight" if summary.symbol == "α" else "weight θ")
    for name, colour in zip(["50 %", "25 %, 75 %", "5 %, 95 %"], COLOURS[2:], strict=True):
        axes.plot([], [], "o", color=colour, label=name)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, title="quantile", alignment="left")
    shown = "points, no intervals" if draws == 1 else f"lines the {100 * INTERVAL:.0f} % interval over the draws"
    return _finish(axes, f"{summary.symbol} by layer: quantiles over its weights", f"{summary}; a row a seed; {shown}")


def _histogram(summary: _Summary) -> Any:
    values, label = (np.log10(summary.values), "log₁₀ α") if summary.symbol == "α" else (summary.values, "θ")
    heights = np.histogram(values, BINS, density=True)[0]
    axes = _axes(4)
    _bars(axes, values)
    axes.set(xlabel=label, ylabel="density, logarithmic", yscale="log")
    axes.set_ylim(heights[heights > 0].min() / 2, heights.max() * 2)
    return _finish(axes, f"{label} over all weights", str(summary))


def _axes(height: float) -> Any:
    """Axes in a figure of our own: pyplot's would want a display, and would stay open."""
    from matplotlib.figure import Figure

    return Figure(figsize=(8, height), facecolor="white").add_subplot()


def _finish(axes: Any, what: str, how: str) -> Any:
    axes.set_title("")  # ArviZ 0.x writes one of its own
    axes.set_title(what, loc="left", pad=24, fontweight="bold", fontsize=12)
    axes.annotate(how, (0, 1), (0, 8), xycoords="axes fraction", textcoords="offset points", fontsize=10)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(which="both", labelsize=10, left=False)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    return axes.figure


def _save(figure: Any, path: Path) -> Path:
    return write_atomically(path, lambda part: figure.savefig(part, format="png", dpi=150, bbox_inches="tight"))


# --- ArviZ 0.x and 1.x differ; what knows about it is below, and at the end of `inference_data`. ---


@quiet()
def _forest(axes: Any, values: np.ndarray, layers: list[str], colour: str, interval: bool) -> None:
    """Median and interval over the draws of [seed, draw, layer], a row a seed, the first on top."""
    module, modern = arviz()
    values = values if modern else values[::-1]
    data = from_dict({"posterior": {"x": values}}, coords={"layer": layers}, dims={"x": ["layer"]})
    if not modern:
        line = {"linewidth": 0.75 * interval, "markersize": 5, "colors": colour, "quartiles": False}
        module.plot_forest(data, ax=axes, combined=False, hdi_prob=INTERVAL, **line)
        for drawn in axes.lines:
            drawn.set_markerfacecolor(drawn.get_color())
        return
    y = np.arange(len(layers), 0, -1)[:, None] - np.linspace(0.25, 0.75, 2 * len(values) + 1)[1::2]
    where = _collection(data, axes.figure, ("column", [axes, axes]), aes={"y": ["layer", "chain"]}, y=y.ravel())
    visuals = dict.fromkeys(["trunk", "ticklabels", "remove_axis"], False) | {
        "twig": {"color": colour, "width": 1.5} if interval else False,
        "point_estimate": {"color": colour, "facecolor": colour, "size": 16},
    }
    over_draws = {"point_estimate": "median", "ci_kind": "hdi", "ci_probs": (0.5, INTERVAL)}
    module.plot_forest(data, plot_collection=where, combined=False, labels=[], visuals=visuals, **over_draws)
    axes.set(yticks=np.arange(len(layers)) + 0.5, ylim=(0, len(layers)))


@quiet()
def _bars(axes: Any, values: np.ndarray) -> None:
    module, modern = arviz()
    if not modern:
        ticks = axes.xaxis.get_major_locator()
        module.plot_dist(values, kind="hist", ax=axes, color=COLOURS[1], hist_kwargs={"bins": BINS, "rwidth": 1})
        axes.xaxis.set_major_locator(ticks)  # ArviZ wants one a bin
        return
    data = from_dict({"posterior": {"x": values[None]}})
    off = ["dist", "credible_interval", "point_estimate", "point_estimate_text", "title", "remove_axis"]
    visuals = dict.fromkeys(off, False) | {"face": {"color": COLOURS[1], "alpha": 1}}
    where, stats = _collection(data, axes.figure, axes), {"dist": {"bins": BINS}}
    module.plot_dist(data, kind="hist", plot_collection=where, stats=stats, visuals=visuals)


def _collection(data: Any, figure: Any, plot: Any, **aesthetics: Any) -> Any:
    """Where ArviZ 1.x draws: in a figure of ours, since those that it makes belong to pyplot."""
    from xarray import Dataset, DataTree

    ours = DataTree(Dataset({"figure": figure, "plot": plot}, coords={"column": ["labels", "forest"]}))
    return arviz()[0].PlotCollection(data.posterior.dataset, ours, backend="matplotlib", **aesthetics)
