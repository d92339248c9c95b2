"""A line that says how far the training is."""

from __future__ import annotations

import sys
import time
from typing import Any

from skorch.callbacks import Callback


class ProgressLine(Callback):
    """Rewrites one line on standard error after every epoch.

    Parameters
    ----------
    n_epochs : int
        Of the whole training, which may have several phases.
    n_before : int
        Those of them that were done before.
    """

    def __init__(self, n_epochs: int, n_before: int = 0) -> None:
        self.n_epochs = n_epochs
        self.n_before = n_before
        self.start = time.monotonic()
        self.n_done = n_before

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        self.n_done += 1
        n_left = self.n_epochs - self.n_done
        seconds = time.monotonic() - self.start
        left = seconds * n_left / (self.n_done - self.n_before)
        loss = net.history[-1, "train_loss"]
        line = f"epoch {self.n_done}/{self.n_epochs}  loss {loss:.4f}"
        # Padded: a line that is shorter than the last must cover all of it.
        sys.stderr.write(f"\r{f'{line}  {left:.0f} s left':<60}")

    def end(self) -> None:
        """End the line."""
        sys.stderr.write("\n")
