"""The loss of a batch against a transcription of the paper's equations.

The reference is written row by row in NumPy, double precision, from the formulas of
sections 3.2 and 4.4 and nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import entr, log_softmax, softmax
from sklearn.metrics import hinge_loss, log_loss

from jedi_sklearn._weights import Adjustment, Linear
from jedi_sklearn.training.batches import Batch, Batches, TrainingRows, stack_rows
from jedi_sklearn.training.losses import (
    CLASSIFICATION_LOSSES,
    DISTILLATION_LOSSES,
    Objective,
    distillation_sources,
    distillation_weights,
    joint_loss,
)
from jedi_sklearn.training.networks import (
    JointNetwork,
    Task,
    Weights,
    teacher_dropout,
    to_numpy,
)

NO_TEACHER_DROPOUT = 1e6


@pytest.fixture(autouse=True)
def global_random_states_stay() -> Iterator[None]:
    before = _global_states()
    yield
    np.testing.assert_equal(_global_states(), before)


def _global_states() -> list[Any]:
    return [
        torch.get_rng_state().numpy(),
        np.random.get_state(legacy=False),  # noqa: NPY002
        random.getstate(),
    ]


# --------------------------------------------------------------------------------------
# Problems: some datasets, labelled and not, with a joint network of random weights.
# --------------------------------------------------------------------------------------


class Problem(NamedTuple):
    """Rows as they lie in training, and weights that are not those of a start."""

    embeddings: list[list[np.ndarray]]
    codes: list[np.ndarray | None]
    tasks: list[Task]
    weights: Weights

    @property
    def rows(self) -> TrainingRows:
        return stack_rows(self.embeddings, self.codes)

    @property
    def sizes(self) -> list[int]:
        return [len(of_experts[0]) for of_experts in self.embeddings]


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
) -> JointNetwork:
    return JointNetwork(
        problem.weights,
        problem.tasks,
        adjustment_dropout,
        units_per_class,
        torch.Generator().manual_seed(seed),
    ).double()


def make_objective(problem: Problem, **changes: Any) -> Objective:
    values: dict[str, Any] = {
        "alpha": 1.0,
        "beta": 1.0,
        "gamma": 0.4,
        "student_loss": "cross_entropy",
        "teacher_loss": "hinge",
        "distillation_loss": "cross_entropy",
        "temperature": 1.0,
    } | changes
    return Objective(
        alpha=values["alpha"],
        beta=values["beta"],
        gamma=values["gamma"],
        student_loss=CLASSIFICATION_LOSSES[values["student_loss"]],
        teacher_loss=CLASSIFICATION_LOSSES[values["teacher_loss"]],
        distillation_loss=DISTILLATION_LOSSES[values["distillation_loss"]],
        temperature=values["temperature"],
        weights=distillation_weights(problem.sizes),
    )


def make_batch(problem: Problem, chosen: Any = None) -> Batch:
    """Return a batch in double precision; by default of all rows."""
    batches = Batches(problem.rows, 1, torch.Generator(), "cpu")
    if chosen is None:
        chosen = range(sum(problem.sizes))
    batch = batches.batch(torch.tensor(list(chosen), dtype=torch.int64))
    return batch._replace(features=batch.features.double())


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
    others = max(score for k, score in enumerate(scores) if k != label)
    return max(0.0, 1.0 + others - scores[label])


def distillation(
    kind: str, student: np.ndarray, teacher: np.ndarray, temperature: float
) -> float:
    if kind == "mse":
        return float(np.mean((student - teacher) ** 2))
    wanted = softmax(teacher / temperature)
    loss = -np.sum(wanted * log_softmax(student / temperature))
    if kind == "kl":
        loss -= entr(wanted).sum()
    return float(loss * temperature**2)


def eq_2(sizes: list[int], i: int, j: int) -> float:
    return 1.0 if i == j else sizes[j] / sum(sizes)


def row_scores(
    problem: Problem, weights: Weights, dataset: int, row: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return what the students and the teachers say of a row."""
    embedding = [e[row].astype(float) for e in problem.embeddings[dataset]]
    after = [
        adjusted(a, x) for a, x in zip(weights.adjustments, embedding, strict=True)
    ]
    students = [
        linear(head, after[task.expert])
        for head, task in zip(weights.heads, problem.tasks, strict=True)
    ]
    return students, [linear(t, np.concatenate(after)) for t in weights.teachers]


def reference_loss(
    problem: Problem,
    chosen: list[int],
    weights: Weights | None = None,
    alpha: float = 1.0,
    beta: float = 1.0,
    gamma: float = 0.4,
    student_loss: str = "cross_entropy",
    teacher_loss: str = "hinge",
    distillation_loss: str = "cross_entropy",
    temperature: float = 1.0,
) -> float:
    """Mean of Eq. (1) over rows given by their numbers, dataset after dataset.

    The teachers' part of the third term is always that of the problem's own weights:
    it is a pseudo-label, so that a derivative by the weights leaves it alone.
    """
    weights = problem.weights if weights is None else weights
    where = [(i, row) for i, n in enumerate(problem.sizes) for row in range(n)]
    total = 0.0
    for i, row in (where[number] for number in chosen):
        students, teachers = row_scores(problem, weights, i, row)
        _, targets = row_scores(problem, problem.weights, i, row)
        code = -1 if problem.codes[i] is None else problem.codes[i][row]
        for k, task in enumerate(problem.tasks):
            j = task.dataset
            if i == j and code >= 0:
                total += alpha * classification(student_loss, students[k], code)
                total += beta * classification(teacher_loss, teachers[k], code)
            total += (
                gamma
                * eq_2(problem.sizes, i, j)
                * distillation(distillation_loss, students[k], targets[k], temperature)
            )
    return total / len(chosen)


settings_of_losses = st.fixed_dictionaries(
    {
        "alpha": st.sampled_from([0.0, 1.0, 0.3]),
        "beta": st.sampled_from([0.0, 1.0, 2.5]),
        "gamma": st.sampled_from([0.0, 0.4, 3.0]),
        "student_loss": st.sampled_from(sorted(CLASSIFICATION_LOSSES)),
        "teacher_loss": st.sampled_from(sorted(CLASSIFICATION_LOSSES)),
        "distillation_loss": st.sampled_from(sorted(DISTILLATION_LOSSES)),
        "temperature": st.floats(0.5, 5.0),
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


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("distillation_loss", sorted(DISTILLATION_LOSSES))
@pytest.mark.parametrize(
    "kinds", list(product(sorted(CLASSIFICATION_LOSSES), repeat=2)), ids="-".join
)
def test_joint_loss__equals_equation_1(case, kinds, distillation_loss):
    problem, chosen = CASES[case]
    changes = {
        "student_loss": kinds[0],
        "teacher_loss": kinds[1],
        "distillation_loss": distillation_loss,
    }
    loss = loss_of(
        problem, make_network(problem), make_batch(problem, chosen), **changes
    )
    assert loss.item() == pytest.approx(
        reference_loss(problem, chosen, **changes), rel=1e-6, abs=1e-9
    )


@settings(max_examples=60, deadline=None)
@given(problem=problems(), changes=settings_of_losses, data=st.data())
def test_joint_loss__any_batch_and_parameters__equals_equation_1(
    problem, changes, data
):
    numbers = st.integers(0, sum(problem.sizes) - 1)
    chosen = data.draw(st.lists(numbers, min_size=1, max_size=8, unique=True))
    loss = loss_of(
        problem, make_network(problem), make_batch(problem, chosen), **changes
    )
    assert loss.item() == pytest.approx(
        reference_loss(problem, chosen, **changes), rel=1e-6, abs=1e-9
    )


@pytest.mark.parametrize("case", CASES)
def test_joint_loss__eval_mode__as_without_dropout(case):
    problem, chosen = CASES[case]
    network = make_network(problem, adjustment_dropout=0.75, units_per_class=0.5)
    loss = loss_of(problem, network.eval(), make_batch(problem, chosen))
    assert loss.item() == pytest.approx(reference_loss(problem, chosen), rel=1e-6)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("distillation_loss", sorted(DISTILLATION_LOSSES))
def test_joint_loss__gradient__equals_finite_differences(case, distillation_loss):
    problem, chosen = CASES[case]
    changes = {"distillation_loss": distillation_loss, "temperature": 2.0}
    network = make_network(problem)
    loss = loss_of(problem, network, make_batch(problem, chosen), **changes)
    given = gradients(network, loss)
    expected = _differences(problem, chosen, changes)
    assert given.keys() == expected.keys()
    for name, of_weight in expected.items():
        for index, slope in of_weight.items():
            assert given[name][index] == pytest.approx(slope, abs=1e-6), name


def _differences(
    problem: Problem, chosen: list[int], changes: dict[str, Any], step: float = 1e-5
) -> dict[str, dict[tuple[int, ...], float]]:
    """Differentiate the reference by a few weights of every array."""
    rng = np.random.default_rng(0)
    found: dict[str, dict[tuple[int, ...], float]] = {}
    for name in dict(make_network(problem).named_parameters()):
        found[name] = {}
        shape = _array(problem.weights, name).shape
        for flat in rng.choice(
            np.prod(shape), size=min(3, np.prod(shape)), replace=False
        ):
            index = tuple(int(i) for i in np.unravel_index(flat, shape))
            ends = []
            for sign in (-1, 1):
                weights = _as_double(problem.weights)
                _array(weights, name)[index] += sign * step
                ends.append(reference_loss(problem, chosen, weights, **changes))
            found[name][index] = (ends[1] - ends[0]) / (2 * step)
    return found


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
    return part.coef if kind == "weight" else part.intercept


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


# --------------------------------------------------------------------------------------
# Dropout.
# --------------------------------------------------------------------------------------


def test_targets__are_those_without_dropout():
    problem, chosen = CASES["mixed"]
    network = make_network(problem, adjustment_dropout=0.75, units_per_class=0.5)
    batch = make_batch(problem, chosen)
    first, second = network.train()(batch), network(batch)
    where = [(i, row) for i, n in enumerate(problem.sizes) for row in range(n)]
    for k, (here, there) in enumerate(zip(first.targets, second.targets, strict=True)):
        expected = [row_scores(problem, problem.weights, *w)[1][k] for w in where]
        assert not here.requires_grad
        np.testing.assert_allclose(here, expected, rtol=1e-10)
        np.testing.assert_array_equal(here, there)
    # Dropout was on all the same.
    for group in ("students", "teachers"):
        pairs = zip(getattr(first, group), getattr(second, group), strict=True)
        assert all((a != b).any() for a, b in pairs)


def _show_all_inputs(n_rows: int, width: int) -> Problem:
    """Return a problem whose scores are the inputs of the linear maps, all of them 1.

    The embedding is 0 and the adjustment adds 1.
    """
    zeros = np.zeros((width, width), np.float32)
    nothing, ones = np.zeros(width, np.float32), np.ones(width, np.float32)
    identity = Linear(np.eye(width, dtype=np.float32), nothing)
    return Problem(
        [[np.zeros((n_rows, width), np.float32)]],
        [np.arange(n_rows) % width],
        [Task("d0", 0, 0)],
        Weights(
            [Adjustment(Linear(zeros, nothing), Linear(zeros, ones))],
            [identity],
            [identity],
        ),
    )


@pytest.mark.parametrize("units_per_class", [0.05, 0.25, 0.9])
def test_teacher_dropout__keep_rate_and_scale(units_per_class):
    # As many classes as inputs, so that k is the rate that is kept.
    problem = _show_all_inputs(n_rows=4000, width=20)
    network = make_network(problem, units_per_class=units_per_class).train()
    inputs = network(make_batch(problem)).teachers[0].detach().numpy()
    kept = inputs != 0
    np.testing.assert_allclose(inputs[kept], 1 / units_per_class)
    sd = np.sqrt(units_per_class * (1 - units_per_class) / kept.size)
    assert kept.mean() == pytest.approx(units_per_class, abs=5 * sd)
    assert inputs.mean() == pytest.approx(1.0, abs=5 * sd / units_per_class)
    # Every input and every row has its own chance.
    assert kept.any(axis=0).all()
    assert len(np.unique(kept, axis=0)) > 20
    # Eq. (5)
    assert kept.sum(axis=1).mean() == pytest.approx(
        units_per_class * 20, abs=20 * 5 * sd
    )


@pytest.mark.parametrize("dropout", [0.1, 0.75])
def test_adjustment_dropout__on_the_change_alone_and_scaled(dropout):
    problem = _show_all_inputs(n_rows=4000, width=20)
    network = make_network(problem, adjustment_dropout=dropout).train()
    scores = network(make_batch(problem))
    inputs = scores.students[0].detach().numpy()
    kept = inputs != 0
    np.testing.assert_allclose(inputs[kept], 1 / (1 - dropout))
    sd = np.sqrt(dropout * (1 - dropout) / kept.size)
    assert kept.mean() == pytest.approx(1 - dropout, abs=5 * sd)
    assert inputs.mean() == pytest.approx(1.0, abs=5 * sd / (1 - dropout))
    # The teacher sees what the student sees.
    np.testing.assert_array_equal(scores.teachers[0].detach(), inputs)


def test_adjustment_dropout__embedding_itself_is_kept():
    problem = _show_all_inputs(n_rows=50, width=20)
    embedding = np.full((50, 20), 7.0, np.float32)
    problem = problem._replace(embeddings=[[embedding]])
    network = make_network(problem, adjustment_dropout=0.75).train()
    inputs = network(make_batch(problem)).students[0].detach().numpy()
    assert set(np.unique(inputs)) == {7.0, 11.0}


def test_dropout__same_seed_same_masks__other_seed_others():
    problem, chosen = CASES["mixed"]
    losses = []
    for seed in (3, 3, 4):
        network = make_network(problem, 0.75, 0.5, seed=seed).train()
        torch.rand(1, generator=torch.Generator())
        losses.append(loss_of(problem, network, make_batch(problem, chosen)).item())
    assert losses[0] == losses[1] != losses[2]


def test_to_numpy__gives_back_the_weights_as_copies():
    network = make_network(MIXED).float()
    before = to_numpy(network)
    np.testing.assert_equal(before, MIXED.weights)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    np.testing.assert_equal(before, MIXED.weights)
