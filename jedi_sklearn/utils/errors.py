"""Errors of other people's code, told with what it was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

# What is raised for data of another kind than some code was written for.
OF_DATA = (
    LookupError,
    AttributeError,
    ArithmeticError,
    NotImplementedError,
    StopIteration,
)


@contextmanager
def named_errors(what: str) -> Iterator[None]:
    """Say in an error of someone else's code what we had asked it for.

    What is an error in the data to that code, of whatever kind, is a ValueError.
    """
    try:
        yield
    except (ValueError, TypeError) as error:
        raise ValueError(f"{what}: {error}") from error
    except OF_DATA as error:
        raise ValueError(f"{what}: {type(error).__name__}: {error}") from error
    except Exception as error:
        error.add_note(f"{what}.")
        raise
