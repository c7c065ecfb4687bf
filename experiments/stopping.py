"""Ctrl-C and SIGTERM end a command at once; it says how to go on, and its exit status says what ended it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


class Stopped(KeyboardInterrupt):
    """A signal asked this process to end."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Exit with 130 after Ctrl-C, with 143 after SIGTERM, as a shell does; a second signal does not wait."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, handler in kept.items():
        if handler is not signal.SIG_IGN:  # as below nohup
            signal.signal(number, _stop)
    try:
        yield
    except Stopped as stopped:
        print("\nstopped; what is done is kept, and the same command goes on from there", file=sys.stderr)
        sys.exit(128 + stopped.args[0])
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(number, lambda number, frame: os._exit(128 + number))
    raise Stopped(number)
