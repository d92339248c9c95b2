"""Gains by class: counts, their intervals, and the picture."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from scipy.stats import multinomial

from jedi_sklearn.inspection import ClassGainsDisplay

mpl.use("Agg")

from matplotlib import pyplot as plt

Z_975 = 1.959964


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    plt.close("all")
    yield
    plt.close("all")


# Class a: the student gains two rows and loses one. Class b: all are right.
Y = np.array(["a"] * 5 + ["b"] * 2)
EXPERT = np.array(["a", "b", "b", "b", "a", "b", "b"])
STUDENT = np.array(["b", "a", "a", "b", "a", "b", "b"])


def test_gains__by_hand():
    gains = ClassGainsDisplay.from_predictions(Y, expert=EXPERT, student=STUDENT).gains
    assert gains["dataset"].tolist() == ["dataset"] * 2
    assert gains["label"].tolist() == ["a", "b"]
    assert gains["model"].tolist() == ["student"] * 2
    assert gains["n_rows"].tolist() == [5, 2]
    assert gains["expert_recall"].tolist() == [2 / 5, 1.0]
    assert gains["recall"].tolist() == [3 / 5, 1.0]
    np.testing.assert_allclose(gains["gain"], [1 / 5, 0.0])
    # n = 5, b = 2, c = 1, and n = 2, b = c = 0.
    half = Z_975 * np.array([(4 - 1 / 7) ** 0.5 / 7, 1 / 4])
    centre = np.array([1 / 7, 0])
    np.testing.assert_allclose(gains["low"], centre - half, rtol=1e-6)
    np.testing.assert_allclose(gains["high"], centre + half, rtol=1e-6)


def intervals(n: int) -> pd.DataFrame:
    """Return the interval of each number of rows gained and lost out of n.

    Each pair of numbers is a class of its own.
    """
    pairs = [(b, c) for b, c in product(range(n + 1), repeat=2) if b + c <= n]
    y = np.repeat(np.arange(len(pairs)), n)
    right = {
        "expert": np.concatenate([np.arange(n) < c for _, c in pairs]),
        "student": np.concatenate([np.arange(n) >= n - b for b, _ in pairs]),
    }
    answers = {model: np.where(own, y, len(pairs)) for model, own in right.items()}
    _, panel = plt.subplots()
    gains = ClassGainsDisplay.from_predictions(y, **answers, axes=panel).gains
    return gains.assign(gained=[b for b, _ in pairs], lost=[c for _, c in pairs])


@pytest.mark.parametrize("n", [2, 5, 15])
def test_interval__covers_the_difference_of_95_in_100_samples(n):
    of_counts = intervals(n)
    counts = of_counts[["gained", "lost"]].to_numpy()
    counts = np.column_stack([counts, n - counts.sum(axis=1)])
    coverages = []
    # What may be true: both right, both wrong, and one alone, any shares of them.
    for both, p, q, none in np.random.default_rng(0).dirichlet(np.ones(4), 200):
        chance = multinomial.pmf(counts, n, [p, q, both + none])
        covers = (of_counts["low"] <= p - q) & (p - q <= of_counts["high"])
        coverages.append(chance[covers].sum())
    assert 0.945 <= np.mean(coverages) <= 0.99
    assert np.mean(np.array(coverages) < 0.9) < 0.1


@pytest.mark.parametrize("n", [1, 2, 15])
def test_interval__holds_the_gain_and_stays_in_range(n):
    gains = intervals(n)
    assert (gains["low"] <= gains["gain"]).all()
    assert (gains["gain"] <= gains["high"]).all()
    assert gains["low"].min() == -1.0
    assert gains["high"].max() == 1.0
    assert (gains["high"] > gains["low"]).all()


def bars(panel: plt.Axes) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return gains, places, and both ends of the bars by model."""
    return {
        own.get_label(): (
            *own.lines[0].get_data(),
            np.array(own.lines[2][0].get_segments())[:, :, 0],
        )
        for own in panel.containers
    }


def test_picture__points_are_the_gains_from_the_largest_down():
    rng = np.random.default_rng(0)
    y = rng.integers(6, size=200)
    models = ("expert", "student", "teacher")
    given = {m: np.where(rng.random(200) < 0.7, y, 0) for m in models}
    display = ClassGainsDisplay.from_predictions(
        {"d": y}, **{m: {"d": own} for m, own in given.items()}
    )
    (panel,) = display.axes_
    assert panel.get_title() == "d"
    names = [text.get_text() for text in panel.get_yticklabels()]
    for model, (x, places, ends) in bars(panel).items():
        own = display.gains[display.gains["model"] == model]
        assert x.tolist() == own["gain"].tolist()
        np.testing.assert_allclose(ends, own[["low", "high"]], atol=1e-12)
        lines = [names[round(place)] for place in places]
        assert lines == [f"{r.label} ({r.n_rows})" for r in own.itertuples()]
    assert list(bars(panel)) == ["student", "teacher"]
    x, places, _ = bars(panel)["student"]
    assert np.all(np.diff(x[np.argsort(places)]) >= 0)
    texts = [text.get_text() for text in panel.get_legend().get_texts()]
    assert texts == ["expert", "student", "teacher"]


def test_picture__every_interval_is_visible():
    (panel,) = ClassGainsDisplay.from_predictions(
        Y, expert=EXPERT, student=STUDENT
    ).axes_
    low, high = panel.get_xlim()
    _, places, ends = bars(panel)["student"]
    assert low < ends.min() < ends.max() < high
    bottom, top = panel.get_ylim()
    assert bottom < places.min() < places.max() < top


def test_each_dataset_has_its_classes_in_a_panel_of_its_own():
    y = {"one": Y, "two": np.array([3, 4])}
    expert = {"one": EXPERT, "two": np.array([4, 4])}
    display = ClassGainsDisplay.from_predictions(y, expert=expert, student=y)
    first, second = display.axes_
    names = [[t.get_text() for t in p.get_yticklabels()] for p in (first, second)]
    assert names == [["b (2)", "a (5)"], ["4 (1)", "3 (1)"]]


def test_some_rows_of_the_gains__those_alone():
    gains = ClassGainsDisplay.from_predictions(Y, expert=EXPERT, student=STUDENT).gains
    (panel,) = ClassGainsDisplay(gains[gains["label"] == "b"]).plot().axes_
    assert [text.get_text() for text in panel.get_yticklabels()] == ["b (2)"]
