"""A line that says how far the training is."""

from __future__ import annotations

import sys
import time
from typing import Any

from skorch.callbacks import Callback


class ProgressLine(Callback):
    """Rewrites one line on standard error after every epoch."""

    def on_train_begin(self, net: Any, **_: Any) -> None:
        self.start_ = time.monotonic()

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        done, epochs = len(net.history), net.max_epochs
        left = (time.monotonic() - self.start_) * (epochs - done) / done
        line = f"epoch {done}/{epochs}  loss {net.history[-1, 'train_loss']:.4f}"
        # Padded: a line that is shorter than the last must cover all of it.
        sys.stderr.write(f"\r{f'{line}  {left:.0f} s left':<60}")

    def on_train_end(self, net: Any, **_: Any) -> None:
        sys.stderr.write("\n")
