"""The displays of training curves and of evaluations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import StandardScaler

from jedi_sklearn import JEDIClassifier, evaluate
from jedi_sklearn.inspection import EvaluationDisplay, TrainingCurvesDisplay

mpl.use("Agg")

from matplotlib import pyplot as plt


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    plt.close("all")  # doctests in the same process leave theirs open
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


MODELS = ["expert", "student", "teacher"]
METRICS = {
    "accuracy": "accuracy",
    "top_5_accuracy": "top-5 accuracy",
    "mean_average_precision": "mean average precision",
}
# Quantiles of Student's t at 0.975 by degrees of freedom, from a printed table.
T_975 = {1: 12.706, 2: 4.303, 4: 2.776}


def _data() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    X, y = make_blobs(60, n_features=4, cluster_std=4.0, random_state=1)
    return dict.fromkeys(("one", "two"), X), dict.fromkeys(("one", "two"), y)


def _tables(n_tables: int, datasets: tuple[str, ...] = ("b", "a")) -> list:
    rng = np.random.default_rng(0)
    index = pd.MultiIndex.from_product([datasets, MODELS], names=["dataset", "model"])
    return [
        pd.DataFrame(rng.uniform(size=(len(index), 3)), index, list(METRICS))
        for _ in range(n_tables)
    ]


def _points(panel: plt.Axes) -> dict[str, np.ndarray]:
    """Return x and y of the points, datasets along the columns, by model."""
    return {
        bars.get_label(): np.array(bars.lines[0].get_data(), dtype=float)
        for bars in panel.containers
    }


def _ends(panel: plt.Axes) -> dict[str, np.ndarray]:
    """Return both ends of the error bars, shape (n_datasets, 2), by model."""
    return {
        bars.get_label(): np.array(bars.lines[2][0].get_segments())[:, :, 1]
        for bars in panel.containers
        if bars.has_yerr
    }


def _by_model(values: np.ndarray) -> dict[str, np.ndarray]:
    """Split what has a row for each dataset and model by the model."""
    return {model: values[place::3] for place, model in enumerate(MODELS)}


@pytest.mark.parametrize("metric", METRICS)
def test_evaluation__estimator__points_are_the_table(with_validation, metric):
    X, y = _data()
    display = EvaluationDisplay.from_estimator(with_validation, X, y, metric=metric)
    table = evaluate(with_validation, X, y)
    assert list(table) == list(METRICS)
    (panel,) = display.axes_
    points = _points(panel)
    assert list(points) == MODELS
    for model, (_, values) in points.items():
        expected = table[metric].xs(model, level="model")
        assert values.tolist() == expected.loc[["one", "two"]].tolist()
    # One run has no interval, and the legend speaks of none.
    assert _ends(panel) == {}
    assert not panel.get_legend().get_title().get_text()
    assert panel.get_ylabel() == METRICS[metric]
    assert [text.get_text() for text in panel.get_xticklabels()] == ["one", "two"]


def test_evaluation__estimator__default_is_accuracy(with_validation):
    X, y = _data()
    display = EvaluationDisplay.from_estimator(with_validation, X, y)
    assert display.metric == "accuracy"
    assert display.axes_[0].get_ylabel() == "accuracy"
    assert display.scores[0].equals(evaluate(with_validation, X, y)["accuracy"])


@pytest.mark.parametrize("n_tables", [2, 3, 5])
def test_evaluation__tables__mean_and_t_interval(n_tables):
    tables = _tables(n_tables)
    display = EvaluationDisplay.from_tables(tables, metric="top_5_accuracy")
    (panel,) = display.axes_
    values = np.array([table["top_5_accuracy"] for table in tables])
    mean = values.sum(axis=0) / n_tables
    variance = ((values - mean) ** 2).sum(axis=0) / (n_tables - 1)
    bar = T_975[n_tables - 1] * np.sqrt(variance / n_tables)
    points, ends = _points(panel), _ends(panel)
    assert list(points) == list(ends) == MODELS
    expected = _by_model(np.column_stack([mean, mean - bar, mean + bar]))
    for model, rows in expected.items():
        np.testing.assert_allclose(points[model][1], rows[:, 0], rtol=1e-12)
        np.testing.assert_allclose(ends[model], rows[:, 1:], rtol=0, atol=2e-4)
    title = panel.get_legend().get_title().get_text()
    assert title == f"mean of {n_tables} runs, 95 % interval"
    # The datasets stand in the tables' order.
    assert [text.get_text() for text in panel.get_xticklabels()] == ["b", "a"]
    display.figure_.canvas.draw()


def test_evaluation__tables__rows_are_matched_by_name():
    first, second = _tables(2)
    shuffled = second.sample(frac=1, random_state=0)
    assert not shuffled.index.equals(first.index)
    expected = EvaluationDisplay.from_tables([first, second])
    display = EvaluationDisplay.from_tables([first, shuffled])
    pd.testing.assert_frame_equal(display.scores, expected.scores)


def test_evaluation__models_stand_side_by_side_at_their_dataset():
    (panel,) = EvaluationDisplay.from_tables(_tables(2)).axes_
    x = np.array([points[0] for points in _points(panel).values()])
    assert (np.diff(x, axis=0) > 0).all()
    np.testing.assert_allclose(x.mean(axis=0), panel.get_xticks(), atol=1e-12)
    # Nearer to their own dataset than to the next.
    assert (abs(x - panel.get_xticks()) < 0.5).all()


def test_evaluation__every_end_of_an_interval_is_visible():
    (panel,) = EvaluationDisplay.from_tables(_tables(2)).axes_
    low, high = panel.get_ylim()
    ends = np.concatenate(list(_ends(panel).values()))
    assert low < ends.min()
    assert ends.max() < high


def test_evaluation__some_models__those_alone():
    tables = [table.drop("expert", level="model") for table in _tables(2)]
    (panel,) = EvaluationDisplay.from_tables(tables).axes_
    assert list(_points(panel)) == ["student", "teacher"]


def test_evaluation__a_dataset_without_a_score__no_point_there():
    first, second = _tables(2)
    first.loc[("a", "student"), "accuracy"] = np.nan
    second = second.drop(index=("a", "teacher"))
    first = first.drop(index=("a", "teacher"))
    (panel,) = EvaluationDisplay.from_tables([first, second]).axes_
    missing = {model: np.isnan(y).tolist() for model, (_, y) in _points(panel).items()}
    assert missing == {
        "expert": [False, False],
        "student": [False, True],
        "teacher": [False, True],
    }


def test_evaluation__long_names__aslant():
    (short,) = EvaluationDisplay.from_tables(_tables(1)).axes_
    (long,) = EvaluationDisplay.from_tables(_tables(1, ("a", "b" * 30))).axes_
    assert {text.get_rotation() for text in short.get_xticklabels()} == {0}
    assert {text.get_rotation() for text in long.get_xticklabels()} == {30}


def test_a_model_has_one_colour_in_all_displays(with_validation, without_validation):
    displays = [
        TrainingCurvesDisplay.from_estimator(with_validation),
        TrainingCurvesDisplay.from_estimator(without_validation),
    ]
    curves = [
        {line.get_label(): line.get_color() for line in display.axes_[0].get_lines()}
        for display in displays
    ]
    (panel,) = EvaluationDisplay.from_tables(_tables(2)).axes_
    points = {bars.get_label(): bars.lines[0].get_color() for bars in panel.containers}
    assert len(set(points.values())) == 3
    assert curves[0] == points
    assert curves[1] == {model: points[model] for model in ("student", "teacher")}
    texts = [text.get_text() for text in panel.get_legend().get_texts()]
    assert texts == MODELS


@pytest.mark.parametrize("kind", [lambda panel: panel, lambda panel: [panel], np.array])
def test_evaluation__given_axes__drawn_there(kind):
    figure, panel = plt.subplots()
    display = EvaluationDisplay.from_tables(_tables(2), axes=kind(panel))
    assert list(display.axes_) == [panel]
    assert display.figure_ is figure
    assert plt.get_fignums() == [figure.number]
    assert list(_points(panel)) == MODELS


def test_evaluation__estimator__given_axes__drawn_there(with_validation):
    _, panel = plt.subplots()
    EvaluationDisplay.from_estimator(with_validation, *_data(), axes=panel)
    assert list(_points(panel)) == MODELS


def test_evaluation__several_axes__error_before_drawing():
    _, axes = plt.subplots(1, 2)
    with pytest.raises(ValueError, match="axes has 2 panels; one is needed"):
        EvaluationDisplay.from_tables(_tables(2), axes=axes)
    assert all(not panel.containers for panel in axes)


def test_evaluation__plot_again__new_figure_with_the_same_points():
    display = EvaluationDisplay.from_tables(_tables(3))
    first = _points(display.axes_[0])
    assert display.plot() is display
    second = _points(display.axes_[0])
    for model in MODELS:
        np.testing.assert_array_equal(first[model], second[model])
    assert len(plt.get_fignums()) == 2


def test_evaluation__not_fitted__error():
    with pytest.raises(NotFittedError):
        EvaluationDisplay.from_estimator(JEDIClassifier(), *_data())
    assert not plt.get_fignums()


@pytest.mark.parametrize("metric", ["recall", "top-5 accuracy", None, ["accuracy"]])
@pytest.mark.parametrize(
    "draw",
    [
        # Not fitted: the metric is looked at first.
        lambda metric: EvaluationDisplay.from_estimator(
            JEDIClassifier(), *_data(), metric=metric
        ),
        lambda metric: EvaluationDisplay.from_tables(_tables(2), metric=metric),
        lambda metric: EvaluationDisplay(
            _tables(1)[0][["accuracy"]], metric=metric
        ).plot(),
    ],
    ids=["from_estimator", "from_tables", "plot"],
)
def test_evaluation__unknown_metric__error_names_the_known(
    draw: Callable[[Any], object], metric: Any
):
    with pytest.raises(ValueError, match=r"metric .*'mean_average_precision'") as error:
        draw(metric)
    assert repr(metric) in str(error.value)
    assert not plt.get_fignums()


@pytest.mark.parametrize(
    ("tables", "error", "match"),
    [
        ([], ValueError, "tables is empty"),
        (_tables(1)[0], TypeError, r"sequence of tables .*DataFrame.*into a list"),
        (3, TypeError, r"sequence of tables .*int"),
        ([*_tables(1), "b"], TypeError, r"tables\[1\] must be a DataFrame .*str"),
        ([_tables(1)[0].reset_index()], ValueError, r"tables\[0\] .*\[None\]"),
        ([_tables(1)[0].iloc[:0]], ValueError, r"tables\[0\] .* 0 rows"),
        (
            [_tables(1)[0].rename(index={"expert": "pupil"})],
            ValueError,
            r"tables\[0\] has the models \['pupil'\].*'expert'",
        ),
        ([pd.concat(_tables(2))], ValueError, r"tables\[0\] .*several.*'b', 'expert'"),
        (
            [*_tables(1), _tables(1)[0].drop(columns="accuracy")],
            ValueError,
            r"tables\[1\] .*column 'accuracy' of numbers.*'top_5_accuracy'",
        ),
        (
            [_tables(1)[0].astype({"accuracy": str})],
            ValueError,
            r"tables\[0\] .*column 'accuracy' of numbers.*'accuracy': '(str|object)'",
        ),
        (
            [*_tables(2), *_tables(1, ("b", "c"))],
            ValueError,
            r"tables\[0\] and tables\[2\] .*'a', 'expert'.*'c', 'teacher'",
        ),
        (
            [*_tables(1), _tables(1)[0].drop(index=("a", "student"))],
            ValueError,
            r"same datasets and models.*\[\('a', 'student'\)\]",
        ),
    ],
)
def test_evaluation__not_such_tables__error(tables, error, match):
    with pytest.raises(error, match=match):
        EvaluationDisplay.from_tables(tables)
    assert not plt.get_fignums()


def test_history__same_curves_as_its_estimator(with_validation):
    expected = TrainingCurvesDisplay.from_estimator(with_validation)
    display = TrainingCurvesDisplay.from_history(with_validation.history_)
    pd.testing.assert_frame_equal(display.curves, expected.curves)
    assert [_curves(panel) for panel in display.axes_] == [
        _curves(panel) for panel in expected.axes_
    ]


@pytest.mark.parametrize(
    ("history", "error", "match"),
    [
        ({"loss": [1.0]}, TypeError, "history must be a DataFrame .*dict"),
        (pd.DataFrame({"loss": [1.0]}), ValueError, r"'student_accuracy'.*\['loss'\]"),
        (
            pd.DataFrame({("loss", "a"): [1.0]}),
            ValueError,
            r"'student_accuracy'.*\('loss', 'a'\)",
        ),
    ],
)
def test_history__not_such_a_frame__error(history, error, match):
    with pytest.raises(error, match=match):
        TrainingCurvesDisplay.from_history(history)
    assert not plt.get_fignums()


def test_curves__panels_in_several_rows__each_row_says_what_it_shows():
    names = tuple("abcdef")
    columns = pd.MultiIndex.from_product([["student_accuracy"], names])
    history = pd.DataFrame(np.zeros((2, 6)), columns=columns)
    display = TrainingCurvesDisplay.from_history(history)
    assert [panel.get_title() for panel in display.axes_] == list(names)
    labels = [panel.get_ylabel() for panel in display.axes_]
    assert labels == ["accuracy", "", "", "accuracy", "", ""]
