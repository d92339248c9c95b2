"""What a pickled or dumped model says about itself, and models of older versions."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pandas as pd

from .._version import __version__

# To be raised when an older version could not read what this one writes. Models from
# before there were numbers have none.
FORMAT = 1


class VersionedState:
    """The state of an estimator with the version that wrote it.

    For estimators to inherit from, before :class:`sklearn.base.BaseEstimator`. The
    state is also free of pandas, whose objects not every format of files knows.
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
        super().__setstate__(_defaults(type(self)) | state)  # type: ignore[misc]


def _defaults(cls: type) -> dict[str, Any]:
    """Return what an older version, which did not have these parameters, went by."""
    return {
        name: parameter.default
        for name, parameter in inspect.signature(cls).parameters.items()
        if parameter.default is not parameter.empty
    }


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
