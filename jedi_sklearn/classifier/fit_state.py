"""Inputs and result of a fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..experts.expert import Expert
from ..inputs.training_data import TrainingData
from ..models.versioned_state import history_from_plain, plain_history
from ..models.weights import Weights

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FitInputs:
    """Rows to fit on.

    Attributes
    ----------
    data : TrainingData
    held_out : TrainingData or None
        Validation rows, where some were given.
    datasets : list of str
        Names of all datasets of the training, with rows in `data` or without.
    labelled : list of str
        Names of the datasets that have a student.
    """

    data: TrainingData
    held_out: TrainingData | None
    datasets: list[str]
    labelled: list[str]


@dataclass(frozen=True)
class FitState:
    """Result of a fit, from which another fit can continue.

    All of it is NumPy, so that it is read where there is no torch.

    Attributes
    ----------
    experts : list of Expert
        Fitted.
    weights : Weights
        Of the joint network, on embeddings as the experts make them. Its heads and
        teachers are in the order of `labelled`.
    scaling : pair of ndarray of shape (n_features,), or None
        Mean and scale of the features in training; None to compute it anew.
    teacher_input : str
        The parameter, which gives the teachers' weights their meaning.
    sizes : dict of str to float
        Size of every dataset in Eq. (2): the sum of the weights of its rows.
    labelled : list of str
        Names of the datasets that have a student.
    kept_experts : list of str
        Names of the datasets whose student is their expert, see `keep_expert`.
    history : DataFrame
        One row an epoch.
    problem : Warning or None
        Reason for an early end that nobody asked for. It is not pickled.
    """

    experts: list[Expert]
    weights: Weights
    scaling: Sequence[Array] | None
    teacher_input: str
    sizes: dict[str, float]
    labelled: list[str]
    kept_experts: list[str]
    history: pd.DataFrame
    problem: Warning | None = None

    def on_other_rows(self) -> FitState:
        """Return the state from which a fit on other rows continues.

        Their scaling, their sizes and their history take the place of these.
        """
        # Columns go too: the next fit need not have validation rows.
        nothing = self.history.iloc[:0, :0]
        return replace(self, scaling=None, sizes={}, kept_experts=[], history=nothing)

    def __getstate__(self) -> dict[str, Any]:
        # Not every format of files knows pandas.
        return vars(self) | {"history": plain_history(self.history), "problem": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state | {"history": history_from_plain(state["history"])})
