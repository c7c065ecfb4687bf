"""How far something is: a bar in a terminal or a notebook; for a grid that nobody watches, a line in the log."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

log = logging.getLogger(__name__)

QUIET = 2.0  # seconds: anything shorter shows no bar
LINE = 30.0  # seconds between two lines of a log
LOOK = 0.5  # seconds between two updates of a bar
BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} runs [{elapsed}{postfix}]"
UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))  # seconds


def bar(*iterable: Any, show: bool = True, **options: Any) -> tqdm:
    """tqdm(*iterable, **options) that appears after two seconds, where somebody can see it.

    show: False is always silent, and so is a log that shows no warnings. A notebook gets the widget if ipywidgets is
    installed, else the same line of text as a terminal.
    """
    said = logging.getLogger("bayesreg").isEnabledFor(logging.WARNING)
    hidden = not (show and said and (sys.stderr.isatty() or in_notebook()))
    return _kind()(*iterable, disable=hidden, **({"delay": QUIET} | options))


def in_notebook() -> bool:
    """Whether this is the kernel of a notebook (Jupyter, Colab, VS Code)."""
    shell = sys.modules.get("IPython")
    running = shell.get_ipython() if shell else None
    return running is not None and hasattr(running, "kernel")


def _kind() -> type[tqdm]:
    if in_notebook():
        try:
            import ipywidgets  # noqa: F401
            from tqdm.notebook import tqdm_notebook
        except ImportError:
            return tqdm
        return tqdm_notebook
    return tqdm


class Progress:
    """How far a grid of runs is: "tune 120 of 400 runs, 2 running, 1 failed, 3 refused, 4 min left".

    A bar shows it where there is one, else a line of the log now and then, and at the end of each stage. show: False
    shows nothing. left: seconds until the end, None where unknown. clock: the time in seconds.
    """

    def __init__(
        self,
        left: Callable[[], float | None],
        refused: int = 0,
        show: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stage, self.total, self.ended = "", 0, 0
        self.counts = {"running": 0, "elsewhere": 0, "failed": 0, "refused": refused}
        self._left, self._show, self._clock = left, show, clock
        self._bar = bar(total=0, show=show, miniters=0, bar_format=BAR)
        self._said = clock()

    def __str__(self) -> str:
        return ", ".join([f"{self.stage} {self.ended} of {self.total} runs", *self._further()])

    def _further(self) -> list[str]:
        left = self._left()
        known = [f"{number} {what}" for what, number in self.counts.items() if number]
        return known + ([f"{duration(left)} left"] if left else [])

    def look(self) -> None:
        """Show it if it is time to; cheap, to be called often."""
        hidden = self._bar.disable
        if self._clock() - self._said >= (LINE if hidden else LOOK):
            self._say()

    def _say(self) -> None:
        self._said = self._clock()
        if not self._bar.disable:
            self._bar.total, self._bar.desc = self.total, self.stage
            self._bar.set_postfix_str(", ".join(self._further()), refresh=False)
            self._bar.update(self.ended - self._bar.n)
        elif self._show:
            log.info("%s", self)

    def end(self) -> None:
        """End a stage."""
        if self.total:
            self._say()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()


def duration(seconds: float) -> str:
    """How long that is, as text: "45 s", "1 min 30 s", "11 min", "2 h", "1 d 3 h"."""
    whole = max(1, round(seconds))
    first = next(place for place, (_, unit) in enumerate(UNITS) if whole >= unit)
    number, rest = divmod(whole, UNITS[first][1])
    said = f"{number} {UNITS[first][0]}"
    finer = rest // UNITS[first + 1][1] if rest and number < 10 else 0
    return f"{said} {finer} {UNITS[first + 1][0]}" if finer else said
