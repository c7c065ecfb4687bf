"""Grids whose answer is known: how often a difference is claimed that is not there, or found that is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy.stats import binomtest

from bayesreg import statistics
from bayesreg.metrics import METRICS
from bayesreg.statistics import Components, Difference

METHODS = 5  # besides none
DECIDED = ("better", "worse")
Draw = Callable[..., np.ndarray]


class Shape(NamedTuple):
    """A task: seeds, test rows, and the standard deviations of the difference between two methods."""

    name: str
    seeds: int
    rows: int
    sd: tuple[float, float, float]  # by seed, by row, of the rest


# Medians over methods of the differences from none in NLL in reports/compare; the last three test the interval harder.
SHAPES = [
    Shape("synthetic, its own split", 8, 2000, (0.005, 1.1, 1.2)),
    Shape("digits, 5 folds", 4, 1797, (0.004, 0.35, 0.43)),
    Shape("diabetes, 5 folds", 4, 442, (0.04, 0.5, 0.58)),
    Shape("diabetes, its own split", 8, 88, (0.04, 0.5, 0.58)),
    Shape("seeds differ more than rows", 8, 1000, (0.3, 0.3, 0.3)),
    Shape("two seeds", 2, 1000, (0.02, 0.5, 0.6)),
]
SKEWED = math.sqrt(math.e**2 - math.e)  # the standard deviation of a standard lognormal
TAILS: dict[str, Callable[[np.random.Generator], Draw]] = {
    "normal": lambda rng: lambda *shape: rng.standard_normal(shape),
    "t of 3 df": lambda rng: lambda *shape: rng.standard_t(3, shape) / math.sqrt(3),
    "lognormal": lambda rng: (
        lambda *shape: (rng.lognormal(0, 1, shape) - math.exp(0.5)) / math.sqrt(math.e**2 - math.e)
    ),
}


def share(wrong: int, of: int) -> dict[str, float]:
    """A share with its exact binomial interval of 95 % (Clopper & Pearson, 1934)."""
    interval = binomtest(wrong, of).proportion_ci()
    return {"share": wrong / of, "low": interval.low, "high": interval.high}


def scores(shape: Shape, draw: Draw, methods: int = METHODS) -> np.ndarray:
    """Of methods that do not differ, none first [1 + methods, seeds, rows]: each has half a difference's variance."""
    (A, B, E), n, m = shape.sd, shape.seeds, shape.rows
    one = A * draw(1 + methods, n, 1) + B * draw(1 + methods, 1, m) + E * draw(1 + methods, n, m)
    return one / math.sqrt(2)


def claimed(scores: np.ndarray) -> bool:
    """Whether any of [methods, seeds, rows] is found to differ from the first, with no region of equivalence."""
    none, *others = scores
    found = statistics.together({k: statistics.difference(other, none) for k, other in enumerate(others)})
    return any(one.verdict in DECIDED for one in found.values())


def false_claims(grids: int, seed: int = 0) -> pd.DataFrame:
    """One row per shape and tail: in what share of A/A grids of five methods against none something is claimed."""
    rows = []
    for shape in SHAPES:
        for name, tail in TAILS.items():
            draw = tail(np.random.default_rng(seed))
            wrong = sum(claimed(scores(shape, draw)) for _ in range(grids))
            where = {"task": shape.name, "seeds": shape.seeds, "rows": shape.rows, "tails": name}
            rows.append(where | share(wrong, grids))
    return pd.DataFrame(rows)


def predicted(seeds: int, rows: int, rng: np.random.Generator, classes: int = 4) -> Iterator[dict[str, np.ndarray]]:
    """Scores by metric [seeds, rows] of none and five methods that do not differ, from predictions of one test set."""
    y = torch.from_numpy(rng.choice(classes, rows, p=np.arange(classes, 0, -1) / (classes * (classes + 1) / 2)))
    target = torch.from_numpy(rng.standard_normal(rows))
    shared = 2 * np.eye(classes)[y] + 1.5 * rng.standard_normal((rows, classes))
    errors = 0.5 * rng.standard_normal(rows)
    for _ in range(1 + METHODS):
        own, bias = 0.5 * rng.standard_normal((rows, classes)), 0.2 * rng.standard_normal(rows)
        found: dict[str, list[np.ndarray]] = {}
        for _ in range(seeds):
            probs = torch.from_numpy(shared + own + 0.7 * rng.standard_normal((rows, classes))).softmax(-1)
            mean = target + torch.from_numpy(errors + bias + 0.3 * rng.standard_normal(rows))
            pit = torch.special.ndtr((target - mean) / 0.6)
            arguments: dict[str, tuple[torch.Tensor, ...]] = {"coverage_error": (pit,)}
            arguments |= dict.fromkeys(("accuracy", "macro_f1", "brier", "ece"), (probs, y))
            arguments |= dict.fromkeys(("r2", "rmse"), (mean, target))
            for name, given in arguments.items():
                found.setdefault(name, []).append(METRICS[name].by_example(*given).numpy())
        yield {name: np.stack(each) for name, each in found.items()}


def false_by_metric(grids: int, seeds: int = 4, rows: int = 400) -> pd.DataFrame:
    """One row per metric: `false_claims` for predictions of classes and numbers; most are not means over examples."""
    rng, wrong = np.random.default_rng(0), pd.Series(dtype=float)
    for _ in range(grids):
        every = list(predicted(seeds, rows, rng))
        told = {name: claimed(np.stack([one[name] for one in every])) for name in every[0]}
        wrong = wrong.add(pd.Series(told, dtype=float), fill_value=0)
    where = {"seeds": seeds, "rows": rows}
    return pd.DataFrame([{"metric": name} | where | share(int(k), grids) for name, k in wrong.items()])


def power(grids: int, differences: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2, 0.5)) -> pd.DataFrame:
    """One row per task, number of seeds and true NLL difference: how often it is found, at Holm's first of five steps.

    detectable: the difference that `statistics.detectable` promises to be found in 80 %.
    """
    rows, confidence = [], 1 - 0.05 / METHODS
    for shape in SHAPES[:4]:
        for seeds in (2, 4, 8, 16):
            draw = TAILS["t of 3 df"](np.random.default_rng(1))
            tables = (scores(shape._replace(seeds=seeds), draw, methods=1) for _ in range(grids))
            found = [statistics.difference(a, b, METRICS["nll"].rope, confidence) for b, a in tables]
            known = Components(*(sd**2 for sd in shape.sd))
            least = statistics.detectable(seeds, shape.rows, known, rope=METRICS["nll"].rope, confidence=confidence)
            for size in differences:
                hits = sum(_moved(one, size).verdict == "better" for one in found)
                where = {"task": shape.name, "rows": shape.rows, "seeds": seeds, "difference": size}
                rows.append(where | {"found": hits / grids, "detectable": least})
    return pd.DataFrame(rows)


def _moved(found: Difference, size: float) -> Difference:
    return replace(found, mean=found.mean + size)


def over_tasks(grids: int, draws: int = 1000) -> pd.DataFrame:
    """One row per number of tasks: Wilcoxon with Holm over five methods that do not differ, and the two-level interval.

    missed: how often the interval of one of them does not contain its true mean over all tasks, 0.
    """
    rng, rows = np.random.default_rng(2), []
    for tasks in (3, 6, 9, 12):
        wrong = missed = 0
        for _ in range(grids):
            table = 0.1 * rng.standard_t(3, (METHODS, tasks, 1)) + 0.05 * rng.standard_normal((METHODS, tasks, 8))
            p = [statistics.wilcoxon(list(own.mean(1))) for own in table]
            wrong += min(statistics.holm(p)) < 0.05
            interval = statistics.two_level_bootstrap(list(table[0]), draws=draws)
            missed += not interval.low <= 0 <= interval.high
        found = {f"missed {name}": value for name, value in share(missed, grids).items()}
        rows.append({"tasks": tasks} | share(wrong, grids) | found)
    return pd.DataFrame(rows)
