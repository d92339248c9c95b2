"""The terms of Eq. (1) and the weights of Eq. (2), as pure functions.

Every loss takes scores (logits) and returns one value a row; what sums and
weighs them stands in `joint_loss`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from .batches import Batch, Scores


def cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """Softmax cross-entropy, (n_rows, n_classes) and (n_rows,) to (n_rows,)."""
    return F.cross_entropy(scores, labels, reduction="none")


def hinge(scores: Tensor, labels: Tensor) -> Tensor:
    """Crammer and Singer's multi-class hinge, (n_rows,).

    ``max(0, 1 + max over the other classes - score of the own class)``, as in
    :func:`sklearn.metrics.hinge_loss`.
    """
    own = scores.gather(1, labels[:, None])
    others = scores.scatter(1, labels[:, None], -torch.inf).amax(dim=1)
    return F.relu(1.0 + others - own.squeeze(1))


def soft_cross_entropy(scores: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Cross-entropy to the softened softmax of `targets`, (n_rows,).

    Multiplied by the square of the temperature, so that the size of the gradient
    does not depend on it (Hinton et al., section 2).
    """
    wanted = F.softmax(targets / temperature, dim=1)
    given = F.log_softmax(scores / temperature, dim=1)
    return -(wanted * given).sum(dim=1) * temperature**2


def soft_kl(scores: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """`soft_cross_entropy` less the entropy of the softened targets, (n_rows,)."""
    wanted = F.log_softmax(targets / temperature, dim=1)
    given = F.log_softmax(scores / temperature, dim=1)
    return (wanted.exp() * (wanted - given)).sum(dim=1) * temperature**2


def logit_mse(scores: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Mean over the classes of the squared difference of the logits, (n_rows,).

    The temperature cancels: the logits are divided by it and the loss
    multiplied by its square.
    """
    return (scores - targets).square().mean(dim=1)


ClassificationLoss = Callable[[Tensor, Tensor], Tensor]
DistillationLoss = Callable[[Tensor, Tensor, float], Tensor]

CLASSIFICATION_LOSSES: dict[str, ClassificationLoss] = {
    "cross_entropy": cross_entropy,
    "hinge": hinge,
}
DISTILLATION_LOSSES: dict[str, DistillationLoss] = {
    "cross_entropy": soft_cross_entropy,
    "kl": soft_kl,
    "mse": logit_mse,
}


def distillation_weights(n_rows: Sequence[int]) -> npt.NDArray[np.float64]:
    """Return the weights of Eq. (2), of shape (n_datasets, n_datasets).

    Row i holds the weights of a sample of dataset i, column j those of student j:
    1 where i = j, else the share of dataset j in all rows.

    Examples
    --------
    >>> distillation_weights([10, 30])
    array([[1.  , 0.75],
           [0.25, 1.  ]])
    """
    sizes = np.asarray(n_rows, dtype=np.float64)
    weights = np.tile(sizes / sizes.sum(), (len(sizes), 1))
    np.fill_diagonal(weights, 1.0)
    return weights


def distillation_sources(
    distill_from: str | Sequence[str] | None, datasets: Sequence[str]
) -> npt.NDArray[np.bool_]:
    """Return which student learns from its teacher on whose rows (section 5.2).

    Parameters
    ----------
    distill_from : {"all", "own"}, sequence of str or None
        Names of datasets, or "own" for the student's own dataset; None is no
        dataset.
    datasets : sequence of str

    Returns
    -------
    sources : ndarray of bool of shape (n_datasets, n_datasets)
        Whether student j (column) learns on rows of dataset i (row).

    Examples
    --------
    >>> distillation_sources(["b"], ["a", "b"])
    array([[False, False],
           [ True,  True]])
    """
    if distill_from == "own":
        return np.eye(len(datasets), dtype=bool)
    if distill_from == "all":
        distill_from = datasets
    chosen = np.isin(datasets, list(distill_from or ()))
    return np.repeat(chosen[:, None], len(datasets), axis=1)


class Objective(NamedTuple):
    """Eq. (1) but for its data.

    Attributes
    ----------
    alpha, beta, gamma : float
        Weights of the three terms.
    student_loss, teacher_loss : callable
        One of `CLASSIFICATION_LOSSES`.
    distillation_loss : callable
        One of `DISTILLATION_LOSSES`.
    temperature : float
    weights : ndarray of shape (n_datasets, n_datasets)
        Weights of Eq. (2), see `distillation_weights`; zero where a student does
        not learn, see `distillation_sources`.
    """

    alpha: float
    beta: float
    gamma: float
    student_loss: ClassificationLoss
    teacher_loss: ClassificationLoss
    distillation_loss: DistillationLoss
    temperature: float
    weights: npt.NDArray[np.float64]


def joint_loss(
    objective: Objective, scores: Scores, batch: Batch, datasets: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Return the loss of a batch and its terms.

    Parameters
    ----------
    objective : Objective
    scores : Scores
        The joint network's scores of the batch.
    batch : Batch
    datasets : sequence of int
        The dataset of each student.

    Returns
    -------
    loss : Tensor of shape ()
        Mean over the rows of the batch of Eq. (1).
    terms : Tensor of shape (3, n_students)
        Sums over the rows of the three terms for each student, before they are
        weighed by alpha, beta and gamma; without gradient.
    """
    student, teacher = [], []
    for k, i in enumerate(datasets):
        own = scores.students[k]
        if scores.targets is not None:
            own = own[batch.labelled[i]]
        student.append(objective.student_loss(own, batch.labels[i]).sum())
        teacher.append(
            objective.teacher_loss(scores.teachers[k], batch.labels[i]).sum()
        )
    supervised = torch.stack([torch.stack(student), torch.stack(teacher)])
    distillation = torch.zeros_like(supervised[0])
    if scores.targets is not None:
        distillation = _distillation(objective, scores, batch, datasets)
    terms = torch.cat([supervised, distillation[None]])
    alpha, beta, gamma = objective.alpha, objective.beta, objective.gamma
    loss = (alpha * terms[0] + beta * terms[1] + gamma * terms[2]).sum()
    return loss / len(batch.features), terms.detach()


def _distillation(
    objective: Objective, scores: Scores, batch: Batch, datasets: Sequence[int]
) -> Tensor:
    """Return the sums over the rows of the third term, of shape (n_students,)."""
    assert scores.targets is not None
    counts = [rows.stop - rows.start for rows in batch.rows]
    weights = torch.from_numpy(np.repeat(objective.weights, counts, axis=0))
    weights = weights.to(scores.students[0])
    return torch.stack(
        [
            weights[:, i]
            @ objective.distillation_loss(given, target, objective.temperature)
            for i, given, target in zip(
                datasets, scores.students, scores.targets, strict=True
            )
        ]
    )
