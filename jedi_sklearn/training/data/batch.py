"""A batch, what a network says of it, and its place in an epoch."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """Some rows, in the order of `TrainingRows`.

    Attributes
    ----------
    features : Tensor of shape (n_rows, n_features)
    datasets : Tensor of shape (n_rows,), int64
        Number of each row's dataset.
    rows : list of slice
        The rows of each dataset.
    labelled : list of slice
        The labelled rows of each dataset.
    labels : list of Tensor of shape (n_labelled,), int64
        The class numbers of these.
    weights : Tensor of shape (n_rows,)
        How much each row counts.
    label_weights : list of Tensor of shape (n_labelled,)
        How much each labelled row counts where its label is seen.
    size : int or Tensor of shape ()
        Number of rows over which the loss is a mean: that of the rows here, unless
        some are padding or other processes have more of them.
    """

    features: Tensor
    datasets: Tensor
    rows: list[slice]
    labelled: list[slice]
    labels: list[Tensor]
    weights: Tensor
    label_weights: list[Tensor]
    size: int | Tensor


class Scores(NamedTuple):
    """What the joint network says of a batch; one entry a student, in order.

    Attributes
    ----------
    students : list of Tensor
        Scores of shape (n_rows, n_classes) for all rows of the batch where the
        network distils, else (n_labelled, n_classes) for the labelled rows of the
        student's own dataset.
    teachers : list of Tensor of shape (n_labelled, n_classes)
        Scores for the labelled rows of the teacher's own dataset.
    targets : list of Tensor of shape (n_rows, n_classes), or None
        The teachers' scores for all rows, from which the students learn; None where
        the network does not distil.
    """

    students: list[Tensor]
    teachers: list[Tensor]
    targets: list[Tensor] | None


class Epoch(NamedTuple):
    """What a pass over the rows takes.

    Attributes
    ----------
    chosen : list of Tensor of int64
        The row numbers of each batch, in ascending order.
    borders : list of list of int
        In each batch where the rows of each stratum begin, and where the last end.
    n_rows : int
    weight : float
        Sum of the weights of the rows.
    label_weights : list of float
        For each dataset the sum of those of its labelled rows.
    drawn_from : Tensor
        State of the generator before the epoch was drawn.
    """

    chosen: list[Tensor]
    borders: list[list[int]]
    n_rows: int
    weight: float
    label_weights: list[float]
    drawn_from: Tensor


class Position(NamedTuple):
    """A place in an epoch.

    Attributes
    ----------
    shuffles : Tensor
        State of the generator from which the epoch is drawn.
    n_done : int
        Number of batches before it.
    sums : Tensor
        What a net has summed up over their rows.
    """

    shuffles: Tensor
    n_done: int
    sums: Tensor
