"""A batch, the network's scores of it, an epoch of batches, and a place in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Some rows, in the order of `TrainingRows`.

    So every set of rows that a term of the loss is over is a slice, and the network
    and the loss need neither masks nor gathers.

    Attributes
    ----------
    features : Tensor of shape (n_rows, n_features)
    datasets : Tensor of shape (n_rows,), int64
        Number of each row's dataset.
    rows : list of slice
        Rows of each dataset.
    labelled : list of slice
        Labelled rows of each dataset.
    labels : list of Tensor of shape (n_labelled,), int64
        Class numbers of the labelled rows.
    weights : Tensor of shape (n_rows,)
        Weight of each row in the third term of the loss.
    label_weights : list of Tensor of shape (n_labelled,)
        Weight of each labelled row in the first two terms.
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


@dataclass(frozen=True)
class Scores:
    """Scores (logits) that the joint network gives a batch; one entry a student.

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


@dataclass(frozen=True)
class Epoch:
    """A pass over the rows, and the sums that its means are divided by.

    Attributes
    ----------
    chosen : list of Tensor of int64
        Row numbers of each batch, in ascending order.
    borders : list of list of int
        For each batch the first row of each stratum, and the end of the last.
    n_rows : int
    weight : float
        Sum of the weights of the rows.
    label_weights : list of float
        For each dataset the sum of the weights of its labelled rows.
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
    """A place in an epoch, from which a training can go on.

    Attributes
    ----------
    shuffles : Tensor
        State of the generator from which the epoch is drawn.
    n_done : int
        Number of batches before it.
    sums : Tensor
        Sums of the terms of the loss over the rows of these batches.
    """

    shuffles: Tensor
    n_done: int
    sums: Tensor
