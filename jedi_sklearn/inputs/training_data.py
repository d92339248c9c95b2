"""The arguments of fit in one form: rows, labels and weights of several datasets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .checks import check_names
from .labels import Labels
from .multidataset import MultiDataset
from .read_x import as_multidataset
from .read_y import Targets, check_kinds, check_same_order, read_targets
from .row_weights import (
    RowWeights,
    check_sample_weights,
    class_weight_of,
    class_weights_of_rows,
)


class TrainingData(NamedTuple):
    """Rows of several datasets with their labels and weights.

    Attributes
    ----------
    datasets : MultiDataset
    labels : dict of str to Labels
        Labels of the datasets that have any.
    weights : dict of str to RowWeights
        Weights of every dataset.
    """

    datasets: MultiDataset
    labels: dict[str, Labels]
    weights: dict[str, RowWeights]

    def take(self, chosen: npt.NDArray[np.bool_]) -> TrainingData:
        """Return the rows that a mask over all rows selects.

        Classes without a row among them are left out.
        """
        own = {
            name: np.flatnonzero(chosen[self.datasets.rows_of(name)])
            for name in self.datasets
        }
        own = {name: rows for name, rows in own.items() if len(rows)}
        return TrainingData(
            self.datasets[chosen],
            {
                name: labels.take(own[name])
                for name, labels in self.labels.items()
                if name in own and labels.labelled[own[name]].any()
            },
            {name: self.weights[name].take(rows) for name, rows in own.items()},
        )

    def only(
        self, chosen: Mapping[str, npt.NDArray[np.bool_]], of_others: str
    ) -> TrainingData:
        """Return some of the rows, at least one that counts of every dataset.

        Parameters
        ----------
        chosen : mapping of str to ndarray of bool of shape (n_rows,)
            Mask over the rows of each dataset.
        of_others : str
            Why the other rows are left out, for the message.

        Raises
        ------
        ValueError
            If a dataset is left without rows, or one with labels without labelled rows.
        """
        counts = np.ones(self.datasets.shape[0], dtype=bool)
        for name, rows in chosen.items():
            needed, what = rows, "rows"
            if name in self.labels:
                needed, what = rows[self.labels[name].labelled], "labelled rows"
            if not needed.any():
                raise ValueError(
                    f"All {what} of dataset {name!r} {of_others}; at least one must "
                    "count."
                )
            counts[self.datasets.rows_of(name)] = rows
        return self if counts.all() else self.take(counts)


def read_training_data(
    X: Any,
    y: Any,
    name: str,
    sample_weight: Any = None,
    class_weight: Any = None,
    known: Mapping[str, npt.NDArray] | None = None,
) -> tuple[TrainingData, Targets]:
    """Read the arguments of fit.

    Parameters
    ----------
    X : mapping, MultiDataset, DataFrame or array-like
    y : mapping, MultiTarget or array-like of shape (n_rows,)
    name : str
        Name of the dataset where X has none.
    sample_weight : mapping of str to array-like, array-like or None
    class_weight : mapping, "balanced" or None
    known : mapping of str to ndarray, optional
        Classes of each dataset where its rows need not have all of them.

    Returns
    -------
    data : TrainingData
    targets : Targets
        Labels of all rows, those of weight 0 included.

    Raises
    ------
    ValueError
        If the arguments do not match.
    """
    check_kinds(X, y)
    check_kinds(X, sample_weight, "sample_weight")
    datasets = as_multidataset(X, name)
    targets = read_targets(y, datasets, known)
    weights = {
        name: RowWeights(rows, np.ones(len(rows)))
        for name, rows in read_sample_weights(sample_weight, datasets).items()
    }
    # Rows of weight 0 are left out, so that they cannot change any statistic.
    data = TrainingData(datasets, targets.labels, weights).only(
        {name: of_rows.rows > 0 for name, of_rows in weights.items()},
        "have sample_weight zero",
    )
    of_classes = class_weight_of(class_weight, list(known or data.labels))
    for name, labels in data.labels.items():
        weight, classes = of_classes.get(name), labels.classes
        if known and isinstance(weight, Mapping):
            classes = known[name]
        of_labels = class_weights_of_rows(
            weight, name, classes, labels.codes_in(classes)
        )
        if not of_labels[labels.labelled].any():
            raise ValueError(
                f"class_weight is zero for all labels of dataset {name!r}; at least "
                "one must count."
            )
        data.weights[name] = data.weights[name]._replace(labels=of_labels)
    return data, targets


def read_validation(X: Any, y: Any, name: str, data: TrainingData) -> TrainingData:
    """Read the validation rows of fit, without labels that no student predicts.

    Parameters
    ----------
    X, y, name
        See `read_training_data`.
    data : TrainingData
        Training rows of the same fit.

    Raises
    ------
    ValueError
        If they are of other datasets, or no student could be scored on them.
    """
    known = {dataset: labels.classes for dataset, labels in data.labels.items()}
    held_out, _ = read_training_data(X, y, name, known=known)
    for dataset in held_out.datasets:
        if dataset not in data.datasets:
            raise ValueError(
                f"X_val has dataset {dataset!r}, which is not in X; the datasets of X "
                f"are {list(data.datasets)}."
            )
    labels = {n: own for n, own in held_out.labels.items() if n in data.labels}
    if not labels:
        raise ValueError(
            f"y_val has no label of a dataset that has a student; there are students "
            f"for {list(data.labels)}."
        )
    return held_out._replace(labels=labels)


def read_sample_weights(
    sample_weight: Any, datasets: MultiDataset
) -> dict[str, npt.NDArray[np.float64]]:
    """Return the weights of each dataset's rows, 1 where none are given."""
    sizes = {name: len(datasets.rows_of(name)) for name in datasets}
    if sample_weight is None:
        return {name: np.ones(size) for name, size in sizes.items()}
    if isinstance(sample_weight, Mapping):
        check_names(sample_weight, sizes, what="sample_weight has weights")
        return {
            name: check_sample_weights(sample_weight[name], name, size)
            if name in sample_weight
            else np.ones(size)
            for name, size in sizes.items()
        }
    check_same_order(sample_weight, datasets.groups, "sample_weight")
    everything = " and ".join(sizes)
    weights = check_sample_weights(sample_weight, everything, sum(sizes.values()))
    return {name: weights[datasets.rows_of(name)] for name in sizes}


def hold_out(
    data: TrainingData, fraction: float, seed: int
) -> tuple[TrainingData, TrainingData]:
    """Split off labelled rows of every dataset, spread evenly over its classes.

    At least one row of every class remains, so that all classes can be learnt.

    Parameters
    ----------
    data : TrainingData
    fraction : float
        Share of the labelled rows of each dataset that is held out.
    seed : int

    Returns
    -------
    rest, held_out : TrainingData

    Raises
    ------
    ValueError
        If a dataset has too few labelled rows to give one.
    """
    random = np.random.RandomState(seed)
    held = np.zeros(data.datasets.shape[0], dtype=bool)
    for name, labels in data.labels.items():
        rows = random.permutation(np.flatnonzero(labels.labelled))
        rows = rows[np.argsort(labels.codes[rows], kind="stable")]
        n_held = round(fraction * len(rows))
        _, first_of_class = np.unique(labels.codes[rows], return_index=True)
        rows = np.delete(rows, first_of_class)
        n_held = min(n_held, len(rows))
        # Evenly spaced in the order of the classes, so that each gives its share.
        places = (np.arange(n_held) + 0.5) * len(rows) / max(n_held, 1)
        rows = rows[places.astype(np.intp)]
        if not n_held:
            raise ValueError(
                f"Dataset {name!r} has {int(labels.labelled.sum())} labelled rows of "
                f"{len(labels.classes)} classes, too few to hold out "
                f"validation_fraction={fraction} of them; give X_val and y_val."
            )
        held[data.datasets.rows_of(name)[rows]] = True
    return data.take(~held), data.take(held)
