"""The loss of a batch against a transcription of the paper's equations.

The reference is written row by row in NumPy, double precision, from the formulas of
sections 3.2, 4.4 and 5 and nothing else.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import entr, softmax
from sklearn.datasets import make_blobs
from sklearn.metrics import hinge_loss, log_loss
from sklearn.svm import LinearSVC
from torch import nn

from jedi_sklearn.inputs.row_weights import RowWeights
from jedi_sklearn.models.weights import Adjustment, Linear, Weights
from jedi_sklearn.training.data.batch import Batch
from jedi_sklearn.training.data.batches import Batches
from jedi_sklearn.training.data.rows import TrainingRows, stack_rows
from jedi_sklearn.training.losses import (
    CLASSIFICATION_LOSSES,
    DISTILLATION_LOSSES,
    Objective,
    classification_loss,
    distillation_loss,
    distillation_sources,
    distillation_weights,
    joint_loss,
)
from jedi_sklearn.training.network.joint_network import (
    Dropout,
    JointNetwork,
    teacher_dropout,
)
from jedi_sklearn.training.network.weights import Task, TeacherInput

NO_TEACHER_DROPOUT = 1e6
TEACHER_INPUTS = ["adjusted", "adjusted+predictions", "base", "predictions"]


pytestmark = pytest.mark.usefixtures("global_random_states_stay")


# --------------------------------------------------------------------------------------
# Problems: some datasets, labelled and not, with a joint network of random weights.
# --------------------------------------------------------------------------------------


class Problem(NamedTuple):
    """Rows as they lie in training, and weights that are not those of a start."""

    embeddings: list[list[np.ndarray]]
    codes: list[np.ndarray | None]
    tasks: list[Task]
    weights: Weights
    teacher_input: str = "adjusted"
    # For each dataset the weights of its rows, in any unit, and those of its classes.
    row_weights: list[np.ndarray] | None = None
    class_weights: list[np.ndarray] | None = None

    @property
    def rows(self) -> TrainingRows:
        weights = [
            RowWeights(
                self.row_weight(i),
                np.array([self.class_weight(i, row) for row in range(n)]),
            )
            for i, n in enumerate(self.sizes)
        ]
        if self.row_weights is self.class_weights is None:
            return stack_rows(self.embeddings, self.codes)
        return stack_rows(self.embeddings, self.codes, weights)

    @property
    def sizes(self) -> list[int]:
        return [len(of_experts[0]) for of_experts in self.embeddings]

    @property
    def names(self) -> list[str]:
        return [f"d{i}" for i in range(len(self.embeddings))]

    def code(self, dataset: int, row: int) -> int:
        codes = self.codes[dataset]
        return -1 if codes is None else int(codes[row])

    def row_weight(self, dataset: int) -> np.ndarray:
        if self.row_weights is None:
            return np.ones(self.sizes[dataset])
        return self.row_weights[dataset]

    def class_weight(self, dataset: int, row: int) -> float:
        code = self.code(dataset, row)
        if self.class_weights is None or code < 0:
            return 1.0 if self.class_weights is None else 1e3  # must not be used
        return float(self.class_weights[dataset][code])


def make_problem(seed: int, n_labelled: list[int], n_unlabelled: list[int]) -> Problem:
    """Make one expert a dataset and one more; no student without a labelled row."""
    rng = np.random.default_rng(seed)
    n_datasets = len(n_labelled)
    widths = rng.integers(2, 5, size=n_datasets + 1).tolist()
    # The experts do not stand in the order of the datasets.
    experts = rng.permutation(n_datasets + 1).tolist()
    n_classes = rng.integers(2, 5, size=n_datasets).tolist()
    embeddings, codes = [], []
    for labelled, unlabelled, n in zip(
        n_labelled, n_unlabelled, n_classes, strict=True
    ):
        n_rows = labelled + unlabelled
        embeddings.append([_normal(rng, n_rows, width) for width in widths])
        known = rng.integers(n, size=labelled)
        codes.append(np.append(known, np.full(unlabelled, -1)) if labelled else None)
    tasks = [
        Task(name=f"d{i}", dataset=i, expert=experts[i])
        for i in range(n_datasets)
        if n_labelled[i]
    ]
    weights = Weights(
        [Adjustment(_linear(rng, 3, w), _linear(rng, w, 3)) for w in widths],
        [_linear(rng, n_classes[t.dataset], widths[t.expert]) for t in tasks],
        [_linear(rng, n_classes[t.dataset], sum(widths)) for t in tasks],
    )
    return Problem(embeddings, codes, tasks, weights)


def seen_by_teachers(problem: Problem, teacher_input: str) -> Problem:
    """Give the teachers another input, and weights for it."""
    rng = np.random.default_rng(4)
    n_inputs = 0
    if teacher_input != "predictions":
        n_inputs += sum(len(a.up.intercept) for a in problem.weights.adjustments)
    if "predictions" in teacher_input:
        n_inputs += sum(len(head.coef) for head in problem.weights.heads)
    teachers = [
        _linear(rng, len(head.coef), n_inputs) for head in problem.weights.heads
    ]
    weights = problem.weights._replace(teachers=teachers)
    return problem._replace(weights=weights, teacher_input=teacher_input)


def weighted(
    problem: Problem, seed: int = 0, *, rows: bool = True, classes: bool = True
) -> Problem:
    """Give rows and classes weights, some of the rows none."""
    rng = np.random.default_rng(seed)
    of_rows = [rng.integers(0, 4, size=n) + rng.uniform(size=n) for n in problem.sizes]
    for of_dataset in of_rows:
        of_dataset[2::5] = 0.0
    of_classes = [rng.uniform(0.1, 3.0, size=5) for _ in problem.sizes]
    return problem._replace(
        row_weights=of_rows if rows else None,
        class_weights=of_classes if classes else None,
    )


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


def _linear(rng: np.random.Generator, n_outputs: int, n_inputs: int) -> Linear:
    return Linear(_normal(rng, n_outputs, n_inputs), _normal(rng, n_outputs))


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    n_datasets = draw(st.integers(1, 4))
    counts = st.lists(st.integers(0, 4), min_size=n_datasets, max_size=n_datasets)
    n_labelled, n_unlabelled = draw(counts), draw(counts)
    # Training has at least one labelled dataset.
    n_labelled[draw(st.integers(0, n_datasets - 1))] += 1
    return make_problem(draw(st.integers(0, 2**32 - 1)), n_labelled, n_unlabelled)


def make_network(
    problem: Problem,
    adjustment_dropout: float = 0.0,
    units_per_class: float = NO_TEACHER_DROPOUT,
    seed: int = 0,
    **targets: bool,
) -> JointNetwork:
    generator = torch.Generator().manual_seed(seed)
    return JointNetwork(
        problem.weights,
        problem.tasks,
        Dropout(adjustment_dropout, units_per_class, generator),
        TeacherInput.of(problem.teacher_input, **targets),
    ).double()


def make_objective(problem: Problem, **changes: Any) -> Objective:
    values: dict[str, Any] = {
        "alpha": 1.0,
        "beta": 1.0,
        "gamma": 0.4,
        "student_loss": "cross_entropy",
        "teacher_loss": "hinge",
        "distillation_loss": "cross_entropy",
        "distill_from": "all",
        "temperature": 1.0,
        "target_temperature": None,
    } | changes
    sources = distillation_sources(values["distill_from"], problem.names)
    return Objective(
        alpha=values["alpha"],
        beta=values["beta"],
        gamma=values["gamma"],
        student_loss=classification_loss("student_loss", values["student_loss"]),
        teacher_loss=classification_loss("teacher_loss", values["teacher_loss"]),
        distillation_loss=distillation_loss(
            "distillation_loss", values["distillation_loss"]
        ),
        temperature=values["temperature"],
        weights=distillation_weights(problem.rows.sizes) * sources,
        sharpening=values["temperature"]
        / (values["target_temperature"] or values["temperature"]),
    )


def make_batch(problem: Problem, chosen: Any = None) -> Batch:
    """Return a batch in double precision; by default of all rows."""
    batches = Batches(problem.rows, 1, torch.Generator(), "cpu")
    if chosen is None:
        chosen = range(sum(problem.sizes))
    batch = batches.batch(torch.tensor(list(chosen), dtype=torch.int64))
    return replace(
        batch,
        features=batch.features.double(),
        weights=batch.weights.double(),
        label_weights=[weights.double() for weights in batch.label_weights],
    )


def loss_of(
    problem: Problem,
    network: JointNetwork,
    batch: Batch,
    distil: bool = True,
    **changes: Any,
) -> torch.Tensor:
    objective = make_objective(problem, **changes)
    scores = network(batch, distil=distil)
    return joint_loss(objective, scores, batch, network.datasets)[0]


def gradients(network: JointNetwork, loss: torch.Tensor) -> dict[str, np.ndarray]:
    network.zero_grad()
    loss.backward()
    return {
        name: np.zeros(p.shape) if p.grad is None else p.grad.numpy().copy()
        for name, p in network.named_parameters()
    }


# --------------------------------------------------------------------------------------
# The reference.
# --------------------------------------------------------------------------------------


def linear(weights: Linear, x: np.ndarray) -> np.ndarray:
    return weights.coef.astype(float) @ x + weights.intercept.astype(float)


def adjusted(weights: Adjustment, x: np.ndarray) -> np.ndarray:
    """Figure 2: two layers with SiLU between, and the embedding itself."""
    hidden = linear(weights.down, x)
    return x + linear(weights.up, hidden / (1.0 + np.exp(-hidden)))


def classification(kind: str, scores: np.ndarray, label: int) -> float:
    if kind == "cross_entropy":
        return float(np.log(np.exp(scores).sum()) - scores[label])
    if kind == "hinge":
        others = max(score for k, score in enumerate(scores) if k != label)
        return max(0.0, 1.0 + others - scores[label])
    power = {"one_vs_rest_hinge": 1, "squared_hinge": 2}[kind]
    return sum(
        max(0.0, 1.0 - score if k == label else 1.0 + score) ** power
        for k, score in enumerate(scores.tolist())
    )


def distillation(
    kind: str,
    student: np.ndarray,
    teacher: np.ndarray,
    temperature: float,
    target_temperature: float | None = None,
) -> float:
    of_targets = target_temperature or temperature
    if kind == "mse":
        # Of logits in the student's units.
        return float(((student - teacher * temperature / of_targets) ** 2).mean())
    wanted = log_probabilities(teacher / of_targets)
    given = log_probabilities(student / temperature)
    if kind == "kl":
        given = given - wanted
    return float(-(np.exp(wanted) @ given) * temperature**2)


def log_probabilities(scores: np.ndarray) -> np.ndarray:
    below = scores - scores.max()
    return below - np.log(np.exp(below).sum())


def eq_2(sizes: list[float], i: int, j: int) -> float:
    return 1.0 if i == j else sizes[j] / sum(sizes)


def learns(distill_from: str | list[str] | None, i: int, j: int) -> bool:
    """Section 5.2: whether student j learns on rows of dataset i."""
    if distill_from == "own":
        return i == j
    return distill_from == "all" or f"d{i}" in (distill_from or [])


# What the students and the teachers say of a row.
RowScores = tuple[list[np.ndarray], list[np.ndarray]]


def row_scores(problem: Problem, weights: Weights, dataset: int, row: int) -> RowScores:
    base = [e[row].astype(float) for e in problem.embeddings[dataset]]
    after = [adjusted(a, x) for a, x in zip(weights.adjustments, base, strict=True)]
    students = [
        linear(head, after[task.expert])
        for head, task in zip(weights.heads, problem.tasks, strict=True)
    ]
    seen = {
        "base": base,
        "adjusted": after,
        "predictions": students,
        "adjusted+predictions": after + students,
    }[problem.teacher_input]
    return students, [linear(t, np.concatenate(seen)) for t in weights.teachers]


def rows_of(problem: Problem) -> list[tuple[int, int]]:
    """Return (dataset, row) for the number of a row."""
    return [(i, row) for i, n in enumerate(problem.sizes) for row in range(n)]


def reference_scores(
    problem: Problem, chosen: list[int], weights: Weights | None = None
) -> list[RowScores]:
    weights = problem.weights if weights is None else weights
    where = rows_of(problem)
    return [row_scores(problem, weights, *where[number]) for number in chosen]


def reference_loss(
    problem: Problem,
    chosen: list[int],
    scores: list[RowScores] | None = None,
    targets: list[RowScores] | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    gamma: float = 0.4,
    student_loss: str = "cross_entropy",
    teacher_loss: str = "hinge",
    distillation_loss: str = "cross_entropy",
    distill_from: str | list[str] | None = "all",
    temperature: float = 1.0,
    target_temperature: float | None = None,
) -> float:
    """Mean of Eq. (1) over rows given by their numbers, dataset after dataset.

    The scores, and those of which the teachers' part is the pseudo-label of the third
    term, are by default those of the problem's own weights: so a derivative by the
    weights of the scores alone leaves the pseudo-label alone.
    """
    scores = reference_scores(problem, chosen) if scores is None else scores
    targets = reference_scores(problem, chosen) if targets is None else targets
    where = rows_of(problem)
    # Weights are relative to their mean, and a dataset is as large as its weights.
    sizes = [float(problem.row_weight(i).sum()) for i in range(len(problem.sizes))]
    total = 0.0
    for number, (students, teachers), (_, wanted) in zip(
        chosen, scores, targets, strict=True
    ):
        i, row = where[number]
        of_row, code = 0.0, problem.code(i, row)
        for k, task in enumerate(problem.tasks):
            j = task.dataset
            if i == j and code >= 0:
                supervised = alpha * classification(student_loss, students[k], code)
                supervised += beta * classification(teacher_loss, teachers[k], code)
                of_row += problem.class_weight(i, row) * supervised
            if gamma and learns(distill_from, i, j):
                third = distillation(
                    distillation_loss,
                    students[k],
                    wanted[k],
                    temperature,
                    target_temperature,
                )
                of_row += gamma * eq_2(sizes, i, j) * third
        total += of_row * problem.row_weight(i)[row] * len(where) / sum(sizes)
    return total / len(chosen)


settings_of_losses = st.fixed_dictionaries(
    {
        "alpha": st.sampled_from([0.0, 1.0, 0.3]),
        "beta": st.sampled_from([0.0, 1.0, 2.5]),
        "gamma": st.sampled_from([0.0, 0.4, 3.0]),
        "student_loss": st.sampled_from(sorted(CLASSIFICATION_LOSSES)),
        "teacher_loss": st.sampled_from(sorted(CLASSIFICATION_LOSSES)),
        "distillation_loss": st.sampled_from(sorted(DISTILLATION_LOSSES)),
        "distill_from": st.sampled_from(["all", "own", None, ["d0"], ["d3", "d1"]]),
        "temperature": st.floats(0.5, 5.0),
        "target_temperature": st.none() | st.floats(0.2, 5.0),
    }
)

MIXED = make_problem(0, [3, 0, 2], [2, 3, 0])
LABELLED = make_problem(1, [4, 3], [0, 0])
# What a random search may miss: batches of one kind of row alone.
CASES = {
    "labelled": (MIXED, [0, 1, 2, 8, 9]),
    "unlabelled": (MIXED, [3, 4, 5, 6, 7]),
    "mixed": (MIXED, list(range(10))),
    "one row": (MIXED, [6]),
    "one dataset": (make_problem(2, [3], [2]), [0, 1, 2, 3, 4]),
    "two datasets": (LABELLED, list(range(7))),
    "four datasets": (make_problem(3, [1, 2, 0, 3], [2, 0, 2, 1]), list(range(11))),
}


# --------------------------------------------------------------------------------------
# Equations (1), (2), (4), (5).
# --------------------------------------------------------------------------------------


def assert_equation_1(
    problem: Problem, chosen: list[int], options: list[dict[str, Any]]
) -> None:
    """Compare the loss of a batch with the reference for each of the options."""
    batch, network = make_batch(problem, chosen), make_network(problem)
    given, expected = network(batch), reference_scores(problem, chosen)
    for changes in options:
        objective = make_objective(problem, **changes)
        loss, _ = joint_loss(objective, given, batch, network.datasets)
        assert loss.item() == pytest.approx(
            reference_loss(problem, chosen, expected, expected, **changes),
            rel=1e-6,
            abs=1e-9,
        ), changes


def options_of_losses(**values: Any) -> list[dict[str, Any]]:
    return [dict(zip(values, each, strict=True)) for each in product(*values.values())]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_joint_loss__equals_equation_1(case, teacher_input):
    problem, chosen = CASES[case]
    options = options_of_losses(
        student_loss=CLASSIFICATION_LOSSES,
        teacher_loss=CLASSIFICATION_LOSSES,
        distillation_loss=DISTILLATION_LOSSES,
    )
    assert_equation_1(seen_by_teachers(problem, teacher_input), chosen, options)


@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
@pytest.mark.parametrize("teacher_loss", CLASSIFICATION_LOSSES)
@pytest.mark.parametrize("student_loss", CLASSIFICATION_LOSSES)
def test_joint_loss__every_combination__equals_equation_1(
    student_loss, teacher_loss, teacher_input
):
    problem, chosen = CASES["four datasets"]
    problem = seen_by_teachers(problem, teacher_input)
    options = options_of_losses(
        student_loss=[student_loss],
        teacher_loss=[teacher_loss],
        distillation_loss=DISTILLATION_LOSSES,
        distill_from=["all", "own", None, ["d3", "d2"]],
    )
    assert_equation_1(problem, chosen, options)
    assert_equation_1(weighted(problem), chosen, options)


@settings(max_examples=60, deadline=None)
@given(
    problem=problems(),
    teacher_input=st.sampled_from(TEACHER_INPUTS),
    weights=st.fixed_dictionaries({"rows": st.booleans(), "classes": st.booleans()}),
    changes=settings_of_losses,
    data=st.data(),
)
def test_joint_loss__any_batch_and_parameters__equals_equation_1(
    problem, teacher_input, weights, changes, data
):
    problem = weighted(seen_by_teachers(problem, teacher_input), **weights)
    numbers = st.integers(0, sum(problem.sizes) - 1)
    chosen = data.draw(st.lists(numbers, min_size=1, max_size=8, unique=True))
    # A batch puts its rows in order, which changes nothing in the mean.
    assert_equation_1(problem, chosen, [changes])


def test_joint_loss__row_of_weight_2__as_the_row_twice():
    # Eq. (2) too: the row's dataset is larger by one row.
    problem, chosen = CASES["four datasets"]
    for number, (i, row) in enumerate(rows_of(problem)):
        twice = [np.ones(n) for n in problem.sizes]
        twice[i][row] = 2.0
        heavier = problem._replace(row_weights=twice)
        repeated = _with_row_again(problem, i, row)
        losses = [
            loss_of(p, make_network(p), make_batch(p), gamma=2.0).item()
            for p in (heavier, repeated, problem)
        ]
        assert losses[0] == pytest.approx(losses[1], rel=1e-6), number
        assert losses[0] != pytest.approx(losses[2], rel=1e-4), number
    assert number == len(chosen) - 1


def _with_row_again(problem: Problem, dataset: int, row: int) -> Problem:
    embeddings, codes = list(problem.embeddings), list(problem.codes)
    embeddings[dataset] = [np.append(e, e[[row]], axis=0) for e in embeddings[dataset]]
    if codes[dataset] is not None:
        codes[dataset] = np.append(codes[dataset], codes[dataset][row])
    return problem._replace(embeddings=embeddings, codes=codes)


def test_joint_loss__class_weight__in_the_terms_that_see_labels_alone():
    problem, chosen = CASES["mixed"]
    doubled = problem._replace(class_weights=[np.full(5, 2.0) for _ in problem.sizes])
    network = make_network(problem)
    for only, factor in (("alpha", 2.0), ("beta", 2.0), ("gamma", 1.0)):
        changes = dict.fromkeys(["alpha", "beta", "gamma"], 0.0) | {only: 1.0}
        given, plain = (
            loss_of(p, network, make_batch(p, chosen), **changes).item()
            for p in (doubled, problem)
        )
        assert given == pytest.approx(factor * plain), only


@pytest.mark.parametrize("case", CASES)
def test_joint_loss__eval_mode__as_without_dropout(case):
    problem, chosen = CASES[case]
    network = make_network(problem, adjustment_dropout=0.75, units_per_class=0.5)
    loss = loss_of(problem, network.eval(), make_batch(problem, chosen))
    assert loss.item() == pytest.approx(reference_loss(problem, chosen), rel=1e-6)


# One loss of each kind, each kind somewhere.
GRADIENTS = [
    {"temperature": 2.0, "target_temperature": 0.7}
    | dict(
        zip(("distillation_loss", "student_loss", "teacher_loss"), kinds, strict=True)
    )
    for kinds in (
        ("cross_entropy", "cross_entropy", "hinge"),
        ("kl", "squared_hinge", "one_vs_rest_hinge"),
        ("mse", "hinge", "squared_hinge"),
    )
]


@pytest.mark.parametrize("target_gradient", [False, True], ids=["fixed", "moving"])
@pytest.mark.parametrize(
    ("case", "teacher_input"),
    [
        *((case, "adjusted") for case in CASES),
        *product(["labelled", "unlabelled", "mixed"], TEACHER_INPUTS[1:]),
    ],
)
def test_joint_loss__gradient__equals_finite_differences(
    case, teacher_input, target_gradient
):
    problem, chosen = CASES[case]
    problem = seen_by_teachers(problem, teacher_input)
    network = make_network(problem, target_gradient=target_gradient)
    batch = make_batch(problem, chosen)
    given = [
        gradients(network, loss_of(problem, network, batch, **changes))
        for changes in GRADIENTS
    ]
    rng = np.random.default_rng(0)
    for name, parameter in network.named_parameters():
        # Along a direction in which every weight moves.
        direction = rng.normal(size=parameter.shape)
        slopes = _slopes(problem, chosen, name, direction, target_gradient)
        for gradient, slope, changes in zip(given, slopes, GRADIENTS, strict=True):
            assert (gradient[name] * direction).sum() == pytest.approx(
                slope, abs=1e-6
            ), (name, changes)


def _slopes(
    problem: Problem,
    chosen: list[int],
    name: str,
    direction: np.ndarray,
    targets_move: bool,
    step: float = 1e-5,
) -> list[float]:
    """Differentiate the reference for each of the losses along a direction."""
    first = reference_scores(problem, chosen)
    ends = []
    for sign in (-1, 1):
        weights = _as_double(problem.weights)
        _array(weights, name)[...] += sign * step * direction
        scores = reference_scores(problem, chosen, weights)
        targets = scores if targets_move else first
        ends.append(
            [
                reference_loss(problem, chosen, scores, targets, **changes)
                for changes in GRADIENTS
            ]
        )
    return [(b - a) / (2 * step) for a, b in zip(*ends, strict=True)]


def _as_double(weights: Weights) -> Weights:
    def double(linear: Linear) -> Linear:
        return Linear(linear.coef.astype(float), linear.intercept.astype(float))

    return Weights(
        [Adjustment(double(a.down), double(a.up)) for a in weights.adjustments],
        [double(head) for head in weights.heads],
        [double(teacher) for teacher in weights.teachers],
    )


def _array(weights: Weights, name: str) -> np.ndarray:
    """Return the array that torch calls, say, ``adjustments.0.down.weight``."""
    group, number, *layer, kind = name.split(".")
    part: Any = getattr(weights, group)[int(number)]
    for attribute in layer:
        part = getattr(part, attribute)
    if kind == "bias":
        return part.intercept
    # The longer side first, as torch's is there: of an array a transpose is a view.
    n_outputs, n_inputs = part.coef.shape
    return part.coef.T if n_inputs > n_outputs else part.coef


def test_joint_loss__terms__sums_that_make_up_the_loss():
    problem, chosen = CASES["four datasets"]
    batch, network = make_batch(problem, chosen), make_network(problem)
    changes = {"alpha": 0.7, "beta": 1.3, "gamma": 0.4}
    objective = make_objective(problem, **changes)
    loss, terms = joint_loss(objective, network(batch), batch, network.datasets)
    assert terms.shape == (3, len(problem.tasks))
    assert not terms.requires_grad
    weighted = terms.numpy().sum(axis=1) @ [0.7, 1.3, 0.4]
    assert loss.item() == pytest.approx(weighted / len(chosen))
    for number, weight in enumerate(changes):
        alone = dict.fromkeys(changes, 0.0) | {weight: 1.0}
        expected = reference_loss(problem, chosen, **alone) * len(chosen)
        assert terms[number].sum().item() == pytest.approx(expected)


@pytest.mark.parametrize(
    "sizes", [[5], [5, 5], [10, 30, 60], [8398, 3570, 226070, 9537]]
)
def test_distillation_weights__equal_equation_2(sizes):
    weights = distillation_weights(sizes)
    assert weights.shape == (len(sizes), len(sizes))
    for i, j in np.ndindex(weights.shape):
        assert weights[i, j] == pytest.approx(eq_2(sizes, i, j), abs=1e-12)


@pytest.mark.parametrize(
    ("distill_from", "learns"),
    [
        ("all", lambda i, j: True),
        ("own", lambda i, j: i == j),
        (None, lambda i, j: False),
        (["c", "a"], lambda i, j: i != 1),
    ],
    ids=["all", "own", "none", "named"],
)
def test_distillation_sources__are_those_of_section_5_2(distill_from, learns):
    sources = distillation_sources(distill_from, ["a", "b", "c"])
    assert sources.dtype == bool
    for i, j in np.ndindex(3, 3):
        assert sources[i, j] == learns(i, j)


@settings(deadline=None)
@given(
    n_classes=st.integers(2, 1000),
    n_features=st.integers(1, 10_000),
    units_per_class=st.floats(0.01, 1000),
)
# The paper's HMDB51, ActivityNet and Kinetics400, and a width that needs no dropout.
@example(n_classes=51, n_features=7168, units_per_class=10)
@example(n_classes=200, n_features=7168, units_per_class=10)
@example(n_classes=400, n_features=7168, units_per_class=10)
@example(n_classes=10, n_features=99, units_per_class=10)
def test_teacher_dropout__equals_equations_4_and_5(
    n_classes, n_features, units_per_class
):
    p = teacher_dropout(n_classes, n_features, units_per_class)
    assert p == pytest.approx(
        max(0, 1 - units_per_class * n_classes / n_features), abs=1e-12
    )
    kept = n_features * (1 - p)
    assert kept == pytest.approx(min(n_features, units_per_class * n_classes))


# --------------------------------------------------------------------------------------
# The losses by themselves.
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_hinge__equals_that_of_sklearn(n_classes):
    rng = np.random.default_rng(n_classes)
    scores, labels = rng.normal(size=(50, n_classes)), np.arange(50) % n_classes
    given = CLASSIFICATION_LOSSES["hinge"](torch.tensor(scores), torch.tensor(labels))
    # Of two classes scikit-learn wants the one score, their difference.
    decision = scores[:, 1] - scores[:, 0] if n_classes == 2 else scores
    assert given.shape == (50,)
    assert given.mean().item() == pytest.approx(hinge_loss(labels, decision))


def test_hinge__margin_of_one_or_more__zero_with_no_gradient():
    scores = torch.tensor([[3.0, 1.0, 0.5], [0.0, 5.0, 4.0]], requires_grad=True)
    loss = CLASSIFICATION_LOSSES["hinge"](scores, torch.tensor([0, 1]))
    loss.sum().backward()
    np.testing.assert_array_equal(loss.detach(), [0.0, 0.0])
    np.testing.assert_array_equal(scores.grad, np.zeros((2, 3)))


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_one_vs_rest_hinge__equals_that_of_sklearn(n_classes):
    rng = np.random.default_rng(n_classes)
    scores, labels = rng.normal(size=(50, n_classes)), np.arange(50) % n_classes
    given = CLASSIFICATION_LOSSES["one_vs_rest_hinge"](
        torch.tensor(scores), torch.tensor(labels)
    )
    assert given.shape == (50,)
    # A classifier for each class, as SGDClassifier has.
    expected = sum(hinge_loss(labels == k, scores[:, k]) for k in range(n_classes))
    assert given.mean().item() == pytest.approx(expected)


def test_squared_hinge__linear_svc_is_at_its_minimum():
    X, y = make_blobs(60, 4, centers=3, cluster_std=4.0, random_state=0)
    svc = LinearSVC(C=0.1, dual=False, tol=1e-10, random_state=0).fit(X, y)
    coef = torch.tensor(svc.coef_, requires_grad=True)
    intercept = torch.tensor(svc.intercept_, requires_grad=True)
    loss = CLASSIFICATION_LOSSES["squared_hinge"](
        torch.tensor(X) @ coef.T + intercept, torch.tensor(y)
    )
    assert loss.shape == (60,)
    assert loss.sum() > 10
    # liblinear's penalty is on the intercept too.
    penalty = 0.5 * (coef.square().sum() + intercept.square().sum())
    (0.1 * loss.sum() + penalty).backward()
    np.testing.assert_allclose(coef.grad, np.zeros((3, 4)), atol=1e-5)
    np.testing.assert_allclose(intercept.grad, np.zeros(3), atol=1e-5)


@pytest.mark.parametrize("kind", ["one_vs_rest_hinge", "squared_hinge"])
def test_one_vs_rest__equals_numpy__no_gradient_beyond_the_margin(kind):
    given = torch.tensor([[0.5, -2.0, 3.0], [1.5, -1.0, -4.0]], requires_grad=True)
    loss = CLASSIFICATION_LOSSES[kind](given, torch.tensor([0, 0]))
    loss.sum().backward()
    violations = np.array([0.5, 0.0, 4.0])
    if kind == "squared_hinge":
        assert loss.tolist() == [16.25, 0.0]
        slopes = 2 * violations * [-1, 1, 1]
    else:
        assert loss.tolist() == [4.5, 0.0]
        slopes = np.sign(violations) * [-1, 1, 1]
    np.testing.assert_array_equal(given.grad, [slopes, np.zeros(3)])


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_cross_entropy__equals_that_of_sklearn(n_classes):
    rng = np.random.default_rng(n_classes)
    scores, labels = rng.normal(size=(50, n_classes)), np.arange(50) % n_classes
    given = CLASSIFICATION_LOSSES["cross_entropy"](
        torch.tensor(scores), torch.tensor(labels)
    )
    assert given.shape == (50,)
    assert given.mean().item() == pytest.approx(
        log_loss(labels, softmax(scores, axis=1))
    )


@pytest.mark.parametrize("kind", sorted(CLASSIFICATION_LOSSES))
def test_classification_losses__no_row__no_value(kind):
    loss = CLASSIFICATION_LOSSES[kind](
        torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)
    )
    assert loss.shape == (0,)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("kind", sorted(DISTILLATION_LOSSES))
def test_distillation_losses__equal_numpy(kind, temperature):
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(scale=3, size=(2, 20, 5))
    given = DISTILLATION_LOSSES[kind](
        torch.tensor(student), torch.tensor(teacher), temperature
    )
    expected = [
        distillation(kind, s, t, temperature)
        for s, t in zip(student, teacher, strict=True)
    ]
    np.testing.assert_allclose(given, expected, rtol=1e-10)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_kl__is_cross_entropy_less_entropy(temperature):
    rng = np.random.default_rng(0)
    student, teacher = torch.tensor(rng.normal(scale=3, size=(2, 20, 5)))
    both = [
        DISTILLATION_LOSSES[kind](student, teacher, temperature)
        for kind in ("cross_entropy", "kl")
    ]
    entropy = entr(softmax(teacher.numpy() / temperature, axis=1)).sum(axis=1)
    np.testing.assert_allclose(both[0] - both[1], entropy * temperature**2, rtol=1e-10)


@pytest.mark.parametrize("kind", ["kl", "mse"])
def test_distillation_losses__student_is_its_teacher__zero(kind):
    scores = torch.tensor(np.random.default_rng(0).normal(size=(20, 5)))
    np.testing.assert_allclose(
        DISTILLATION_LOSSES[kind](scores, scores, 2.0), 0.0, atol=1e-12
    )


@pytest.mark.parametrize("kind", sorted(DISTILLATION_LOSSES))
@pytest.mark.parametrize("size", [1e2, 1e4])
def test_losses__large_scores__finite(kind, size):
    rng = np.random.default_rng(0)
    student, teacher = torch.tensor(rng.normal(scale=size, size=(2, 20, 5))).float()
    student.requires_grad_()
    loss = DISTILLATION_LOSSES[kind](student, teacher, 0.5).sum()
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(student.grad).all()


# --------------------------------------------------------------------------------------
# Users' own.
# --------------------------------------------------------------------------------------

READ = {
    "student_loss": classification_loss,
    "teacher_loss": classification_loss,
    "distillation_loss": distillation_loss,
}


@pytest.mark.parametrize("parameter", READ)
def test_named_loss__is_that_of_the_table(parameter):
    table = DISTILLATION_LOSSES if "dist" in parameter else CLASSIFICATION_LOSSES
    assert {name: READ[parameter](parameter, name) for name in table} == table


@pytest.mark.parametrize("parameter", READ)
def test_own_loss__used_as_it_is(parameter):
    problem, chosen = CASES["mixed"]
    named = {
        "student_loss": "cross_entropy",
        "teacher_loss": "hinge",
        "distillation_loss": "cross_entropy",
    }
    theirs = READ[parameter](parameter, named[parameter])

    def own(*given: Any) -> torch.Tensor:
        return 3.0 * theirs(*given)

    assert READ[parameter](parameter, own) is own
    losses = [
        loss_of(problem, make_network(problem), make_batch(problem, chosen), **changes)
        for changes in ({parameter: own}, {})
    ]
    term = {"student_loss": "alpha", "teacher_loss": "beta"}.get(parameter, "gamma")
    gamma = {"gamma": 0.4} if term == "gamma" else {}
    alone = dict.fromkeys(["alpha", "beta", "gamma"], 0.0) | {term: 1.0} | gamma
    added = 2.0 * reference_loss(problem, chosen, **alone)
    assert losses[0].item() == pytest.approx(losses[1].item() + added)


def test_own_distillation_loss__gets_scores_targets_temperature():
    problem, chosen = CASES["mixed"]
    network, batch, seen = make_network(problem), make_batch(problem, chosen), []

    def own(
        scores: torch.Tensor, targets: torch.Tensor, temperature: float
    ) -> torch.Tensor:
        seen.append((scores, targets, temperature))
        return scores.sum(dim=1)

    loss_of(problem, network, batch, distillation_loss=own, temperature=2.5)
    expected = network(batch)
    # The first was the trial.
    assert len(seen) == 1 + len(problem.tasks)
    for (scores, targets, temperature), student, target in zip(
        seen[1:], expected.students, expected.targets, strict=True
    ):
        np.testing.assert_array_equal(scores.detach(), student.detach())
        np.testing.assert_array_equal(targets, target)
        assert temperature == 2.5


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_own_loss__module_of_torch__needs_one_value_a_row(reduction):
    module = nn.CrossEntropyLoss(reduction=reduction)
    if reduction == "none":
        assert classification_loss("student_loss", module) is module
        return
    with pytest.raises(ValueError, match=r"student_loss.*one value for each row"):
        classification_loss("student_loss", module)


def _fails(*given: Any) -> torch.Tensor:
    raise KeyError("oh dear")


BAD_LOSSES: dict[str, tuple[Any, str]] = {
    "raises": (_fails, "failed on scores of shape .*oh dear"),
    "takes too few": (lambda scores: scores.sum(dim=1), "failed on scores"),
    "scalar": (lambda scores, *_: scores.sum(), r"returned shape \(\) for scores"),
    "number": (lambda *_: 0.5, "returned 0.5 for scores"),
    "nothing": (lambda *_: None, "returned None for scores"),
    "one too few": (lambda s, *_: s.sum(dim=1)[:-1], r"returned shape \(1,\)"),
    "one a class": (lambda s, *_: s.sum(dim=0), r"returned shape \(3,\)"),
    "one a score": (lambda scores, *_: scores, r"returned shape \(2, 3\)"),
    "another type": (lambda s, *_: s.sum(dim=1).double(), "failed.*same dtype"),
    "no number": (lambda s, *_: s.argmax(dim=1) == 0, "failed.*same dtype"),
    "no tensor": (lambda s, *_: s.detach().numpy()[:, 0], "failed"),
    "no gradient": (lambda s, *_: s.detach().sum(dim=1), "failed.*require grad"),
}


@pytest.mark.parametrize("parameter", READ)
@pytest.mark.parametrize("kind", BAD_LOSSES)
def test_own_loss__does_not_work__refused_by_name(parameter, kind):
    loss, message = BAD_LOSSES[kind]
    with pytest.raises(ValueError, match=f"^{parameter}=<function .*{message}"):
        READ[parameter](parameter, loss)


# --------------------------------------------------------------------------------------
# Which rows teach what.
# --------------------------------------------------------------------------------------


def test_unlabelled_rows__without_third_term__no_gradient():
    problem, chosen = CASES["unlabelled"]
    network = make_network(problem)
    loss = loss_of(problem, network, make_batch(problem, chosen), gamma=0.0)
    assert loss.item() == 0.0
    assert all(not g.any() for g in gradients(network, loss).values())


def test_unlabelled_rows__add_third_term_alone():
    problem, everything = CASES["mixed"]
    labelled = CASES["labelled"][1]
    unlabelled = CASES["unlabelled"][1]
    network = make_network(problem)

    def summed(chosen: list[int], **changes: float) -> dict[str, np.ndarray]:
        batch = make_batch(problem, chosen)
        loss = loss_of(problem, network, batch, **changes) * len(chosen)
        return gradients(network, loss)

    both, with_labels = summed(everything), summed(labelled)
    third_term = summed(unlabelled, alpha=0.0, beta=0.0)
    assert any(g.any() for g in third_term.values())
    for name, gradient in both.items():
        np.testing.assert_allclose(
            gradient, with_labels[name] + third_term[name], atol=1e-10
        )


@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
def test_teachers__learn_nothing_from_distillation(mode):
    problem, chosen = CASES["mixed"]
    network = make_network(problem, adjustment_dropout=0.5, units_per_class=1)
    batch = make_batch(problem, chosen)
    loss = loss_of(problem, network.train(mode), batch, alpha=0.0, beta=0.0)
    given = gradients(network, loss)
    teachers = [g for name, g in given.items() if name.startswith("teachers.")]
    students = [g for name, g in given.items() if name.startswith("heads.")]
    assert len(teachers) == len(students) == 2 * len(problem.tasks)
    assert not any(g.any() for g in teachers)
    assert all(g.any() for g in students)


@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_teachers__target_gradient__learn_from_distillation_what_they_see(
    teacher_input,
):
    problem = seen_by_teachers(CASES["unlabelled"][0], teacher_input)
    network = make_network(problem, target_gradient=True)
    batch = make_batch(problem, CASES["unlabelled"][1])
    given = gradients(network, loss_of(problem, network, batch))
    assert all(g.any() for name, g in given.items() if name.startswith("teachers."))
    # An expert without a student has a part in it where its adjustment is seen.
    lone = min(set(range(4)) - {task.expert for task in problem.tasks})
    moved = given[f"adjustments.{lone}.up.weight"].any()
    assert moved == ("adjusted" in teacher_input)


def test_distillation__expert_of_no_student__gets_no_gradient():
    # Through the targets it would get one, if they had any.
    problem, chosen = CASES["mixed"]
    network = make_network(problem)
    loss = loss_of(problem, network, make_batch(problem, chosen), alpha=0.0, beta=0.0)
    given = gradients(network, loss)
    own = {task.expert for task in problem.tasks}
    for name, gradient in given.items():
        if name.startswith("adjustments."):
            assert gradient.any() == (int(name.split(".")[1]) in own), name


def test_classification__adjustments_learn_from_teachers():
    # The paper's bidirectional dependence: teachers see adjusted features.
    problem, chosen = CASES["labelled"]
    network = make_network(problem)
    batch = make_batch(problem, chosen)
    loss = loss_of(problem, network, batch, alpha=0.0, beta=1.0, gamma=0.0)
    given = gradients(network, loss)
    assert all(g.any() for name, g in given.items() if name.startswith("adjustments."))


@pytest.mark.parametrize("case", CASES)
def test_no_distillation__loss_and_gradients_as_with_gamma_zero(case):
    # The network spares itself the work for rows that only the third term needs.
    problem, chosen = CASES[case]
    network, batch = make_network(problem), make_batch(problem, chosen)
    without = loss_of(problem, network, batch, distil=False)
    weighted = loss_of(problem, network, batch, distil=True, gamma=0.0)
    assert without.item() == pytest.approx(weighted.item(), abs=1e-12)
    given, expected = gradients(network, without), gradients(network, weighted)
    for name in expected:
        np.testing.assert_allclose(given[name], expected[name], atol=1e-12)


def test_no_distillation__scores_of_own_labelled_rows_alone():
    problem, chosen = CASES["mixed"]
    scores = make_network(problem)(make_batch(problem, chosen), distil=False)
    assert scores.targets is None
    n_labelled = [(problem.codes[t.dataset] >= 0).sum() for t in problem.tasks]
    assert [len(s) for s in scores.students] == n_labelled
    assert [len(s) for s in scores.teachers] == n_labelled


@settings(max_examples=30, deadline=None)
@given(problem=problems(), data=st.data())
def test_loss__order_of_rows__changes_no_bit(problem, data):
    chosen = data.draw(st.permutations(range(sum(problem.sizes))))
    network = make_network(problem)
    losses = [
        loss_of(problem, network, make_batch(problem, rows)).item()
        for rows in (sorted(chosen), chosen)
    ]
    assert losses[0] == losses[1]
