"""On how many tasks a method is within a given distance of the best (Dolan & Moré, 2002)."""

from __future__ import annotations

import numpy as np
import pandas as pd


def profile(scores: pd.DataFrame) -> pd.DataFrame:
    """ρ_m(τ) = |{t: best_t − s_mt ≤ τ}| / T at every τ where one of them rises: columns method, gap τ and share ρ.

    scores: [tasks, methods], higher is better. For −NLL the gap is the logarithm of Dolan and Moré's ratio, that of
    perplexities. A method without a score on a task, NaN or −∞, is never within any distance of the best there.
    """
    finite = scores.where(np.isfinite(scores))
    gaps = finite.rsub(finite.max(axis=1), axis=0)
    known = gaps.to_numpy().ravel()
    at = np.unique([0.0, *known[np.isfinite(known)]])
    shares = {name: np.searchsorted(np.sort(gaps[name].dropna()), at, side="right") / len(scores) for name in scores}
    return pd.DataFrame(
        [(name, gap, share) for name, own in shares.items() for gap, share in zip(at, own, strict=True)],
        columns=["method", "gap", "share"],
    )
