"""A Ctrl-C while processes are started and while they work: what it means the process that started them decides."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker


def leave() -> None:
    """In a worker: to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def later() -> Iterator[None]:
    """A Ctrl-C is not seen by what is started here, not even while it imports, and by this process only afterwards.

    A SIGTERM likewise waits: what is half started would have nothing to read, and say so with a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):  # as on Windows
        yield
        return
    resource_tracker.ensure_running()  # which would unblock them
    came: list[int] = []
    own = threading.current_thread() is threading.main_thread()  # another has no handlers, and is not interrupted
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
