"""skops: a model card written by hand."""

from __future__ import annotations

import re

import matplotlib.pyplot as plt
import pytest
from client_fits import classifier
from sklearn.inspection import permutation_importance

from jedi_sklearn import evaluate
from jedi_sklearn.inspection import TrainingCurvesDisplay

card = pytest.importorskip("skops.card")


@pytest.fixture(scope="module")
def fitted(frame):
    return classifier(gamma=0.25).fit(*frame)


def test_card__has_parameters_table_metrics_and_pictures(tmp_path, fitted, frame):
    X, y = frame
    TrainingCurvesDisplay.from_estimator(fitted)
    plt.savefig(tmp_path / "curves.png")
    plt.close("all")
    table = evaluate(fitted, X, y).reset_index()
    written = card.Card(fitted)
    written.add_metrics(accuracy=fitted.score(X, y))
    written.add_table(**{"Model description/Evaluation": table})
    written.add_plot(**{"Training": "curves.png"})
    written.save(tmp_path / "README.md")
    text = (tmp_path / "README.md").read_text(encoding="utf-8")

    # Hyperparameters, those of the experts among them.
    parameters = fitted.get_params()
    assert {"gamma", "digits__logisticregression__C"} <= set(parameters)
    rows = [line.split("|") for line in text.splitlines() if line.startswith("|")]
    cells = {row[1].strip(): row[2].strip() for row in rows if len(row) == 4}
    assert set(parameters) <= set(cells)
    assert cells["gamma"] == "0.25"
    assert cells["digits__logisticregression__C"] == "1.0"
    assert float(cells["accuracy"]) == pytest.approx(fitted.score(X, y), abs=1e-4)
    # The table, a row a model; the drawing of the classifier; the curves.
    models = [row[2].strip() for row in rows if row[1].strip() == "digits"]
    assert models[-3:] == ["expert", "student", "teacher"]
    assert "sk-top-container" in text
    assert "(curves.png)" in text


def test_card__has_the_importance_of_features(tmp_path, fitted, frame):
    X, y = frame
    found = permutation_importance(fitted, X, y, n_repeats=2, random_state=0)
    written = card.Card(fitted)
    written.add_permutation_importances(
        found, X.columns, plot_file=tmp_path / "importance.png"
    )
    plt.close("all")
    assert (tmp_path / "importance.png").stat().st_size > 0
    assert "importance.png" in written.render()


def without_numbers(text):
    """Leave out what numbers the drawings of a page."""
    return re.sub(r"sk-(container|estimator)-id-\d+", "", text)


def test_card__of_a_model_file__is_of_what_is_loaded(tmp_path, fitted):
    import skops.io

    skops.io.dump(fitted, tmp_path / "model.skops")
    names = skops.io.get_untrusted_types(file=tmp_path / "model.skops")
    written = card.Card(tmp_path / "model.skops", trusted=names)
    as_fitted = without_numbers(card.Card(fitted).render())
    assert without_numbers(written.render()) == as_fitted
