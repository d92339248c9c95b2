"""Progress on standard error: a bar in terminals, a widget in notebooks."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from logging import DEBUG, INFO, Logger
from typing import Any


def progress_bar(total: int, unit: str, *, verbose: int, done: int = 0) -> Any:
    """Return a context manager that shows a bar with rate and remaining time.

    Parameters
    ----------
    total : int
    unit : str
        Name of what is counted, in the plural.
    verbose : int
        0 shows nothing. Without a standard error nothing is shown either.
    done : int
        Part of the total that was done before.
    """
    if not (verbose and total) or getattr(sys.stderr, "closed", sys.stderr is None):
        return _NoBar()
    # tqdm comes with skorch. Its import is lazy because the version for notebooks is
    # slow to import and warns if there are no widgets.
    from tqdm.auto import tqdm

    return tqdm(total=total, initial=done, unit=f" {unit}")


class _NoBar:
    """A bar that shows nothing.

    A disabled bar of tqdm would still take a lock that forked processes share. If one
    of them is killed while it holds the lock, the others wait forever.
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
    """Log the beginning of a step (DEBUG) and its duration (INFO).

    Parameters
    ----------
    logger : Logger
    what : str
        Name of the step, a %-format of `args` such as ``"Fitting expert %r"``.
    *args : object
    """
    logger.log(DEBUG, f"{what} ...", *args)
    start = time.perf_counter()
    yield
    logger.log(INFO, f"{what} took %.3g s.", *args, time.perf_counter() - start)
