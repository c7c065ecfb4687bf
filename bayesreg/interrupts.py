"""Ctrl-C while processes are started and while they work: the process that started them decides what it means."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker


def leave() -> None:
    """In a worker: leave Ctrl-C to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def later() -> Iterator[None]:
    """Processes started here do not see a Ctrl-C, not even while they import, and this process sees it only afterwards.

    SIGTERM waits too: a half-started process would have nothing to read, and would end with a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):  # as on Windows
        yield
        return
    resource_tracker.ensure_running()  # it would unblock the signals
    came: list[int] = []
    own = threading.current_thread() is threading.main_thread()  # any other has no handlers, and is not interrupted
    handlers = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)} if own else {}
    handlers = {number: handler for number, handler in handlers.items() if callable(handler)}
    # The mask is for what inherits it: here another thread may take the signal, and the handler is called at once.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        for number in handlers:
            signal.signal(number, lambda number, frame: came.append(number))
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if came:
            signal.raise_signal(came[0])
