"""The promises, each a ratio of two measurements with a limit: what was promised, what was measured, met or missed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from benchmarks.contestants import BAYESREG, BAYESREG_COMPILED, DECAY, HAND, HAND_COMPILED, NAIVE, Key
from benchmarks.measure import Spread, spread

MLPS = ("mlp", "housing")
MEMORY, BATCHING = 1.1, {"mlp": 0.15, "resnet18": 0.05}
COLUMNS = ["bar", "case", "batch", "width", "pair", "ratio", "q25", "q75", "limit", "limit_is", "verdict"]
RIVAL = {BAYESREG: HAND, BAYESREG_COMPILED: HAND_COMPILED}


class Bar(NamedTuple):
    """top / bottom must be at most `limit`, or at least; limit None: measured for information."""

    top: Key
    bottom: Key
    limit: float | None
    least: bool = False

    def __str__(self) -> str:
        """A name such as "l2 / none (delta, bayesreg)": what differs, and what both share."""
        pairs = list(zip(self.top, self.bottom, strict=True))[3:]
        differ = " / ".join(str(side) for a, b in pairs if a != b for side in (a, b))
        return f"{differ} ({', '.join(str(a) for a, b in pairs if a == b)})"


def bars(measured: Collection[Key]) -> Iterator[Bar]:
    """All bars that follow from what was measured."""
    for key in measured:
        yield from (bar for bar in _of(key) if bar.bottom in measured)


def _of(key: Key) -> Iterator[Bar]:
    delta = key.guide == "delta"
    if key.contestant in RIVAL:
        yield Bar(key, key._replace(contestant=RIVAL[key.contestant]), _by_hand(key) if delta else None)
        if key.prior != "none":
            yield Bar(key, key._replace(prior="none"), _prior(key) if delta else None)
        if not delta:
            held = key.case == "resnet18" and key.prior == "none"
            yield Bar(key, key._replace(guide="delta"), 1.30 if held else None)
    if key.contestant == BAYESREG:
        yield Bar(key, key._replace(contestant=DECAY), None)
    if key.contestant == NAIVE:
        yield Bar(key, key._replace(contestant=BAYESREG), 8.0 if key.case == "mlp" else None, least=True)


def _by_hand(key: Key) -> float | None:
    """Against the hand-written step under the same prior."""
    if key.prior == "none":
        return 1.10 if key.case == "mlp" else 1.05
    return 1.05 if key.prior == "l2" else None


def _prior(key: Key) -> float:
    """Against no prior."""
    if key.prior == "ard":
        return 1.40 if key.case in MLPS else 1.15
    return 1.15 if key.case in MLPS else 1.05


def of_times(times: Mapping[Key, list[float]]) -> list[dict[str, Any]]:
    """One row per bar; the ratio is taken round by round, since both have a turn in each."""
    return [
        _row(str(bar), bar.top, spread([a / b for a, b in zip(times[bar.top], times[bar.bottom], strict=True)]), bar)
        for bar in bars(times)
    ]


def of_memory(rises: Mapping[Key, Mapping[str, float]]) -> list[dict[str, Any]]:
    """The peak above what was held before, including preparation; parts of it and more for information."""
    rows = []
    for key, ours in rises.items():
        hand = key._replace(contestant=HAND)
        if key.contestant == BAYESREG and hand in rises:
            theirs = rises[hand]
            peaks = [max(rise["preparing"], rise["training"]) for rise in (ours, theirs)]
            whole = [rise["before"] + peak for rise, peak in zip((ours, theirs), peaks, strict=True)]
            for what, ratio, limit in (
                ("peak memory", peaks[0] / peaks[1], MEMORY),
                ("peak memory in training alone", ours["training"] / theirs["training"], None),
                ("peak memory the second time in a process", ours["again"] / theirs["again"], None),
                ("peak memory of the whole process", whole[0] / whole[1], None),
            ):
                bar = Bar(key, hand, limit)
                rows.append(_row(f"{what}: {bar}", key, Spread(ratio, ratio, ratio), bar))
    return rows


def of_epochs(shares: Mapping[Key, Mapping[str, float]]) -> list[dict[str, Any]]:
    rows = []
    for key, row in shares.items():
        bar, share = Bar(key, key, BATCHING.get(key.case)), row["share"]
        rows.append(_row("batching / epoch", key, Spread(share, share, share), bar))
    return rows


def _row(what: str, key: Key, ratio: Spread, bar: Bar) -> dict[str, Any]:
    pair = "compiled" if key.contestant == BAYESREG_COMPILED else "uncompiled"
    limit = [bar.limit, "", ""]
    if bar.limit is not None:
        met = ratio.median >= bar.limit if bar.least else ratio.median <= bar.limit
        limit = [bar.limit, "at least" if bar.least else "at most", "met" if met else "missed"]
    return dict(zip(COLUMNS, [what, key.case, key.batch, key.width, pair, *ratio, *limit], strict=True))
