"""How long something takes, for the log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from logging import DEBUG, INFO, Logger


@contextmanager
def timed(logger: Logger, what: str, *args: object) -> Iterator[None]:
    """Log that something begins, for debugging, and for all how long it took.

    Parameters
    ----------
    logger : Logger
    what : str
        A format of `args`, as a logger takes it, such as ``"Fitting expert %r"``.
    *args : object
    """
    logger.log(DEBUG, f"{what} ...", *args)
    start = time.perf_counter()
    yield
    logger.log(INFO, f"{what} took %.3g s.", *args, time.perf_counter() - start)
