"""Stop a training that diverges (NaN or inf), with the last finite weights."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

from skorch.callbacks import Callback
from torch import Tensor

from ..distributed import n_processes
from ..history import TERMS
from .stop_training import Diverged

# The terms of the loss; what follows are counts.
N_LOSSES = 3


class StopDivergence(Callback):
    """Stop the training at a loss or a weight that is not finite.

    The weights are then those of the epoch before, as they are where a training is
    interrupted in such an epoch. On a CPU the first batch with such a loss ends it,
    which spreads to all losses soon; a GPU is not kept waiting.

    Parameters
    ----------
    names : sequence of str
        The datasets of the students.
    experts : sequence of int
        The number of each student's expert.
    """

    needs_steps = False

    def __init__(self, names: Sequence[str], experts: Sequence[int]) -> None:
        self.names = names
        self.experts = experts

    def on_train_begin(self, net: Any, **_: Any) -> None:
        self.good_ = copy_of_weights(net)

    def on_batch_end(self, net: Any, loss: Tensor, terms: Tensor, **_: Any) -> None:
        waits = loss.device.type == "cpu" and n_processes() == 1
        if waits and not isfinite(loss.item()):
            self._end(net, self._loss(terms) or "the sum of the losses")

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        found = self._loss(net.sums_) or self._weight(net)
        if found:
            self._end(net, found)
        self.good_ = copy_of_weights(net)

    def on_train_end(self, net: Any, **_: Any) -> None:
        if self._weight(net):
            net.module_.load_state_dict(self.good_)

    def _end(self, net: Any, found: str) -> None:
        net.history.pop()
        raise Diverged(found)

    def _loss(self, terms: Tensor) -> str:
        """Say which loss is not finite; nothing where all are."""
        found = (~terms[:N_LOSSES].isfinite()).nonzero().tolist()
        return f"the {TERMS[found[0][0]]} of {self._name(found[0][1])}" if found else ""

    def _weight(self, net: Any) -> str:
        """Say whose weights are not finite; nothing where all are."""
        for place, weights in net.module_.named_parameters():
            if not weights.isfinite().all():
                what, number = place.removeprefix("first.").split(".")[:2]
                if what == "adjustments" and int(number) not in self.experts:
                    return f"the adjustment of expert number {number}"
                if what == "adjustments":
                    number = self.experts.index(int(number))
                model = "teacher" if what == "teachers" else "student"
                return f"the {model} of {self._name(int(number))}"
        return ""

    def _name(self, student: int) -> str:
        return f"dataset {self.names[student]!r}"


def copy_of_weights(net: Any) -> dict[str, Any]:
    """Return all weights of a net's module, as they are now."""
    return {
        name: weights.detach().clone()
        for name, weights in net.module_.state_dict().items()
    }
