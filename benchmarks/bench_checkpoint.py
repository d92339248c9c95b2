"""Cost of checkpoints, and fits that are killed at random instants.

    python -m benchmarks.bench_checkpoint          # some minutes
    python -m benchmarks.bench_checkpoint --json checkpoint.json

Prints

- the time of fits that are written down after every epoch, or not before their end,
  over that of the same fits without a checkpoint, for a small network and for the
  paper's, and the size of what is written;
- of fits that are killed at random instants and started again until they end, how many
  end in other bits than undisturbed ones.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.compose import make_column_transformer

from jedi_sklearn import JEDIClassifier

from .fit_kills import kill_fits
from .rounds import in_turn, median_ratio, parser_of, start

# Widths and classes of the experts' datasets; the second are the paper's.
SIZES = {
    "small": ((64,) * 3, (10,) * 3),
    "paper": ((2048, 2048, 1024, 2048), (200, 51, 400, 101)),
}
WHEN: dict[str, dict[str, Any]] = {
    "every epoch": {"checkpoint_epochs": 1},
    "at the end": {},
}


def make_problem(size: str, n_rows: int) -> tuple[list[Any], dict[str, Any], Any]:
    """Return experts that select columns, rows and labels."""
    widths, n_classes = SIZES[size]
    random = np.random.default_rng(0)
    starts = np.cumsum([0, *widths])
    experts, X, y = [], {}, {}
    for number, width in enumerate(widths):
        name = f"dataset_{number}"
        columns = slice(int(starts[number]), int(starts[number]) + width)
        experts.append((name, make_column_transformer(("passthrough", columns))))
        X[name] = random.normal(size=(n_rows, sum(widths))).astype(np.float32)
        y[name] = np.arange(n_rows) % n_classes[number]
        y[name][2 * n_classes[number] :] = -1  # a head on few labels is soon fitted
    return experts, X, y


def compare(size: str, n_rows: int, n_epochs: int, n_rounds: int) -> dict[str, Any]:
    """Time fits with and without a checkpoint."""
    experts, X, y = make_problem(size, n_rows)

    def fit(**parameters: Any) -> None:
        JEDIClassifier(experts, max_epochs=n_epochs, random_state=0, **parameters).fit(
            X, y
        )

    def fit_kept(**when: Any) -> None:
        with tempfile.TemporaryDirectory() as folder:
            fit(checkpoint=folder, **when)
            nonlocal n_bytes
            n_bytes = (Path(folder) / "result.pickle").stat().st_size

    n_bytes = 0
    seconds = in_turn(
        {"without": fit}
        | {name: lambda when=when: fit_kept(**when) for name, when in WHEN.items()},
        n_rounds,
    )
    ratios = {
        f"{name} over without": median_ratio(seconds[name], seconds["without"])
        for name in WHEN
    }
    return {**ratios, "result_bytes": n_bytes}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and print what it found."""
    parser = parser_of("bench_checkpoint", __doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--rows", type=int, default=500, help="of each dataset")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    asked, report = start(parser, arguments)
    report.add(benchmark="kills", **kill_fits(asked.kills))
    for size in asked.sizes:
        found = compare(size, asked.rows, asked.epochs, asked.rounds)
        report.add(benchmark="cost", size=size, **found)
    report.write()


if __name__ == "__main__":
    main()
