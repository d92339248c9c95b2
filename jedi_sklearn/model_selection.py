"""Cross-validation over several datasets with unlabelled rows."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import BaseCrossValidator, StratifiedKFold

from .inputs.multidataset import is_row_wise
from .inputs.read_x import as_multidataset
from .inputs.read_y import read_targets
from .utils.accepted import invalid

__all__ = ["MultiDatasetKFold"]


class MultiDatasetKFold(BaseCrossValidator):
    """K folds stratified by dataset and label; unlabelled rows always train.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, 2 or more.
    shuffle : bool, default=False
        Whether to shuffle the rows of each label before they are split.
    random_state : int, RandomState instance or None, default=None
        Source of the shuffle.

    See Also
    --------
    jedi_sklearn.stack_datasets : Makes the pair that is split.
    sklearn.model_selection.StratifiedKFold : Deals out the labelled rows.

    Examples
    --------
    >>> import numpy as np
    >>> from jedi_sklearn import stack_datasets
    >>> from jedi_sklearn.model_selection import MultiDatasetKFold
    >>> X = {"a": np.ones((5, 2)), "b": np.ones((4, 2))}
    >>> X, y = stack_datasets(X, {"a": [0, 0, 1, 1, -1], "b": ["x", "x", "y", "y"]})
    >>> for train, test in MultiDatasetKFold(n_splits=2).split(X, y):
    ...     print(train, test)
    [1 3 4 6 8] [0 2 5 7]
    [0 2 4 5 7] [1 3 6 8]
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        shuffle: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.random_state = random_state

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds.

        Parameters
        ----------
        X, y, groups : object
            Ignored.

        Returns
        -------
        n_splits : int
            Same as the parameter.
        """
        return self.n_splits

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
        """Yield the rows of each fold's training set and of its test set.

        Parameters
        ----------
        X : MultiDataset, DataFrame or array-like of shape (n_rows, n_features)
            The rows.
        y : mapping, MultiTarget or array-like of shape (n_rows,)
            Labels of the rows, as `stack_datasets` takes or makes them.
        groups : object
            Ignored.

        Yields
        ------
        train, test : ndarray of int
            Row numbers, in ascending order.

        Raises
        ------
        TypeError
            If X is a plain mapping, whose rows have no common order.
        ValueError
            If X and y do not match, y has no label, or there are too few for so many
            folds.
        """
        if not is_row_wise(X):
            raise TypeError(
                f"X is a mapping of the datasets {list(X)}, whose rows have no common "
                "order; stack_datasets(X, y) gives them one."
            )
        yield from super().split(as_multidataset(X), y, groups)

    def _iter_test_indices(
        self, X: Any = None, y: Any = None, groups: Any = None
    ) -> Iterator[npt.NDArray[np.intp]]:
        n_splits: Any = self.n_splits
        if isinstance(n_splits, bool) or not isinstance(n_splits, Integral):
            raise invalid("n_splits", n_splits, "integers of 2 or more")
        # Rows in no test set are in every training set: unlabelled ones need no split.
        datasets = as_multidataset(X)
        strata = np.full(datasets.shape[0], -1)
        for name, labels in read_targets(y, datasets).labels.items():
            codes = np.where(labels.labelled, labels.codes + strata.max() + 1, -1)
            strata[datasets.rows_of(name)] = codes
        labelled = np.flatnonzero(strata >= 0)
        if not len(labelled):
            raise ValueError("y has no label at all; there is nothing to split.")
        folds = StratifiedKFold(
            self.n_splits, shuffle=self.shuffle, random_state=self.random_state
        )
        for _, test in folds.split(labelled, strata[labelled]):
            yield labelled[test]
