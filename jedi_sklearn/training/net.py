"""The skorch net that runs the training loop over the joint network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import EpochTimer
from torch import Tensor

from .batches import Batch, Batches, Scores
from .losses import joint_loss


class JointNet(NeuralNet):
    """Trains a `JointNetwork`; skorch owns the loop and the callbacks.

    Differs from its base in what a batch is, in the loss, and in that the history
    is written once an epoch instead of once a batch, which leaves the device to
    run ahead.

    Parameters
    ----------
    module : callable
        Returns the `JointNetwork`.
    criterion : callable
        Returns the `Objective`.
    distils : callable
        Says of an epoch's number whether students learn from teachers in it, the
        first being 1.
    **kwargs
        Further parameters of :class:`skorch.NeuralNet`.
    """

    def __init__(
        self,
        module: Callable[..., torch.nn.Module],
        criterion: Callable[..., Any],
        *,
        distils: Callable[[int], bool],
        **kwargs: Any,
    ) -> None:
        super().__init__(module, criterion, train_split=None, **kwargs)
        self.distils = distils

    def get_default_callbacks(self) -> list[tuple[str, Any]]:
        return [("epoch_timer", EpochTimer())]

    def get_iterator(self, dataset: Batches, training: bool = False) -> Batches:
        return dataset

    def get_split_datasets(self, X: Batches, y: None = None, **_: Any) -> tuple:
        return X, None

    def fit_loop(self, X: Batches, y: None = None, **kwargs: Any) -> JointNet:
        # What ends a training before its time does it by a KeyboardInterrupt, which
        # skorch swallows a level above.
        self.was_ended_ = True
        super().fit_loop(X, y, **kwargs)
        self.was_ended_ = False
        return self

    def infer(self, x: Batch, **_: Any) -> Scores:
        return self.module_(x, distil=self.distils(len(self.history)))

    def train_step_single(self, batch: Batch, **_: Any) -> dict[str, Any]:
        scores = self.infer(batch)
        datasets = self.module_.datasets
        loss, terms = joint_loss(self.criterion_, scores, batch, datasets)
        loss.backward()
        return {
            "loss": loss,
            "y_pred": scores,
            "terms": torch.cat([terms, _n_correct(scores, batch, datasets)]),
            "sizes": _sizes(batch, datasets),
        }

    def run_single_epoch(
        self,
        iterator: Batches | None,
        training: bool,
        prefix: str,
        step_fn: Callable[..., dict[str, Any]],
        **fit_params: Any,
    ) -> None:
        if iterator is None:
            return
        # Once an epoch: it walks through all modules.
        self._set_training(training)
        terms, sizes, loss, n_rows = torch.zeros(
            4, device=self.device, dtype=torch.float64
        )
        for batch in iterator:
            self.history.new_batch()  # for callbacks that note something of it
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            terms = terms + step["terms"]
            sizes = sizes + step["sizes"]
            loss = loss + step["loss"].detach() * len(batch.features)
            n_rows = n_rows + len(batch.features)
            self.notify("on_batch_end", batch=batch, training=training, **step)
        self.history.record("train_loss", (loss / n_rows).item())
        # Plain numbers: skorch writes histories as JSON.
        self.history.record("terms", (terms / sizes).tolist())


@torch.no_grad()
def _n_correct(scores: Scores, batch: Batch, datasets: list[int]) -> Tensor:
    """Count the rows that student and teacher get right, (2, n_students)."""
    counts = []
    for k, i in enumerate(datasets):
        labels = batch.labels[i]
        student = scores.students[k]
        if scores.targets is not None:
            student = student[batch.labelled[i]]
        counts.append(
            torch.stack(
                [
                    (student.argmax(dim=1) == labels).sum(),
                    (scores.teachers[k].argmax(dim=1) == labels).sum(),
                ]
            )
        )
    return torch.stack(counts, dim=1)


def _sizes(batch: Batch, datasets: list[int]) -> Tensor:
    """Return what the sums of a step are sums over, (5, n_students).

    Weights of labelled rows for the first two terms, weights of all rows for the
    third, numbers of labelled rows for what is counted.
    """
    labelled = torch.stack([batch.label_weights[i].sum() for i in datasets])
    everything = batch.weights.sum().expand_as(labelled)
    counts = labelled.new_tensor([len(batch.labels[i]) for i in datasets])
    return torch.stack([labelled, labelled, everything, counts, counts])
