"""Progress on standard error: a bar in terminals, a widget in notebooks."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from logging import DEBUG, INFO, Logger
from typing import Any


def progress_bar(total: int, unit: str, *, verbose: int, done: int = 0) -> Any:
    """Return a bar with rate and time left, a context to be updated.

    Parameters
    ----------
    total : int
    unit : str
        What is counted.
    verbose : int
        0 shows nothing, and neither does anything where there is no standard error.
    done : int
        How much of the total was done before.
    """
    if not (verbose and total) or getattr(sys.stderr, "closed", sys.stderr is None):
        return _NoBar()
    # tqdm comes with skorch. That of notebooks is slow to import, and warns where there
    # are no widgets.
    from tqdm.auto import tqdm

    return tqdm(total=total, initial=done, unit=f" {unit}")


class _NoBar:
    """A bar that shows nothing.

    Of tqdm, even a bar that is disabled takes a lock, which forked processes share: one
    that was killed while it held the lock would stop the others for good.
    """

    def __enter__(self) -> _NoBar:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def update(self, n: int = 1) -> None:
        pass

    def set_postfix_str(self, text: str, refresh: bool = True) -> None:
        pass


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
