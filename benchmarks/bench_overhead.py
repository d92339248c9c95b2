"""Time of an epoch on a tiny problem relative to one written by hand.

    python -m benchmarks.bench_overhead --json overhead.json

Three datasets of 200 rows, three experts of 20 features: what is left to compare is
what the loop, its callbacks, its history and its bookkeeping cost. Also how long
`JEDIClassifier().fit` takes there with its defaults, experts included.

- estimator_over_plain: see `benchmarks.bench_step`;
- microseconds_a_step: of the estimator;
- seconds_of_fit: the median.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

from jedi_sklearn import JEDIClassifier
from jedi_sklearn.datasets import make_expert_embeddings

from .bench_step import estimator_epoch, hand_written_epoch
from .paper_scale import Sizes, make_problem
from .plain import Settings
from .rounds import in_turn, median_ratio, parser_of, start

TINY = Sizes(widths=(20, 20, 20), n_classes=(4, 4, 4), n_rows=(200, 200, 200))


def fit_with_defaults() -> float:
    """Return the seconds of a fit of small networks and their students."""
    X, y = make_expert_embeddings(200, 4, 20, n_datasets=3, random_state=0)
    X = {
        name: rows[:, 20 * i : 20 * i + 20] for i, (name, rows) in enumerate(X.items())
    }
    begun = time.perf_counter()
    JEDIClassifier(random_state=0).fit(X, y)
    return time.perf_counter() - begun


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and print what it found."""
    parser = parser_of("bench_overhead", __doc__)
    parser.set_defaults(rounds=50)
    parser.add_argument("--batch-sizes", type=int, nargs="*", default=[32, 128])
    asked, report = start(parser, arguments)
    problem = make_problem(TINY)
    for batch_size in asked.batch_sizes:
        seconds = in_turn(
            {
                "plain": hand_written_epoch(problem, batch_size, Settings()),
                "estimator": estimator_epoch(problem, batch_size),
            },
            asked.rounds,
        )
        n_steps = -(-sum(TINY.n_rows) // batch_size)
        report.add(
            batch_size=batch_size,
            estimator_over_plain=median_ratio(seconds["estimator"], seconds["plain"]),
            microseconds_a_step=1e6 * statistics.median(seconds["estimator"]) / n_steps,
        )
    fits = in_turn({"fit": fit_with_defaults}, n_rounds=3)["fit"]
    report.add(seconds_of_fit=statistics.median(fits))
    report.write()


if __name__ == "__main__":
    main()
