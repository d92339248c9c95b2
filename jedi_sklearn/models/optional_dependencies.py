"""Imports of libraries that only the exports need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needed(what: str) -> Iterator[None]:
    """Name the extra to install if an import inside fails.

    Parameters
    ----------
    what : str
        Beginning of the message, such as "ONNX needs skl2onnx".
    """
    try:
        yield
    except ImportError as error:
        raise ImportError(f'{what}: pip install "jedi_sklearn[export]"') from error
