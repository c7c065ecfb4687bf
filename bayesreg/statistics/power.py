"""What a comparison of so many seeds and test examples can show."""

from __future__ import annotations

from scipy.special import nctdtrinc, stdtrit

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
    """The smallest true difference that is found better with probability `power`, in the unit of the score.

    δ = ρ + ν se, where the noncentral t of df degrees of freedom and noncentrality ν is above t_{(1+confidence)/2, df}
    with that probability; se and df at the expected mean squares m σ_A² + σ_E², n σ_B² + σ_E² and σ_E². components:
    as a pilot's `difference(...).components` gives them. Where seeds dominate the variance, df falls to n − 1: more
    examples then show no more, or even a little less.
    """
    if seeds < 2 or examples < 2:
        raise ValueError(f"{seeds} seeds and {examples} examples show no difference: take at least two of both")
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

    For σ_B²/m remains with any number of seeds: then more test examples are needed. More than 1,000 are not tried.
    """
    each = (detectable(seeds, examples, components, power, rope, confidence) for seeds in range(2, MOST + 1))
    return next((seeds for seeds, size in enumerate(each, start=2) if size <= abs(difference)), None)
