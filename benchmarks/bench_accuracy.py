"""Accuracy of the estimator compared with a training loop written by hand.

    python -m benchmarks.bench_accuracy --json accuracy.json

On `load_glyphs` with a tenth of the labels, for each seed the same experts, start,
settings and number of steps. Contestants: the plain loop of `benchmarks.plain`, with
torch's dropout, in random batches and in those that the estimator deals the rows out
to, each with its share of all; and `JEDIClassifier` in both precisions. Rows:

- contestant, and the reference that it is held against;
- model: the students or the teachers;
- accuracy: on test rows, the mean over datasets and seeds;
- difference: from the reference, in points, with half_interval, half the 95 %
  interval of pairs by seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import product

import numpy as np
import torch

from jedi_sklearn import JEDIClassifier
from jedi_sklearn.models.weights import Linear, Weights
from jedi_sklearn.training.data.batches import Batches
from jedi_sklearn.training.data.rows import stack_rows
from jedi_sklearn.training.losses import distillation_weights
from jedi_sklearn.training.network.scaling import Scaling
from jedi_sklearn.training.network.weights import (
    Task,
    TeacherInput,
    first_adjustments,
    first_teachers,
)

from .evidence.data import EXTRA, glyphs
from .evidence.intervals import interval
from .evidence.problem import Problem, make_problem
from .plain import PlainNetwork, Rows, Settings, plain_epoch, random_batches
from .rounds import parser_of, start

DEALT = "plain, rows dealt out"
MODELS = ("student", "teacher")
LEARNING_RATE = 4e-3
WEIGHT_DECAY = 0.1
BATCH_SIZE = 128


def accuracies_of_estimator(
    problem: Problem, y_test: dict, seed: int, n_epochs: int, precision: str
) -> dict[str, float]:
    """Train the estimator; return the mean accuracies of students and teachers."""
    clf = JEDIClassifier(
        problem.experts(),
        max_epochs=n_epochs,
        labelled_share=0.0,
        precision=precision,
        random_state=seed,
        device="cpu",
    ).fit(problem.X_train, problem.y_train)
    return mean_accuracies(clf, problem.X_test, y_test)


def mean_accuracies(
    clf: JEDIClassifier, X_test: dict, y_test: dict
) -> dict[str, float]:
    """Return those of students and teachers over the datasets."""
    groups = dict(zip(MODELS, (clf.students_, clf.teachers_), strict=True))
    return {
        model: float(np.mean([m.score(X_test[n], y_test[n]) for n, m in group.items()]))
        for model, group in groups.items()
    }


def accuracies_of_plain(
    problem: Problem, y_test: dict, seed: int, n_epochs: int, *, dealt: bool
) -> dict[str, float]:
    """Train the plain loop from where the estimator starts; return the same.

    In random batches, or in those that the estimator deals the rows out to.
    """
    torch.manual_seed(seed)
    widths = [part.stop - part.start for part in problem.columns.values()]
    laid_out = stack_rows(
        [[X] for X in problem.X_train.values()],
        [problem.codes(name) for name in problem.X_train],
    )
    scaling = Scaling.of(laid_out.features, widths)
    rows = Rows(
        torch.from_numpy(scaling.apply(laid_out.features)),
        torch.repeat_interleave(torch.tensor(laid_out.n_rows)),
        torch.from_numpy(laid_out.row_labels[0]),
    )
    network = _plain_network(problem, widths, scaling, seed)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True
    )
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_epochs)
    weights = torch.from_numpy(distillation_weights(laid_out.n_rows)).float()
    shuffles = torch.Generator().manual_seed(seed)
    batches = Batches(laid_out, BATCH_SIZE, shuffles, "cpu")
    for _ in range(n_epochs):
        chosen = random_batches(len(rows.labels), BATCH_SIZE)
        if dealt:
            chosen = batches.epoch().chosen
        plain_epoch(network, optimizer, rows, weights, Settings(), chosen)
        decay.step()
    return _scores_of_plain(network.eval(), problem, y_test, scaling)


def _plain_network(
    problem: Problem, widths: Sequence[int], scaling: Scaling, seed: int
) -> PlainNetwork:
    heads = [
        Linear(head.coef_.astype(np.float32), head.intercept_.astype(np.float32))
        for head in problem.heads.values()
    ]
    tasks = [Task(name, i, i) for i, name in enumerate(problem.heads)]
    adjustments = first_adjustments(widths, 256, seed)
    raw = Weights([], heads, first_teachers(heads, tasks, widths, TeacherInput()))
    scaled = scaling.enter_weights(raw, tasks, widths, sees_embeddings=True)
    network = PlainNetwork(widths, [len(head.coef) for head in heads])
    for layers, weights in (
        (network.down, [a.down for a in adjustments]),
        (network.up, [a.up for a in adjustments]),
        (network.heads, scaled.heads),
        (network.teachers, scaled.teachers),
    ):
        for layer, linear in zip(layers, weights, strict=True):
            layer.weight.data = torch.from_numpy(linear.coef)
            layer.bias.data = torch.from_numpy(linear.intercept)
    return network


@torch.no_grad()
def _scores_of_plain(
    network: PlainNetwork, problem: Problem, y_test: dict, scaling: Scaling
) -> dict[str, float]:
    right: dict[str, list[float]] = {model: [] for model in MODELS}
    for i, (name, X) in enumerate(problem.X_test.items()):
        given = network(torch.from_numpy(scaling.apply(X)), Settings())
        classes = problem.heads[name].classes_
        for model, scores in zip(MODELS, given, strict=False):
            labels = classes[scores[i].argmax(dim=1)]
            right[model].append(float((labels == y_test[name]).mean()))
    return {model: float(np.mean(of_model)) for model, of_model in right.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the comparison and print what it found."""
    parser = parser_of("bench_accuracy", __doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=50)
    asked, report = start(parser, arguments)
    data = glyphs()
    contestants = {
        "plain": partial(accuracies_of_plain, dealt=False),
        DEALT: partial(accuracies_of_plain, dealt=True),
        "float32": partial(accuracies_of_estimator, precision="float32"),
        "bfloat16": partial(accuracies_of_estimator, precision="bfloat16"),
    }
    found: dict[str, list[dict[str, float]]] = {name: [] for name in contestants}
    for seed in range(asked.seeds):
        problem = make_problem(data, "tenth", seed, EXTRA["glyphs"])
        for name, accuracies in contestants.items():
            found[name].append(accuracies(problem, data.y_test, seed, asked.epochs))
    for reference, name in product(("plain", DEALT), (DEALT, "float32", "bfloat16")):
        for model in MODELS if reference != name else ():
            given, own = (
                np.array([of_seed[model] for of_seed in found[contestant]])
                for contestant in (reference, name)
            )
            difference = interval(100 * (own - given))
            report.add(
                contestant=name,
                reference=reference,
                model=model,
                n_seeds=asked.seeds,
                accuracy=float(own.mean()),
                difference=difference.mean,
                half_interval=difference.half,
            )
    report.write()


if __name__ == "__main__":
    main()
