"""What ARD has found relevant: how many weights the data determine, which inputs, and whether the seeds agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from bayesreg.priors import ARD

if TYPE_CHECKING:
    from bayesreg.model import Block
    from bayesreg.posterior import Posterior


def effective(posterior: Posterior, draws: int = 200) -> float:
    """γ = Σ_j (1 − E[α_j] s_j²), the number of weights that the data determine (MacKay, 1992, Bayesian interpolation).

    s_j² is the posterior variance of weight j, both are over the draws; under a tempered prior its precision is
    temper · α_j. A weight that keeps its prior counts 0, one that the data alone determine 1; below 0 where q has not
    converged, so that s_j is still that of an earlier α_j. NaN for a guide that is a point, as delta, which has no s_j.
    ValueError without ARD, or for fewer than two draws.
    """
    blocks = _blocks(posterior)
    if draws < 2:
        raise ValueError(f"draws={draws}: a variance takes at least two")
    if posterior.inference.point:
        return float("nan")
    sums: dict[str, Tensor] = {}
    for seed in range(draws):  # one by one: all of a large network would be gigabytes
        theta = {name: value[0].double() for name, value in posterior.draws(1, seed=seed).items()}
        for block in blocks:
            for name in block.shapes:
                each = torch.stack([theta[name], theta[name] ** 2, theta[f"precision.{name}"]])
                sums[name] = sums.get(name, 0) + each / draws
    temper = {name: block.prior.temper for block in blocks for name in block.shapes}  # type: ignore[union-attr]
    squares = {name: (square - mean**2) * draws / (draws - 1) for name, (mean, square, _) in sums.items()}
    return sum(float((1 - temper[name] * sums[name][2] * squares[name]).sum()) for name in sums)


def by_input(posterior: Posterior) -> np.ndarray:
    """α of each input of the first layer under ARD [inputs]: the least over the units, at `parameters()`.

    An input is as relevant as its most relevant weight. Hidden units may be permuted from seed to seed, and the
    minimum over them may not. ValueError without ARD.
    """
    name = next(iter(_blocks(posterior)[0].shapes))
    alpha = posterior.parameters()[f"precision.{name}"].cpu()
    return alpha.movedim(1, 0).flatten(1).amin(1).numpy() if alpha.dim() > 1 else alpha.numpy()


def agreement(posteriors: Sequence[Posterior]) -> pd.DataFrame:
    """Spearman's rank correlation of `by_input` between every two of the posteriors, rows and columns the seeds."""
    return pd.DataFrame([by_input(posterior) for posterior in posteriors]).T.corr(method="spearman")


def _blocks(posterior: Posterior) -> list[Block]:
    found = [block for block in posterior.model.blocks if isinstance(block.prior, ARD)]
    if not found:
        raise ValueError(f"{posterior.model.prior} has no precision of each weight: take ARD, as ard:sparse@normal")
    return found
