"""State of pickled and dumped models, with the version that wrote it."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pandas as pd

from .._version import __version__

# Raise it when older versions cannot read the state any more. The first models have no
# number, which counts as 0.
FORMAT = 1


class VersionedState:
    """Mixin whose state names the version that wrote it and contains no pandas.

    Estimators inherit from it before :class:`sklearn.base.BaseEstimator`. The DataFrame
    ``history_`` is stored as arrays and lists: not every file format knows pandas.
    """

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())  # type: ignore[call-overload]
        if "history_" in state:
            state["history_"] = plain_history(state["history_"])
        return state | {"_version": __version__, "_format": FORMAT}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        version, number = state.pop("_version", None), state.pop("_format", 0)
        if number > FORMAT:
            raise ValueError(
                f"This {type(self).__name__} was written by jedi_sklearn {version}, "
                f"which is newer than this one, {__version__}, and writes models that "
                "this one cannot read. Install that version or a later one: "
                f'pip install --upgrade "jedi_sklearn>={version}"'
            )
        if isinstance(state.get("history_"), dict):
            state["history_"] = history_from_plain(state["history_"])
        # An older model lacks the parameters added since; their defaults keep to what
        # it did.
        parameters = inspect.signature(type(self)).parameters
        defaults = {
            name: parameter.default
            for name, parameter in parameters.items()
            if parameter.default is not parameter.empty
        }
        super().__setstate__(defaults | state)  # type: ignore[misc]


def plain_history(history: pd.DataFrame) -> dict[str, Any]:
    """Return a history as NumPy arrays and lists."""
    return {
        "epochs": history.index.to_numpy(),
        "columns": [list(column) for column in history.columns],
        "values": history.to_numpy(dtype=np.float64),
    }


def history_from_plain(plain: dict[str, Any]) -> pd.DataFrame:
    """Undo `plain_history`."""
    columns = [tuple(column) for column in plain["columns"]]
    return pd.DataFrame(
        plain["values"],
        index=pd.Index(plain["epochs"], name="epoch"),
        columns=pd.MultiIndex.from_tuples(columns, names=["quantity", "dataset"]),
    )
