"""Being told to stop: Ctrl-C, and SIGTERM and SIGUSR1, which queue systems send before they kill."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["EXIT_STOPPED", "Stopped", "raise_if_stopped", "stop_on_signals"]

# EX_TEMPFAIL: not finished, and the same command goes on.
EXIT_STOPPED = 75
# The signal that this process was sent, if any.
_signals: list[int] = []


class Stopped(SystemExit):
    """The run was told to stop; what is finished is kept.

    Not caught, it ends the process with ``EXIT_STOPPED``, or 130 after Ctrl-C.
    """

    def __init__(self, number: int) -> None:
        super().__init__(130 if number == signal.SIGINT else EXIT_STOPPED)
        self.signal_name = signal.Signals(number).name


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Raise :class:`Stopped` once; what comes after the first is not heard, but for a second Ctrl-C.

    Queue systems send a signal more than once, and to every process of a job; a second one must not break off the
    tidying up.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        if not _signals:
            _signals.append(number)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise Stopped(number)

    previous_handlers = {
        number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    }
    try:
        yield
    finally:
        _signals.clear()
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)


def raise_if_stopped() -> None:
    """Raise :class:`Stopped` again if it was lost.

    Python raises it wherever the main thread is, and code there may make another error of it, or drop it, as compiled
    code that calls Python and finalizers do.
    """
    if _signals:
        raise Stopped(_signals[0])
