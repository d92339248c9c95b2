"""Number of epochs to the accuracy of the paper's 500 at a constant rate of 1e-5.

    python -m benchmarks.bench_epochs glyphs --json epochs_glyphs.json
    python -m benchmarks.bench_epochs paper_scale --json epochs_paper_scale.json

`glyphs` is `load_glyphs` with a tenth of the labels, `paper_scale` rows of
`make_expert_embeddings` at the widths and numbers of classes of the paper's Table 1.
For each seed the paper's setting, `PAPER_PARAMS`, and the paper's learning rate and
epochs with the defaults for all else; against these the defaults with fewer epochs.
Rows, accuracies on test rows:

- setting, n_epochs, batch_size;
- student, teacher: mean accuracy over datasets and seeds;
- over_paper: of the students, less those of `PAPER_PARAMS`, in points, with
  half_interval, half the 95 % interval of pairs by seed;
- seconds: of fit, the median.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.compose import make_column_transformer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from jedi_sklearn import PAPER_PARAMS, JEDIClassifier
from jedi_sklearn.datasets import make_expert_embeddings

from .bench_accuracy import mean_accuracies
from .evidence import problem as evidence
from .evidence.data import EXTRA, glyphs
from .evidence.intervals import interval
from .paper_scale import N_CLASSES, WIDTHS
from .rounds import parser_of, start

PAPER = "PAPER_PARAMS"
PAPER_SCHEDULE: dict[str, Any] = {
    "learning_rate": PAPER_PARAMS["learning_rate"],
    "learning_rate_decay": PAPER_PARAMS["learning_rate_decay"],
    "max_epochs": PAPER_PARAMS["max_epochs"],
}
Arrays = dict[str, npt.NDArray[Any]]


class Problem(NamedTuple):
    """Experts, and rows to train and to test on."""

    experts: list[tuple[str, Any]]
    X: Arrays
    y: Arrays
    X_test: Arrays
    y_test: Arrays


def glyphs_problem(seed: int) -> Problem:
    """Return the study's problem with a tenth of the labels."""
    data = glyphs()
    made = evidence.make_problem(data, "tenth", seed, EXTRA["glyphs"])
    return Problem(made.experts(), made.X_train, made.y_train, made.X_test, data.y_test)


def paper_scale_problem(seed: int, rows_a_class: int, class_sep: float) -> Problem:
    """Return a problem of the paper's widths and classes, with a few rows a class."""
    sizes = [rows_a_class * n for n in N_CLASSES]
    X, y = make_expert_embeddings(
        [2 * n for n in sizes],
        N_CLASSES,
        WIDTHS,
        class_sep=class_sep,
        random_state=seed,
    )
    rows = dict(zip(X, sizes, strict=True))
    experts, first = [], 0
    for name, width in zip(X, WIDTHS, strict=True):
        columns = slice(first, first + width)
        selector = make_column_transformer(("passthrough", columns)).fit(X[name])
        head = LogisticRegression(C=1e-3, tol=1e-3)
        head.fit(X[name][: rows[name], columns], y[name][: rows[name]])
        experts.append((name, FrozenEstimator(make_pipeline(selector, head))))
        first += width
    return Problem(
        experts,
        {name: X[name][:n] for name, n in rows.items()},
        {name: y[name][:n] for name, n in rows.items()},
        {name: X[name][n:] for name, n in rows.items()},
        {name: y[name][n:] for name, n in rows.items()},
    )


def settings_of(
    epochs: Sequence[int], batch_sizes: Sequence[int]
) -> dict[tuple[str, int, int], dict[str, Any]]:
    """Return parameters by setting, number of epochs and batch size."""
    first = batch_sizes[0]
    long = PAPER_PARAMS["max_epochs"]
    settings: dict[tuple[str, int, int], dict[str, Any]] = {
        (PAPER, long, first): {**PAPER_PARAMS, "batch_size": first},
        ("paper's schedule", long, first): {**PAPER_SCHEDULE, "batch_size": first},
    }
    for batch_size in batch_sizes:
        for n in epochs:
            settings["defaults", n, batch_size] = {
                "max_epochs": n,
                "batch_size": batch_size,
            }
    return settings


def measure(problem: Problem, seed: int, params: dict[str, Any]) -> dict[str, float]:
    """Fit once; return the seconds and the mean accuracies."""
    begun = time.perf_counter()
    clf = JEDIClassifier(problem.experts, random_state=seed, device="cpu", **params)
    clf.fit(problem.X, problem.y)
    seconds = time.perf_counter() - begun
    accuracies = mean_accuracies(clf, problem.X_test, problem.y_test)
    return {"seconds": seconds, **accuracies}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the comparison and print what it found."""
    parser = parser_of("bench_epochs", __doc__)
    parser.add_argument("problem", choices=("glyphs", "paper_scale"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--epochs", type=int, nargs="*", default=[2, 5, 10, 25, 50, 100]
    )
    parser.add_argument("--batch-sizes", type=int, nargs="*", default=[128, 512])
    parser.add_argument("--rows-a-class", type=int, default=6)
    parser.add_argument("--class-sep", type=float, default=8.0)
    parser.add_argument("--first-seed", type=int, default=0)
    asked, report = start(parser, arguments)
    make: Callable[[int], Problem] = glyphs_problem
    if asked.problem == "paper_scale":

        def make(seed: int) -> Problem:
            return paper_scale_problem(seed, asked.rows_a_class, asked.class_sep)

    settings = settings_of(asked.epochs, asked.batch_sizes)
    found: dict[tuple[str, int, int], list[dict[str, float]]] = {
        s: [] for s in settings
    }
    for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
        problem = make(seed)
        for key, params in settings.items():
            found[key].append(measure(problem, seed, params))
            print(seed, key, found[key][-1], flush=True)
    paper = np.array([run["student"] for run in next(iter(found.values()))])
    for (setting, n_epochs, batch_size), runs in found.items():
        student = np.array([run["student"] for run in runs])
        over = interval(100 * (student - paper))
        report.add(
            setting=setting,
            n_epochs=n_epochs,
            batch_size=batch_size,
            n_seeds=asked.seeds,
            student=float(student.mean()),
            teacher=float(np.mean([run["teacher"] for run in runs])),
            over_paper=over.mean,
            half_interval=over.half,
            seconds=statistics.median(run["seconds"] for run in runs),
        )
    report.write()


if __name__ == "__main__":
    main()
