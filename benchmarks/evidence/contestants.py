"""Everything that is compared: the experts, plain baselines and JEDI's variants.

A contestant makes of a problem one matrix of class scores of shape
(n_test, n_classes) for each dataset and model, columns as in the sorted classes.
What it tunes, it tunes by cross-validation within the labelled training rows.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from sklearn.svm import LinearSVC

from jedi_sklearn import JEDIClassifier

from .problem import Problem
from .rows import folds

Scores = npt.NDArray[np.floating]
DatasetScores = dict[str, dict[str, Scores]]
Contestant = Callable[[Problem, int], DatasetScores]
Matrix = npt.NDArray[Any]

PENALTIES = {"model__C": [0.01, 0.1, 1.0, 10.0]}
SVC_PENALTIES = {"model__C": [0.0001, 0.001, 0.01, 0.1]}
NEIGHBOURS = {"model__n_neighbors": [3, 7, 15], "model__alpha": [0.2, 0.8]}


def each_dataset(
    fit_and_score: Callable[[Problem, str, int], Scores], problem: Problem, seed: int
) -> DatasetScores:
    """Run a baseline, which knows one dataset at a time, on all that have labels."""
    return {
        name: {"baseline": fit_and_score(problem, name, seed)}
        for name in problem.y_train
    }


def expert(problem: Problem, name: str, seed: int) -> Scores:
    """Score by the expert as it came."""
    own = problem.X_test[name][:, problem.columns[name]]
    return problem.heads[name].predict_proba(own)


def refitted_head(problem: Problem, name: str, seed: int) -> Scores:
    """Score by a tuned logistic regression on the expert's own embedding."""
    own = problem.columns[name]
    model = tuned_logistic(problem.X_train[name][:, own], problem.codes(name), seed)
    return model.predict_proba(problem.X_test[name][:, own])


def logistic_regression(problem: Problem, name: str, seed: int) -> Scores:
    """Score by a tuned logistic regression on the embeddings of all experts."""
    model = tuned_logistic(problem.X_train[name], problem.codes(name), seed)
    return model.predict_proba(problem.X_test[name])


def linear_svc(problem: Problem, name: str, seed: int) -> Scores:
    """Score by a tuned linear support vector machine on all embeddings."""
    svc = LinearSVC(random_state=seed, max_iter=20_000)
    X, codes = problem.X_train[name], problem.codes(name)
    model = tuned(svc, SVC_PENALTIES, "accuracy", X, codes, seed)
    return model.decision_function(problem.X_test[name])


def stacking(problem: Problem, name: str, seed: int) -> Scores:
    """Score by a logistic regression on what one for each expert says."""
    X, codes = labelled(problem.X_train[name], problem.codes(name))
    models = []
    for other, part in problem.columns.items():
        best = tuned_logistic(X[:, part], codes, seed)
        columns = FunctionTransformer(partial(take_columns, part=part))
        models.append((other, make_pipeline(columns, *steps_of(best))))
    # Few rows make models of small probabilities, hence the second scaling.
    final = GridSearchCV(
        scaled(LogisticRegression(max_iter=5000)),
        PENALTIES,
        scoring="neg_log_loss",
        cv=folds(codes, seed),
    )
    stack = StackingClassifier(models, final, cv=folds(codes, seed))
    return stack.fit(X, codes).predict_proba(problem.X_test[name])


def self_training(problem: Problem, name: str, seed: int) -> Scores:
    """Score by a logistic regression that labels the dataset's other rows itself.

    Its penalty is the one that suits the labelled rows best.
    """
    X, codes = problem.X_train[name], problem.codes(name)
    best = tuned_logistic(X, codes, seed)
    model = SelfTrainingClassifier(make_pipeline(*steps_of(best)), threshold=0.9)
    return model.fit(X, codes).predict_proba(problem.X_test[name])


def label_spreading(problem: Problem, name: str, seed: int) -> Scores:
    """Score by spreading labels to the dataset's other rows along near neighbours."""
    model = scaled(ReachingLabelSpreading(kernel="knn", max_iter=1000))
    X, codes = problem.X_train[name], problem.codes(name)
    search = GridSearchCV(model, NEIGHBOURS, cv=folds(codes, seed))
    return search.fit(X, codes).predict_proba(problem.X_test[name])


class ReachingLabelSpreading(LabelSpreading):
    """Label spreading that says "any class" where no label came near."""

    def predict_proba(self, X: Matrix) -> Scores:
        """Return the probability of each class."""
        with np.errstate(invalid="ignore"):
            probabilities = super().predict_proba(X)
        return np.nan_to_num(probabilities, nan=1 / len(self.classes_))


def tuned_logistic(X: Matrix, codes: Matrix, seed: int) -> Pipeline:
    """Return the best logistic regression on standardised labelled rows.

    By its log loss: the accuracies on a few rows tie, and ties choose badly.
    """
    model = LogisticRegression(max_iter=5000)
    return tuned(model, PENALTIES, "neg_log_loss", X, codes, seed)


def tuned(
    model: Any, grid: dict[str, Any], scoring: str, X: Matrix, codes: Matrix, seed: int
) -> Pipeline:
    """Choose a classifier of labelled rows by cross-validation and fit it on all."""
    X, codes = labelled(X, codes)
    search = GridSearchCV(scaled(model), grid, scoring=scoring, cv=folds(codes, seed))
    return search.fit(X, codes).best_estimator_


def scaled(model: Any) -> Pipeline:
    """Return a model of standardised features."""
    return Pipeline([("scale", StandardScaler()), ("model", model)])


def labelled(X: Matrix, codes: Matrix) -> tuple[Matrix, Matrix]:
    """Return the rows that have a label."""
    return X[codes >= 0], codes[codes >= 0]


def steps_of(pipeline: Pipeline) -> list[Any]:
    """Return the steps, to be fitted anew."""
    return [step for _, step in pipeline.steps]


def take_columns(X: Matrix, part: slice) -> Matrix:
    return X[:, part]


def jedi(problem: Problem, seed: int, params: dict[str, Any]) -> DatasetScores:
    """Score by expert, student and teacher of JEDI with some parameters."""
    clf = fit_jedi(problem, seed, params)
    scores = {}
    for name, X in problem.X_test.items():
        models = {"student": clf.students_[name], "teacher": clf.teachers_[name]}
        scores[name] = {"expert": expert(problem, name, seed)}
        scores[name] |= {model: m.predict_proba(X) for model, m in models.items()}
    return scores


def fit_jedi(
    problem: Problem, seed: int, params: dict[str, Any], **validation: Any
) -> JEDIClassifier:
    """Fit JEDI on a problem's experts; `validation` is X_val and y_val, for curves."""
    clf = JEDIClassifier(problem.experts(), random_state=seed, **params)
    return clf.fit(problem.X_train, problem.y_train, **validation)


BASELINES: dict[str, Contestant] = {
    name: partial(each_dataset, function)
    for name, function in {
        "expert": expert,
        "refitted head": refitted_head,
        "logistic regression": logistic_regression,
        "linear SVC": linear_svc,
        "stacking": stacking,
        "self-training": self_training,
        "label spreading": label_spreading,
    }.items()
}
