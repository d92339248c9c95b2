"""Transformation of each dataset by itself."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils import Tags, get_tags
from sklearn.utils.validation import check_is_fitted

from .inputs.containers import has_dataset_level, take_rows
from .inputs.feature_names import common_names, set_features
from .inputs.multidataset import MultiDataset, is_row_wise
from .inputs.read_x import as_multidataset
from .inputs.read_y import check_kinds, read_targets
from .utils.diagram import parallel
from .utils.errors import named_errors

__all__ = ["PerDataset"]


class PerDataset(  # type: ignore[call-arg]  # of a class without types
    TransformerMixin, BaseEstimator, auto_wrap_output_keys=None
):
    """One clone of a transformer for each dataset.

    Parameters
    ----------
    transformer : estimator
        With ``fit`` and ``transform``.

    Attributes
    ----------
    transformers_ : dict of str to estimator
        The fitted clone of each dataset.
    n_features_in_ : int
        Number of values in a row, 1 where rows differ in size.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features. Defined only where all rows are in DataFrames of the same
        columns, with names of type str.

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
            A clone is fitted on all rows of its dataset, with their labels if all have
            one. If it requires labels, it is fitted on the labelled rows alone.

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
        set_features(self, X, datasets)
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

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray:
        """Return the names of the output features, the same for all datasets.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the input features, as the transformer takes them.

        Returns
        -------
        names : ndarray of str of shape (n_features_out,)
            Names of the output features.

        Raises
        ------
        NotFittedError
            If the transformer is not fitted.
        ValueError
            If the names differ between datasets.
        """
        check_is_fitted(self)
        return common_names(self.transformers_, input_features)

    def set_output(self, *, transform: str | None = None) -> Self:
        """Set the container of the transformed rows of each dataset.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"} or None, default=None
            As in scikit-learn's transformers; None changes nothing.

        Returns
        -------
        self : PerDataset
            The transformer itself.
        """
        fitted = getattr(self, "transformers_", {})
        for transformer in (self.transformer, *fitted.values()):
            transformer.set_output(transform=transform)
        return self

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        inside = get_tags(self.transformer)
        tags.input_tags.sparse = inside.input_tags.sparse
        tags.target_tags.required = inside.target_tags.required
        return tags

    def _sk_visual_block_(self) -> Any:
        if not hasattr(self, "transformers_"):
            return parallel(["transformer"], [self.transformer])
        fitted = self.transformers_
        # scikit-learn takes the text before the colon for the name of a parameter.
        return parallel([f"transformer: {name}" for name in fitted], fitted.values())
