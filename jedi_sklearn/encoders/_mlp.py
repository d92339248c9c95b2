"""A small neural encoder without torch."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Tags, check_array
from sklearn.utils.validation import check_is_fitted


class MLPEncoder(TransformerMixin, BaseEstimator):
    """The hidden layer of a small neural network, trained to classify.

    Rows of any number of dimensions are flattened and standardised.

    Parameters
    ----------
    n_units : int, default=64
        Width of the hidden layer, which is the width of the embedding.
    max_iter : int, default=50
        Passes over the training rows. The number is a budget: reaching it is no
        cause for a warning.
    random_state : int, RandomState instance or None, default=None

    Attributes
    ----------
    network_ : Pipeline
        A :class:`~sklearn.preprocessing.StandardScaler` and a
        :class:`~sklearn.neural_network.MLPClassifier`.
    n_features_in_ : int
        Number of values in a row.

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

        Returns
        -------
        self : MLPEncoder

        Raises
        ------
        ValueError
            If X is not numeric or not finite, or does not match y.
        """
        X = _flatten(X)
        network = make_pipeline(
            StandardScaler(with_mean=not hasattr(X, "toarray")),
            MLPClassifier(
                (self.n_units,), max_iter=self.max_iter, random_state=self.random_state
            ),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.network_ = network.fit(X, y)
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: Any) -> npt.NDArray[np.floating]:
        """Return the activations of the hidden layer.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, ...)
            With as many values in a row as in fit.

        Returns
        -------
        embedding : ndarray of shape (n_samples, n_units)

        Raises
        ------
        ValueError
            If X is not numeric, not finite or of another number of values.
        """
        check_is_fitted(self)
        scaler, classifier = self.network_
        hidden = scaler.transform(_flatten(X)) @ classifier.coefs_[0]
        return np.maximum(hidden + classifier.intercepts_[0], 0.0)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.sparse = True
        return tags


def _flatten(X: Any) -> Any:
    X = check_array(X, accept_sparse="csr", allow_nd=True, ensure_2d=False)
    return X if X.ndim == 2 else X.reshape(len(X), -1)
