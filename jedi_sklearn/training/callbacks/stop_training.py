"""Reasons to end a training early, as exceptions that callbacks raise."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class StopTraining(KeyboardInterrupt):
    """End of a training that a callback asks for.

    skorch ends a training at a KeyboardInterrupt, and so does a user at the keyboard;
    this class tells the two apart.
    """


class NoImprovement(StopTraining):
    """End of a phase whose epochs are no longer better on the validation rows."""


class Diverged(StopTraining):
    """End of a training in which a number is not finite.

    Parameters
    ----------
    what : str
        Name of the loss or the model, for messages.
    """

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


@contextmanager
def noted_interrupts() -> Iterator[list[int]]:
    """Note SIGINT for as long as the context lasts; the handler in force still runs.

    Yields
    ------
    noted : list of int
        Grows by the signal's number. Signals come to the main thread alone.
    """
    noted: list[int] = []
    handler: Any = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or not callable(handler):
        yield noted
        return

    def note(number: int, frame: Any) -> Any:
        noted.append(number)
        return handler(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        # A callback may have set a handler of its own, which stays.
        if signal.getsignal(signal.SIGINT) is note:
            signal.signal(signal.SIGINT, handler)
