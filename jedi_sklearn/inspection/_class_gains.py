"""Gains of students and teachers over their expert, class by class."""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from ..metrics import score_labelled
from ._predictions import answers_of, answers_of_predictions
from ._style import STYLES, as_panels, is_leftmost, legend_above

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MODELS = ("student", "teacher")

# Inches: the line of a class, a character of its name, and the rest of a panel.
_LINE, _CHARACTER, _FRAME = 0.22, 0.08, 1.4

# Points between a panel and its title: room for the legend.
_LEGEND = 26


class ClassGainsDisplay:
    r"""Gains of students and teachers over their expert, class by class.

    Use :meth:`from_estimator` or :meth:`from_predictions` to make one.

    Parameters
    ----------
    gains : DataFrame
        One row for each dataset, label and model (student or teacher), with the
        columns dataset, label, model and

        - n_rows: number of rows with this label,
        - recall, expert_recall: shares of these rows that the model and the expert
          get right, from 0 to 1,
        - gain: difference of the two,
        - low, high: ends of its 95 % interval.

    Attributes
    ----------
    axes_ : ndarray of Axes of shape (n_datasets,)
        One panel a dataset, the class with the largest gain at the top.
    figure_ : Figure
        The figure that the panels are in.

    See Also
    --------
    EvaluationDisplay : Whole datasets.
    AgreementDisplay : Which model is right where models disagree.

    Notes
    -----
    Model and expert answer for the same rows, so that the interval is that of a
    difference of paired proportions. It rests on the b rows that the model alone gets
    right and the c rows that the expert alone does: with half a row added to each of
    the four cells of the table of both, as Agresti and Min [1]_ do, it is

    .. math::

        \frac{b - c}{n + 2} \pm \frac{z}{n + 2}
        \sqrt{b + c + 1 - \frac{(b - c)^2}{n + 2}},

    cut at -1 and 1, with z the normal quantile at 0.975. For two rows as for many, it
    covers the true difference in about 95 of 100 samples or more, averaged over the
    differences that there may be; without the added rows, and with five others, in 66.
    Of the intervals of many classes, one in twenty misses by chance: they show the
    uncertainty of one class and are no test of all classes at once.

    The display draws what `gains` holds. For some of many classes, make one of
    some of its rows.

    References
    ----------
    .. [1] A. Agresti and Y. Min, "Simple improved confidence intervals for comparing
       matched proportions", Statistics in Medicine 24, 2005.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from jedi_sklearn import JEDIClassifier
    >>> from jedi_sklearn.inspection import ClassGainsDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> X, y = {"iris": X}, {"iris": y}
    >>> clf = JEDIClassifier(max_epochs=5, random_state=0).fit(X, y)
    >>> display = ClassGainsDisplay.from_estimator(clf, X, y)
    >>> display.gains.shape
    (6, 9)

    Some of the classes:

    >>> some = display.gains[display.gains["label"].isin([0, 1])]
    >>> len(ClassGainsDisplay(some).plot().axes_[0].get_yticks())
    2
    """

    def __init__(self, gains: pd.DataFrame) -> None:
        self.gains = gains

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, *, axes: Any = None
    ) -> Self:
        """Draw the gains of a fitted estimator's models.

        Parameters
        ----------
        estimator : JEDIClassifier
            Fitted.
        X : mapping, MultiDataset, DataFrame or array-like
            As `JEDIClassifier.predict` takes it. Each row is embedded once.
        y : mapping, MultiTarget or array-like of shape (n_samples,)
            Unlabelled rows are left out.
        axes : Axes or sequence of Axes, optional
            One a dataset; by default a new figure is made.

        Returns
        -------
        display : ClassGainsDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If there is not one of `axes` for each dataset, or
            :func:`jedi_sklearn.metrics.evaluate` does not accept X and y.
        """
        return cls(class_gains(answers_of(score_labelled(estimator, X, y)))).plot(
            axes=axes
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        *,
        expert: Any,
        student: Any,
        teacher: Any = None,
        axes: Any = None,
    ) -> Self:
        """Draw the gains of predicted labels.

        Parameters
        ----------
        y_true : mapping of str to array-like, or array-like of shape (n_samples,)
            Labels. Unlabelled rows (-1, None, NaN) are left out.
        expert, student : mapping of str to array-like, or array-like
            Labels that each predicts for the same rows: a mapping of the same datasets
            where `y_true` is one.
        teacher : mapping of str to array-like, or array-like, optional
            Labels that the teacher predicts; by default none are drawn.
        axes : Axes or sequence of Axes, optional
            One a dataset; by default a new figure is made.

        Returns
        -------
        display : ClassGainsDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If there is not one of `axes` for each dataset, no row is labelled, or
            predictions do not match `y_true`.
        """
        given = {"expert": expert, "student": student, "teacher": teacher}
        return cls(class_gains(answers_of_predictions(y_true, given))).plot(axes=axes)

    def plot(self, *, axes: Any = None) -> Self:
        """Draw the gains.

        Parameters
        ----------
        axes : Axes or sequence of Axes, optional
            One a dataset; by default a new figure is made.

        Returns
        -------
        self : ClassGainsDisplay
            The display itself, with `axes_` and `figure_`.

        Raises
        ------
        ValueError
            If there is not one of `axes` for each dataset.
        """
        by_dataset = {}
        for dataset, rows in self.gains.groupby("dataset", sort=False):
            first = rows[rows["model"] == rows["model"].iloc[0]]
            order = first.sort_values(["gain", "expert_recall"], kind="stable")["label"]
            # Places count from the bottom, so that the largest gain is at the top.
            place = pd.Series(range(len(order)), index=pd.Index(order, dtype=object))
            by_dataset[dataset] = rows.assign(place=rows["label"].map(place))
        names = [_names(rows) for rows in by_dataset.values()]
        axes = as_panels(
            axes,
            len(by_dataset),
            f"one is needed for each of {list(by_dataset)}",
            width=3.0 + _CHARACTER * max(len(name) for own in names for name in own),
            height=_FRAME + _LINE * max(max(map(len, names)), 4),
        )
        for panel, (dataset, rows) in zip(axes, by_dataset.items(), strict=True):
            _plot_dataset(rows, panel)
            panel.set_title(dataset, pad=_LEGEND)
            if is_leftmost(panel):
                panel.set_ylabel("class (rows)")
        legend_above(axes[0], len(_MODELS) + 1)
        self.axes_ = axes
        self.figure_ = axes[0].figure
        return self


def class_gains(answers: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `ClassGainsDisplay.gains`."""
    groups = [answers["dataset"], answers["label"]]
    is_right = {
        model: answers[model].eq(answers["label"])
        for model in ("expert", *_MODELS)
        if model in answers
    }
    tables = []
    for model in _MODELS:
        if model in is_right:
            own, other = is_right[model], is_right["expert"]
            table = pd.DataFrame(
                {
                    "n_rows": 1,
                    "recall": own,
                    "expert_recall": other,
                    "gained": own & ~other,
                    "lost": other & ~own,
                }
            )
            table = table.groupby(groups, sort=False).sum().reset_index()
            tables.append(table.assign(model=model))
    counts = pd.concat(tables, ignore_index=True)
    n, b, c = (counts[name].to_numpy(float) for name in ("n_rows", "gained", "lost"))
    # The interval of Agresti and Min; see the Notes of the display.
    z = NormalDist().inv_cdf(0.975)
    centre = (b - c) / (n + 2)
    half = z * np.sqrt(b + c + 1 - (b - c) ** 2 / (n + 2)) / (n + 2)
    return pd.DataFrame(
        {
            **counts[["dataset", "label", "model", "n_rows"]],
            "recall": counts["recall"] / n,
            "expert_recall": counts["expert_recall"] / n,
            "gain": (b - c) / n,
            "low": np.maximum(centre - half, -1.0),
            "high": np.minimum(centre + half, 1.0),
        }
    )


def _names(rows: pd.DataFrame) -> list[str]:
    """Return the names of a panel's lines from the bottom up."""
    lines = rows.drop_duplicates("place").sort_values("place")
    return [f"{x} ({n})" for x, n in zip(lines["label"], lines["n_rows"], strict=True)]


def _plot_dataset(rows: pd.DataFrame, panel: Axes) -> None:
    expert = STYLES["expert"]
    panel.axvline(0.0, color=expert.color, linestyle=expert.line, label="expert")
    models = [model for model in _MODELS if model in set(rows["model"])]
    for number, model in enumerate(models):
        own = rows[rows["model"] == model]
        panel.errorbar(
            own["gain"],
            # The first model's points stand above the next one's.
            own["place"] - 0.3 * (number - (len(models) - 1) / 2),
            xerr=np.array([own["gain"] - own["low"], own["high"] - own["gain"]]),
            fmt=STYLES[model].marker,
            markersize=4,
            color=STYLES[model].color,
            elinewidth=1,
            label=model,
        )
    names = _names(rows)
    panel.set_yticks(range(len(names)), names)
    panel.set_ylim(-0.7, len(names) - 0.3)
    panel.set_xlabel("gain in recall")
    panel.grid(alpha=0.3)
    panel.set_axisbelow(True)
