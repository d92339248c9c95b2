"""Small neural encoder without torch."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Tags, check_array, check_random_state, check_X_y
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data


class MLPEncoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Hidden layer of a small neural network that is trained to classify.

    Rows of any number of dimensions are flattened and standardised.

    Parameters
    ----------
    n_units : int, default=64
        Width of the hidden layer, and so of the embedding.
    max_iter : int, default=50
        Number of passes over the training rows. It is a budget: reaching it causes no
        warning.
    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights and the shuffles.

    Attributes
    ----------
    coef_ : ndarray of shape (`n_features_in_`, n_units)
        Weights of the hidden layer, for values that are not standardised.
    intercept_ : ndarray of shape (n_units,)
        Biases of the hidden layer.
    n_iter_ : int
        Number of passes.
    n_features_in_ : int
        Number of values in a row.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X was a DataFrame with names of type str.

    See Also
    --------
    jedi_sklearn.JEDIClassifier : Trains one for each dataset if given no experts.
    TorchEncoder : Encoder from any trained torch module.

    Examples
    --------
    >>> import numpy as np
    >>> from jedi_sklearn.encoders import MLPEncoder
    >>> rng = np.random.default_rng(0)
    >>> images, labels = rng.normal(size=(20, 4, 4)), np.arange(20) % 2
    >>> encoder = MLPEncoder(n_units=8, random_state=0).fit(images, labels)
    >>> encoder.transform(images).shape
    (20, 8)
    """

    def __init__(
        self,
        n_units: int = 64,
        *,
        max_iter: int = 50,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_units = n_units
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(self, X: Any, y: npt.ArrayLike) -> Self:
        """Train the network.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, ...)
            Finite numbers.
        y : array-like of shape (n_samples,)
            Labels, none missing.

        Returns
        -------
        self : MLPEncoder
            The encoder itself.

        Raises
        ------
        ValueError
            If X is not numeric or not finite, or does not match y.
        """
        given = X
        X, y = check_X_y(X, y, accept_sparse="csr", allow_nd=True)
        check_classification_targets(y)
        X = _flatten(X)
        validate_data(self, _named(given, X), skip_check_array=True)
        scaler = StandardScaler(with_mean=not hasattr(X, "toarray"))
        scaled = scaler.fit_transform(X)
        network = MLPClassifier(
            (self.n_units,),
            max_iter=self.max_iter,
            random_state=check_random_state(self.random_state),
        )
        classes = np.unique(y)
        # One pass at a time: fit would warn that it did not converge, and warnings can
        # only be silenced for all threads at once.
        for _ in range(max(1, self.max_iter)):
            network.partial_fit(scaled, y, classes=classes)
            if network.n_iter_ == 0:  # The network swallowed an interrupt.
                raise KeyboardInterrupt
        self.n_iter_ = self.max_iter
        self.coef_ = network.coefs_[0] / scaler.scale_[:, None]
        self.intercept_ = network.intercepts_[0]
        if scaler.with_mean:
            self.intercept_ = self.intercept_ - scaler.mean_ @ self.coef_
        return self

    def transform(self, X: Any) -> npt.NDArray[np.floating]:
        """Return the activations of the hidden layer.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, ...)
            Rows with as many values as in fit.

        Returns
        -------
        embedding : ndarray of shape (n_samples, n_units)
            Non-negative activations of rectified linear units.

        Raises
        ------
        ValueError
            If X is not numeric, not finite or has another number of values.
        """
        check_is_fitted(self)
        given = X
        X = _flatten(check_array(X, accept_sparse="csr", allow_nd=True))
        validate_data(self, _named(given, X), reset=False, skip_check_array=True)
        return np.maximum(X @ self.coef_ + self.intercept_, 0.0)

    @property
    def _n_features_out(self) -> int:
        return self.coef_.shape[1]

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.sparse = True
        tags.input_tags.three_d_array = True
        return tags


def _named(given: Any, X: Any) -> Any:
    """Return the given X if it has feature names, else the array made from it."""
    return given if hasattr(given, "columns") else X


def _flatten(X: Any) -> Any:
    return X if X.ndim == 2 else X.reshape(len(X), -1)
