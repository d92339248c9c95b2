"""What holds of every classifier that has been fitted, and of what it says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from jedi_sklearn import JEDIClassifier, MultiDataset, evaluate

COLUMNS = ["accuracy", "top_5_accuracy", "mean_average_precision"]
MODELS = ["expert", "student", "teacher"]


def rows_with_student(clf: JEDIClassifier, X: Any) -> Any:
    """Return those rows of X, in the same container, that have a student."""
    students = list(clf.students_)
    if isinstance(X, MultiDataset):
        return X[np.isin(X.groups, students)]
    if isinstance(X, Mapping):
        return {name: rows for name, rows in X.items() if name in students}
    if isinstance(X, pd.DataFrame) and "dataset" in X.index.names:
        return X[X.index.get_level_values("dataset").isin(students)]
    return X


def check_history(clf: JEDIClassifier) -> None:
    history = clf.history_
    assert len(history) == clf.n_iter_
    # Without rows to score there is no score: a dataset may have none.
    scores = [c for c in history if c[0].startswith("val_") or "accuracy" in c[0]]
    assert np.isfinite(history.drop(columns=scores).to_numpy()).all()
    known = history[scores].to_numpy()
    assert ((known >= 0) & (known <= 1 + 1e-6) | np.isnan(known)).all()


def check_predictions(clf: JEDIClassifier, X: Any) -> None:
    """Hold what a classifier says of rows that have a student against itself."""
    labels, probabilities = clf.predict(X), clf.predict_proba(X)
    if isinstance(X, Mapping) and not isinstance(X, MultiDataset):
        assert list(labels) == list(probabilities) == sorted(X)
        for name, student in clf.students_.items():
            if name in X:
                _check_one(labels[name], probabilities[name], student.classes_)
                assert len(labels[name]) == _n_rows(X[name])
    else:
        _check_one(labels, probabilities, clf.classes_)
        assert len(labels) == _n_rows(X)


def _n_rows(X: Any) -> int:
    return X.shape[0] if hasattr(X, "shape") else len(X)


def _check_one(labels: Any, probabilities: Any, classes: Any) -> None:
    assert np.isfinite(probabilities).all()
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    assert probabilities.shape == (len(labels), len(classes))
    # Of two labels that are equally probable either may be said.
    said = np.searchsorted(classes, labels)
    np.testing.assert_array_equal(classes[said], labels)
    best = probabilities.max(axis=1)
    np.testing.assert_array_equal(probabilities[np.arange(len(said)), said], best)


def check_table(clf: JEDIClassifier, X: Any, y: Any) -> None:
    table = evaluate(clf, X, y)
    datasets = table.index.get_level_values("dataset").unique()
    assert list(datasets) == sorted(datasets)
    assert set(datasets) <= set(clf.students_)
    expected = pd.MultiIndex.from_product([datasets, MODELS])
    assert table.index.tolist() == expected.tolist()
    assert list(table) == COLUMNS
    # NaN where no model knows a label, which then none has right.
    nothing_known = table["mean_average_precision"].isna()
    assert (table.loc[nothing_known, COLUMNS[:2]] == 0).all(axis=None)
    assert table[~nothing_known].stack().between(0, 1 + 1e-9).all()


def known_labels(labels: Any) -> list[Any]:
    """Return the labels that are none of those that mark an unlabelled row."""
    if isinstance(labels, np.ndarray):
        labels = labels.ravel().tolist()
    known = [label for label in labels if not pd.isna(label)]
    if all(isinstance(label, int | np.integer) for label in known):
        known = [label for label in known if label != -1]
    return known
