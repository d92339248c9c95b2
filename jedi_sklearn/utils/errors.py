"""Errors of users' and other libraries' code, with what it was called for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

# Errors that data of an unexpected kind typically causes.
OF_DATA = (
    LookupError,
    AttributeError,
    ArithmeticError,
    NotImplementedError,
    StopIteration,
)


@contextmanager
def named_errors(what: str) -> Iterator[None]:
    """Name, in an error of someone else's code, what it was called for.

    Errors that the data may have caused become ValueErrors; others get a note.
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
