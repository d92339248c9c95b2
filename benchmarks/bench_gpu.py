"""Time of an epoch on a GPU at the paper's sizes, and of its matrix products.

    python -m benchmarks.bench_gpu --json gpu.json
    python -m benchmarks.bench_gpu --full       # trains the paper's 500 epochs too

For each batch size and precision:

- milliseconds_an_epoch: the median over the epochs after the first, in which steps are
  recorded. An epoch is over when the sums of its history are in the memory of the
  processor, for which the GPU has to be done with all steps;
- floor_milliseconds: of the matrix products that an epoch cannot do without (see
  `benchmarks.bench_step`), of each step recorded once and replayed, so that the
  processor is not what they wait for;
- fraction_of_floor: the second over the first;
- seconds_of_500_epochs: the median epoch, so many times. What fit does before the
  first epoch is left out, as it is done once;
- first_epoch_milliseconds, seconds_of_fit: of the first epoch, and of the whole fit of
  the epochs that were measured.

With ``--full`` the quickest of these is trained for 500 epochs: seconds_of_500_epochs
and seconds_of_fit as they were. Without CUDA nothing is measured.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from jedi_sklearn import JEDIClassifier

from .bench_step import floor_epoch
from .paper_scale import N_ROWS, Problem, Sizes, make_problem
from .rounds import EpochSeconds, in_turn, parser_of, start

N_EPOCHS = 500


def train(
    problem: Problem, batch_size: int, precision: str, n_epochs: int, device: str
) -> tuple[list[float], float]:
    """Return the seconds of each epoch and of fit."""
    watch = EpochSeconds()
    clf = JEDIClassifier(
        problem.experts,
        max_epochs=n_epochs,
        batch_size=batch_size,
        precision=precision,
        device=device,
        random_state=0,
        callbacks=[watch],
    )
    begun = time.perf_counter()
    clf.fit(problem.X, problem.y)
    of_fit = time.perf_counter() - begun
    # Free the memory on the GPU for the next training.
    gc.collect()
    torch.cuda.empty_cache()
    return watch.seconds, of_fit


def recorded_floor(
    sizes: Sizes, batch_size: int, dtype: torch.dtype
) -> Callable[[], None]:
    """Return what does the matrix products of an epoch on the GPU, and waits for them.

    Parameters
    ----------
    sizes : Sizes
    batch_size : int
    dtype : torch.dtype
    """
    step = Problem(sizes.of_rows(batch_size), [], {}, {})
    with torch.device("cuda"):
        run_step = floor_epoch(step, batch_size, dtype)
    run_step()  # cuBLAS makes its workspace at the first product
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run_step()
    n_steps = -(-sum(sizes.n_rows) // batch_size)

    def run() -> None:
        for _ in range(n_steps):
            graph.replay()
        torch.cuda.synchronize()

    return run


def bench(
    problem: Problem, batch_size: int, precision: str, n_rounds: int
) -> dict[str, Any]:
    """Measure epochs, and then the products in as many rounds."""
    (first, *others), of_fit = train(
        problem, batch_size, precision, n_rounds + 1, "cuda"
    )
    floor = recorded_floor(problem.sizes, batch_size, getattr(torch, precision))
    floors = in_turn({"floor": floor}, n_rounds)["floor"]
    epoch, of_products = statistics.median(others), statistics.median(floors)
    return {
        "batch_size": batch_size,
        "dtype": precision,
        "milliseconds_an_epoch": 1e3 * epoch,
        "floor_milliseconds": 1e3 * of_products,
        "fraction_of_floor": of_products / epoch,
        "seconds_of_500_epochs": N_EPOCHS * epoch,
        "first_epoch_milliseconds": 1e3 * first,
        "seconds_of_fit": of_fit,
    }


def bench_full(problem: Problem, batch_size: int, precision: str) -> dict[str, Any]:
    """Train as many epochs as the paper."""
    seconds, of_fit = train(problem, batch_size, precision, N_EPOCHS, "cuda")
    return {
        "batch_size": batch_size,
        "dtype": precision,
        "measured": "all epochs",
        "seconds_of_500_epochs": sum(seconds),
        "seconds_of_fit": of_fit,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and print what it found."""
    parser = parser_of("bench_gpu", __doc__)
    parser.add_argument("--rows", type=int, default=sum(N_ROWS))
    parser.add_argument(
        "--batch-sizes", type=int, nargs="*", default=[256, 1024, 4096, 8192]
    )
    parser.add_argument("--precisions", nargs="*", default=["bfloat16", "float32"])
    parser.add_argument("--full", action="store_true", help="train 500 epochs too")
    asked, report = start(parser, arguments)
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        problem = make_problem(Sizes().of_rows(asked.rows))
        for batch_size in asked.batch_sizes:
            for precision in asked.precisions:
                found = bench(problem, batch_size, precision, asked.rounds)
                report.add(device=name, **found)
        if asked.full:
            best = min(report.rows, key=lambda row: row["milliseconds_an_epoch"])
            found = bench_full(problem, best["batch_size"], best["dtype"])
            report.add(device=name, **found)
    else:
        print("Skipped: torch sees no CUDA device.")
    report.write()


if __name__ == "__main__":
    main()
