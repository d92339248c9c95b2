"""Time of a training step relative to one written by hand and to its products.

    python -m benchmarks.bench_step --json step.json

At the paper's sizes, for each batch size and precision:

- estimator_over_plain: the time that an epoch of `JEDIClassifier` takes over that of
  a plain loop of the same settings in float32 (see `benchmarks.plain`);
- fraction_of_floor: the time of the matrix products that a step cannot do without,
  in that precision and nothing else, over the estimator's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from jedi_sklearn import JEDIClassifier
from jedi_sklearn.training.losses import distillation_weights

from .paper_scale import Problem, Sizes, make_problem
from .plain import PlainNetwork, Rows, Settings, plain_epoch, random_batches
from .rounds import EpochSeconds, in_turn, median_ratio, parser_of, start

N_UNITS = 256


def estimator_epoch(
    problem: Problem, batch_size: int, **parameters: Any
) -> Callable[[], float]:
    """Return what trains an epoch and says how long it took."""
    watch = EpochSeconds()
    clf = JEDIClassifier(
        problem.experts,
        max_epochs=1,
        batch_size=batch_size,
        warm_start=True,
        device="cpu",
        random_state=0,
        callbacks=[watch],
        **parameters,
    )

    def run() -> float:
        clf.fit(problem.X, problem.y)
        return watch.seconds[-1]

    return run


def rows_of(problem: Problem) -> Rows:
    """Return the rows of a problem as tensors."""
    return Rows(
        torch.cat([torch.from_numpy(x) for x in problem.X.values()]),
        torch.repeat_interleave(torch.tensor(problem.sizes.n_rows)),
        torch.cat([torch.from_numpy(y) for y in problem.y.values()]),
    )


def hand_written_epoch(
    problem: Problem, batch_size: int, settings: Settings
) -> Callable[[], None]:
    """Return what trains an epoch of the plain loop."""
    rows = rows_of(problem)
    network = PlainNetwork(problem.sizes.widths, problem.sizes.n_classes, N_UNITS)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=4e-3, weight_decay=0.1, fused=True
    )
    weights = torch.from_numpy(distillation_weights(problem.sizes.n_rows)).float()
    n_rows = sum(problem.sizes.n_rows)
    return lambda: plain_epoch(
        network, optimizer, rows, weights, settings, random_batches(n_rows, batch_size)
    )


def floor_epoch(
    problem: Problem, batch_size: int, dtype: torch.dtype
) -> Callable[[], None]:
    """Return what does the matrix products of an epoch.

    Those of a step: adjustments and heads forward and backward for all rows, but for
    the gradient of the features; targets forward for all rows; teachers backward for
    their own rows alone, and forward for these once more, under dropout.
    """
    sizes = problem.sizes
    n_steps = sum(sizes.n_rows) // batch_size
    total = sum(sizes.widths)
    products: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(n: int, k: int, m: int) -> None:
        """Add a product of (n, k) and (k, m)."""
        shapes = ((n, k), (k, m), (n, m))
        a, b, out = (torch.ones(shape, dtype=dtype) for shape in shapes)
        products.append((a, b, out))

    def add_linear(n: int, inputs: int, outputs: int, *, features: bool) -> None:
        add(n, inputs, outputs)
        add(outputs, n, inputs)
        if not features:
            add(n, outputs, inputs)

    for width, n_classes in zip(sizes.widths, sizes.n_classes, strict=True):
        add_linear(batch_size, width, N_UNITS, features=True)
        add_linear(batch_size, N_UNITS, width, features=False)
        add_linear(batch_size, width, n_classes, features=False)
    for n_rows, n_classes in zip(sizes.n_rows, sizes.n_classes, strict=True):
        own = round(batch_size * n_rows / sum(sizes.n_rows))
        add_linear(own, total, n_classes, features=False)
    add(batch_size, total, sum(sizes.n_classes))

    def run() -> None:
        for _ in range(n_steps):
            for a, b, out in products:
                torch.mm(a, b, out=out)

    return run


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and print what it found."""
    parser = parser_of("bench_step", __doc__)
    parser.add_argument("--batch-sizes", type=int, nargs="*", default=[32, 128, 512])
    parser.add_argument("--steps", type=int, default=8, help="of an epoch")
    asked, report = start(parser, arguments)
    for batch_size in asked.batch_sizes:
        problem = make_problem(Sizes().of_rows(asked.steps * batch_size))
        contestants: dict[str, Any] = {
            "plain": hand_written_epoch(problem, batch_size, Settings())
        }
        for name in ("float32", "bfloat16"):
            dtype = getattr(torch, name)
            contestants[name] = estimator_epoch(problem, batch_size, precision=name)
            contestants[f"floor {name}"] = floor_epoch(problem, batch_size, dtype)
        seconds = in_turn(contestants, asked.rounds)
        for name in ("float32", "bfloat16"):
            report.add(
                batch_size=batch_size,
                dtype=name,
                estimator_over_plain=median_ratio(seconds[name], seconds["plain"]),
                fraction_of_floor=median_ratio(seconds[f"floor {name}"], seconds[name]),
            )
    report.write()


if __name__ == "__main__":
    main()
