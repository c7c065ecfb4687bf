"""The learned posterior for ArviZ: its draws, and pictures of the precisions α by layer."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

from bayesreg.files import write_atomically

if TYPE_CHECKING:
    from bayesreg.posterior import Posterior

QUANTILES = {"5 %": 0.05, "25 %": 0.25, "50 %": 0.5, "75 %": 0.75, "95 %": 0.95}
MOST_SHOWN = 20_000  # weights in a histogram: more look the same and take a minute


def to_arviz(posteriors: Sequence[Posterior], draws: int = 200) -> Any:
    """The draws of θ by name, with group "posterior": chain = seed, a chain a posterior.

    An InferenceData on ArviZ 0.x, a DataTree on 1.x; `.to_netcdf(path)` and `arviz.from_netcdf(path)` write
    and read either. A delta guide has one draw a chain, its mode: show points, no intervals.
    ValueError where the posteriors are not of one model.
    """
    every = [posterior.draws(draws, seed=chain) for chain, posterior in enumerate(posteriors)]
    if any({k: v.shape for k, v in one.items()} != {k: v.shape for k, v in every[0].items()} for one in every):
        raise ValueError("to_arviz takes posteriors of one network, prior and guide, which differ in their seed alone")
    return _from_dict({name: np.stack([one[name].cpu().numpy() for one in every]) for name in every[0]})


def quantiles(posteriors: Sequence[Posterior], draws: int = 200) -> pd.DataFrame:
    """Quantiles over the weights of each layer, averaged over draws and seeds: rows layers, columns quantiles.

    Of the precisions α under ARD, of the weights θ under any other prior.
    """
    values = _by_layer(posteriors, draws)
    table = {layer: np.quantile(v, list(QUANTILES.values()), axis=2).mean(axis=(1, 2)) for layer, v in values.items()}
    return pd.DataFrame.from_dict(table, orient="index", columns=list(QUANTILES))


def draw(posteriors: Sequence[Posterior], directory: str | Path, draws: int = 200) -> list[Path]:
    """Write the quantiles of α by layer, the histogram of log α, and the numbers beside them.

    Without ARD the same of the weights θ. Returns the files: two PNG pictures and a CSV.
    """
    directory = Path(directory)
    symbol = _symbol(posteriors[0])
    table = quantiles(posteriors, draws)
    return [
        _save(_quantile_figure(posteriors, draws, symbol), directory / "quantiles.png"),
        _save(_histogram(posteriors, draws, symbol), directory / "histogram.png"),
        write_atomically(directory / "quantiles.csv", lambda part: table.to_csv(part, index_label="layer")),
    ]


def _symbol(posterior: Posterior) -> str:
    return "α" if any(name.startswith("precision.") for name in posterior.parameters()) else "θ"


def _by_layer(posteriors: Sequence[Posterior], draws: int) -> dict[str, np.ndarray]:
    """{layer: [seed, draw, weight]} of the precisions, or of the weights where there are none."""
    prefix = "precision." if _symbol(posteriors[0]) == "α" else ""
    every = [posterior.draws(draws, seed=chain) for chain, posterior in enumerate(posteriors)]
    names = [n for n in every[0] if n.startswith(prefix) and every[0][n].dim() > (1 if prefix else 2)]
    return {n.removeprefix(prefix): np.stack([one[n].flatten(1).cpu().numpy() for one in every]) for n in names}


def _quantile_figure(posteriors: Sequence[Posterior], draws: int, symbol: str) -> Any:
    values = _by_layer(posteriors, draws)
    over_weights = [np.moveaxis(np.quantile(v, list(QUANTILES.values()), axis=2), 0, -1) for v in values.values()]
    data = _from_dict(
        {symbol: np.stack(over_weights, axis=2)},
        coords={"layer": list(values), "quantile": list(QUANTILES)},
        dims={symbol: ["layer", "quantile"]},
    )
    one_draw = over_weights[0].shape[1] == 1
    what = "one point a seed (MAP)" if one_draw else "median, 50 % and 94 % intervals, one line a seed"
    return _forest(data, symbol, one_draw, f"Quantiles of {symbol} over the weights of each layer: {what}")


def _histogram(posteriors: Sequence[Posterior], draws: int, symbol: str) -> Any:
    pooled = np.concatenate([v.ravel() for v in _by_layer(posteriors, draws).values()])
    pooled = pooled[:: max(1, len(pooled) // MOST_SHOWN)]
    name = "log α" if symbol == "α" else symbol
    return _distribution(name, np.log(pooled) if symbol == "α" else pooled, f"{name} over all weights")


# --- ArviZ 0.x and 1.x differ; everything that knows about it is below. ---


def _arviz() -> tuple[ModuleType, bool]:
    """ArviZ, and whether it is 1.x or later. Imported late, since it takes seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # 0.23 announces 1.0 at every import
        import arviz
    return arviz, int(arviz.__version__.partition(".")[0]) >= 1


def _from_dict(values: dict[str, np.ndarray], **labels: Any) -> Any:
    arviz, modern = _arviz()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "More chains")  # three seeds under MAP are three chains of one draw
        return arviz.from_dict({"posterior": values}, **labels) if modern else arviz.from_dict(values, **labels)


def _forest(data: Any, name: str, one_draw: bool, title: str) -> Any:
    arviz, modern = _arviz()
    if modern:
        points_only = {"trunk": False, "twig": False} if one_draw else {}
        made = arviz.plot_forest(data, var_names=[name], combined=False, backend="matplotlib", visuals=points_only)
        figure = made.viz["figure"].item()
        figure.suptitle(title)
    else:
        axis = arviz.plot_forest(data, var_names=[name], combined=False)[0]
        axis.set_title(title, fontsize="medium")
        figure = axis.figure
    return figure


def _distribution(name: str, values: np.ndarray, title: str) -> Any:
    arviz, modern = _arviz()
    if modern:
        made = arviz.plot_dist(_from_dict({name: values[None]}), kind="hist", backend="matplotlib")
        figure = made.viz["figure"].item()
    else:
        axis = arviz.plot_dist(values, kind="hist")
        axis.set_xlabel(name)
        figure = axis.figure
    figure.suptitle(title)
    return figure


def _save(figure: Any, path: Path) -> Path:
    written = write_atomically(path, lambda part: figure.savefig(part, format="png", dpi=150, bbox_inches="tight"))
    plt.close(figure)
    return written
