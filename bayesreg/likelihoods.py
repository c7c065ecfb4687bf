"""p(y | f): how the data follow from the network's output f."""

from __future__ import annotations

import difflib
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Self

import pyro
import pyro.distributions as dist
import torch
import torch.nn.functional as F
from pyro.distributions.torch_distribution import TorchDistributionMixin as Distribution
from torch import Tensor

Latents = dict[str, Tensor]
CLASSIFICATION = ("accuracy", "macro_f1", "nll", "brier", "ece")
LARGEST = 15.0  # log σ
REGRESSION = ("mse", "rmse", "r2", "nll", "coverage_error")


class Likelihood(ABC):
    """A conditional distribution of y, one per example, given the output f = Ω(x; θ) of shape [B, ...].

    Subclasses may have latents of their own (a noise scale), with sample statements in `sample`.
    """

    @abstractmethod
    def metrics(self, y: Tensor) -> tuple[str, ...]:
        """The names of the metrics that judge predictions of y."""

    @property
    def constant_entropy(self) -> bool:
        """Whether H(Y | x, θ) is the same for all x and θ."""
        return False

    def sample(self) -> Latents:
        """The Pyro sample statements of the likelihood's own latents."""
        return {}

    def initial(self) -> Latents:
        """Where inference starts for them, as long as there are no data."""
        return {}

    def profile(self, f: Tensor, y: Tensor) -> Latents:
        """Their maximum given the outputs f [n, ...] and y [n, ...] of all data, where it has a closed form."""
        return {}

    def unit(self, y: Tensor, outputs: int) -> tuple[Tensor, Tensor] | None:
        """(shift, scale), both [outputs]: shift + scale · f is in the unit of y [N, ...] for an f in standard units.

        outputs: of the last layer, of which an example may have several, as a series has one a time. None: y has no
        unit, it was stated by the user, or an example is no row of such outputs.
        """
        return None

    @abstractmethod
    def __call__(self, f: Tensor, latents: Latents, batch_dims: int = 1) -> Distribution:
        """p(y | f) for f [B, ...]: a distribution of batch shape [B], or of the first `batch_dims` of f."""

    def mixture(self, f: Tensor, latents: Latents) -> Distribution:
        """The posterior predictive (1/S) Σ_s p(y | f_s) of outputs f [S, B, ...] and latents [S]."""
        each = self(f.transpose(0, 1), latents, batch_dims=2)
        alike = dist.Categorical(logits=f.new_zeros(each.batch_shape))
        return dist.MixtureSameFamily(alike, each, validate_args=False)  # `check` has, and knows of grey values

    def point(self, predictive: Distribution) -> Tensor:
        """What the metrics compare with y: the mean, for classes their probabilities."""
        return predictive.mean

    def spread(self, predictive: Distribution) -> Tensor:
        """How uncertain each output is, in the shape of y: its variance; of classes the entropy, in nats."""
        return predictive.variance

    def pit(self, predictive: Distribution, y: Tensor) -> Tensor | None:
        """The probability integral transform F(y_i | x_i) of each output, [n, ...]; None where y is discrete."""
        return None

    @abstractmethod
    def check(self, f: Tensor, y: Tensor) -> None:
        """Raise ValueError where targets y [N, ...] cannot come from outputs like f [B, ...]."""

    def squashed(self, f: Tensor) -> str | None:
        """The function of which f could be the values, where this likelihood applies it itself: "softmax"."""
        return None

    def observation(self, predictive: Distribution) -> Distribution:
        """The distribution whose log density of y the objective has, where it is not the predictive itself."""
        return predictive

    def target(self, y: Tensor, predictive: Distribution) -> Tensor:
        """y in the shape of the predictive, [B] or [B, ...], so that nothing broadcasts by mistake."""
        return y.reshape(predictive.batch_shape + predictive.event_shape)


@dataclass(frozen=True)
class _Classes(Likelihood):
    """y is one of some classes. label_smoothing: ε, from 0 to below 1."""

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(
                f"{type(self).__name__}(label_smoothing={self.label_smoothing}): a probability, from 0 to below 1"
            )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({f'label_smoothing={self.label_smoothing:g}' * (self.label_smoothing > 0)})"

    def observation(self, predictive: Distribution) -> Distribution:
        if not self.label_smoothing:
            return predictive
        return Smoothed(predictive, self.log_mean(predictive), self.label_smoothing)

    @abstractmethod
    def log_mean(self, predictive: Distribution) -> Tensor:
        """The mean of log p over the classes, [B]."""


class Smoothed(dist.TorchDistribution):
    """log p̃(y) = (1 − ε) log p(y) + ε mean_c log p(c)  (Szegedy et al., 2016)."""

    def __init__(self, predictive: Distribution, log_mean: Tensor, smoothing: float) -> None:
        super().__init__(predictive.batch_shape, predictive.event_shape, validate_args=False)
        self.predictive, self.log_mean, self.smoothing = predictive, log_mean, smoothing

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self.predictive.sample(sample_shape)

    def log_prob(self, y: Tensor) -> Tensor:
        return torch.lerp(self.predictive.log_prob(y), self.log_mean, self.smoothing)


@dataclass(frozen=True, repr=False)
class Categorical(_Classes):
    """y ~ Categorical(softmax f): f [B, C] logits, y [B] (or [B, 1]) class numbers 0..C−1.

    label_smoothing: ε; in training y is its label with probability 1 − ε, else any of the C classes alike.
    """

    def metrics(self, y: Tensor) -> tuple[str, ...]:
        return CLASSIFICATION

    def __call__(self, f: Tensor, latents: Latents, batch_dims: int = 1) -> Distribution:
        return OfLogits.of(f)

    def mixture(self, f: Tensor, latents: Latents) -> Distribution:
        return dist.Categorical(logits=f.log_softmax(-1).logsumexp(0))

    def point(self, predictive: Distribution) -> Tensor:
        return predictive.probs

    def spread(self, predictive: Distribution) -> Tensor:
        return torch.special.entr(predictive.probs).sum(-1)

    def log_mean(self, predictive: Distribution) -> Tensor:
        return predictive.logits.mean(-1)

    def squashed(self, f: Tensor) -> str | None:
        return "softmax" if bool((f >= 0).all() and ((f.sum(-1) - 1).abs() < 1e-3).all()) else None

    def check(self, f: Tensor, y: Tensor) -> None:
        if f.dim() != 2 or f.shape[-1] < 2:
            raise ValueError(
                f"Categorical needs outputs of shape [B, classes], the network gives {list(f.shape)}; "
                "give its last layer one output a class (for two classes in one output take Bernoulli())"
            )
        _check_shape("Categorical", y, (), f)
        if y.is_floating_point():
            raise ValueError(f"Categorical needs integer class numbers, got y of {y.dtype}: use y.long()")
        classes = f.shape[-1]
        bad = ((y < 0) | (y >= classes)).nonzero()
        if len(bad):
            place = int(bad[0, 0])
            raise ValueError(
                f"y[{place}] = {y[place].item()} is not one of the classes 0..{classes - 1} ({len(bad)} such labels): "
                "number the classes from 0, or give the network an output for each class"
            )


class OfLogits(dist.Categorical):
    """Pyro's Categorical, of logits f [..., C], normalised by one kernel instead of five."""

    @classmethod
    def of(cls, f: Tensor) -> Self:
        made = cls(logits=f)
        made.logits = made._param = f.log_softmax(-1)
        return made

    def entropy(self) -> Tensor:
        lowest = torch.finfo(self.logits.dtype).min
        log_p = F.threshold(self.logits, lowest, lowest)  # 0 log 0 = 0, for a class ruled out by −∞
        return -(self.logits.exp() * log_p).sum(-1)


@dataclass(frozen=True, repr=False)
class Bernoulli(_Classes):
    """y ~ Bernoulli(sigmoid f), independent over the components: f [B], [B, 1] or [B, ...] logits, y alike.

    y is 0 or 1, or a grey value between them, whose log density is then the cross-entropy. label_smoothing: ε; in
    training y is its label with probability 1 − ε, else 0 or 1 alike.
    """

    def metrics(self, y: Tensor) -> tuple[str, ...]:
        labels = y[0].numel() == 1 and bool(((y == 0) | (y == 1)).all())
        return CLASSIFICATION if labels else ("mse", "nll")

    def spread(self, predictive: Distribution) -> Tensor:
        p = predictive.mean
        return torch.special.entr(p) + torch.special.entr(1 - p)

    def log_mean(self, predictive: Distribution) -> Tensor:
        return predictive.log_prob(torch.full_like(predictive.mean, 0.5))

    def squashed(self, f: Tensor) -> str | None:
        return "sigmoid" if bool(((f >= 0) & (f <= 1)).all()) else None

    def __call__(self, f: Tensor, latents: Latents, batch_dims: int = 1) -> Distribution:
        f = _drop_one(f, batch_dims)
        return dist.Bernoulli(logits=f, validate_args=False).to_event(f.dim() - batch_dims)

    def target(self, y: Tensor, predictive: Distribution) -> Tensor:
        return super().target(y, predictive).to(predictive.mean.dtype)

    def check(self, f: Tensor, y: Tensor) -> None:
        _check_shape("Bernoulli", y, _drop_one(f, 1).shape[1:], f)
        bad = ((y < 0) | (y > 1)).nonzero()
        if len(bad):
            place = bad[0].tolist()
            raise ValueError(
                f"y{place} = {y[tuple(place)].item()} is not in [0, 1] ({len(bad)} such values): "
                "Bernoulli needs labels 0 and 1, or grey values between them"
            )


@dataclass(frozen=True)
class Gaussian(Likelihood):
    """y ~ Normal(f, σ), independent over the components: f [B], [B, 1] or [B, ...], y alike.

    scale: σ, the noise scale in the unit of y; None learns it, the site "noise.scale" under a flat density
    on σ > 0, so that MAP finds the maximum-likelihood σ² = mean squared residual. Where the network can pass through
    every training example and the prior lets it, the density grows without bound as σ → 0, and there is no MAP.
    """

    scale: float | None = None

    def __post_init__(self) -> None:
        if self.scale is not None and not (math.isfinite(self.scale) and self.scale > 0):
            raise ValueError(
                f"Gaussian(scale={self.scale}): the noise scale must be finite and above 0, or None to learn it"
            )

    def metrics(self, y: Tensor) -> tuple[str, ...]:
        return REGRESSION

    @property
    def constant_entropy(self) -> bool:
        return self.scale is not None

    def sample(self) -> Latents:
        if self.scale is not None:
            return {}
        flat = dist.LogNormal(0.0, 1.0).mask(False)  # log density 0 on σ > 0
        return {"noise.scale": pyro.sample("noise.scale", flat)}

    def initial(self) -> Latents:
        return {} if self.scale is not None else {"noise.scale": torch.tensor(1.0)}

    def profile(self, f: Tensor, y: Tensor) -> Latents:
        if self.scale is not None:
            return {}
        f = _drop_one(f, 1)
        square = (y.reshape(f.shape).to(f.dtype) - f).square().mean()
        least = torch.finfo(f.dtype).eps * y.abs().max() + torch.finfo(f.dtype).tiny  # where residuals are all 0
        return {"noise.scale": square.sqrt().clamp_min(least)}

    def unit(self, y: Tensor, outputs: int) -> tuple[Tensor, Tensor] | None:
        return _mean_and_sd(y, outputs) if self.scale is None else None

    def __call__(self, f: Tensor, latents: Latents, batch_dims: int = 1) -> Distribution:
        f = _drop_one(f, batch_dims)
        scale: Tensor | float | None = self.scale
        if scale is None:
            scale = latents["noise.scale"]
            scale = scale.reshape(scale.shape + (1,) * (f.dim() - batch_dims))
        return dist.Normal(f, scale).to_event(f.dim() - batch_dims)

    def target(self, y: Tensor, predictive: Distribution) -> Tensor:
        return super().target(y, predictive).to(predictive.mean.dtype)

    def pit(self, predictive: Distribution, y: Tensor) -> Tensor:
        return _cdf(predictive, y)

    def check(self, f: Tensor, y: Tensor) -> None:
        _check_shape("Gaussian", y, _drop_one(f, 1).shape[1:], f)


@dataclass(frozen=True)
class Heteroscedastic(Likelihood):
    """y ~ Normal(m, σ) with a noise scale of its own for each x: f [B, 2 k] = (m, log σ), y [B, k], or [B] for k = 1.

    Its entropy, Σ log σ + constant, moves with x and θ, which gives the entropic prior a meaning in regression; its
    strength must stay below 1, where the likelihood no longer holds σ down. log σ stays within ±15, so that no σ is 0
    or infinite. (Nix & Weigend, 1994.)
    """

    def metrics(self, y: Tensor) -> tuple[str, ...]:
        return REGRESSION

    def __call__(self, f: Tensor, latents: Latents, batch_dims: int = 1) -> Distribution:
        mean, log_scale = (_drop_one(part, batch_dims) for part in f.chunk(2, -1))
        return dist.Normal(mean, log_scale.clamp(-LARGEST, LARGEST).exp()).to_event(mean.dim() - batch_dims)

    def unit(self, y: Tensor, outputs: int) -> tuple[Tensor, Tensor] | None:
        moments = _mean_and_sd(y, outputs // 2)
        if moments is None:
            return None
        mean, sd = moments
        return torch.cat([mean, sd.log()]), torch.cat([sd, torch.ones_like(sd)])

    def target(self, y: Tensor, predictive: Distribution) -> Tensor:
        return super().target(y, predictive).to(predictive.mean.dtype)

    def pit(self, predictive: Distribution, y: Tensor) -> Tensor:
        return _cdf(predictive, y)

    def check(self, f: Tensor, y: Tensor) -> None:
        if f.dim() != 2 or f.shape[-1] % 2:
            raise ValueError(
                f"Heteroscedastic needs outputs of shape [B, 2 k], the network gives {list(f.shape)}: give its "
                "last layer a mean and a log scale for each component of y"
            )
        _check_shape("Heteroscedastic", y, _drop_one(f.chunk(2, -1)[0], 1).shape[1:], f)


LIKELIHOODS: dict[str, type[Likelihood]] = {
    "categorical": Categorical,
    "bernoulli": Bernoulli,
    "gaussian": Gaussian,
    "heteroscedastic": Heteroscedastic,
}


def _cdf(predictive: Distribution, y: Tensor) -> Tensor:
    """P(Y ≤ y) of each output, [n, ...]; of a mixture of draws, which are alike, their mean."""
    if isinstance(predictive, dist.MixtureSameFamily):
        return _cdf(predictive.component_distribution, y.unsqueeze(1)).mean(1)
    return _cdf(predictive.base_dist, y) if isinstance(predictive, dist.Independent) else predictive.cdf(y)


def _mean_and_sd(y: Tensor, columns: int) -> tuple[Tensor, Tensor] | None:
    """Of each column of y [..., columns], both [columns]; the sd of a constant is 1. None for anything else, as images.

    y [N, T] of one column is a number at each of T times.
    """
    if y[0].numel() % columns or (y.dim() > 2 and y.shape[-1] != columns):
        return None
    rows = y.reshape(-1, columns).double()
    sd = rows.std(0, correction=0)
    return rows.mean(0), sd.where(sd > 0, torch.ones_like(sd))


def as_likelihood(value: Likelihood | type[Likelihood] | str) -> Likelihood:
    """A likelihood by itself, its class or its name. ValueError for anything else."""
    kind = LIKELIHOODS.get(value.lower()) if isinstance(value, str) else value
    if isinstance(kind, type) and issubclass(kind, Likelihood):
        return kind()
    if not isinstance(kind, Likelihood):
        near = difflib.get_close_matches(str(value).lower(), LIKELIHOODS, n=1)
        hint = f", did you mean {near[0]!r}?" if near else ";"
        raise ValueError(
            f"Model(likelihood={value!r}): not a likelihood{hint} write br.Categorical() for classes, "
            "br.Bernoulli() for two classes in one output, br.Gaussian() or br.Heteroscedastic() for numbers"
        )
    return kind


def _drop_one(f: Tensor, batch_dims: int) -> Tensor:
    """[B, 1] is one number an example, as [B]."""
    return f.squeeze(-1) if f.dim() == batch_dims + 1 and f.shape[-1] == 1 else f


def _check_shape(owner: str, y: Tensor, event: tuple[int, ...], f: Tensor) -> None:
    wanted, got = tuple(event), tuple(y.shape[1:])
    if got != wanted and not (wanted == () and got == (1,)):
        raise ValueError(
            f"{owner} needs y of shape {['N', *wanted]} for the network's outputs {['B', *f.shape[1:]]}, "
            f"got {list(y.shape)}: reshape y, or change the network's last layer"
        )
