"""The skorch net that runs the training loop over the joint network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EpochTimer, LRScheduler
from torch import Tensor

from .callbacks.stop_training import StopTraining, noted_interrupts
from .cuda_graph import ReplayedStep
from .data.batch import Batch, Epoch, Position, Scores
from .data.batches import Batches
from .data.features import to_device
from .distributed import add_up, n_processes
from .history import TERMS
from .losses import joint_loss


class JointNet(NeuralNet):
    """Net that trains a `JointNetwork`; skorch owns the loop and the callbacks.

    Three things differ from its base. A batch comes whole from `Batches`, not row by
    row from a DataLoader, which would take ten times as long. The loss is that of
    Eq. (1) over all datasets. The history is written once an epoch instead of once a
    batch: a number read from a GPU makes Python wait for it at every step.

    Parameters
    ----------
    module : callable
        Returns the `JointNetwork`.
    criterion : callable
        Returns the `Objective`.
    distils : callable
        Takes the number of an epoch, the first being 1, and returns whether students
        learn from teachers in it.
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

    def initialize(self) -> JointNet:
        super().initialize()
        shape = (len(TERMS), len(self.module_.datasets))
        self.sums_ = torch.zeros(shape, device=self.device, dtype=torch.float64)
        self.replayed_: dict[bool, ReplayedStep] = {}
        self.prepared_: tuple[Epoch, Tensor, Tensor] | None = None
        self.position_: Position | None = None
        self.interrupts_: list[int] = []
        return self

    def get_default_callbacks(self) -> list[tuple[str, Any]]:
        return [("epoch_timer", EpochTimer())]

    def get_iterator(self, dataset: Batches, training: bool = False) -> Batches:
        return dataset

    def get_split_datasets(self, X: Batches, y: None = None, **_: Any) -> tuple:
        return X, None

    def fit_loop(self, X: Batches, y: None = None, **kwargs: Any) -> JointNet:
        self.ended_by_: KeyboardInterrupt | None = None
        try:
            with noted_interrupts() as self.interrupts_:
                super().fit_loop(X, y, self.max_epochs - len(self.history), **kwargs)
        except KeyboardInterrupt as end:
            self.ended_by_ = end
            raise  # skorch swallows it a level above
        finally:
            self.replayed_.clear()  # which hold this net, and it the features
            self.prepared_ = None
        return self

    def notify(self, method_name: str, **kwargs: Any) -> None:
        # A callback of the user's ends a training by a KeyboardInterrupt, as skorch's
        # own do. Unless there was a signal, it has raised it on purpose.
        try:
            super().notify(method_name, **kwargs)
        except StopTraining:
            raise
        except KeyboardInterrupt as interrupt:
            if self.interrupts_:
                raise
            raise StopTraining from interrupt

    def infer(self, x: Batch, **_: Any) -> Scores:
        return self.module_(x, distil=self.distils(len(self.history)))

    def train_step_single(self, batch: Batch, **_: Any) -> dict[str, Any]:
        scores = self.infer(batch)
        datasets = self.module_.datasets
        loss, terms = joint_loss(self.criterion_, scores, batch, datasets)
        loss.backward()
        # Summed over processes before the step, so that all of them take the same one;
        # the loss is a mean over the rows of all.
        weights = self.module_.parameters()
        add_up([weight.grad for weight in weights if weight.grad is not None])
        return {
            "loss": loss,
            "y_pred": scores,
            "terms": torch.cat([terms, weighted_correct(scores, batch, datasets)]),
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
        # Once an epoch, as it walks through all modules: at every step, as skorch does
        # it, it would be half of the cost of a step of a small network.
        self._set_training(training)
        self.sums_.zero_()
        if self._can_replay(iterator):
            epoch = self._replay_epoch(iterator)
        else:
            epoch = iterator.epoch()
            for batch in self._batches_left(iterator, epoch):
                self.notify("on_batch_begin", batch=batch, training=training)
                step = step_fn(batch, **fit_params)
                self.sums_ += step["terms"]
                self.notify("on_batch_end", batch=batch, training=training, **step)
            add_up([self.sums_])
        self._record(self.sums_.cpu(), epoch)

    def _batches_left(self, batches: Batches, epoch: Epoch) -> Iterator[Batch]:
        """Yield the batches of an epoch that a resumed training has not done yet.

        `position_` is the place after the batch that was yielded last.
        """
        n_done = 0
        if self.position_ is not None:
            n_done = self.position_.n_done
            self.sums_.copy_(self.position_.sums)
        for batch in batches.batches(epoch, n_done):
            n_done += 1
            self.position_ = Position(epoch.drawn_from, n_done, self.sums_)
            yield batch
        self.position_ = None

    def between_epochs(self, batches: Batches) -> Position:
        """Return where the next epoch begins."""
        if self.prepared_ is None:
            shuffles = batches.generator.get_state()
        else:
            shuffles = self.prepared_[0].drawn_from
        return Position(shuffles, 0, torch.zeros_like(self.sums_))

    def _can_replay(self, batches: Batches) -> bool:
        """Say whether steps can be recorded as a CUDA graph.

        A replay runs no Python: no callback may look at a step, no loss may be a
        user's own, all features must be on the device, and processes cannot add up
        their gradients in between.
        """
        return (
            torch.device(self.device).type == "cuda"
            and batches.source.stays
            and n_processes() == 1
            and self.criterion_.is_ours
            and not any(map(_looks_at_steps, dict(self.callbacks_).values()))
        )

    def _replay_epoch(self, batches: Batches) -> Epoch:
        """Train on padded batches by recordings, one with and one without targets."""
        distils = self.distils(len(self.history))
        if distils not in self.replayed_:
            self.replayed_[distils] = ReplayedStep(
                partial(self._padded_step, batches),
                batches.n_columns,
                self.module_.dropout.generator,
            )
        epoch, rows, real = self.prepared_ or self._prepared(batches)
        for of_rows, of_real in zip(rows, real, strict=True):
            self.replayed_[distils](of_rows, of_real)
        # The next one, while the GPU is at this.
        is_last = len(self.history) == self.max_epochs
        self.prepared_ = None if is_last else self._prepared(batches)
        return epoch

    def _prepared(self, batches: Batches) -> tuple[Epoch, Tensor, Tensor]:
        """Return an epoch and its padded batches, on their way to the device."""
        epoch = batches.epoch()
        rows, real = (to_device(part, self.device) for part in batches.padded(epoch))
        return epoch, rows, real

    def _padded_step(self, batches: Batches, rows: Tensor, real: Tensor) -> None:
        self._zero_grad_optimizer()
        step = self.train_step_single(batches.of_padded(rows, real))
        self._step_optimizer(None)
        self.sums_ += step["terms"]

    def _record(self, terms: Tensor, epoch: Epoch) -> None:
        """Write the means of an epoch into the history.

        Parameters
        ----------
        terms : Tensor of shape (5, n_students)
            Sums over the rows, one row for each of `TERMS`.
        epoch : Epoch
        """
        objective = self.criterion_
        factors = terms.new_tensor([objective.alpha, objective.beta, objective.gamma])
        loss = (factors @ terms[:3]).sum() / epoch.n_rows
        labelled = terms.new_tensor(epoch.label_weights)[self.module_.datasets]
        sizes = labelled.expand_as(terms).clone()
        sizes[2] = epoch.weight
        batches = self.history.to_list()[-1]["batches"]
        if not any(batches):  # no callback noted anything of one
            batches[:] = [{}]  # skorch's Checkpoint looks for the last
        # Plain numbers: skorch writes histories as JSON.
        self.history.record("train_loss", loss.item())
        self.history.record("terms", (terms / sizes).tolist())


def _looks_at_steps(callback: Callback) -> bool:
    if not getattr(callback, "needs_steps", True):
        return False  # one of ours, for which between epochs will do
    if isinstance(callback, LRScheduler):
        return callback.step_every == "batch"
    names = ("on_batch_begin", "on_batch_end", "on_grad_computed")
    return any(
        getattr(type(callback), name, None) is not getattr(Callback, name)
        for name in names
    )


@torch.no_grad()
def weighted_correct(scores: Scores, batch: Batch, datasets: list[int]) -> Tensor:
    """Sum the weights of the rows that students and teachers get right.

    Returns
    -------
    correct : Tensor of shape (2, n_students)
    """
    correct = []
    for k, i in enumerate(datasets):
        student = scores.students[k]
        if scores.targets is not None:
            student = student[batch.labelled[i]]
        given = torch.stack([student, scores.teachers[k]]).argmax(dim=2)
        weights = batch.label_weights[i]
        correct.append((given == batch.labels[i]).to(weights.dtype) @ weights)
    return torch.stack(correct, dim=1)
