"""The terms of Eq. (1) and the weights of Eq. (2), as pure functions.

Every loss takes scores (logits) and returns one value a row; `joint_loss` weighs and
sums them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from .data.batch import Batch, Scores


def cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """Softmax cross-entropy, (n_rows, n_classes) and (n_rows,) to (n_rows,)."""
    return F.cross_entropy(scores, labels, reduction="none")


def hinge(scores: Tensor, labels: Tensor) -> Tensor:
    """Crammer and Singer's multi-class hinge, (n_rows,).

    ``max(0, 1 + max over the other classes - score of the own class)``, as in
    :func:`sklearn.metrics.hinge_loss`.
    """
    own = scores.gather(1, labels[:, None])
    # The own class at -inf leaves the maximum to the others.
    others = scores.scatter(1, labels[:, None], -torch.inf).amax(dim=1)
    return F.relu(1.0 + others - own.squeeze(1))


def one_vs_rest_hinge(scores: Tensor, labels: Tensor) -> Tensor:
    """Sum over the classes of the binary hinge, (n_rows,).

    The score of the own class should be above 1, every other below -1, as in
    ``SGDClassifier(loss="hinge")``.
    """
    return _one_vs_rest_violations(scores, labels).sum(dim=1)


def squared_hinge(scores: Tensor, labels: Tensor) -> Tensor:
    """Sum over the classes of the squared binary hinge, (n_rows,).

    The loss of :class:`sklearn.svm.LinearSVC`.
    """
    return _one_vs_rest_violations(scores, labels).square().sum(dim=1)


def _one_vs_rest_violations(scores: Tensor, labels: Tensor) -> Tensor:
    """Return max(0, 1 - sign * score), with sign 1 for the own class, else -1."""
    signs = -torch.ones_like(scores)  # (n_rows, n_classes)
    signs.scatter_(1, labels[:, None], 1.0)
    return F.relu(1.0 - signs * scores)


def soft_cross_entropy(scores: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Cross-entropy to the softened softmax of `targets`, (n_rows,).

    Multiplied by the square of the temperature, so that the size of the gradient
    does not depend on the temperature (Hinton et al., section 2).
    """
    if temperature == 1.0:
        return F.cross_entropy(scores, F.softmax(targets, dim=1), reduction="none")
    return temperature**2 * soft_cross_entropy(
        scores / temperature, targets / temperature, 1.0
    )


def soft_kl(scores: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """`soft_cross_entropy` less the entropy of the softened targets, (n_rows,)."""
    # In logarithms, which stay finite where a probability is 0.
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
    "one_vs_rest_hinge": one_vs_rest_hinge,
    "squared_hinge": squared_hinge,
}
DISTILLATION_LOSSES: dict[str, DistillationLoss] = {
    "cross_entropy": soft_cross_entropy,
    "kl": soft_kl,
    "mse": logit_mse,
}


def classification_loss(
    parameter: str, loss: str | ClassificationLoss
) -> ClassificationLoss:
    """Return a loss by its name, or a user's own after a trial of it.

    Raises
    ------
    ValueError
        If the trial fails or does not give one value a row.
    """
    if isinstance(loss, str):
        return CLASSIFICATION_LOSSES[loss]
    return _tried(parameter, loss, torch.tensor([0, 1]))


def distillation_loss(parameter: str, loss: str | DistillationLoss) -> DistillationLoss:
    """Return a loss by its name, or a user's own after a trial of it.

    Raises
    ------
    ValueError
        If the trial fails or does not give one value a row.
    """
    if isinstance(loss, str):
        return DISTILLATION_LOSSES[loss]
    return _tried(parameter, loss, torch.zeros(2, 3), 1.0)


def _tried(parameter: str, loss: Callable[..., Tensor], *given: Any) -> Any:
    """Return a user's loss if it gives one value a row, with a gradient."""
    scores = torch.zeros(2, 3, requires_grad=True)
    try:
        values = loss(scores, *given)
        if getattr(values, "shape", None) == (2,):
            (torch.ones_like(scores[:, 0]) @ values).backward()
    except Exception as error:
        raise ValueError(
            f"{parameter}={loss!r} failed on scores of shape (2, 3): {error}"
        ) from error
    if getattr(values, "shape", None) != (2,):
        got = f"shape {tuple(values.shape)}" if hasattr(values, "shape") else values
        raise ValueError(
            f"{parameter}={loss!r} returned {got} for scores of shape (2, 3); a loss "
            "must return one value for each row, a tensor of shape (2,)."
        )
    return loss


def distillation_weights(sizes: Sequence[float]) -> npt.NDArray[np.float64]:
    """Return the weights of Eq. (2), of shape (n_datasets, n_datasets).

    Row i holds the weights of a sample of dataset i, column j those of student j:
    1 where i = j, else dataset j's share of all rows.

    Parameters
    ----------
    sizes : sequence of float
        Number of rows of each dataset, or the sum of their weights.

    Examples
    --------
    >>> distillation_weights([10, 30])
    array([[1.  , 0.75],
           [0.25, 1.  ]])
    """
    shares = np.asarray(sizes, dtype=np.float64) / np.sum(sizes)
    weights = np.tile(shares, (len(shares), 1))
    np.fill_diagonal(weights, 1.0)
    return weights


def distillation_sources(
    distill_from: str | Sequence[str] | None, datasets: Sequence[str]
) -> npt.NDArray[np.bool_]:
    """Return the datasets on whose rows each student is distilled (section 5.2).

    Parameters
    ----------
    distill_from : {"all", "own"}, sequence of str or None
        Names of datasets, or "own" for the student's own dataset; None stands for
        no dataset.
    datasets : sequence of str
        Names of all datasets.

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
    """Eq. (1) without its data.

    Attributes
    ----------
    alpha, beta, gamma : float
        Weights of the three terms.
    student_loss, teacher_loss : callable
        Takes scores (n_rows, n_classes) and class numbers (n_rows,); returns one
        value a row.
    distillation_loss : callable
        Takes scores of students and of teachers, and the temperature; returns one
        value a row.
    temperature : float
    weights : ndarray or Tensor of shape (n_datasets, n_datasets)
        Weights of Eq. (2), see `distillation_weights`; zero where a student does
        not learn, see `distillation_sources`.
    sharpening : float
        Factor of the teachers' scores in the distillation loss.
    factors : Tensor of shape (3,), optional
        alpha, beta and gamma on the device of the training; see `on`.
    """

    alpha: float
    beta: float
    gamma: float
    student_loss: ClassificationLoss
    teacher_loss: ClassificationLoss
    distillation_loss: DistillationLoss
    temperature: float
    weights: npt.NDArray[np.float64] | Tensor
    sharpening: float = 1.0
    factors: Tensor | None = None

    def on(self, device: torch.device | str) -> Objective:
        """Return the objective with its numbers on a device.

        A copy from the CPU in each step would make the GPU wait.
        """
        factors = (self.alpha, self.beta, self.gamma)
        return self._replace(
            weights=torch.as_tensor(self.weights, dtype=torch.float32, device=device),
            factors=torch.tensor(factors, dtype=torch.float32, device=device),
        )

    @property
    def is_ours(self) -> bool:
        """Whether all losses are from this module, none a user's own."""
        ours = {*CLASSIFICATION_LOSSES.values(), *DISTILLATION_LOSSES.values()}
        return {self.student_loss, self.teacher_loss, self.distillation_loss} <= ours

    @property
    def distils(self) -> bool:
        """Whether the third term can be above zero."""
        return self.gamma > 0 and bool((self.weights != 0).any())


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
        Dataset of each student.

    Returns
    -------
    loss : Tensor of shape ()
        Mean over the rows of the batch of Eq. (1).
    terms : Tensor of shape (3, n_students)
        Weighted sums over the rows of the three terms for each student, before they
        are multiplied by alpha, beta and gamma; without gradient.
    """
    # Sums over rows are dot products: one kernel weighs and adds.
    terms = []
    for i, given in zip(datasets, scores.students, strict=True):
        # (n_labelled, n_classes): without distillation there are no other rows.
        own = given if scores.targets is None else given[batch.labelled[i]]
        losses = objective.student_loss(own, batch.labels[i])
        terms.append(batch.label_weights[i] @ losses)
    for i, given in zip(datasets, scores.teachers, strict=True):
        losses = objective.teacher_loss(given, batch.labels[i])
        terms.append(batch.label_weights[i] @ losses)
    if scores.targets is None:
        terms += [torch.zeros_like(term) for term in terms[: len(datasets)]]
    else:
        terms += _distillation(objective, scores, batch, datasets)
    stacked = torch.stack(terms).view(3, len(datasets))  # term by student
    factors = objective.factors
    if factors is None:
        factors = stacked.new_tensor([objective.alpha, objective.beta, objective.gamma])
    loss = (factors @ stacked).sum()
    return loss / batch.size, stacked.detach()


def _distillation(
    objective: Objective, scores: Scores, batch: Batch, datasets: Sequence[int]
) -> list[Tensor]:
    """Return the sum over the rows of the third term for each student."""
    assert scores.targets is not None
    # w_ij of Eq. (2) for the dataset i of each row, (n_rows, n_datasets); then the
    # weights of all rows for each student j.
    of_datasets = torch.as_tensor(objective.weights).to(batch.weights)
    weights = (of_datasets[batch.datasets] * batch.weights[:, None]).unbind(dim=1)
    return [
        weights[i]
        @ objective.distillation_loss(
            given, target * objective.sharpening, objective.temperature
        )
        for i, given, target in zip(
            datasets, scores.students, scores.targets, strict=True
        )
    ]
