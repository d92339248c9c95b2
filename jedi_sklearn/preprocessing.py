"""Transformers that keep datasets apart."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from ._embed import named_errors
from ._multidataset import (
    MultiDataset,
    as_multidataset,
    has_dataset_level,
    is_row_wise,
    take_rows,
)
from ._targets import check_kinds, read_targets

__all__ = ["PerDataset"]


class PerDataset(TransformerMixin, BaseEstimator):
    """Fits one clone of a transformer on each dataset.

    Parameters
    ----------
    transformer : estimator
        With ``fit`` and ``transform``.

    Attributes
    ----------
    transformers_ : dict of str to estimator
        The fitted clone of each dataset.

    See Also
    --------
    jedi_sklearn.JEDIClassifier : What may follow in a Pipeline.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import StandardScaler
    >>> from jedi_sklearn.preprocessing import PerDataset
    >>> X = {"a": np.array([[0.0], [2.0]]), "b": np.array([[0.0], [20.0]])}
    >>> PerDataset(StandardScaler()).fit_transform(X)["b"]
    array([[-1.],
           [ 1.]])
    """

    def __init__(self, transformer: Any) -> None:
        self.transformer = transformer

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit one clone on the rows of each dataset.

        Parameters
        ----------
        X : mapping, MultiDataset, DataFrame or array-like
            The rows of all datasets.
        y : mapping, MultiTarget or array-like of shape (n_samples,), optional
            A clone sees all rows of its dataset, with their labels if all have one.
            One that must have labels sees the labelled rows alone.

        Returns
        -------
        self : PerDataset
            The transformer itself.

        Raises
        ------
        ValueError
            If X and y do not match, or a clone cannot be fitted.
        """
        check_kinds(X, y)
        datasets = as_multidataset(X)
        labels = {} if y is None else read_targets(y, datasets).labels
        needs_y = get_tags(self.transformer).target_tags.required
        fitted = {}
        for name, values in datasets.items():
            known = None
            if name in labels and (needs_y or labels[name].labelled.all()):
                values = take_rows(values, np.flatnonzero(labels[name].labelled))
                known = labels[name].known
            with named_errors(f"{self.transformer!r} failed on dataset {name!r}"):
                fitted[name] = clone(self.transformer).fit(values, known)
        self.transformers_ = fitted
        return self

    def transform(self, X: Any) -> Any:
        """Transform the rows of each dataset by its own clone.

        Parameters
        ----------
        X : mapping, MultiDataset, DataFrame or array-like
            Rows of datasets that were in `fit`.

        Returns
        -------
        X : dict of str to row-indexable, or MultiDataset
            A dict for a mapping, an array for an array, else a `MultiDataset` of
            the rows in their order.

        Raises
        ------
        NotFittedError
            If the transformer is not fitted.
        ValueError
            If there is a dataset that was not in fit.
        """
        check_is_fitted(self)
        datasets = as_multidataset(X)
        changed = {}
        for name, values in datasets.items():
            if name not in self.transformers_:
                raise ValueError(
                    f"Dataset {name!r} was not in fit; there were "
                    f"{list(self.transformers_)}."
                )
            with named_errors(f"{self.transformer!r} failed on dataset {name!r}"):
                changed[name] = self.transformers_[name].transform(values)
        if not is_row_wise(X):
            return changed
        if isinstance(X, MultiDataset) or has_dataset_level(X):
            return datasets.with_values(changed)
        return changed["dataset"]
