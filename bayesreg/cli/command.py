"""What all commands share: reading options, how much they say, and how they end."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import tyro

from bayesreg.cli.stopping import stoppable

BAD = (ValueError, TypeError, OSError, MemoryError)  # what bad input raises
CONFIG = (tyro.conf.FlagCreatePairsOff,)
Positional = Annotated[Path, tyro.conf.Positional]


@dataclass(frozen=True)
class Verbosity:
    """How much a command says."""

    quiet: bool = False
    """Print only errors and the result."""
    verbose: bool = False
    """Log every step."""

    def apply(self, usual: str) -> None:
        """Set the level of the log. ValueError where both are given."""
        if self.quiet and self.verbose:
            raise ValueError("--quiet and --verbose exclude each other: leave one out")
        level = "ERROR" if self.quiet else "INFO" if self.verbose else usual
        logging.basicConfig(level=level, format="%(message)s")
        logging.getLogger("bayesreg.progress").setLevel("ERROR" if self.quiet else "INFO")
        logging.captureWarnings(True)


def read(kind: Any, prog: str, usual: str = "WARNING") -> Any:
    """The options from the command line, flags without negation. The log's level is what they ask for, else `usual`."""
    asked = tyro.cli(kind, prog=prog, args=sys.argv[1:], config=CONFIG)
    with refused():
        getattr(asked, "verbosity", asked).apply(usual)
    return asked


def command(main: Callable[..., None]) -> Callable[..., None]:
    """A command that, when stopped, ends as `stoppable` says."""

    @wraps(main)
    def wrapped(*arguments: Any) -> None:
        with stoppable():
            main(*arguments)

    return wrapped


@contextmanager
def refused(kinds: tuple[type[Exception], ...] = BAD) -> Iterator[None]:
    """Say what is wrong with the input in one line, without a traceback, and exit with status 2."""
    try:
        yield
    except BrokenPipeError:
        raise
    except kinds as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
