"""Several comparisons at once: Holm's step-down (Holm, 1979)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from bayesreg.statistics.difference import Difference

Name = TypeVar("Name", bound=Hashable)


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p: for the r-th smallest of k, r = 0..k−1, max_{j ≤ r} min(1, (k − j) p_j).

    Rejecting where it is below α errs with probability at most α in the whole family, whatever the dependence. A p that
    is NaN stays NaN, and counts among the k. ValueError for a p outside [0, 1].
    """
    values = np.asarray(p, dtype=float)
    if values.ndim != 1 or ((values < 0) | (values > 1)).any():
        raise ValueError(f"p must be a list of probabilities, in [0, 1], got {values.tolist()}")
    order = np.argsort(values, kind="stable")  # NaN last
    steps = np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.maximum.accumulate(np.minimum(steps * values[order], 1.0))
    return adjusted.tolist()


def together(differences: Mapping[Name, Difference]) -> dict[Name, Difference]:
    """The same differences, each at the confidence of its step, so that the verdicts hold simultaneously.

    Let R of k be rejected by Holm's step-down at α = 1 − confidence. The one of rank r by p gets the interval of
    confidence 1 − α/(k − min(r, R)): where the step-down stops, all that follow keep the level at which it stopped. So
    the verdict is `better` or `worse` exactly where the p adjusted by `holm` is below α, and one of them is wrong with
    probability at most α over all k. Each interval contains that of confidence 1 − α, and so covers its own difference
    at least as often; for all of them to do so at once, each would need 1 − α/k. ValueError where the confidences given
    are not all equal.
    """
    stated = {d.confidence for d in differences.values()}
    if len(stated) > 1:
        raise ValueError(f"the differences have confidences {sorted(stated)}: compare all of them at the same one")
    k = len(differences)
    ranked = sorted(differences, key=lambda name: np.nan_to_num(differences[name].p, nan=2.0))
    found, left = {}, k
    for name in ranked:
        each = differences[name]
        found[name] = replace(each, confidence=1 - (1 - each.confidence) / left)
        left -= found[name].verdict in ("better", "worse")
    return {name: found[name] for name in differences}
