"""Training steps recorded once as a CUDA graph and replayed without Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

# Steps before the recording, in which libraries choose kernels and allocate memory.
WARM_UP = 3

Step = Callable[[Tensor, Tensor], None]


class ReplayedStep:
    """Steps on batches of one shape: the first few are run, the rest replayed.

    A small network's step is over sooner than Python has launched its kernels; a
    replay is one launch.

    Parameters
    ----------
    step : callable
        Takes the two tensors of a padded batch (see `Batches.padded`), and reads and
        writes only tensors whose memory stays the same.
    n_columns : int
        Number of rows of a padded batch.
    generator : torch.Generator
        Source of the step's random numbers, on the GPU.
    """

    def __init__(self, step: Step, n_columns: int, generator: torch.Generator) -> None:
        self._step = step
        self._generator = generator
        device = generator.device
        self._rows = torch.zeros(n_columns, dtype=torch.int64, device=device)
        self._real = torch.zeros(n_columns, dtype=torch.float32, device=device)
        self._n_steps = 0
        self._replay: Callable[[], Any] | None = None

    def __call__(self, rows: Tensor, real: Tensor) -> None:
        # The recording reads this memory.
        self._rows.copy_(rows)
        self._real.copy_(real)
        self._n_steps += 1
        if self._n_steps <= WARM_UP:
            aside(self._run)
            return
        if self._replay is None:
            self._replay = recorded(self._run, self._generator)
        self._replay()

    def _run(self) -> None:
        self._step(self._rows, self._real)


def aside(run: Callable[[], None]) -> None:
    """Run on a separate stream, which CUDA requires of the steps before a recording."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        run()
    torch.cuda.current_stream().wait_stream(stream)


def recorded(run: Callable[[], None], generator: torch.Generator) -> Callable[[], Any]:
    """Record the kernels of a run without running them; return the replay."""
    graph = torch.cuda.CUDAGraph()
    # Every replay then draws new numbers.
    graph.register_generator_state(generator)
    with torch.cuda.graph(graph):
        run()
    return graph.replay
