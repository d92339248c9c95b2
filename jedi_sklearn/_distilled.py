"""Students and teachers as they are after fit: NumPy weights, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.extmath import softmax

from ._embed import check_width, embed
from ._weights import Adjustment, Linear

# What is made of rows takes several times their own memory.
ROWS_AT_ONCE = 4096


class Branch(NamedTuple):
    """From rows to the adjusted embedding of one expert.

    Attributes
    ----------
    name : str
        Name of the expert.
    encoder : transformer
        The expert's encoder, fitted.
    adjustment : Adjustment
    """

    name: str
    encoder: Any
    adjustment: Adjustment

    @property
    def width(self) -> int:
        """Number of features of the embedding."""
        return self.adjustment.down.coef.shape[1]


class DistilledClassifier(ClassifierMixin, BaseEstimator):
    """A student or a teacher of a fitted `JEDIClassifier`.

    Stands alone: it holds the encoders it needs and its weights as NumPy arrays,
    and predicts without torch unless an encoder needs it. A student has one
    branch, its expert's; a teacher has those of all experts.

    It is trained by :meth:`JEDIClassifier.fit` together with the others, so that
    its own ``fit`` does nothing and :func:`sklearn.base.clone` returns it as it
    is, as with :class:`sklearn.frozen.FrozenEstimator`.

    Parameters
    ----------
    branches : sequence of Branch
        Encoders and adjustments whose outputs, side by side, are the input of the
        linear classifier.
    linear : Linear
        coef of shape (n_classes, n_features) and intercept of shape (n_classes,).
    classes : ndarray of shape (n_classes,)
        Labels in sorted order.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    coef_ : ndarray of shape (n_classes, n_features)
    intercept_ : ndarray of shape (n_classes,)

    Examples
    --------
    >>> import numpy as np
    >>> from jedi_sklearn import JEDIClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = {"a": rng.normal(size=(20, 3)), "b": rng.normal(size=(30, 3))}
    >>> y = {name: np.where(rows[:, 0] > 0, "up", "down") for name, rows in X.items()}
    >>> student = JEDIClassifier(random_state=0).fit(X, y).students_["a"]
    >>> student.predict([[3.0, 0.0, 0.0], [-3.0, 0.0, 0.0]]).tolist()
    ['up', 'down']
    """

    def __init__(
        self, branches: Sequence[Branch], linear: Linear, classes: npt.NDArray
    ) -> None:
        self.branches = branches
        self.linear = linear
        self.classes = classes

    @property
    def classes_(self) -> npt.NDArray:
        """Labels in sorted order, of shape (n_classes,)."""
        return self.classes

    @property
    def coef_(self) -> npt.NDArray[np.float32]:
        """Weights of the linear classifier, of shape (n_classes, n_features)."""
        return self.linear.coef

    @property
    def intercept_(self) -> npt.NDArray[np.float32]:
        """Intercepts of the linear classifier, of shape (n_classes,)."""
        return self.linear.intercept

    def fit(self, X: Any = None, y: Any = None) -> Self:
        """Return the classifier as it is.

        Parameters
        ----------
        X, y : ignored

        Returns
        -------
        self : DistilledClassifier
        """
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_clone__(self) -> Self:
        return self

    def decision_function(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the score of each class.

        Parameters
        ----------
        X : row-indexable of shape (n_samples, ...)
            What the encoders take.

        Returns
        -------
        scores : ndarray of shape (n_samples, n_classes), float64
            With two classes, as in scikit-learn, of shape (n_samples,): the score
            of the second less that of the first.

        Raises
        ------
        ValueError
            If an encoder cannot embed X, or returns NaN, infinity or another
            number of features than it did in training.
        """
        scores = self.scores(self.embed(X))
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the softmax of the scores.

        Parameters
        ----------
        X : row-indexable of shape (n_samples, ...)

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes), float64
        """
        return softmax(self.scores(self.embed(X)))

    def predict(self, X: Any) -> npt.NDArray:
        """Return the label with the highest score.

        Parameters
        ----------
        X : row-indexable of shape (n_samples, ...)

        Returns
        -------
        labels : ndarray of shape (n_samples,)
        """
        return self.classes[self.scores(self.embed(X)).argmax(axis=1)]

    def embed(self, X: Any) -> list[npt.NDArray[np.float32]]:
        """Return the embedding of X by each branch's encoder, not adjusted.

        Parameters
        ----------
        X : row-indexable of shape (n_samples, ...)

        Returns
        -------
        embeddings : list of ndarray of shape (n_samples, n_features), float32
        """
        return [embed(branch.encoder, X, branch.name) for branch in self.branches]

    def scores(self, embeddings: Sequence[Any]) -> npt.NDArray[np.float64]:
        """Return the score of each class for rows that are embedded already.

        Parameters
        ----------
        embeddings : sequence of ndarray or StoredRows of shape (n_samples, n_features)
            As `embed` returns them, or a store keeps them.

        Returns
        -------
        scores : ndarray of shape (n_samples, n_classes), float64
        """
        for branch, embedding in zip(self.branches, embeddings, strict=True):
            check_width(branch.name, embedding.shape[1], branch.width)
        n_rows = len(embeddings[0])
        scores = np.empty((n_rows, len(self.classes)))
        for start in range(0, n_rows, ROWS_AT_ONCE):
            some = slice(start, start + ROWS_AT_ONCE)
            adjusted = [
                # In double precision a row's scores hardly depend on the rows beside
                # it, whatever order the sums are taken in.
                branch.adjustment(np.asarray(embedding[some], dtype=np.float64))
                for branch, embedding in zip(self.branches, embeddings, strict=True)
            ]
            scores[some] = self.linear(np.hstack(adjusted))
        return scores
