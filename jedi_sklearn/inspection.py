"""Displays: pictures of what a fitted estimator has learnt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["TrainingCurvesDisplay"]


class TrainingCurvesDisplay:
    """Accuracy of students and teachers over the epochs, Figure 3 of the paper.

    Use :meth:`from_estimator` to make one.

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

        They are those on the rows that fit was given as ``X_val``, with the
        expert's accuracy as a level line; without such rows those on the training
        rows as each epoch saw them, under dropout.

        Parameters
        ----------
        estimator : JEDIClassifier
            Fitted.
        axes : sequence of Axes, optional
            One a dataset; by default a new figure is made.

        Returns
        -------
        display : TrainingCurvesDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        """
        check_is_fitted(estimator)
        history = estimator.history_
        prefix = "val_" if "val_student_accuracy" in history else ""
        curves = {
            model: history[f"{prefix}{model}_accuracy"]
            for model in ("expert", "student", "teacher")
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

        Raises
        ------
        ValueError
            If there is not one of `axes` for each dataset.
        """
        datasets = self.curves.columns.unique("dataset")
        if axes is None:
            axes = _new_axes(len(datasets))
        axes = np.asarray(axes, dtype=object).ravel()
        if len(axes) != len(datasets):
            raise ValueError(
                f"axes has {len(axes)} panels; one is needed for each of "
                f"{list(datasets)}."
            )
        for dataset, panel in zip(datasets, axes, strict=True):
            self._plot_dataset(dataset, panel)
        axes[0].set_ylabel("accuracy")
        axes[0].legend()
        self.axes_ = axes
        self.figure_ = axes[0].figure
        return self

    def _plot_dataset(self, dataset: str, panel: Axes) -> None:
        styles = {"expert": "--", "student": "-", "teacher": "-"}
        for model, style in styles.items():
            if (model, dataset) in self.curves:
                curve = self.curves[model, dataset]
                panel.plot(curve.index, curve, style, label=model)
        panel.set(title=dataset, xlabel="epoch")


def _new_axes(n_panels: int) -> Any:
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(
        1, n_panels, figsize=(3.2 * n_panels, 3.2), layout="constrained", squeeze=False
    )
    return axes
