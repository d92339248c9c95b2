"""The display of training curves."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import StandardScaler

from jedi_sklearn import JEDIClassifier
from jedi_sklearn.inspection import TrainingCurvesDisplay

mpl.use("Agg")

from matplotlib import pyplot as plt


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def _fit(validation: bool, names: tuple[str, ...] = ("one", "two")) -> JEDIClassifier:
    X, y = make_blobs(60, n_features=4, cluster_std=4.0, random_state=0)
    clf = JEDIClassifier(
        [(name, StandardScaler()) for name in names],
        max_epochs=4,
        learning_rate=0.03,
        adjustment_units=4,
        random_state=0,
        device="cpu",
    )
    X_dict, y_dict = (dict.fromkeys(names, part[:40]) for part in (X, y))
    if not validation:
        return clf.fit(X_dict, y_dict)
    X_val, y_val = (dict.fromkeys(names, part[40:]) for part in (X, y))
    return clf.fit(X_dict, y_dict, X_val=X_val, y_val=y_val)


@pytest.fixture(scope="module")
def with_validation() -> JEDIClassifier:
    return _fit(validation=True)


@pytest.fixture(scope="module")
def without_validation() -> JEDIClassifier:
    return _fit(validation=False)


def _curves(panel: plt.Axes) -> dict[str, tuple[list[float], list[float]]]:
    return {
        line.get_label(): (list(line.get_xdata()), list(line.get_ydata()))
        for line in panel.get_lines()
    }


def test_with_validation__panels_show_those_accuracies(with_validation):
    display = TrainingCurvesDisplay.from_estimator(with_validation)
    history = with_validation.history_
    assert [panel.get_title() for panel in display.axes_] == ["one", "two"]
    for panel in display.axes_:
        curves = _curves(panel)
        assert list(curves) == ["expert", "student", "teacher"]
        for model, (x, y) in curves.items():
            assert x == [1, 2, 3, 4]
            expected = history[f"val_{model}_accuracy", panel.get_title()]
            assert y == expected.tolist()
        # A level line.
        assert len(set(curves["expert"][1])) == 1


def test_without_validation__panels_show_training(without_validation):
    display = TrainingCurvesDisplay.from_estimator(without_validation)
    history = without_validation.history_
    assert len(display.axes_) == 2
    for panel in display.axes_:
        curves = _curves(panel)
        assert list(curves) == ["student", "teacher"]
        for model, (x, y) in curves.items():
            assert x == [1, 2, 3, 4]
            assert y == history[f"{model}_accuracy", panel.get_title()].tolist()


def test_labels_and_legend(with_validation):
    display = TrainingCurvesDisplay.from_estimator(with_validation)
    first, second = display.axes_
    assert first.get_ylabel() == "accuracy"
    assert first.get_xlabel() == second.get_xlabel() == "epoch"
    texts = [text.get_text() for text in first.get_legend().get_texts()]
    assert texts == ["expert", "student", "teacher"]
    styles = {line.get_label(): line.get_linestyle() for line in first.get_lines()}
    assert styles["expert"] != styles["student"]
    # One figure was made, and it can be drawn.
    assert plt.get_fignums() == [display.figure_.number]
    display.figure_.canvas.draw()


@pytest.mark.parametrize("kind", [list, tuple, np.array])
def test_given_axes__drawn_there(with_validation, kind):
    figure, axes = plt.subplots(2, 1)
    display = TrainingCurvesDisplay.from_estimator(with_validation, axes=kind(axes))
    assert list(display.axes_) == list(axes)
    assert display.figure_ is figure
    assert plt.get_fignums() == [figure.number]
    assert all(len(panel.get_lines()) == 3 for panel in axes)


def test_given_axes__one_dataset__a_single_one_will_do():
    _, panel = plt.subplots()
    clf = _fit(validation=False, names=("one",))
    display = TrainingCurvesDisplay.from_estimator(clf, axes=panel)
    assert list(display.axes_) == [panel]
    assert len(panel.get_lines()) == 2


@pytest.mark.parametrize("n_axes", [1, 3])
def test_wrong_number_of_axes__error_before_drawing(with_validation, n_axes):
    _, axes = plt.subplots(1, n_axes, squeeze=False)
    with pytest.raises(ValueError, match=rf"{n_axes} .*'one', 'two'"):
        TrainingCurvesDisplay.from_estimator(with_validation, axes=axes)
    assert all(not panel.get_lines() for panel in axes.ravel())


def test_plot_again__new_figure_with_the_same_curves(with_validation):
    display = TrainingCurvesDisplay.from_estimator(with_validation)
    first = [_curves(panel) for panel in display.axes_]
    assert display.plot() is display
    assert [_curves(panel) for panel in display.axes_] == first
    assert len(plt.get_fignums()) == 2


def test_no_epoch__empty_panels():
    clf = _fit(validation=False).set_params(max_epochs=0)
    X = np.arange(8.0).reshape(4, 2)
    clf.fit({"one": X, "two": X}, {"one": [0, 1, 0, 1], "two": [0, 1, 0, 1]})
    display = TrainingCurvesDisplay.from_estimator(clf)
    assert [list(_curves(panel)["student"][1]) for panel in display.axes_] == [[], []]


def test_not_fitted__error():
    with pytest.raises(NotFittedError):
        TrainingCurvesDisplay.from_estimator(JEDIClassifier())
    assert not plt.get_fignums()
