"""Students and teachers after fit: NumPy weights, no torch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.extmath import softmax

from ..experts.embed import check_width, embed
from ..experts.expert import take_sparse
from ..utils.diagram import box, parallel, serial
from .onnx_export import write_onnx
from .student_file import read_student, write_student
from .versioned_state import VersionedState
from .weights import Branch, Linear, Parts

# Intermediate arrays take several times the memory of the rows they are computed from.
ROWS_AT_ONCE = 4096


class DistilledClassifier(VersionedState, ClassifierMixin, BaseEstimator):
    """A student or a teacher of a fitted `JEDIClassifier`.

    Self-contained: it holds its encoders and its weights as NumPy arrays, and
    predicts without torch unless an encoder needs it. A student has one branch,
    that of its expert; a teacher has the branches of all experts.

    All students and teachers are trained together by :meth:`JEDIClassifier.fit`.
    Their own ``fit`` does nothing and :func:`sklearn.base.clone` returns them as
    they are, as with :class:`sklearn.frozen.FrozenEstimator`.

    Parameters
    ----------
    branches : sequence of Branch
        Encoders and adjustments; their outputs, concatenated, are the input of the
        linear classifier.
    linear : Linear
        Coefficients of shape (n_classes, n_features) and intercept of shape
        (n_classes,).
    classes : ndarray of shape (n_classes,)
        Labels in sorted order.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels in sorted order.
    coef_ : ndarray of shape (n_classes, n_features)
        Weights of the linear classifier.
    intercept_ : ndarray of shape (n_classes,)
        Intercepts of the linear classifier.

    See Also
    --------
    load_student : Reads the files that `export` writes.

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

    @property
    def feature_names_in_(self) -> npt.NDArray:
        """Names of the input features, if the encoders know them."""
        return self._of_encoders("feature_names_in_")

    @property
    def n_features_in_(self) -> int:
        """Number of the input features, if the encoders know it."""
        return int(self._of_encoders("n_features_in_"))

    def _of_encoders(self, attribute: str) -> Any:
        """Return an attribute of the first encoder that has it; all take the same X."""
        for branch in self.branches:
            if hasattr(branch.encoder, attribute):
                return getattr(branch.encoder, attribute)
        raise AttributeError(f"None of the encoders has {attribute}.")

    def fit(self, X: Any = None, y: Any = None) -> Self:
        """Return the classifier as it is.

        Parameters
        ----------
        X, y : object
            Ignored.

        Returns
        -------
        self : DistilledClassifier
            The classifier itself.
        """
        return self

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = tags.target_tags.required = False
        tags.input_tags.sparse = take_sparse(b.encoder for b in self.branches)
        return tags

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        parts = ", ".join(f"{b.name}: {b.width} features" for b in self.branches)
        return f"{type(self).__name__}({parts}; {len(self.classes)} classes)"

    def _sk_visual_block_(self) -> Any:
        chains = []
        for branch in self.branches:
            n_units, width = branch.adjustment.down.coef.shape
            steps = [branch.encoder]
            if n_units:
                text = f"{width} features, {n_units} hidden units"
                steps.append(box("adjustment", text))
            chains.append(serial(steps))
        n_classes, n_features = self.linear.coef.shape
        linear = box("linear", f"{n_features} features, {n_classes} classes")
        names = [branch.name for branch in self.branches]
        return serial([parallel(names, chains), linear])

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
            of the second class minus the score of the first.

        Raises
        ------
        ValueError
            If an encoder cannot embed X, or returns NaN, infinity, or not as many
            features as in training.
        """
        scores = self.scores(self.embed(X))
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the softmax of the scores.

        Parameters
        ----------
        X : row-indexable of shape (n_samples, ...)
            What the encoders take.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes), float64
            Columns as in ``classes_``; each row adds up to 1.
        """
        return softmax(self.scores(self.embed(X)))

    def predict(self, X: Any) -> npt.NDArray:
        """Return the label with the highest score.

        Parameters
        ----------
        X : row-indexable of shape (n_samples, ...)
            What the encoders take.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            One of ``classes_`` for each row.
        """
        return self.classes[self.scores(self.embed(X)).argmax(axis=1)]

    def embed(self, X: Any) -> list[npt.NDArray[np.float32]]:
        """Return the embedding of X by each encoder, before the adjustment.

        Parameters
        ----------
        X : row-indexable of shape (n_samples, ...)
            What the encoders take.

        Returns
        -------
        embeddings : list of ndarray of shape (n_samples, n_features), float32
            One for each branch.
        """
        return [embed(branch.encoder, X, branch.name) for branch in self.branches]

    def scores(self, embeddings: Sequence[Any]) -> npt.NDArray[np.float64]:
        """Return the score of each class for embedded rows.

        Parameters
        ----------
        embeddings : sequence of ndarray or StoredRows of shape (n_samples, n_features)
            Output of `embed`, or rows of an embedding store.

        Returns
        -------
        scores : ndarray of shape (n_samples, n_classes), float64
            Columns as in ``classes_``.
        """
        for branch, embedding in zip(self.branches, embeddings, strict=True):
            check_width(branch.name, embedding.shape[1], branch.width)
        n_rows = len(embeddings[0])
        scores = np.empty((n_rows, len(self.classes)))
        for start in range(0, n_rows, ROWS_AT_ONCE):
            some = slice(start, start + ROWS_AT_ONCE)
            adjusted = [
                # The order of sums depends on the number of rows. In double precision
                # a row's scores hardly depend on it.
                branch.adjustment(np.asarray(embedding[some], dtype=np.float64))
                for branch, embedding in zip(self.branches, embeddings, strict=True)
            ]
            scores[some] = self.linear(np.hstack(adjusted))
        return scores

    def export(self, path: str | os.PathLike[str]) -> list[str]:
        """Write the classifier into two files, none of them a pickle.

        The weights go into a safetensors file, their description into a JSON card of
        the same name beside it. Encoders are stored if they consist of scikit-learn's
        estimators and :class:`~jedi_sklearn.encoders.MLPEncoder` only; others, such as
        torch modules, have to be saved separately.
        :func:`jedi_sklearn.load_student` reads the files.

        Parameters
        ----------
        path : str or path-like
            Ends in ".safetensors". Files of an earlier export are replaced.

        Returns
        -------
        missing : list of str
            Names of the experts whose encoders are not in the file; `load_student`
            has to be given them.

        Raises
        ------
        ImportError
            If safetensors or skops is not installed.
        OSError
            If a file cannot be written.
        ValueError
            If the path does not end in ".safetensors", the labels are neither numbers
            nor str, or a JSON file of that name exists and is no card.
        """
        return write_student(Path(path), self._parts())

    def export_onnx(self, path: str | os.PathLike[str], X: Any) -> None:
        """Write the classifier as an ONNX graph, encoders included.

        The graph takes rows as "X" and returns "label", of shape (n_rows,), int64 or
        str (float64 where labels are floats), and "probabilities", float32 of shape
        (n_rows, n_classes), for any number of rows. Encoders of scikit-learn are
        converted by skl2onnx, torch modules by torch's exporter, without their
        ``autocast``.

        Parameters
        ----------
        path : str or path-like
            Ends in ".onnx". An existing file is replaced.
        X : ndarray of shape (n_samples, ...)
            Some rows as the encoders take them. They determine the type and shape of
            the graph's input, and conversions by skl2onnx are checked on them.

        Raises
        ------
        ImportError
            If onnx, or skl2onnx or onnxscript where it is needed, is not installed.
        OSError
            If the file cannot be written.
        ValueError
            If the path does not end in ".onnx", X is no array, or an encoder cannot
            be converted.
        """
        write_onnx(Path(path), self._parts(), X)

    def _parts(self) -> Parts:
        return Parts(self.branches, self.linear, self.classes)


def load_student(
    path: str | os.PathLike[str], encoder: Any | Mapping[str, Any] | None = None
) -> DistilledClassifier:
    """Load a student or a teacher from :meth:`DistilledClassifier.export`'s files.

    No code in the files is run: they hold numbers, and encoders in the format of
    skops, of which only classes of scikit-learn, SciPy, NumPy and this package are
    created.

    Parameters
    ----------
    path : str or path-like
        Path of the safetensors file; the card is expected beside it.
    encoder : transformer or mapping of str to transformer, optional
        Encoders of the experts by name, or the encoder itself if there is a single
        expert. Needed where the file holds no encoder, and preferred where it does.
        An encoder must embed rows as in training; only its class and the number of
        its features are checked.

    Returns
    -------
    student : DistilledClassifier
        Its predictions equal those of the exported model to the bit.

    Raises
    ------
    FileNotFoundError
        If one of the two files is missing.
    ImportError
        If safetensors or skops is needed and not installed.
    ValueError
        If a file is damaged, foreign or of a newer format, or an encoder is missing
        or not of the same class as in training.

    See Also
    --------
    jedi_sklearn.JEDIClassifier : Trains the students and teachers to export.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from jedi_sklearn import JEDIClassifier, load_student
    >>> X = {"a": np.arange(40.0).reshape(20, 2)}
    >>> y = {"a": np.arange(20) % 2}
    >>> student = JEDIClassifier(random_state=0).fit(X, y).students_["a"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     student.export(f"{folder}/a.safetensors")
    ...     loaded = load_student(f"{folder}/a.safetensors")
    []
    >>> bool((loaded.predict_proba(X["a"]) == student.predict_proba(X["a"])).all())
    True
    """
    parts = read_student(Path(path), encoder)
    return DistilledClassifier(parts.branches, parts.linear, parts.classes)
