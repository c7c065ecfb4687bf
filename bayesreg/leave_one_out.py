"""Leave-one-out cross-validation from the draws, without another fit."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayesreg import diagnostics
from bayesreg.datasets import as_dataset
from bayesreg.inference_data import arviz

if TYPE_CHECKING:
    from bayesreg.posterior import Posterior

DRAWS = 1000  # of a guide; of Markov chains all


class Loo(NamedTuple):
    """PSIS-LOO of the data trained on, in nats (Vehtari, Gelman & Gabry, 2017).

    elpd: Σ_i log p(y_i | x_i, all data but i), estimated; se: its standard error over the examples. p: the effective
    number of parameters, what the log density of the data loses by being predicted unseen. k: how many Pareto k̂ are
    "good", at most min(1 − 1/log₁₀ S, 0.7) for S draws, "bad" above it, and "very bad" above 1.

    Not to be trusted where some k̂ are not good: without these examples the posterior is another one, about which the
    draws tell too little, and the elpd is then mostly too high. Nor, whatever k̂ is, under a guide that is far from the
    posterior: the importance weights assume draws from the posterior itself. Judge by held-out data, with `evaluate`.
    """

    elpd: float
    se: float
    p: float
    k: dict[str, int]
    markov: bool

    def __str__(self) -> str:
        counts = ", ".join(f"{number} {name}" for name, number in self.k.items() if number)
        of = sum(self.k.values())
        words = f"elpd {self.elpd:.1f} ± {self.se:.1f} nats, p {self.p:.1f}; Pareto k̂ of {of} examples: {counts}"
        if self.k["good"] < of:
            words += "; with any that are not good, do not trust it: judge by held-out data"
        elif not self.markov:
            words += "; the draws are of a guide: trust it as far as the guide is near the posterior"
        return words


def loo(posterior: Posterior, data: Any, draws: int | None = None) -> Loo:
    """The `Loo` of a posterior and the data that it was trained on. draws: None means 1,000, or all of Markov chains.

    ValueError where there are not as many data as it was trained on, or fewer than 20 draws, as from a point.
    """
    data = as_dataset(data, "train")
    if len(data) != posterior.model.size:
        raise ValueError(
            f"loo of {len(data)} examples, but the posterior has {posterior.model.size}: give the data that it was "
            "trained on; others are judged by `evaluate`"
        )
    made = diagnostics.to_arviz([posterior], draws or (None if posterior.inference.markov else DRAWS), data)
    if (number := made["posterior"].sizes["chain"] * made["posterior"].sizes["draw"]) < 20:
        raise ValueError(
            f"loo needs 20 draws or more, and the guide {posterior.inference} has {number}: fit with another guide, or "
            "judge by held-out data, with `evaluate`"
        )
    module, modern = arviz()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about k̂, which the counts state
        found = module.loo(made, pointwise=True, var_name="y")
    elpd, p = (found.elpd, found.p) if modern else (found.elpd_loo, found.p_loo)
    return Loo(float(elpd), float(found.se), float(p), _counts(found), posterior.inference.markov)


def _counts(found: Any) -> dict[str, int]:
    k = np.asarray(found.pareto_k)
    good, worst = int((k <= found.good_k).sum()), int((k > 1).sum())
    return {"good": good, "bad": k.size - good - worst, "very bad": worst}
