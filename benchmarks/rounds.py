"""Rounds of a benchmark: contestants in turn, medians and the output."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from skorch.callbacks import Callback


def in_turn(
    contestants: Mapping[str, Callable[[], float | None]], n_rounds: int
) -> dict[str, list[float]]:
    """Let each run once a round, after a round that does not count.

    In turn, so that what slows the machine for a while slows all of them.

    Parameters
    ----------
    contestants : mapping of str to callable
        A run, which may return how many seconds of it count; by default all.
    n_rounds : int

    Returns
    -------
    seconds : dict of str to list of float
        Of each contestant, one entry a round.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(n_rounds + 1):
        for name, run in contestants.items():
            begun = time.perf_counter()
            counted = run()
            if number:
                passed = time.perf_counter() - begun
                seconds[name].append(passed if counted is None else counted)
    return seconds


def median_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """Return the median over the rounds of the ratio within a round."""
    return statistics.median(
        a / b for a, b in zip(numerators, denominators, strict=True)
    )


class EpochSeconds(Callback):
    """Notes how long the epochs took."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_epoch_begin(self, net: Any, **_: Any) -> None:
        self.begun = time.perf_counter()

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        self.seconds.append(time.perf_counter() - self.begun)


def parser_of(module: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser of what all benchmarks are asked."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{module}",
        description=(description or "").partition("\n")[0],
    )
    parser.add_argument("--json", type=Path, help="a file to write the rows into")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    return parser


class Report:
    """Prints rows as they come, and writes all of them at the end.

    Parameters
    ----------
    path : Path or None
        Of a JSON file with a list of the rows.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []

    def add(self, **row: Any) -> None:
        self.rows.append(row)
        print("  ".join(f"{key}={_shown(value)}" for key, value in row.items()))

    def write(self) -> None:
        if self.path is not None:
            self.path.write_text(json.dumps(self.rows, indent=1) + "\n")


def start(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None
) -> tuple[argparse.Namespace, Report]:
    """Read the arguments, set the number of threads, and open the report."""
    asked = parser.parse_args(arguments)
    torch.set_num_threads(asked.threads)
    return asked, Report(asked.json)


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
