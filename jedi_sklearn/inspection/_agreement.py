"""Agreement of two models, and which is right where they disagree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..metrics import score_labelled
from ._predictions import answers_of, answers_of_predictions
from ._style import STYLES, as_panels, legend_above

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Patch

_PAIRS = (("student", "teacher"), ("expert", "student"), ("expert", "teacher"))

# The pieces of a bar from left to right; in the first two the models agree.
_PIECES = ("both_right", "same_wrong", "first_right", "second_right", "both_wrong")

# Pieces in which not one model alone is right; the others have that model's colour.
_GREYS: dict[str, dict[str, Any]] = {
    "both_right": {"facecolor": "0.85", "label": "both right"},
    "same_wrong": {"facecolor": "0.45", "label": "same wrong answer"},
    "both_wrong": {
        "facecolor": "white",
        "edgecolor": "0.45",
        "hatch": "////",
        "label": "two wrong answers",
    },
}

# Inches: a line, a character of a name, and the rest.
_LINE, _CHARACTER, _FRAME = 0.24, 0.08, 1.6


class AgreementDisplay:
    """Agreement of student, teacher and expert, and which of them is right.

    A bar is for two models on the labelled rows of a dataset. Its pieces, from the
    left, are the rows for which both give the same answer, right or wrong, those for
    which one model alone is right, and those for which both give different wrong
    answers. Use :meth:`from_estimator` or :meth:`from_predictions` to make one.

    Parameters
    ----------
    agreement : DataFrame
        One row for each dataset and pair of models, with the columns dataset, first
        and second (the models), n_rows, agreement (the share of rows with the same
        answer) and, as shares of the rows that sum to 1,

        - both_right: both are right,
        - same_wrong: both give the same wrong answer,
        - first_right, second_right: this model alone is right,
        - both_wrong: both give wrong answers that differ.

    Attributes
    ----------
    axes_ : ndarray of Axes of shape (1,)
        One panel with all datasets.
    figure_ : Figure
        The figure that the panel is in.

    See Also
    --------
    ClassGainsDisplay : Gains of student and teacher class by class.
    EvaluationDisplay : The accuracy of each model.

    Notes
    -----
    The distillation draws a student towards its teacher. Where the teacher alone is
    right there is something left to learn from it; where they share a wrong answer
    that the expert does not give, the student has learnt a mistake.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from jedi_sklearn import JEDIClassifier
    >>> from jedi_sklearn.inspection import AgreementDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> X, y = {"iris": X}, {"iris": y}
    >>> clf = JEDIClassifier(max_epochs=5, random_state=0).fit(X, y)
    >>> display = AgreementDisplay.from_estimator(clf, X, y)
    >>> display.agreement[["first", "second"]].values.tolist()
    [['student', 'teacher'], ['expert', 'student'], ['expert', 'teacher']]
    """

    def __init__(self, agreement: pd.DataFrame) -> None:
        self.agreement = agreement

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, *, axes: Any = None
    ) -> Self:
        """Draw the agreement of a fitted estimator's models.

        Parameters
        ----------
        estimator : JEDIClassifier
            Fitted.
        X : mapping, MultiDataset, DataFrame or array-like
            As `JEDIClassifier.predict` takes it. Each row is embedded once.
        y : mapping, MultiTarget or array-like of shape (n_samples,)
            Unlabelled rows are left out.
        axes : Axes or sequence of one Axes, optional
            By default a new figure is made.

        Returns
        -------
        display : AgreementDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `axes` is not one, or :func:`jedi_sklearn.metrics.evaluate` does not
            accept X and y.
        """
        return cls(agreement_of(answers_of(score_labelled(estimator, X, y)))).plot(
            axes=axes
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        *,
        student: Any,
        teacher: Any,
        expert: Any = None,
        axes: Any = None,
    ) -> Self:
        """Draw the agreement of predicted labels.

        Parameters
        ----------
        y_true : mapping of str to array-like, or array-like of shape (n_samples,)
            Labels. Unlabelled rows (-1, None, NaN) are left out.
        student, teacher : mapping of str to array-like, or array-like
            Labels that each predicts for the same rows: a mapping of the same datasets
            where `y_true` is one.
        expert : mapping of str to array-like, or array-like, optional
            Labels that the expert predicts; by default none are drawn.
        axes : Axes or sequence of one Axes, optional
            By default a new figure is made.

        Returns
        -------
        display : AgreementDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If `axes` is not one, no row is labelled, or predictions do not match
            `y_true`.
        """
        given = {"expert": expert, "student": student, "teacher": teacher}
        return cls(agreement_of(answers_of_predictions(y_true, given))).plot(axes=axes)

    def plot(self, *, axes: Any = None) -> Self:
        """Draw the bars.

        Parameters
        ----------
        axes : Axes or sequence of one Axes, optional
            By default a new figure is made.

        Returns
        -------
        self : AgreementDisplay
            The display itself, with `axes_` and `figure_`.

        Raises
        ------
        ValueError
            If `axes` is not one.
        """
        numbers, datasets = pd.factorize(self.agreement["dataset"])
        rows = self.agreement.iloc[np.argsort(numbers, kind="stable")]
        # A line with the name of a dataset stands above its first bar.
        places = np.arange(len(rows)) + np.sort(numbers) + 1
        n_lines = len(rows) + len(datasets)
        names = _names(rows, places)
        axes = as_panels(
            axes,
            1,
            "one is needed",
            width=4.5 + _CHARACTER * max(map(len, names.values())),
            height=_FRAME + _LINE * n_lines,
        )
        (panel,) = axes
        _plot_bars(rows, places, panel)
        panel.set_yticks(list(names), list(names.values()))
        for tick, place in zip(panel.yaxis.get_major_ticks(), names, strict=True):
            if place not in places:
                tick.label1.set_fontweight("bold")
                tick.tick1line.set_visible(False)
        panel.set(xlim=(0, 1), ylim=(n_lines - 0.4, -0.6), xlabel="share of rows")
        legend_above(panel, 2, handles=_handles(rows))
        self.axes_ = axes
        self.figure_ = panel.figure
        return self


def agreement_of(answers: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `AgreementDisplay.agreement`."""
    rows = []
    for dataset, own in answers.groupby("dataset", sort=False):
        for first, second in _PAIRS:
            if first in own and second in own:
                same = own[first] == own[second]
                is_right = own[first] == own["label"]
                other_is_right = own[second] == own["label"]
                shares = {
                    "agreement": same,
                    "both_right": is_right & other_is_right,
                    "same_wrong": same & ~is_right,
                    "first_right": is_right & ~other_is_right,
                    "second_right": other_is_right & ~is_right,
                    "both_wrong": ~same & ~is_right & ~other_is_right,
                }
                rows.append(
                    {
                        "dataset": dataset,
                        "first": first,
                        "second": second,
                        "n_rows": len(own),
                        **{name: float(share.mean()) for name, share in shares.items()},
                    }
                )
    return pd.DataFrame(rows)


def _names(rows: pd.DataFrame, places: npt.NDArray[np.intp]) -> dict[int, str]:
    """Return the names of the lines by their places."""
    names = {}
    for place, row in zip(places.tolist(), rows.to_dict("records"), strict=True):
        if place - 1 not in names:
            names[place - 1] = f"{row['dataset']} ({row['n_rows']} rows)"
        names[place] = f"{row['first']}, {row['second']}"
    return names


def _plot_bars(rows: pd.DataFrame, places: npt.NDArray[np.intp], panel: Axes) -> None:
    left = np.zeros(len(rows))
    for piece in _PIECES:
        if piece in _GREYS:
            look = _GREYS[piece]
        else:
            models = rows[piece.removesuffix("_right")]
            look = {"color": [STYLES[model].color for model in models]}
        panel.barh(places, rows[piece], left=left, height=0.75, **look)
        left = left + rows[piece].to_numpy()
    for place, share in zip(places, rows["agreement"], strict=True):
        panel.annotate(
            f"{share:.0%} agree",
            (1.0, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
        )


def _handles(rows: pd.DataFrame) -> list[Patch]:
    """Return the entries of the legend."""
    from matplotlib.patches import Patch

    shown = {*rows["first"], *rows["second"]}
    return [
        *(Patch(**look) for look in _GREYS.values()),
        *(
            Patch(facecolor=style.color, label=f"{model} alone right")
            for model, style in STYLES.items()
            if model in shown
        ),
    ]
