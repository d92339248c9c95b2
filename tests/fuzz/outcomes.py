"""What may become of a call: a result, or a refusal that says what is at fault."""

from __future__ import annotations

import os
import random
import re
import signal
import traceback
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hang_guards import SECONDS
from scipy import sparse

from jedi_sklearn import MultiDataset

PACKAGE = f"{os.sep}jedi_sklearn{os.sep}"

# A case takes some hundredths of a second.
LIMIT = int(SECONDS)

# What the package says itself, or has scikit-learn say.
OUR_WARNINGS = re.compile(
    "Rows that could not be embedded are left out"
    "|were trained before fit and may have seen"
    "|Embeddings are not kept in"
    "|is not the one whose embeddings are in"
    "|A column-vector y was passed"
    "|[Tt]raining .*diverge"
    "|The least populated class in y has only"
    # Other columns than those of fit, by scikit-learn's convention.
    "|X (has|does not have valid) feature names, but JEDIClassifier was fitted"
)

# Functions that call estimators which are the user's, whose warnings are for the user.
OF_USERS = {"embed", "_fit_encoder", "_fit_head", "_class_scores", "fit", "transform"}

# What is at fault where no dataset, expert or parameter is.
ARGUMENTS = re.compile(
    r"\b(X|y|X_val|y_val|sample_weight|class_weight|datasets|experts|memory|n_splits"
    r"|samples|transformer|callbacks?|learning_rate)\b"
)


class Refused:
    """A call has been refused, in words that name what is at fault."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __repr__(self) -> str:
        return f"Refused({type(self.error).__name__}: {self.error})"


def outcome(call: Callable[[], Any], names: Collection[Any], *given: Any) -> Any:
    """Return the result of a call, or `Refused`.

    Parameters
    ----------
    call : callable
    names : collection
        Of datasets, experts and parameters: one of them must be in a refusal, or one
        of `ARGUMENTS`.
    *given : objects
        That must not be changed.

    Raises
    ------
    AssertionError
        If it is a forbidden outcome: any other exception, a warning that is not ours,
        a change of what was given or of a global random state, or no end.
    """
    before, states = [content(value) for value in given], _random_states()
    with strange_warnings() as strange, limited():
        try:
            result = call()
        except (ValueError, TypeError) as error:
            result = Refused(error)
    if isinstance(result, Refused):
        assert _says_what(str(result.error), names), f"names nothing: {result}"
    assert not strange, "warnings: " + "; ".join(strange)
    assert [content(value) for value in given] == before, "an input was changed"
    np.testing.assert_equal(_random_states(), states)
    return result


@contextmanager
def strange_warnings() -> Iterator[list[str]]:
    """List warnings that are neither ours nor those of a user's own estimator."""
    strange: list[str] = []

    def show(message: Any, category: Any, filename: str, lineno: int, *_: Any) -> None:
        # The innermost function of the package says who has called whom.
        frames = (f.name for f in traceback.extract_stack() if PACKAGE in f.filename)
        *_, caller = ["", *frames]
        if caller not in OF_USERS and not OUR_WARNINGS.search(str(message)):
            strange.append(f"{category.__name__}: {message} ({filename}:{lineno})")

    with warnings.catch_warnings(action="always"):
        warnings.showwarning = show
        yield strange


def _says_what(message: str, names: Collection[Any]) -> bool:
    if any(repr(name) in message or f"{name}=" in message for name in names):
        return True
    return ARGUMENTS.search(message) is not None


def content(value: Any) -> Any:
    """Return what can be compared with itself later, alike for alike content."""
    for kind, parts_of in _PARTS.items():
        if isinstance(value, kind):
            return [content(part) for part in parts_of(value)]
    if sparse.issparse(value):
        return [value.format, content(value.toarray())]
    if isinstance(value, np.ndarray) and value.dtype.kind != "O":
        # In whichever order the bytes of a number stand.
        value = value.astype(value.dtype.newbyteorder("="))
        return [value.dtype.str, value.shape, value.tobytes()]
    text = repr(list(value) if isinstance(value, tuple | np.ndarray) else value)
    return re.sub(" at 0x[0-9a-f]+", "", text)  # a copy lies elsewhere


_PARTS: dict[Any, Callable[[Any], list[Any]]] = {
    MultiDataset: lambda X: [X.groups.tolist(), dict(X)],
    dict: lambda X: [part for item in X.items() for part in item],
    pd.DataFrame: lambda X: [X.index, *(part for item in X.items() for part in item)],
    pd.Series: lambda X: [X.index, X.name, X.to_numpy()],
}


def _random_states() -> list[Any]:
    return [
        torch.get_rng_state().numpy(),
        np.random.get_state(legacy=False),  # noqa: NPY002
        random.getstate(),
    ]


@contextmanager
def limited(seconds: int = LIMIT) -> Iterator[None]:
    """Fail where something takes too long."""

    def end(*_: Any) -> None:
        # No Exception, which what hangs might catch.
        pytest.fail(f"a case took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
