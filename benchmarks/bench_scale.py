"""Training time with growing numbers of rows, features, classes and datasets.

    python -m benchmarks.bench_scale --json scale.json

Along each axis one size grows and the others stay: rows of all datasets together,
features of each expert, classes of each dataset, and datasets, each with an expert of
its own. Rows are shared out evenly, so more datasets are more work for a row: every row
goes through every student, and every teacher sees the features of all experts.

- seconds_an_epoch: the median over the rounds;
- microseconds_a_row: the same over the rows;
- multiply_adds: of the matrix products that an epoch cannot do without, see
  `floor_epoch` of `benchmarks.bench_step`; computed, not measured;
- picoseconds_a_multiply_add: the time over these.

At the end of each axis:

- slope: of the logarithm of the seconds over that of the size, by least squares: 1 is
  linear;
- slope_of_multiply_adds: the same of the multiply-adds over the size, which is what
  there is to do;
- slope_over_multiply_adds: of the seconds over the multiply-adds.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from .bench_step import estimator_epoch, floor_epoch
from .paper_scale import Problem, Sizes, make_problem
from .rounds import Report, in_turn, parser_of, start


class Size(NamedTuple):
    """A size along each axis."""

    rows: int
    features: int
    classes: int
    datasets: int

    def make_problem(self) -> Problem:
        """Return a problem of this size, with rows in equal shares."""
        n = self.datasets
        sizes = Sizes((self.features,) * n, (self.classes,) * n, (1,) * n)
        return make_problem(sizes.of_rows(self.rows))


def multiply_adds(problem: Problem, batch_size: int) -> int:
    """Count those of the matrix products of an epoch, in whole batches."""
    # On a device of shapes without numbers nothing is computed.
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        floor_epoch(problem, batch_size, torch.float32)()
    return counter.get_total_flops() // 2


def slope(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return that of the logarithms, by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(values), deg=1)[0])


def bench_axis(
    axis: str,
    usual: Size,
    sizes: Sequence[int],
    report: Report,
    *,
    n_rounds: int,
    batch_size: int,
    precision: str,
) -> None:
    """Report the time of an epoch at each size of an axis, and how it grows."""
    points = [usual._replace(**{axis: size}) for size in sizes]
    problems = [point.make_problem() for point in points]
    found = in_turn(
        {
            str(size): estimator_epoch(problem, batch_size, precision=precision)
            for size, problem in zip(sizes, problems, strict=True)
        },
        n_rounds,
    )
    seconds = list(map(statistics.median, found.values()))
    work = [multiply_adds(problem, batch_size) for problem in problems]
    for point, of_point, to_do in zip(points, seconds, work, strict=True):
        report.add(
            axis=axis,
            **point._asdict(),
            seconds_an_epoch=of_point,
            microseconds_a_row=1e6 * of_point / point.rows,
            multiply_adds=to_do,
            picoseconds_a_multiply_add=1e12 * of_point / to_do,
        )
    if len(sizes) > 1:
        report.add(
            axis=axis,
            slope=slope(sizes, seconds),
            slope_of_multiply_adds=slope(sizes, work),
            slope_over_multiply_adds=slope(work, seconds),
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and print what it found."""
    parser = parser_of("bench_scale", __doc__)
    axes = {
        "rows": [2048, 4096, 8192],
        "features": [256, 512, 1024, 2048],
        "classes": [10, 25, 50, 100, 200, 400],
        "datasets": [1, 2, 4, 8, 16],
    }
    usual = Size(rows=2048, features=512, classes=50, datasets=4)
    for axis, sizes in axes.items():
        parser.add_argument(
            f"--{axis}", type=int, nargs="*", default=sizes, help="none: leave it out"
        )
    parser.add_argument(
        "--usual",
        type=int,
        nargs=4,
        default=usual,
        metavar=tuple(size.upper() for size in Size._fields),
        help="the sizes of the axes that stay",
    )
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--precision", default="float32")
    asked, report = start(parser, arguments)
    for axis in axes:
        bench_axis(
            axis,
            Size(*asked.usual),
            getattr(asked, axis),
            report,
            n_rounds=asked.rounds,
            batch_size=asked.batch_size,
            precision=asked.precision,
        )
    report.write()


if __name__ == "__main__":
    main()
