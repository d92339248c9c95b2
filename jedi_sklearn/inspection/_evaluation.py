"""Scores of experts, students and teachers on every dataset."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from scipy.stats import t

from ..metrics import evaluate
from ._predictions import answers_of_predictions
from ._style import STYLES, as_panels, legend_above

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Columns of evaluate's table, with the names that an axis has for them.
_METRICS = {
    "accuracy": "accuracy",
    "top_5_accuracy": "top-5 accuracy",
    "mean_average_precision": "mean average precision",
}

# Names of datasets with more characters than this are written aslant.
_LONG_NAME = 12


class EvaluationDisplay:
    """Expert, student and teacher on every dataset, Table 2 of the paper as a figure.

    Use :meth:`from_estimator`, :meth:`from_predictions` or :meth:`from_tables` to make
    one.

    Parameters
    ----------
    scores : DataFrame of shape (n_datasets * n_models, n_runs)
        Index (dataset, model), the models being some of expert, student and teacher;
        one column of scores for each run, such as one for each seed.
    metric : {"accuracy", "top_5_accuracy", "mean_average_precision"}
        Kind of the scores.

    Attributes
    ----------
    axes_ : ndarray of Axes of shape (1,)
        One panel with all datasets.
    figure_ : Figure
        The figure that the panel is in.

    See Also
    --------
    jedi_sklearn.metrics.evaluate : The table that is drawn.
    ClassGainsDisplay : The same class by class.

    Notes
    -----
    With n >= 2 runs, a bar is the 95 % interval of a mean over runs that are
    independent and normally distributed, ``mean +- t(0.975, n - 1) * std / sqrt(n)``.
    It is the interval of one model. That of the difference of two models with scores
    from the same runs is another, and often narrower. A model without a score (NaN) on
    a dataset in some run has no point there.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from jedi_sklearn import JEDIClassifier, evaluate
    >>> from jedi_sklearn.inspection import EvaluationDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> X, y = {"iris": X}, {"iris": y}
    >>> clf = JEDIClassifier(max_epochs=5, random_state=0).fit(X, y)
    >>> display = EvaluationDisplay.from_estimator(clf, X, y)
    >>> display.axes_[0].get_ylabel()
    'accuracy'

    The mean over seeds, with an interval:

    >>> tables = [
    ...     evaluate(clf.set_params(random_state=seed).fit(X, y), X, y)
    ...     for seed in range(3)
    ... ]
    >>> display = EvaluationDisplay.from_tables(tables)
    >>> display.scores.shape
    (3, 3)
    """

    def __init__(self, scores: pd.DataFrame, *, metric: str = "accuracy") -> None:
        self.scores = scores
        self.metric = metric

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        metric: str = "accuracy",
        axes: Any = None,
    ) -> Self:
        """Score a fitted estimator and draw the scores.

        Parameters
        ----------
        estimator : JEDIClassifier
            Fitted.
        X : mapping, MultiDataset, DataFrame or array-like
            As `JEDIClassifier.predict` takes it.
        y : mapping, MultiTarget or array-like of shape (n_samples,)
            Unlabelled rows are left out.
        metric : {"accuracy", "top_5_accuracy", "mean_average_precision"}
            Score to draw.
        axes : Axes or sequence of one Axes, optional
            By default a new figure is made.

        Returns
        -------
        display : EvaluationDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If there is no such metric, `axes` is not one, or
            :func:`jedi_sklearn.metrics.evaluate` does not accept X and y.
        """
        _metric_label(metric)  # Scoring takes time.
        table = evaluate(estimator, X, y)
        return cls.from_tables([table], metric=metric, axes=axes)

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        *,
        expert: Any = None,
        student: Any = None,
        teacher: Any = None,
        axes: Any = None,
    ) -> Self:
        """Draw the accuracy of predicted labels.

        Parameters
        ----------
        y_true : mapping of str to array-like, or array-like of shape (n_samples,)
            Labels. Unlabelled rows (-1, None, NaN) are left out.
        expert, student, teacher : mapping of str to array-like, or array-like, optional
            Labels that each predicts for the same rows: a mapping of the same datasets
            where `y_true` is one. At least one is needed.
        axes : Axes or sequence of one Axes, optional
            By default a new figure is made.

        Returns
        -------
        display : EvaluationDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If `axes` is not one, no model is given, no row is labelled, or predictions
            do not match `y_true`.
        """
        given = {"expert": expert, "student": student, "teacher": teacher}
        answers = answers_of_predictions(y_true, given)
        models = [model for model in STYLES if model in answers]
        is_right = answers[models].eq(answers["label"], axis=0)
        accuracy = is_right.groupby(answers["dataset"], sort=False).mean()
        index = pd.MultiIndex.from_product(
            [accuracy.index, models], names=["dataset", "model"]
        )
        table = pd.DataFrame({"accuracy": accuracy.to_numpy().ravel()}, index)
        return cls.from_tables([table], axes=axes)

    @classmethod
    def from_tables(
        cls, tables: Any, *, metric: str = "accuracy", axes: Any = None
    ) -> Self:
        """Draw the mean of several tables, with its 95 % interval.

        Parameters
        ----------
        tables : sequence of DataFrame
            As :func:`jedi_sklearn.metrics.evaluate` returns them, one for each run,
            with the same datasets and models in all. A single one is drawn without
            an interval.
        metric : {"accuracy", "top_5_accuracy", "mean_average_precision"}
            Score to draw.
        axes : Axes or sequence of one Axes, optional
            By default a new figure is made.

        Returns
        -------
        display : EvaluationDisplay
            The display, drawn.

        Raises
        ------
        TypeError
            If `tables` is not a sequence of DataFrames.
        ValueError
            If there is no such metric, no table, a table that is none of evaluate's,
            or one that differs from the first in its datasets or models, or if
            `axes` is not one.
        """
        _metric_label(metric)
        if isinstance(tables, pd.DataFrame) or not isinstance(tables, Iterable):
            raise TypeError(
                "tables must be a sequence of tables as jedi_sklearn.metrics.evaluate "
                f"returns them, got {type(tables)}; a single table goes into a list."
            )
        tables = list(tables)
        if not tables:
            raise ValueError("tables is empty; it must have at least one table.")
        for number, table in enumerate(tables):
            _check_table(f"tables[{number}]", table, metric)
            differing = tables[0].index.symmetric_difference(table.index, sort=False)
            if len(differing):
                raise ValueError(
                    f"tables[0] and tables[{number}] must have the same datasets and "
                    f"models; one of them alone has {list(differing)}."
                )
        runs = [table[metric] for table in tables]
        scores = pd.concat(
            [run.reindex(runs[0].index) for run in runs],
            axis=1,
            keys=pd.RangeIndex(len(runs), name="run"),
        )
        return cls(scores, metric=metric).plot(axes=axes)

    def plot(self, *, axes: Any = None) -> Self:
        """Draw the scores.

        Parameters
        ----------
        axes : Axes or sequence of one Axes, optional
            By default a new figure is made.

        Returns
        -------
        self : EvaluationDisplay
            The display itself, with `axes_` and `figure_`.

        Raises
        ------
        ValueError
            If there is no such metric, or `axes` is not one.
        """
        label = _metric_label(self.metric)
        datasets = self.scores.index.unique("dataset")
        width = 1.5 + max(2.5, len(datasets))
        axes = as_panels(axes, 1, "one is needed", width=width)
        panel = axes[0]
        self._plot_models(datasets, panel)
        is_long = max(len(str(name)) for name in datasets) > _LONG_NAME
        slant = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
        panel.set_xticks(
            np.arange(len(datasets)), list(datasets), **(slant if is_long else {})
        )
        panel.set_xlim(-0.5, len(datasets) - 0.5)
        panel.set(xlabel="dataset", ylabel=label)
        panel.grid(axis="y", alpha=0.3)
        panel.set_axisbelow(True)
        n_runs = self.scores.shape[1]
        title = f"mean of {n_runs} runs, 95 % interval" if n_runs > 1 else None
        legend_above(panel, len(STYLES), title=title)
        self.axes_ = axes
        self.figure_ = panel.figure
        return self

    def _plot_models(self, datasets: pd.Index, panel: Axes) -> None:
        values = self.scores.to_numpy(dtype=np.float64)
        drawn = pd.DataFrame({"mean": values.mean(axis=1)}, index=self.scores.index)
        n_runs = values.shape[1]
        if n_runs > 1:
            error = values.std(axis=1, ddof=1) / np.sqrt(n_runs)
            drawn["bar"] = t.ppf(0.975, n_runs - 1) * error
        models = [m for m in STYLES if m in self.scores.index.unique("model")]
        for place, model in enumerate(models):
            style = STYLES[model]
            rows = drawn.xs(model, level="model").reindex(datasets)
            panel.errorbar(
                np.arange(len(datasets)) + 0.2 * (place - (len(models) - 1) / 2),
                rows["mean"],
                yerr=rows.get("bar"),
                fmt=style.marker,
                markersize=5,
                color=style.color,
                capsize=3,
                label=model,
            )


def _metric_label(metric: Any) -> str:
    if not isinstance(metric, str) or metric not in _METRICS:
        raise ValueError(
            f"There is no metric {metric!r}; it must be one of {list(_METRICS)}."
        )
    return _METRICS[metric]


def _check_table(name: str, table: Any, metric: str) -> None:
    """Raise an error unless the table is as evaluate returns it."""
    if not isinstance(table, pd.DataFrame):
        raise TypeError(
            f"{name} must be a DataFrame as jedi_sklearn.metrics.evaluate returns it, "
            f"got {type(table)}."
        )
    index = table.index
    if list(index.names) != ["dataset", "model"] or not len(index):
        raise ValueError(
            f"{name} must have rows with the index ['dataset', 'model'], got "
            f"{len(index)} rows with the index {list(index.names)}."
        )
    unknown = index.unique("model").difference(list(STYLES), sort=False)
    if len(unknown):
        raise ValueError(
            f"{name} has the models {list(unknown)}; they must be of {list(STYLES)}."
        )
    if not index.is_unique:
        raise ValueError(
            f"{name} has several rows for each of "
            f"{list(index[index.duplicated()].unique())}; one table is of one run."
        )
    if metric not in table or not pd.api.types.is_numeric_dtype(table[metric]):
        raise ValueError(
            f"{name} must have a column {metric!r} of numbers, got the columns "
            f"{table.dtypes.astype(str).to_dict()}."
        )
