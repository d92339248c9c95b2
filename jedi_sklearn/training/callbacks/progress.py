"""Report every epoch to the log, a progress bar and scikit-learn's callbacks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from skorch.callbacks import Callback

from ...utils.fit_task import FitTask
from .stop_training import StopTraining

_logger = logging.getLogger(__name__)


class TellEpochs(Callback):
    """Report every epoch, and stop the training if a scikit-learn callback asks to.

    Parameters
    ----------
    bar : tqdm
        Is moved on by each epoch.
    task : FitTask
        The training, of which each epoch is a part.
    trained : callable
        Takes a net and the records of all epochs, and returns what is trained.
    records : sequence of dict
        Records of the epochs before a resumption.
    """

    keeps_state = False

    def __init__(
        self,
        bar: Any,
        task: FitTask,
        trained: Callable[[Any, list[Any]], Any],
        records: Sequence[Any],
    ) -> None:
        self.bar = bar
        self.task = task
        self.trained = trained
        self.records = list(records)
        self.epoch_: FitTask | None = None

    def on_epoch_begin(self, net: Any, **_: Any) -> None:
        self.epoch_ = self.task.part("epoch").begin()

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        self.records.append(net.history[-1])
        loss = net.history[-1, "train_loss"]
        _logger.debug("Epoch %d: loss %.6g.", len(self.records), loss)
        self.bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
        self.bar.update()
        epoch, self.epoch_ = self.epoch_, None
        assert epoch is not None
        if epoch.end(partial(self.trained, net, self.records)):
            raise StopTraining

    def on_train_end(self, net: Any, **_: Any) -> None:
        # One that something else has ended in its midst.
        if self.epoch_ is not None:
            self.epoch_.end()
            self.epoch_ = None
