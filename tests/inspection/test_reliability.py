"""Calibration: bins, the expected calibration error, and the picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

from jedi_sklearn import JEDIClassifier
from jedi_sklearn.inspection import ReliabilityDisplay

mpl.use("Agg")

from matplotlib import pyplot as plt


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    plt.close("all")
    yield
    plt.close("all")


def two_classes(confidence: Any, is_right: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and probabilities of a model that predicts class 0."""
    p = np.asarray(confidence)
    return np.where(is_right, 0, 1), np.column_stack([p, 1 - p])


# Five rows in the bin up to 0.6, four in that up to 1.
CONFIDENCE = [0.55, 0.55, 0.55, 0.55, 0.6, 0.9, 0.9, 0.9, 1.0]
IS_RIGHT = [True, True, False, False, False, True, True, True, False]


def test_bins__by_hand():
    y, p = two_classes(CONFIDENCE, IS_RIGHT)
    display = ReliabilityDisplay.from_predictions(y, student=p, n_bins=5)
    bins = display.bins
    assert bins["model"].tolist() == ["student"] * 2
    assert bins["n_rows"].tolist() == [5, 4]
    np.testing.assert_allclose(bins["confidence"], [0.56, 0.925])
    np.testing.assert_allclose(bins["accuracy"], [0.4, 0.75])
    error = (5 * 0.16 + 4 * 0.175) / 9
    assert display.calibration_error["dataset", "student"] == pytest.approx(error)


def test_quantile__bins_have_as_many_rows():
    rng = np.random.default_rng(0)
    y, p = two_classes(rng.uniform(0.5, 1.0, 1000) ** 0.2, rng.random(1000) < 0.9)
    given = {"student": p, "n_bins": 8}
    bins = ReliabilityDisplay.from_predictions(y, **given, strategy="quantile").bins
    assert bins["n_rows"].tolist() == [125] * 8
    assert (np.diff(bins["confidence"]) > 0).all()
    uniform = ReliabilityDisplay.from_predictions(y, **given).bins
    assert len(set(uniform["n_rows"])) > 1


def test_calibrated_model__small_error__sure_one__large():
    rng = np.random.default_rng(0)
    p = rng.dirichlet([1.0] * 4, 5000)
    y = (p.cumsum(axis=1) > rng.random((5000, 1))).argmax(axis=1)
    sure = p**4 / (p**4).sum(axis=1, keepdims=True)
    display = ReliabilityDisplay.from_predictions(y, student=p, teacher=sure)
    error = display.calibration_error["dataset"]
    assert error["student"] < 0.03
    assert error["teacher"] > 0.15
    bins = display.bins[display.bins["model"] == "teacher"]
    assert (bins["accuracy"] < bins["confidence"])[bins["n_rows"] > 100].all()


def test_classes__say_which_column_is_which():
    p = np.array([[0.1, 0.9, 0.0], [0.8, 0.1, 0.1]])
    y = ["b", "c"]
    given = {"expert": p, "classes": ["c", "b", "a"]}
    bins = ReliabilityDisplay.from_predictions(y, **given).bins
    assert bins["accuracy"].tolist() == [1.0, 1.0]
    given["classes"] = ["a", "b", "c"]
    bins = ReliabilityDisplay.from_predictions(y, **given).bins
    assert bins["accuracy"].tolist() == [0.0, 1.0]
    with pytest.raises(
        ValueError, match=r"expert .*\(n_samples, 2\).* give them as cl"
    ):
        ReliabilityDisplay.from_predictions(y, expert=p)


def test_picture__points_are_the_bins_and_areas_their_rows():
    y, p = two_classes(CONFIDENCE, IS_RIGHT)
    y, others = {"one": y, "two": y}, {"one": 0.5 + 0 * p, "two": p}
    display = ReliabilityDisplay.from_predictions(
        y, expert=others, student={"one": p, "two": p}, n_bins=5
    )
    assert [panel.get_title() for panel in display.axes_] == ["one", "two"]
    errors = display.calibration_error
    for panel in display.axes_:
        own = display.bins[display.bins["dataset"] == panel.get_title()]
        diagonal, *curves = panel.get_lines()
        assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
        models = ["expert", "student"]
        for model, curve, points in zip(models, curves, panel.collections, strict=True):
            bins = own[own["model"] == model]
            expected = bins[["confidence", "accuracy"]].to_numpy()
            np.testing.assert_allclose(curve.get_xydata(), expected)
            np.testing.assert_allclose(points.get_offsets(), expected)
            areas = points.get_sizes() / points.get_sizes().sum()
            np.testing.assert_allclose(areas, bins["n_rows"] / 9)
        texts = [text.get_text() for text in panel.get_legend().get_texts()]
        assert texts == [
            f"{model}, ECE {errors[panel.get_title(), model]:.3f}" for model in models
        ]


Y = [0, 1, 1]
P = np.full((3, 2), 0.5)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"n_bins": 0}, "n_bins must be a whole number from 1 up, got 0"),
        ({"n_bins": 2.5}, "n_bins .* got 2.5"),
        ({"strategy": "width"}, r"strategy 'width'.*\['uniform', 'quantile'\]"),
        ({"strategy": None}, "strategy None"),
        ({"teacher": P[:2]}, "teacher has 2 rows for dataset 'dataset', y_true has 3"),
        ({"teacher": P[:, 0]}, r"teacher .*\(n_samples, 2\).*'dataset'.*\(3,\)"),
        ({"teacher": P + 0.1}, r"teacher .*sum to 1 .*\[0.6, 0.6\]"),
        ({"teacher": P * np.nan}, "teacher .*sum to 1 .*nan"),
        (
            {"teacher": np.array([[1.5, -0.5]] * 3)},
            r"teacher .*at least 0 .*\[1.5, -0.5\]",
        ),
        ({"classes": {"a": [0, 1]}}, "classes must be one array, as y_true is"),
    ],
)
def test_bad_input__error_names_it(given, match):
    with pytest.raises(ValueError, match=match):
        ReliabilityDisplay.from_predictions(Y, **{"student": P} | given)
    assert not plt.get_fignums()


def test_estimator__bins_are_checked_before_it_is_asked():
    with pytest.raises(ValueError, match="n_bins"):
        ReliabilityDisplay.from_estimator(JEDIClassifier(), None, None, n_bins=-1)
