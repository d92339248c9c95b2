"""Time and accuracy compared with linear classifiers on one dataset at a time.

    python -m benchmarks.bench_baselines --json baselines.json

On embeddings of `make_expert_embeddings`, every baseline is fitted on the standardised
features of all experts, dataset by dataset; `JEDIClassifier` on all datasets at once,
with heads that are fitted, and scored on the same test rows after every epoch. For
each baseline, and each number of epochs that the training was to have:

- seconds: of its fits, one after another;
- accuracy: on test rows, the mean over the datasets;
- converged: whether its solver says so on every dataset, within its own limits;
- jedi_seconds_teacher, jedi_seconds_student: how long the training took, from the call
  of fit, until the mean test accuracy of teachers (which see the same features) or of
  students (which see those of one expert) was that of the baseline; null where it never
  was. What scoring takes after an epoch does not count, what is done with the test rows
  before the first epoch does;
- teacher_ratio, student_ratio: these over seconds. Above 1, or null, the baseline wins.

Then, for each number of epochs, what experts, students and teachers have in the end:
accuracy, and the seconds until then, of experts those before the first epoch.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from skorch.callbacks import Callback
from threadpoolctl import threadpool_limits

from jedi_sklearn import JEDIClassifier
from jedi_sklearn.datasets import make_expert_embeddings

from .rounds import Report, parser_of, start

Arrays = dict[str, npt.NDArray[Any]]


class Split(NamedTuple):
    """Datasets of features, all experts' side by side, and experts that select them."""

    experts: list[tuple[str, Any]]
    X_train: Arrays
    y_train: Arrays
    X_test: Arrays
    y_test: Arrays


class Course(NamedTuple):
    """Times and accuracies of a training by epoch.

    Attributes
    ----------
    before : float
        Seconds from the call of fit to the first epoch.
    seconds : ndarray of shape (n_epochs,)
        From the call of fit to the end of each epoch, without scoring.
    accuracies : dict of str to ndarray of shape (n_epochs,)
        Mean test accuracy after each epoch: "expert", "student" and "teacher".
    """

    before: float
    seconds: npt.NDArray[np.float64]
    accuracies: dict[str, npt.NDArray[np.float64]]

    def until(self, who: str, accuracy: float) -> float | None:
        """Return the seconds until an accuracy was first reached, None if never."""
        reached = self.accuracies[who] >= accuracy
        return float(self.seconds[reached.argmax()]) if reached.any() else None


class TrainingSeconds(Callback):
    """Notes when the training began and how long the epochs took.

    The time of an epoch is that of skorch's own timer, which stops before validation
    rows are scored; that of a callback given to the estimator would stop after.
    """

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_begin(self, net: Any, **_: Any) -> None:
        self.begun = time.perf_counter()

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        self.seconds.append(net.history[-1, "dur"])


def make_split(
    n_rows: int, n_classes: Sequence[int], width: int, class_sep: float
) -> Split:
    """Return so many training rows of each dataset, and as many test rows."""
    X, y = make_expert_embeddings(
        2 * n_rows, n_classes, width, class_sep=class_sep, random_state=0
    )
    experts = [
        (name, make_column_transformer(("passthrough", slice(first, first + width))))
        for name, first in zip(X, range(0, len(X) * width, width), strict=True)
    ]
    parts = [
        {name: rows[of_part] for name, rows in both.items()}
        for of_part in (slice(n_rows), slice(n_rows, None))
        for both in (X, y)
    ]
    return Split(experts, *parts)


def baselines(n_threads: int) -> dict[str, Any]:
    """Return classifiers with their own defaults."""
    sgd = SGDClassifier(random_state=0, n_jobs=n_threads)
    return {
        "LogisticRegression": LogisticRegression(),
        "LinearSVC": LinearSVC(random_state=0),
        "SGDClassifier, hinge": sgd,
        "SGDClassifier, log_loss": clone(sgd).set_params(loss="log_loss"),
    }


def fit_baseline(classifier: Any, split: Split) -> dict[str, Any]:
    """Fit a classifier on each dataset, and say how long that took and how well."""
    seconds, accuracies = 0.0, []
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always", ConvergenceWarning)
        for name, X in split.X_train.items():
            model = make_pipeline(StandardScaler(), clone(classifier))
            begun = time.perf_counter()
            model.fit(X, split.y_train[name])
            seconds += time.perf_counter() - begun
            accuracies.append(model.score(split.X_test[name], split.y_test[name]))
    stopped = any(issubclass(each.category, ConvergenceWarning) for each in raised)
    return {
        "seconds": seconds,
        "accuracy": float(np.mean(accuracies)),
        "converged": not stopped,
    }


def fit_jedi(split: Split, n_epochs: int) -> Course:
    """Train on all datasets, and return how that went."""
    watch = TrainingSeconds()
    clf = JEDIClassifier(
        split.experts,
        max_epochs=n_epochs,
        device="cpu",
        random_state=0,
        callbacks=[watch],
    )
    begun = time.perf_counter()
    clf.fit(split.X_train, split.y_train, X_val=split.X_test, y_val=split.y_test)
    before = watch.begun - begun
    return Course(
        before,
        before + np.cumsum(watch.seconds),
        {
            who: clf.history_[f"val_{who}_accuracy"].mean(axis=1).to_numpy()
            for who in ("expert", "student", "teacher")
        },
    )


def compare(found: Mapping[str, Any], course: Course) -> dict[str, float | None]:
    """Say how long a training took to be as good as a baseline."""
    needed = {
        who: course.until(who, found["accuracy"]) for who in ("teacher", "student")
    }
    return {f"jedi_seconds_{who}": seconds for who, seconds in needed.items()} | {
        f"{who}_ratio": None if seconds is None else seconds / found["seconds"]
        for who, seconds in needed.items()
    }


def report_ends(report: Report, n_epochs: int, course: Course) -> None:
    """Report what experts, students and teachers have in the end."""
    for who, accuracies in course.accuracies.items():
        report.add(
            model=f"JEDIClassifier, {who}s",
            epochs=n_epochs,
            seconds=course.before if who == "expert" else float(course.seconds[-1]),
            accuracy=float(accuracies[-1]),
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and print what it found."""
    parser = parser_of("bench_baselines", __doc__)
    parser.add_argument("--rows", type=int, default=1500, help="of each dataset")
    parser.add_argument("--classes", type=int, nargs="*", default=[20, 40, 60])
    parser.add_argument("--width", type=int, default=512, help="features of an expert")
    parser.add_argument("--class-sep", type=float, default=3.0)
    parser.add_argument("--epochs", type=int, nargs="*", default=[10, 100])
    asked, report = start(parser, arguments)
    split = make_split(asked.rows, asked.classes, asked.width, asked.class_sep)
    with threadpool_limits(asked.threads):
        fit_jedi(split, n_epochs=1)  # so that nothing is loaded while it is timed
        courses = {n_epochs: fit_jedi(split, n_epochs) for n_epochs in asked.epochs}
        for name, classifier in baselines(asked.threads).items():
            found = fit_baseline(classifier, split)
            for n_epochs, course in courses.items():
                needed = compare(found, course)
                report.add(model=name, epochs=n_epochs, **found, **needed)
    for n_epochs, course in courses.items():
        report_ends(report, n_epochs, course)
    report.write()


if __name__ == "__main__":
    main()
