"""Accuracy of students and teachers over the epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import pandas as pd
from sklearn.utils.validation import check_is_fitted

from ._style import STYLES, as_panels, is_leftmost

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class TrainingCurvesDisplay:
    """Accuracy of students and teachers over the epochs, Figure 3 of the paper.

    Use :meth:`from_estimator` or :meth:`from_history` to make one.

    Parameters
    ----------
    curves : DataFrame
        Accuracies in [0, 1], index the epochs, columns (model, dataset) with the
        models expert (optional), student and teacher.

    Attributes
    ----------
    axes_ : ndarray of Axes of shape (n_datasets,)
        One panel a dataset.
    figure_ : Figure
        The figure that the panels are in.

    See Also
    --------
    EvaluationDisplay : Where the curves end, on any rows.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from jedi_sklearn import JEDIClassifier
    >>> from jedi_sklearn.inspection import TrainingCurvesDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = JEDIClassifier(max_epochs=5, random_state=0).fit({"iris": X}, {"iris": y})
    >>> display = TrainingCurvesDisplay.from_estimator(clf)
    >>> display.axes_[0].get_title()
    'iris'
    """

    def __init__(self, curves: pd.DataFrame) -> None:
        self.curves = curves

    @classmethod
    def from_estimator(cls, estimator: Any, *, axes: Any = None) -> Self:
        """Draw the curves of a fitted estimator.

        They are accuracies on the rows given to fit as ``X_val``, with the expert's as
        a level line; without such rows, accuracies on the training rows as each epoch
        saw them, under dropout.

        Parameters
        ----------
        estimator : JEDIClassifier
            Fitted.
        axes : sequence of Axes, optional
            One a dataset; by default a new figure is made.

        Returns
        -------
        display : TrainingCurvesDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        """
        check_is_fitted(estimator)
        return cls.from_history(estimator.history_, axes=axes)

    @classmethod
    def from_history(cls, history: pd.DataFrame, *, axes: Any = None) -> Self:
        """Draw the curves of a history.

        Parameters
        ----------
        history : DataFrame
            As the estimator's ``history_``: one row an epoch, columns (quantity,
            dataset).
        axes : Axes or sequence of Axes, optional
            One a dataset; by default a new figure is made.

        Returns
        -------
        display : TrainingCurvesDisplay
            The display, drawn.

        Raises
        ------
        TypeError
            If `history` is not a DataFrame.
        ValueError
            If it has no accuracy of a model, or there is not one of `axes` for each
            dataset.
        """
        if not isinstance(history, pd.DataFrame):
            raise TypeError(
                "history must be a DataFrame as JEDIClassifier's history_, got "
                f"{type(history)}."
            )
        if history.columns.nlevels != 2 or "student_accuracy" not in history:
            raise ValueError(
                "history must have columns (quantity, dataset) with the quantity "
                "'student_accuracy', as JEDIClassifier's history_ has, got "
                f"{list(history.columns)[:3]}."
            )
        prefix = "val_" if "val_student_accuracy" in history else ""
        curves = {
            model: history[f"{prefix}{model}_accuracy"]
            for model in STYLES
            if f"{prefix}{model}_accuracy" in history
        }
        frame = pd.concat(curves, axis=1, names=["model", "dataset"])
        return cls(frame).plot(axes=axes)

    def plot(self, *, axes: Any = None) -> Self:
        """Draw the curves.

        Parameters
        ----------
        axes : sequence of Axes, optional
            One a dataset; by default a new figure is made.

        Returns
        -------
        self : TrainingCurvesDisplay
            The display itself, with `axes_` and `figure_`.

        Raises
        ------
        ValueError
            If there is not one of `axes` for each dataset.
        """
        datasets = self.curves.columns.unique("dataset")
        needed = f"one is needed for each of {list(datasets)}"
        axes = as_panels(axes, len(datasets), needed)
        for dataset, panel in zip(datasets, axes, strict=True):
            self._plot_dataset(dataset, panel)
        axes[0].legend()
        self.axes_ = axes
        self.figure_ = axes[0].figure
        return self

    def _plot_dataset(self, dataset: str, panel: Axes) -> None:
        for model, style in STYLES.items():
            if (model, dataset) in self.curves:
                curve = self.curves[model, dataset]
                panel.plot(
                    curve.index, curve, style.line, color=style.color, label=model
                )
        panel.set(title=dataset, xlabel="epoch")
        if is_leftmost(panel):
            panel.set_ylabel("accuracy")
