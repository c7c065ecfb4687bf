"""How uncertain a prediction is, and how much of that more data would mend."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import torch
from torch import Tensor

from bayesreg.likelihoods import Latents, Likelihood

if TYPE_CHECKING:
    from bayesreg.posterior import Posterior


class Uncertainty(NamedTuple):
    """The uncertainty of each output, total = aleatoric + epistemic, in float64.

    Of numbers the variance of y, by the law of total variance: total = E[Var(y | x, θ)] + Var(E[y | x, θ]), in the unit
    of y squared. Of classes the entropy, in nats: total = H(E[p]), aleatoric = E[H(p)], and their difference is the
    mutual information of y and θ (BALD: Houlsby et al., 2011). Expectations are over the draws of θ. Aleatoric is the
    noise of the data, whatever θ is; epistemic is what the draws do not agree on.

    mean: of y, in its shape [n, ...]; of classes their probabilities [n, C]. The others: [n, ...], one for each output.
    """

    mean: Tensor
    total: Tensor
    aleatoric: Tensor
    epistemic: Tensor

    @classmethod
    def of(cls, likelihood: Likelihood, f: Tensor, latents: Latents) -> Self:
        """Of outputs f [S, n, ...] and the likelihood's latents [S], a draw of θ each."""
        f = f.double()
        mixture, each = likelihood.mixture(f, latents), likelihood(f.transpose(0, 1), latents, batch_dims=2)
        aleatoric = likelihood.spread(each).mean(1)
        epistemic = (likelihood.spread(mixture) - aleatoric).clamp_min(0)  # of a rounding error below 0
        epistemic = epistemic * (len(f) > 1)  # or one draw, which agrees with itself, would leave another
        return cls(likelihood.point(mixture), aleatoric + epistemic, aleatoric, epistemic)

    @classmethod
    def joined(cls, parts: Iterable[Self]) -> Self:
        """Of all examples, from parts of them in order."""
        return cls(*map(torch.cat, zip(*parts, strict=True)))


def ood(
    posterior: Posterior, inside: Any, outside: Any, draws: int = 16, seed: int = 0, progress: bool = True
) -> dict[str, float]:
    """How well uncertainty tells inputs like those of training from others, {"epistemic": AUROC, "total": AUROC}.

    The area under the receiver operating characteristic: the probability that an input of `outside` is given the higher
    score than one of `inside`, ties counting half; 0.5 is chance. The scores are the epistemic and the total
    uncertainty, summed over the outputs of an example, and of several classes "max_probability", 1 − max_c p_c
    (Hendrycks & Gimpel, 2017). Of a guide that is a point the epistemic part is 0, and its AUROC 0.5. Arguments and
    errors as of `Posterior.uncertainty`.
    """
    from sklearn.metrics import roc_auc_score

    near, far = (_scores(posterior.uncertainty(x, draws, seed, progress)) for x in (inside, outside))
    return {
        name: float(roc_auc_score([0] * len(near[name]) + [1] * len(far[name]), torch.cat([near[name], far[name]])))
        for name in near
    }


def _scores(found: Uncertainty) -> dict[str, Tensor]:
    """[n] each on the CPU; more is less like what was trained on."""
    scores = {"epistemic": found.epistemic, "total": found.total}
    scores = {name: value.reshape(len(value), -1).sum(1).cpu() for name, value in scores.items()}
    several = found.mean.dim() > found.total.dim()  # probabilities of classes
    return scores | ({"max_probability": 1 - found.mean.amax(-1).cpu()} if several else {})
