"""What all displays of predictions have in common: input, errors and their pictures."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from pictures import problems_of
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from jedi_sklearn import JEDIClassifier, stack_datasets
from jedi_sklearn.inspection import (
    AgreementDisplay,
    ClassGainsDisplay,
    EvaluationDisplay,
    ReliabilityDisplay,
    TrainingCurvesDisplay,
)

mpl.use("Agg")

from matplotlib import pyplot as plt

MODELS = ("expert", "student", "teacher")
OF_LABELS = (AgreementDisplay, ClassGainsDisplay, EvaluationDisplay)
ALL = (*OF_LABELS, ReliabilityDisplay)
# The attribute with what was computed.
DATA = {
    AgreementDisplay: "agreement",
    ClassGainsDisplay: "gains",
    EvaluationDisplay: "scores",
    ReliabilityDisplay: "bins",
}


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    plt.close("all")
    yield
    plt.close("all")


def make_data(seed: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
    """Three classes by number, two by name, far from easy."""
    rng = np.random.default_rng(seed)
    X, y = {}, {}
    for name, n_classes in {"few": 2, "many": 3}.items():
        codes = np.arange(60) % n_classes
        X[name] = np.eye(3)[codes] + rng.normal(size=(60, 3))
        y[name] = codes * 10 if name == "many" else np.array(["no", "yes"])[codes]
    return X, y


def fit(**experts: Any) -> JEDIClassifier:
    given = {"few": StandardScaler(), "many": StandardScaler()} | experts
    clf = JEDIClassifier(
        list(given.items()), max_epochs=3, adjustment_units=4, random_state=0
    )
    return clf.fit(*make_data())


@pytest.fixture(scope="module")
def clf() -> JEDIClassifier:
    return fit()


def predictions(clf: JEDIClassifier, X: dict[str, Any], method: str) -> dict[str, Any]:
    models = (clf.experts_, clf.students_, clf.teachers_)
    return {
        model: {name: getattr(fitted[name], method)(X[name]) for name in X}
        for model, fitted in zip(MODELS, models, strict=True)
    }


def data_of(display: Any) -> pd.DataFrame:
    return getattr(display, DATA[type(display)])


@pytest.mark.parametrize("kind", ALL)
def test_estimator__same_as_its_predictions(clf, kind):
    X, y = make_data(1)
    method = "predict_proba" if kind is ReliabilityDisplay else "predict"
    display = kind.from_estimator(clf, X, y)
    expected = kind.from_predictions(y, **predictions(clf, X, method))
    pd.testing.assert_frame_equal(data_of(display), data_of(expected))


@pytest.mark.parametrize("kind", ALL)
def test_estimator__stacked_or_dataframe__same_as_dict(clf, kind):
    X, y = make_data(1)
    expected = data_of(kind.from_estimator(clf, X, y))
    frames = [pd.DataFrame(X[n]).assign(dataset=n).set_index("dataset") for n in X]
    labels = np.concatenate([y[name].astype(object) for name in X])
    pairs = [stack_datasets(X, y), (pd.concat(frames), labels)]
    for X_rows, y_rows in pairs:
        found = data_of(kind.from_estimator(clf, X_rows, y_rows))
        pd.testing.assert_frame_equal(found, expected)


@pytest.mark.parametrize("kind", ALL)
def test_unlabelled_rows_and_datasets__left_out(clf, kind):
    X, y = make_data(1)
    some = y["many"].copy()
    some[::4] = -1
    known = some != -1
    method = "predict_proba" if kind is ReliabilityDisplay else "predict"
    expected = data_of(
        kind.from_estimator(clf, {"many": X["many"][known]}, {"many": some[known]})
    )
    found = data_of(kind.from_estimator(clf, X, {"many": some}))
    pd.testing.assert_frame_equal(found, expected)
    models = predictions(clf, X, method)
    found = data_of(kind.from_predictions({"many": some}, **models))
    pd.testing.assert_frame_equal(found, expected)


class Counting(FunctionTransformer):
    """Counts the rows that it has embedded."""

    n_rows = 0

    def transform(self, X: Any) -> Any:
        type(self).n_rows += len(X)
        return super().transform(X)


@pytest.mark.parametrize("kind", ALL)
def test_estimator__each_expert_embeds_a_row_once(kind):
    clf = fit(few=Counting())
    Counting.n_rows = 0
    X, y = make_data(1)
    kind.from_estimator(clf, X, y)
    # As student and expert of its own dataset, and for the teachers of both.
    assert Counting.n_rows == sum(map(len, X.values()))


def test_binary_problem_with_labels_minus_one_and_one():
    X, y = make_data(1)
    y_signs = np.where(y["few"] == "yes", 1, -1)
    clf = JEDIClassifier(max_epochs=1, random_state=0).fit(X["few"], y_signs)
    gains = ClassGainsDisplay.from_estimator(clf, X["few"], y_signs).gains
    assert set(gains["label"]) == {-1, 1}
    assert gains["n_rows"].tolist() == [30] * 4


@pytest.mark.parametrize("kind", OF_LABELS)
def test_predictions__one_array__one_dataset(kind):
    y = np.array(["a", "b", "b", "b"])
    given = {"expert": y[::-1], "student": y.tolist(), "teacher": pd.Series(y)}
    display = kind.from_predictions(y, **given)
    expected = kind.from_predictions(
        {"dataset": y}, **{model: {"dataset": own} for model, own in given.items()}
    )
    pd.testing.assert_frame_equal(data_of(display), data_of(expected))


def test_predictions__numbers_are_compared_as_numbers_and_else_as_text():
    given = {"expert": [1.0, 2.0], "student": np.array([1, 2], np.int8)}
    for y in ([1, 2], [1.0, 2.0], np.array([1, 2.0], object)):
        right = EvaluationDisplay.from_predictions(y, **given, teacher=["1", "2"])
        assert right.scores[0].tolist() == [1.0] * 3


def test_label_that_no_model_knows__counts_as_wrong(clf):
    X, y = make_data(1)
    y["many"] = np.where(y["many"] == 20, 99, y["many"])
    gains = ClassGainsDisplay.from_estimator(clf, X, y).gains
    assert gains.loc[gains["label"] == 99, "recall"].tolist() == [0.0, 0.0]
    scores = EvaluationDisplay.from_estimator(clf, X, y).scores[0]
    agreement = AgreementDisplay.from_estimator(clf, X, y).agreement
    own = agreement[agreement["dataset"] == "many"].iloc[0]
    right = own["both_right"] + own["first_right"]
    assert right == pytest.approx(scores["many", "student"])


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("as_given", [list, np.array])
def test_given_axes__drawn_there(clf, kind, as_given):
    n = 2 if kind in (ClassGainsDisplay, ReliabilityDisplay) else 1
    figure, axes = plt.subplots(1, n, squeeze=False)
    axes = as_given(axes.ravel())
    display = kind.from_estimator(clf, *make_data(1), axes=axes)
    assert list(display.axes_) == list(axes)
    assert display.figure_ is figure
    assert plt.get_fignums() == [figure.number]
    assert all(panel.has_data() for panel in axes)
    # Drawn again, it has a figure of its own.
    assert display.plot() is display
    assert display.figure_ is not figure


@pytest.mark.parametrize("kind", ALL)
def test_wrong_number_of_axes__error_before_drawing(clf, kind):
    _, axes = plt.subplots(1, 3)
    with pytest.raises(ValueError, match="axes has 3 panels; one is needed"):
        kind.from_estimator(clf, *make_data(1), axes=axes)
    assert not any(panel.has_data() for panel in axes)


@pytest.mark.parametrize("kind", ALL)
def test_not_fitted__error(kind):
    with pytest.raises(NotFittedError):
        kind.from_estimator(JEDIClassifier(), *make_data())
    assert not plt.get_fignums()


@pytest.mark.parametrize("kind", ALL)
def test_estimator__bad_input__error_names_it(clf, kind):
    X, y = make_data(1)
    with pytest.raises(ValueError, match="'many' has 60 rows in X but 59 labels"):
        kind.from_estimator(clf, X, y | {"many": y["many"][1:]})
    with pytest.raises(ValueError, match="y has no labelled row; at least one is"):
        kind.from_estimator(clf, X, {"many": np.full(60, -1)})
    with pytest.raises(ValueError, match="'other'"):
        kind.from_estimator(clf, {"other": X["few"]}, {"other": y["few"]})
    assert not plt.get_fignums()


Y = {"a": [0, 1, 1], "b": [1, 0, 1]}
BAD_PREDICTIONS = [
    (Y, {"student": [0, 1, 1]}, "student must be a mapping of datasets, .* got list"),
    ([0, 1, 1], {"student": Y}, "student must be one array, as y_true is, got dict"),
    (Y, {"student": {"a": [0, 1, 1]}}, r"student has nothing for dataset 'b'.*\['a'\]"),
    (
        Y,
        {"teacher": Y | {"b": [1]}},
        "teacher has 1 rows for dataset 'b', y_true has 3",
    ),
    ({"a": [-1, -1, -1]}, {"student": Y}, "y_true has no labelled row"),
    (Y, {"expert": Y | {"a": [0, -1, 1]}}, "expert predicts -1, None or NaN for .*'a'"),
    (Y, {"expert": Y | {"a": [[0], [1, 2], 1]}}, "expert predicts .* list .*'a'"),
]


@pytest.mark.parametrize("kind", OF_LABELS)
@pytest.mark.parametrize(("y", "changed", "match"), BAD_PREDICTIONS)
def test_predictions__bad_input__error_names_it(kind, y, changed, match):
    given = dict.fromkeys(MODELS, y) | changed
    with pytest.raises(ValueError, match=match):
        kind.from_predictions(y, **given)
    assert not plt.get_fignums()


@pytest.mark.parametrize("kind", [EvaluationDisplay, ReliabilityDisplay])
def test_predictions__of_no_model__error(kind):
    with pytest.raises(ValueError, match=r"No predictions .*'expert', 'student'"):
        kind.from_predictions(Y)


def test_without_matplotlib__error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "jedi_sklearn\[plot\]"'):
        EvaluationDisplay.from_predictions(Y, student=Y)


def test_expert_without_probabilities__has_no_curve():
    ridge = make_pipeline(StandardScaler(), RidgeClassifier())
    clf = fit(many=ridge)
    bins = ReliabilityDisplay.from_estimator(clf, *make_data(1)).bins
    models = bins.groupby("dataset")["model"].unique().map(list).to_dict()
    assert models == {"few": list(MODELS), "many": ["student", "teacher"]}


# --------------------------------------------------------------------------------------
# Pictures.
# --------------------------------------------------------------------------------------

LONG = "playing an instrument that has a long name, number"


def make_predictions(
    n_datasets: int, n_classes: int, name: str
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return labels, predicted labels and predicted probabilities."""
    rng = np.random.default_rng(0)
    classes = np.array([f"{name} {code:02d}" for code in range(n_classes)])
    y, labels, scores = {}, {}, {}
    for dataset in (f"dataset {number}" for number in range(n_datasets)):
        codes = rng.integers(n_classes, size=4 * n_classes)
        codes[:n_classes] = np.arange(n_classes)
        y[dataset] = classes[codes]
        for model in MODELS:
            p = rng.dirichlet(np.ones(n_classes), len(codes))
            p = 0.5 * p + 0.5 * np.eye(n_classes)[codes]
            scores.setdefault(model, {})[dataset] = p
            wrong = rng.integers(n_classes, size=len(codes))
            chosen = np.where(rng.random(len(codes)) < 0.6, codes, wrong)
            labels.setdefault(model, {})[dataset] = classes[chosen]
    return y, labels, scores


@pytest.mark.parametrize(
    ("n_datasets", "n_classes", "name"),
    [(1, 1, "c"), (1, 60, LONG), (6, 2, LONG)],
)
@pytest.mark.parametrize("kind", ALL)
def test_picture__no_text_is_cut_off_or_overlaps(kind, n_datasets, n_classes, name):
    y, labels, scores = make_predictions(n_datasets, n_classes, name)
    given = scores if kind is ReliabilityDisplay else labels
    display = kind.from_predictions(y, **given)
    assert problems_of(display.figure_) == []


@pytest.mark.parametrize("n_datasets", [1, 5])
def test_picture_of_curves__no_text_is_cut_off_or_overlaps(n_datasets):
    columns = pd.MultiIndex.from_product(
        [
            [f"{model}_accuracy" for model in ("student", "teacher")],
            [f"dataset {number}" for number in range(n_datasets)],
        ],
        names=["quantity", "dataset"],
    )
    values = np.linspace(0, 1, 40).reshape(20, 2).repeat(n_datasets, axis=1)
    history = pd.DataFrame(values, columns=columns)
    display = TrainingCurvesDisplay.from_history(history)
    assert len(display.axes_) == n_datasets
    assert len(display.figure_.axes) == n_datasets
    assert problems_of(display.figure_) == []


def test_problems_of__finds_them():
    figure, panel = plt.subplots(figsize=(2, 2))
    panel.set_axis_off()
    panel.text(0.5, 0.5, "one")
    panel.text(0.5, 0.52, "two")
    panel.text(1.2, 0.5, "far")
    problems = problems_of(figure)
    assert problems == ["'far' is cut off", "'one' and 'two' overlap"]
