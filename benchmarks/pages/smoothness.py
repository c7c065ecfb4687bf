"""What the smoothness prior costs, and how exact it is: the page of `reports/smoothness`, from the tables there."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmarks.pages import page
from benchmarks.pages.frontier import frontier
from benchmarks.pages.line import line
from benchmarks.settings import DEFAULT, DOUBLE_BACKWARD, WHOLE, text

COLUMNS = ["case", "setting", "width", "ms", "ratio", "q25", "q75", "deviation", "memory", "memory above"]
FIT = ["dataset", "strength", "seed", "setting", "seconds", "d", "nll"]  # the columns of a table of fits


def write(folder: Path) -> Path:
    """The page beside its tables; its path. Raises ValueError where the default is not in them."""
    costs, fits, curves = (pd.read_csv(folder / f"{name}.csv") for name in ("cost", "final", "line"))
    if at(costs, text(DEFAULT)).empty:
        raise ValueError(f"{folder / 'cost.csv'}: no {text(DEFAULT)!r}, the default: python -m benchmarks.smoothness")
    context = {
        "answer": answer(costs),
        "exactness": exactness(costs, fits),
        "default": text(DEFAULT),
        "costs": page.table(costs.reindex(columns=COLUMNS), list(costs["setting"] == text(DEFAULT))),
        "fits": page.table(summary(fits)),
    }
    pictures = {"frontier": frontier(costs, text(DEFAULT)), "line": line(curves)}
    return page.write(folder, "smoothness.html", pictures, context)


def at(costs: pd.DataFrame, setting: str) -> pd.DataFrame:
    """The rows of a setting, of networks at their own width."""
    return costs[(costs["width"] == 1) & (costs["setting"] == setting)]


def answer(costs: pd.DataFrame) -> str:
    """What a step with the prior takes, and what it would take without the estimate."""
    default, whole, reverse = (at(costs, name)["ratio"] for name in (text(DEFAULT), text(WHOLE), DOUBLE_BACKWARD))
    return (
        f"On this machine a training step with the smoothness prior at its default takes {page.from_to(default)} times "
        f"a step without a prior; taken over the whole batch at every step {page.from_to(whole, '.1f')} times, and by "
        f"double backward {page.from_to(reverse, '.0f')} times."
    )


def exactness(costs: pd.DataFrame, fits: pd.DataFrame) -> str:
    """How far the default's estimate deviates, and what that does to a fit."""
    strays = at(costs, text(DEFAULT)).set_index("case")["deviation"].sort_values()
    ends = f"{100 * strays.iloc[0]:.0f} % ({strays.index[0]})"
    if len(strays) > 1:
        ends += f" to {100 * strays.iloc[-1]:.0f} % ({strays.index[-1]})"
    said = f"Its estimate of the curvature, over 8 steps, has a standard deviation of {ends} of the mean"
    found = moved(fits)
    if found.empty:
        return f"{said}."
    most = found.loc[found["nll"].abs().idxmax()]
    return (
        f"{said}. Fits end within {abs(most['nll']):.3f} nats of the exact prior’s validation NLL, furthest on "
        f"{most['dataset']} at strength {most['strength']:g}, where d comes out {100 * abs(most['d']):.0f} % "
        f"{'higher' if most['d'] > 0 else 'lower'}."
    )


def moved(fits: pd.DataFrame) -> pd.DataFrame:
    """A row per data set and strength: mean NLL of the default minus that of the exact prior; d over its d, minus 1."""
    means = fits.groupby(["dataset", "strength", "setting"], sort=False)[["nll", "d"]].mean().unstack("setting")
    if means.empty:
        return pd.DataFrame(columns=["dataset", "strength", "nll", "d"])
    nll, d = means["nll"], means["d"]
    return pd.DataFrame({"nll": nll["default"] - nll["exact"], "d": d["default"] / d["exact"] - 1}).reset_index()


def summary(fits: pd.DataFrame) -> pd.DataFrame:
    """A row per data set, strength and setting: mean and standard deviation over seeds."""
    fits = fits.assign(strength=fits["strength"].map("{:g}".format))
    found = fits.groupby(["dataset", "strength", "setting"], sort=False)[["nll", "d", "seconds"]].agg(["mean", "std"])
    return found.set_axis([f"{name}, {'sd' if what == 'std' else what}" for name, what in found], axis=1).reset_index()
