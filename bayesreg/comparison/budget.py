"""How long a comparison may take."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from typing import Any

UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}  # seconds
FORM = re.compile("".join(rf"(?:(\d+(?:\.\d+)?)\s*{unit}\s*)?" for unit in UNITS), re.IGNORECASE)


class OutOfTime(Exception):
    """The budget is used up."""


class Budget:
    """Seconds from now on; None: as long as it takes. clock: the time in seconds, such as `time.monotonic`."""

    def __init__(self, seconds: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = math.inf if seconds is None else seconds
        self._clock, self._start = clock, clock()

    def left(self, share: float = 1.0) -> float:
        """Seconds left of a share of it, at least 0."""
        return max(0.0, share * self.seconds - (self._clock() - self._start))

    def check(self) -> None:
        """Raise `OutOfTime` where nothing is left."""
        if not self.left():
            raise OutOfTime


def in_seconds(text: Any) -> float | None:
    """Seconds from "2h", "90m", "1h30m", "45s", "1d" or a number; None is no limit. ValueError for anything else."""
    if text is None:
        return None
    found = FORM.fullmatch(str(text).strip())
    try:
        given = [float(part or 0) for part in found.groups()] if found else []
        value = sum(n * unit for n, unit in zip(given, UNITS.values(), strict=True)) if given else float(text)
    except (TypeError, ValueError):
        value = math.nan
    if isinstance(text, bool) or not (math.isfinite(value) and value > 0):
        raise ValueError(f"budget={text!r} is not a duration: give it as 2h, 90m, 1h30m or 45s, or in seconds, above 0")
    return value
