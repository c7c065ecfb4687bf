"""What a comparison with so many seeds and test examples can show."""

from __future__ import annotations

import math

from scipy.special import nctdtrinc, ndtri, stdtrit

from bayesreg.metrics import METRICS
from bayesreg.statistics.difference import Components, Difference, Squares

MOST = 1000  # seeds


def detectable(
    seeds: int,
    examples: int,
    components: Components,
    power: float = 0.8,
    rope: float = 0.0,
    confidence: float = 0.95,
) -> float:
    """The smallest true difference whose verdict is better with probability `power`, in the unit of the score.

    δ = ρ + ν se, where the noncentral t of df degrees of freedom and noncentrality ν is above t_{(1+confidence)/2, df}
    with that probability; se and df at the expected mean squares m σ_A² + σ_E², n σ_B² + σ_E² and σ_E². components:
    as a pilot's `difference(...).components` gives them. Where seeds dominate the variance, df falls to n − 1: more
    examples then do not help, or even cost a little power.
    """
    if seeds < 2 or examples < 2:
        raise ValueError(f"{seeds} seeds and {examples} examples show no difference: use at least two of both")
    if not 0.5 <= power < 1:
        raise ValueError(f"power={power} must be at least 0.5 and below 1")
    A, B, E = components
    expected = Squares(examples * A + E, seeds * B + E, E)
    like = Difference(0.0, expected, seeds, examples, rope, confidence)
    return rope + like.se * float(nctdtrinc(like.df, 1 - power, stdtrit(like.df, (1 + confidence) / 2)))


def seeds_needed(
    difference: float,
    examples: int,
    components: Components,
    power: float = 0.8,
    rope: float = 0.0,
    confidence: float = 0.95,
) -> int | None:
    """The fewest seeds with which a true difference of this size is detectable; None where no number suffices.

    None, since σ_B²/m remains with any number of seeds: then more test examples are needed. At most 1,000 seeds are
    tried.
    """
    least = rope + math.sqrt(components.examples / examples) * float(ndtri((1 + confidence) / 2) + ndtri(power))
    if least > abs(difference):
        return None
    each = (detectable(seeds, examples, components, power, rope, confidence) for seeds in range(2, MOST + 1))
    return next((seeds for seeds, size in enumerate(each, start=2) if size <= abs(difference)), None)


def shows(found: Difference) -> tuple[float, int | None]:
    """What the seeds and examples of a difference can show, and how many seeds would show one like it.

    At its components, region and confidence, with 80 % probability: (`detectable`, `seeds_needed`).
    """
    known, settings = found.components, {"rope": found.rope, "confidence": found.confidence}
    least = detectable(found.seeds, found.examples, known, **settings)
    return least, seeds_needed(found.mean, found.examples, known, **settings)


def expected(metric: str) -> Components:
    """The typical components of two methods, from runs on small tables; see `Metric.spread`.

    ValueError for a metric whose unit decides, such as a squared error.
    """
    spread = METRICS[metric].spread
    if spread is None:
        raise ValueError(
            f"{metric} has no typical spread: give components=, such as a pilot's difference(...).components"
        )
    return Components(*(sd**2 for sd in spread))


def foresee(
    seeds: int, examples: int, methods: int, metric: str = "nll", components: Components | None = None
) -> tuple[float, int | None]:
    """What a comparison can show, before it is run: (the least difference from none that it finds, seeds for 2 ρ).

    With 80 % probability, at the first step of Holm's correction over `methods` others. components: of a difference;
    None: the `expected` ones. The second is how many seeds find a difference of twice the metric's ρ, what does not
    matter; None where more test examples would be needed, whatever the seeds.
    """
    known = expected(metric) if components is None else components
    rope, confidence = METRICS[metric].rope, 1 - 0.05 / max(methods, 1)
    least = detectable(seeds, examples, known, rope=rope, confidence=confidence)
    return least, seeds_needed(2 * rope, examples, known, rope=rope, confidence=confidence)
