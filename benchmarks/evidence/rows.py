"""Which rows a choice may see: held-out ones and folds, of training rows alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedKFold, train_test_split

Rows = npt.NDArray[np.int64]

MAX_FOLDS = 3


def split_rows(codes: npt.NDArray[Any], share: float, seed: int) -> tuple[Rows, Rows]:
    """Divide the labelled rows into rows to fit on and held-out rows, by class.

    Parameters
    ----------
    codes : ndarray of shape (n_rows,)
        Numbers of the labels, -1 where there is none.
    share : float
        Of the labelled rows that is held out.
    seed : int

    Returns
    -------
    fitted_on, held_out : ndarrays of row numbers, which have none in common
    """
    labelled = np.flatnonzero(codes >= 0)
    fitted_on, held_out = train_test_split(
        labelled, test_size=share, stratify=codes[labelled], random_state=seed
    )
    check_disjoint(fitted_on, held_out)
    return np.sort(fitted_on), np.sort(held_out)


def folds(codes: npt.NDArray[Any], seed: int) -> list[tuple[Rows, Rows]]:
    """Divide the labelled rows into folds, for use as scikit-learn's ``cv``.

    Unlabelled rows are in no fold's validation part and in every fold's training part,
    for methods that learn from them; the others leave them out beforehand.
    """
    labelled = np.flatnonzero(codes >= 0)
    unlabelled = np.flatnonzero(codes < 0)
    smallest = np.unique(codes[labelled], return_counts=True)[1].min()
    splitter = StratifiedKFold(
        min(MAX_FOLDS, int(smallest)), shuffle=True, random_state=seed
    )
    pairs = []
    for fitted_on, held_out in splitter.split(labelled, codes[labelled]):
        train = np.concatenate([labelled[fitted_on], unlabelled])
        check_disjoint(train, labelled[held_out])
        pairs.append((train, labelled[held_out]))
    return pairs


def check_disjoint(*parts: Rows) -> None:
    """Raise ValueError where a row is in two of the parts."""
    rows = np.concatenate(parts)
    if len(np.unique(rows)) < len(rows):
        raise ValueError("Rows for fitting, choosing and scoring overlap.")


def check_apart(train: npt.NDArray[Any], test: npt.NDArray[Any]) -> None:
    """Raise ValueError where training and test rows are partly the same memory."""
    if np.shares_memory(train, test):
        raise ValueError("Training and test rows overlap.")
