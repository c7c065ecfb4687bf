"""Ctrl-C, SIGTERM and a closed pipe end a command at once; its exit status says which."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

GRACE = 1.0  # seconds for a tidy end
CLOSED = 141  # 128 + SIGPIPE


class Stopped(KeyboardInterrupt):
    """A signal asked this process to end."""


@contextmanager
def stoppable(grace: float = GRACE) -> Iterator[None]:
    """Exit with 130 after Ctrl-C, 143 after SIGTERM and 141 where nobody reads what is printed, as a shell does.

    A signal gives what is running `grace` seconds to end, and says how to resume; a second one does not wait.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(number, lambda number, frame: os._exit(128 + number))
        print("\nstopped; what is done is kept, and the same command resumes from there", file=sys.stderr, flush=True)
        sys.unraisablehook = lambda lost: None  # an exception in a `__del__`, such as torch's, is swallowed there:
        end = threading.Timer(grace, os._exit, [128 + number])
        end.daemon = True
        end.start()
        raise Stopped(number)

    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, handler in kept.items():
        if handler is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, stop)
    try:
        try:
            yield
        finally:
            print(end="", flush=True)
    except Stopped as stopped:
        os._exit(128 + stopped.args[0])  # tearing torch down would take another second
    except BrokenPipeError:  # the other end of a pipe has gone, as with `| head`
        os._exit(CLOSED)
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
