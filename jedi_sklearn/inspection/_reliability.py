"""Calibration: confidence of the models against their accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..metrics import Scored, score_labelled
from ._predictions import check_n_rows, given_models, of_dataset, read_labels
from ._style import PANEL_SIZE, STYLES, as_panels, is_leftmost, legend_above

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STRATEGIES = ("uniform", "quantile")

# Area, in square points, of the marker of a bin with all rows.
_AREA = 250

# Points between a panel and its title for each entry of the legend.
_ENTRY = 15

# Largest distance from 1 of the sum of a row's probabilities.
_TOLERANCE = 1e-3


class ReliabilityDisplay:
    """Reliability diagrams of expert, student and teacher.

    The rows of a dataset are put into bins by the model's confidence, the probability
    of the class that it predicts. A point is a bin: the mean confidence of its rows
    against the share of them for which the model is right; its area is their number.
    Points below the diagonal are those of an overconfident model. Use
    :meth:`from_estimator` or :meth:`from_predictions` to make one.

    Parameters
    ----------
    bins : DataFrame
        One row for each dataset, model and bin that is not empty, with the columns
        dataset, model, n_rows, confidence and accuracy.

    Attributes
    ----------
    calibration_error : Series
        Expected calibration error of each dataset and model: the mean over the rows of
        the distance between accuracy and confidence of their bin.
    axes_ : ndarray of Axes of shape (n_datasets,)
        One panel a dataset.
    figure_ : Figure
        The figure that the panels are in.

    See Also
    --------
    sklearn.calibration.CalibrationDisplay : One class against the other.
    sklearn.calibration.CalibratedClassifierCV : Improves the calibration.

    Notes
    -----
    The expected calibration error is that of Guo et al. [1]_. It depends on the bins:
    compare models with the same ones. With few rows in a bin it is too large, even for
    a calibrated model.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On Calibration of Modern
       Neural Networks", ICML, 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from jedi_sklearn import JEDIClassifier
    >>> from jedi_sklearn.inspection import ReliabilityDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> X, y = {"iris": X}, {"iris": y}
    >>> clf = JEDIClassifier(max_epochs=5, random_state=0).fit(X, y)
    >>> display = ReliabilityDisplay.from_estimator(clf, X, y, n_bins=5)
    >>> display.calibration_error["iris"].index.tolist()
    ['expert', 'student', 'teacher']
    """

    def __init__(self, bins: pd.DataFrame) -> None:
        self.bins = bins

    @property
    def calibration_error(self) -> pd.Series:
        """Expected calibration error of each dataset and model."""
        bins = self.bins
        distance = (bins["accuracy"] - bins["confidence"]).abs() * bins["n_rows"]
        keys = [bins["dataset"], bins["model"]]
        by_model = distance.groupby(keys, sort=False).sum()
        error = by_model / bins["n_rows"].groupby(keys, sort=False).sum()
        return error.rename("calibration_error")

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        n_bins: int = 10,
        strategy: str = "uniform",
        axes: Any = None,
    ) -> Self:
        """Draw the calibration of a fitted estimator's models.

        Parameters
        ----------
        estimator : JEDIClassifier
            Fitted. An expert whose head has no ``predict_proba`` has no curve.
        X : mapping, MultiDataset, DataFrame or array-like
            As `JEDIClassifier.predict` takes it. Each row is embedded once.
        y : mapping, MultiTarget or array-like of shape (n_samples,)
            Unlabelled rows are left out.
        n_bins : int, default=10
            Number of bins.
        strategy : {"uniform", "quantile"}, default="uniform"
            Bins of the same width, or with the same number of rows.
        axes : Axes or sequence of Axes, optional
            One a dataset; by default a new figure is made.

        Returns
        -------
        display : ReliabilityDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If there is no such strategy or number of bins, not one of `axes` for each
            dataset, or :func:`jedi_sklearn.metrics.evaluate` does not accept X and y.
        """
        _check_bins(n_bins, strategy)  # Scoring takes time.
        bins = bins_of(score_labelled(estimator, X, y), n_bins, strategy)
        return cls(bins).plot(axes=axes)

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        *,
        expert: Any = None,
        student: Any = None,
        teacher: Any = None,
        classes: Any = None,
        n_bins: int = 10,
        strategy: str = "uniform",
        axes: Any = None,
    ) -> Self:
        """Draw the calibration of predicted probabilities.

        Parameters
        ----------
        y_true : mapping of str to array-like, or array-like of shape (n_samples,)
            Labels. Unlabelled rows (-1, None, NaN) are left out.
        expert, student, teacher : mapping of str to array-like, or array-like, optional
            Probabilities of shape (n_samples, n_classes) for the same rows: a mapping
            of the same datasets where `y_true` is one. At least one is needed.
        classes : mapping of str to array-like, or array-like, optional
            Labels of the columns, by default those in `y_true`, sorted.
        n_bins : int, default=10
            Number of bins.
        strategy : {"uniform", "quantile"}, default="uniform"
            Bins of the same width, or with the same number of rows.
        axes : Axes or sequence of Axes, optional
            One a dataset; by default a new figure is made.

        Returns
        -------
        display : ReliabilityDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If there is no such strategy or number of bins, not one of `axes` for each
            dataset, no model, no labelled row, or what is predicted does not match
            `y_true` or is no probabilities.
        """
        _check_bins(n_bins, strategy)
        given = {"expert": expert, "student": student, "teacher": teacher}
        models = given_models(given)
        bins = []
        for name, labels in read_labels(y_true).items():
            known = labels.classes
            if classes is not None:
                known = np.asarray(of_dataset(classes, name, y_true, "classes"))
            codes = labels.codes_in(known)[labels.labelled]
            for model, probabilities in models.items():
                own = np.asarray(of_dataset(probabilities, name, y_true, model))
                check_n_rows(own, name, labels, model)
                own = own[labels.labelled]
                _check_probabilities(own, len(known), name, model)
                bins.append(_named(_binned(own, codes, n_bins, strategy), name, model))
        return cls(pd.concat(bins, ignore_index=True)).plot(axes=axes)

    def plot(self, *, axes: Any = None) -> Self:
        """Draw the curves.

        Parameters
        ----------
        axes : Axes or sequence of Axes, optional
            One a dataset; by default a new figure is made.

        Returns
        -------
        self : ReliabilityDisplay
            The display itself, with `axes_` and `figure_`.

        Raises
        ------
        ValueError
            If there is not one of `axes` for each dataset.
        """
        datasets = self.bins["dataset"].unique().tolist()
        needed = f"one is needed for each of {datasets}"
        axes = as_panels(axes, len(datasets), needed, height=PANEL_SIZE + 0.8)
        errors = self.calibration_error
        for panel, dataset in zip(axes, datasets, strict=True):
            own = self.bins[self.bins["dataset"] == dataset]
            _plot_dataset(own, errors[dataset], panel)
            panel.set_title(dataset, pad=_ENTRY * (len(errors[dataset]) + 0.5))
            if is_leftmost(panel):
                panel.set_ylabel("accuracy")
        self.axes_ = axes
        self.figure_ = axes[0].figure
        return self


def bins_of(
    scored: Mapping[str, Scored], n_bins: int = 10, strategy: str = "uniform"
) -> pd.DataFrame:
    """Return the rows of `ReliabilityDisplay.bins`."""
    bins = []
    for name, dataset in scored.items():
        for model in dataset.probabilistic:
            own = _binned(dataset.scores[model], dataset.codes, n_bins, strategy)
            bins.append(_named(own, name, model))
    return pd.concat(bins, ignore_index=True)


def _check_bins(n_bins: Any, strategy: Any) -> None:
    if not isinstance(n_bins, Integral) or n_bins < 1:
        raise ValueError(f"n_bins must be a whole number from 1 up, got {n_bins!r}.")
    if not isinstance(strategy, str) or strategy not in _STRATEGIES:
        raise ValueError(
            f"There is no strategy {strategy!r}; it must be one of {list(_STRATEGIES)}."
        )


def _check_probabilities(
    probabilities: npt.NDArray, n_classes: int, dataset: str, model: str
) -> None:
    """Raise ValueError unless each row is a distribution over the classes."""
    if probabilities.ndim != 2 or probabilities.shape[1] != n_classes:
        raise ValueError(
            f"{model} must have probabilities of shape (n_samples, {n_classes}) for "
            f"dataset {dataset!r}, one column for each class, got an array of shape "
            f"{probabilities.shape}; where y_true has not all classes, give them as "
            "classes."
        )
    off = np.abs(probabilities.sum(axis=1) - 1)
    is_wrong = ~(off <= _TOLERANCE) | (probabilities < 0).any(axis=1)
    if is_wrong.any():
        raise ValueError(
            f"{model} must have probabilities for dataset {dataset!r}, which are at "
            "least 0 and sum to 1 in each row, got "
            f"{probabilities[is_wrong][0].tolist()}."
        )


def _binned(
    probabilities: npt.NDArray[np.float64],
    codes: npt.NDArray[np.int64],
    n_bins: int,
    strategy: str,
) -> pd.DataFrame:
    """Return number of rows, mean confidence and accuracy of each bin with rows."""
    confidence = probabilities.max(axis=1)
    is_right = probabilities.argmax(axis=1) == codes
    edges = np.linspace(0.0, 1.0, n_bins + 1)
    if strategy == "quantile":
        edges = np.quantile(confidence, edges)
    number = np.searchsorted(edges[1:-1], confidence)
    rows = pd.DataFrame({"n_rows": 1, "confidence": confidence, "accuracy": is_right})
    sums = rows.groupby(number).sum().reset_index(drop=True)
    return sums.assign(
        confidence=sums["confidence"] / sums["n_rows"],
        accuracy=sums["accuracy"] / sums["n_rows"],
    )


def _named(bins: pd.DataFrame, dataset: str, model: str) -> pd.DataFrame:
    return pd.DataFrame({"dataset": dataset, "model": model, **bins})


def _plot_dataset(bins: pd.DataFrame, errors: pd.Series, panel: Axes) -> None:
    panel.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle=":")
    for model, error in errors.items():
        own, style = bins[bins["model"] == model], STYLES[str(model)]
        x, y, n_rows = own["confidence"], own["accuracy"], own["n_rows"]
        panel.plot(
            x,
            y,
            style.line,
            color=style.color,
            marker=style.marker,
            markersize=3,
            label=f"{model}, ECE {error:.3f}",
        )
        panel.scatter(
            x,
            y,
            s=_AREA * n_rows / n_rows.sum(),
            marker=style.marker,
            color=style.color,
            alpha=0.6,
            linewidths=0,
        )
    panel.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel="confidence (area: rows)")
    legend_above(panel, 1)
