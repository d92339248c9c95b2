"""Checkpoints of a training, from which it resumes to the bit."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from copy import copy, deepcopy
from typing import Any, NamedTuple

import numpy as np
import torch
from skorch.callbacks import Callback, EpochTimer
from torch import Tensor

from ..data.batch import Position

# What is data, and random states.
PLAIN = (
    *(bool, int, float, complex, str, bytes, np.generic, np.ndarray, Tensor),
    *(random.Random, np.random.Generator, np.random.RandomState),
)

State = dict[str, Any]


class Saving(NamedTuple):
    """Time and means of writing checkpoints of a training.

    Attributes
    ----------
    write : callable
        Takes a `State`, which can be pickled.
    last : State or None
        State at which the training resumes.
    epochs : int or None
        Number of epochs after which it is written.
    minutes : float
        Minutes after which it is written, also in the middle of an epoch.
    """

    write: Callable[[State], None]
    last: State | None = None
    epochs: int | None = None
    minutes: float = np.inf

    @property
    def done(self) -> tuple[int, list[Any]]:
        """The number of phases that are done, and the records of their epochs."""
        if self.last is None:
            return 0, []
        return self.last["phase"], self.last["earlier"]

    @property
    def records(self) -> list[Any]:
        """The records of all epochs that are done, those of a phase in progress too."""
        if self.last is None:
            return []
        return [*self.last["earlier"], *self.last["history"]]


class SaveTraining(Callback):
    """Write all that the rest of a training depends on, and resume from it.

    It runs after all other callbacks, so that their changes are in the checkpoint.

    Parameters
    ----------
    saving : Saving
    """

    needs_steps = False
    keeps_state = False

    def __init__(self, saving: Saving) -> None:
        self.saving = saving
        self.saved_ = time.monotonic()

    def of_phase(self, number: int, history: list[Any]) -> SaveTraining:
        """Turn to a phase, before which there were the epochs of a history."""
        self.phase = number
        self.history = history
        return self

    def on_train_begin(self, net: Any, X: Any, **_: Any) -> None:
        self.n_batches_ = len(X)
        of_phase = self.saving.last is not None and self.saving.done[0] == self.phase
        self.last_ = _unpacked(self.saving.last) if of_phase else None
        if self.last_ is None:
            return
        state = self.last_
        net.history.extend(state["history"])
        net.module_.load_state_dict(state["module"])
        net.optimizer_.load_state_dict(state["optimizer"])
        for weights, is_trained in zip(
            net.module_.parameters(), state["trained"], strict=True
        ):
            weights.requires_grad_(is_trained)
        for group in net.optimizer_.param_groups:
            if isinstance(group["lr"], Tensor):
                # A recorded step reads it where the network is.
                group["lr"] = group["lr"].to(net.device)
        net.module_.dropout.generator.set_state(state["dropout"])
        net.position_ = state["position"]
        X.generator.set_state(net.position_.shuffles)
        _restore_callbacks(net, state)

    def on_epoch_begin(self, net: Any, **_: Any) -> None:
        # What the callbacks do at the beginning of this epoch they had done.
        if self.last_ is not None and net.position_.n_done:
            _restore_callbacks(net, self.last_)
            net.history[-1]["batches"].extend(self.last_["batches"])
        self.last_ = None

    def on_batch_end(self, net: Any, **_: Any) -> None:
        # After the last one the epoch ends, and what follows belongs to it.
        if self._is_time() and net.position_.n_done < self.n_batches_:
            self._save(net, net.position_)

    def on_epoch_end(self, net: Any, dataset_train: Any, **_: Any) -> None:
        n_epochs = len(self.history) + len(net.history)
        every = self.saving.epochs
        if self._is_time() or (every is not None and n_epochs % every == 0):
            self._save(net, net.between_epochs(dataset_train))

    def _is_time(self) -> bool:
        return time.monotonic() - self.saved_ >= 60 * self.saving.minutes

    def _save(self, net: Any, position: Position) -> None:
        n_epochs = len(net.history) - (position.n_done > 0)
        state = {
            "phase": self.phase,
            "earlier": self.history,
            "history": [_plain(epoch) for epoch in net.history.to_list()[:n_epochs]],
            "batches": [_plain(batch) for batch in net.history[-1]["batches"]],
            "position": position,
            "module": net.module_.state_dict(),
            "optimizer": net.optimizer_.state_dict(),
            "dropout": net.module_.dropout.generator.get_state(),
            # Callbacks may change which weights are trained.
            "trained": [w.requires_grad for w in net.module_.parameters()],
            "callbacks": [_state_of(callback) for callback in _with_state(net)],
        }
        self.saving.write(_packed(state))
        self.saved_ = time.monotonic()


def _restore_callbacks(net: Any, state: State) -> None:
    for callback, of_callback in zip(_with_state(net), state["callbacks"], strict=True):
        for name, value in of_callback.items():
            part: Any = getattr(callback, name, None)
            if _has_state(part):
                part.load_state_dict(deepcopy(value))  # some take it apart
            else:
                setattr(callback, name, deepcopy(value))


def _with_state(net: Any) -> list[Callback]:
    return [
        callback
        for _, callback in net.callbacks_
        # The attributes of others have no influence on the epochs that follow.
        if getattr(callback, "keeps_state", True)
        and not isinstance(callback, EpochTimer)
    ]


def _state_of(callback: Callback) -> State:
    """Return the attributes of a callback that are data, or that can give theirs.

    A scheduler of the learning rate, for example, has a ``state_dict``.
    """
    attributes = vars(callback)
    return _plain(attributes) | {
        name: _plain(value.state_dict())
        for name, value in attributes.items()
        if _has_state(value)
    }


def _has_state(value: Any) -> bool:
    return hasattr(value, "load_state_dict") and not isinstance(value, type)


def _plain(record: Mapping[str, Any]) -> State:
    return {name: value for name, value in record.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    """Say whether something is data, through and through."""
    if isinstance(value, Mapping):
        return all(map(_is_plain, [*value.keys(), *value.values()]))
    if isinstance(value, list | tuple | set | deque):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, PLAIN)


class _Packed(NamedTuple):
    """A tensor as an array, which is pickled in far less time."""

    array: np.ndarray


def _packed(value: Any) -> Any:
    """Return data with its tensors packed, wherever they are."""
    if isinstance(value, Tensor) and value.dtype != torch.bfloat16:
        return _Packed(value.detach().cpu().numpy())
    return _in_parts(_packed, value)


def _unpacked(value: Any) -> Any:
    """Undo `_packed`; the tensors are on the CPU."""
    if isinstance(value, _Packed):
        return torch.from_numpy(value.array)
    return _in_parts(_unpacked, value)


def _in_parts(change: Callable[[Any], Any], value: Any) -> Any:
    if isinstance(value, dict):
        changed = copy(value)  # of the same class
        changed.update({name: change(part) for name, part in value.items()})
        return changed
    if isinstance(value, Position):
        return Position(*map(change, value))
    if type(value) in (list, tuple):
        return type(value)(map(change, value))
    return value
