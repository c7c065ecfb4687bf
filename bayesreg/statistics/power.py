"""What a comparison of so many seeds and test examples can show."""

from __future__ import annotations

from scipy.special import nctdtrinc, stdtrit

from bayesreg.statistics.difference import Components, Difference, Squares

MOST = 2**20  # seeds


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
    as a pilot's `difference(...).components` gives them.
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

    For with any number of seeds σ_B²/m remains: then more test examples are needed.
    """

    def enough(seeds: int) -> bool:
        return detectable(seeds, examples, components, power, rope, confidence) <= abs(difference)

    if not enough(MOST):
        return None
    low, high = 1, MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
