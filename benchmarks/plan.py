"""What is to be measured: the options of the command line, and the contestants that follow from them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch

from bayesreg.guides import GUIDES
from bayesreg.priors import split
from benchmarks.cases import CASES, Case
from benchmarks.contestants import BAYESREG, COMPILED, DECAY, HAND, NAIVE, Key
from benchmarks.results import WIDTH_PRIORS


@dataclass(frozen=True)
class StepTime:
    """Measure what a training step costs, and write reports/performance/.

    All contestants of a case run in the same process, in turns. The measurements are written after every case, so an
    interruption keeps them.
    """

    cases: list[str] = field(default_factory=lambda: list(CASES))
    """Which networks: mlp, housing, resnet18, lstm, transformer."""
    priors: list[str] = field(default_factory=lambda: ["none", "l1", "l2", "entropic", "ard"])
    """Which priors, each at its usual strength. Include none for ratios to no prior."""
    guides: list[str] = field(default_factory=lambda: ["delta", "normal"])
    """delta is MAP; normal is mean-field variational inference."""
    widths: list[int] = field(default_factory=lambda: [1, 4, 16])
    """Multiples of the usual width. Beyond 1 only none and l2 are measured, except where a case has both."""
    seconds: float = 1.0
    """About how many seconds each contestant is measured."""
    rounds: int | None = None
    """How many turns each has; None: as many as fill the seconds."""
    compile: bool = True
    """Also measure compiled contestants, separately; compiling takes minutes."""
    compile_priors: list[str] = field(default_factory=lambda: ["none", "l2"])
    """The priors they are measured under, with the delta guide."""
    memory: bool = True
    """Measure peak memory, in one process per contestant."""
    epochs: bool = True
    """Measure what part of an epoch is batching."""
    device: str | None = None
    """cpu, cuda, cuda:1, …; None: a GPU where there is one."""
    output: Path = Path("reports/performance")
    """Where the tables, the figures and the page go."""

    def check(self) -> None:
        """ValueError for what is not there, before anything is measured."""
        for names, known, what in ((self.cases, CASES, "case"), (self.guides, GUIDES, "guide")):
            for name in names:
                if name not in known:
                    raise ValueError(f"unknown {what} {name!r}; there are {', '.join(known)}")
        for prior in self.priors:
            split(prior)
        if min(self.widths, default=0) < 1 or self.seconds <= 0 or (self.rounds is not None and self.rounds < 1):
            raise ValueError(f"widths {self.widths}, seconds {self.seconds} and rounds {self.rounds} must be above 0")


class Measurement(NamedTuple):
    """A case at one width and batch size, and who takes part."""

    case: Case
    batch: int
    width: int
    keys: list[Key]


def plan(options: StepTime, device: torch.device) -> list[Measurement]:
    """Everything to be measured, the usual widths first."""
    found = []
    for width, case in itertools.product(sorted(options.widths), map(CASES.__getitem__, options.cases)):
        if width <= case.widest:
            for batch in case.gpu_batches if device.type == "cuda" else case.batches:
                keys = [Key(case.name, batch, width, *who) for who in _who(options, width, width in case.whole)]
                found.append(Measurement(case, batch, width, keys))
    return found


def _who(options: StepTime, width: int, whole: bool) -> Iterator[tuple[str, str, str]]:
    """(prior, guide, contestant): all at the usual width, at others only what the bars need."""
    for guide, prior in itertools.product(options.guides, options.priors):
        plain = guide == "delta" and prior in WIDTH_PRIORS
        if not (width == 1 or plain or (whole and (guide == "delta" or prior == "none"))):
            continue
        yield from ((prior, guide, name) for name in (BAYESREG, HAND))
        if width == 1 or whole:
            yield prior, guide, DECAY
        if width == 1:
            yield prior, guide, NAIVE
        if options.compile and width == 1 and guide == "delta" and prior in options.compile_priors:
            yield from ((prior, guide, name) for name in COMPILED)
