"""How far the predictions of two posteriors are apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin as Distribution
from torch import Tensor

from bayesreg.randomness import random_stream

if TYPE_CHECKING:
    from bayesreg.posterior import Posterior

SAMPLES = 64  # of y for each input, from each of the two


def distance(
    one: Posterior, other: Posterior, x: Any, draws: int = 256, seed: int = 0, progress: bool = True
) -> dict[str, float]:
    """{"total_variation": …, and of several classes "agreement": …} of the two predictive distributions at inputs x.

    As a guide is judged by the draws of `br.nuts` (Izmailov, Vikram, Hoffman & Wilson, 2021). total_variation: the mean
    over inputs of ½ ∫ |p(y | x) − q(y | x)| dy, from 0, equal, to 1, by the identity

        ½ ∫ |p − q| dy = E |tanh(½ log p(y)/q(y))|,  y from p and from q in equal parts,

    with 64 y from each: its standard error is below 0.05/√n. agreement: the share of inputs for which both have the
    same most probable class. draws: of θ, for each predictive. ValueError where the two predict different things.
    """
    p, q = one.predict(x, draws, seed, progress), other.predict(x, draws, seed, progress)
    points = [posterior.model.likelihood.point(each) for posterior, each in ((one, p), (other, q))]
    discrete = [getattr(each.support, "is_discrete", False) for each in (p, q)]
    if discrete[0] != discrete[1] or points[0].shape != points[1].shape:
        raise ValueError(
            f"the two posteriors predict different things: {one.model.likelihood} of shape {list(points[0].shape)}, "
            f"and {other.model.likelihood} of shape {list(points[1].shape)}; compare posteriors of the same data"
        )
    with random_stream(one.device, seed):
        found = {"total_variation": float(_total_variation(p, q).mean())}
    if points[0].dim() > len(p.batch_shape + p.event_shape):  # probabilities of classes
        found["agreement"] = float((points[0].argmax(-1) == points[1].argmax(-1)).double().mean())
    return found


def _total_variation(p: Distribution, q: Distribution) -> Tensor:
    """[n], by Monte Carlo."""
    drawn = (each.sample() for _ in range(SAMPLES) for each in (p, q))
    return torch.stack([(0.5 * (p.log_prob(y) - q.log_prob(y)).double()).tanh().abs() for y in drawn]).mean(0)
