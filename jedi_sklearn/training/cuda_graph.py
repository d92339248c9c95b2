"""A training step that a GPU records once and replays, without the wait for Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

# Steps before the recording: libraries choose their kernels, and memory is found.
WARM_UP = 3

Step = Callable[[Tensor, Tensor], None]


class ReplayedStep:
    """Steps on batches of one shape: the first few as they come, the rest replayed.

    Parameters
    ----------
    step : callable
        Takes the two tensors of a padded batch (see `Batches.padded`), and reads and
        writes nothing but tensors that stay where they are.
    n_columns : int
        Of a padded batch.
    generator : torch.Generator
        From which the step draws.
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
    """Run on a stream of its own, as a recording asks of the steps before it."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        run()
    torch.cuda.current_stream().wait_stream(stream)


def recorded(run: Callable[[], None], generator: torch.Generator) -> Callable[[], Any]:
    """Record what a run asks of the GPU, without doing it; return what does it."""
    graph = torch.cuda.CUDAGraph()
    # So that every replay draws other numbers.
    graph.register_generator_state(generator)
    with torch.cuda.graph(graph):
        run()
    return graph.replay
