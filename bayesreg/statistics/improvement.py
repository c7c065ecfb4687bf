"""How probable it is that a run of one method is better than a run of another (Agarwal et al., 2021)."""

from __future__ import annotations

from typing import Any

import numpy as np


def improvements(a: Any, b: Any) -> np.ndarray:
    """S [n, k]: 1 where a_i > b_j, ½ where they are equal, else 0, of scores by seed [n] and [k], more is better.

    The mean is P(X > Y) + ½ P(X = Y), the Mann–Whitney statistic over nk; the probability of improvement is its mean
    over tasks.
    """
    a, b = np.asarray(a, dtype=float)[:, None], np.asarray(b, dtype=float)
    return (a > b) + (a == b) / 2
