"""What students and teachers see and say, for each teacher input and under dropout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from test_losses import (
    CASES,
    MIXED,
    TEACHER_INPUTS,
    Problem,
    gradients,
    linear,
    loss_of,
    make_batch,
    make_network,
    reference_scores,
    row_scores,
    rows_of,
    seen_by_teachers,
)

from jedi_sklearn.models.weights import Adjustment, Linear, Weights
from jedi_sklearn.training.network.joint_network import to_numpy
from jedi_sklearn.training.network.weights import (
    Task,
    TeacherInput,
    first_adjustments,
    first_teachers,
    on_embeddings,
    random_teachers,
)

pytestmark = pytest.mark.usefixtures("global_random_states_stay")

FOUR, EVERYTHING = CASES["four datasets"]


def _widths(problem: Problem) -> list[int]:
    return [len(a.up.intercept) for a in problem.weights.adjustments]


def _expected(problem: Problem, kind: int) -> list[np.ndarray]:
    """Return what each student (kind 0) or teacher (1) says of all rows."""
    scores = reference_scores(problem, list(range(sum(problem.sizes))))
    n_tasks = len(problem.tasks)
    return [np.array([of_row[kind][k] for of_row in scores]) for k in range(n_tasks)]


def _assert_each(given: list[Any], expected: list[Any], **tolerance: float) -> None:
    for here, there in zip(given, expected, strict=True):
        here = here.detach() if isinstance(here, torch.Tensor) else here
        np.testing.assert_allclose(here, there, **tolerance)


# --------------------------------------------------------------------------------------
# Input of the teachers.
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("teacher_input", "seen"),
    [
        ("base", (True, False, False)),
        ("adjusted", (False, True, False)),
        ("predictions", (False, False, True)),
        ("adjusted+predictions", (False, True, True)),
    ],
)
def test_teacher_input__of_its_name__what_teachers_see(teacher_input, seen):
    seen_by = TeacherInput.of(teacher_input, target_gradient=True)
    assert seen_by == TeacherInput(*seen, target_gradient=True)
    assert TeacherInput() == TeacherInput.of("adjusted")


@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_scores__each_teacher_input__equal_the_reference(teacher_input):
    problem = seen_by_teachers(FOUR, teacher_input)
    scores = make_network(problem)(make_batch(problem))
    _assert_each(scores.students, _expected(problem, 0), rtol=1e-10)
    _assert_each(scores.targets, _expected(problem, 1), rtol=1e-10)
    known = np.array([problem.code(*where) >= 0 for where in rows_of(problem)])
    dataset = np.array([i for i, _ in rows_of(problem)])
    own = [
        of_all[known & (dataset == task.dataset)]
        for of_all, task in zip(_expected(problem, 1), problem.tasks, strict=True)
    ]
    _assert_each(scores.teachers, own, rtol=1e-10)


@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_targets__are_those_without_dropout(teacher_input):
    problem = seen_by_teachers(MIXED, teacher_input)
    network = make_network(problem, adjustment_dropout=0.75, units_per_class=0.5)
    batch = make_batch(problem)
    first, second = network.train()(batch), network(batch)
    where = rows_of(problem)
    for k, (here, there) in enumerate(zip(first.targets, second.targets, strict=True)):
        expected = [row_scores(problem, problem.weights, *w)[1][k] for w in where]
        assert not here.requires_grad
        np.testing.assert_allclose(here, expected, rtol=1e-10)
        np.testing.assert_array_equal(here, there)
    # Dropout was on all the same.
    for group in ("students", "teachers"):
        pairs = zip(getattr(first, group), getattr(second, group), strict=True)
        assert all((a != b).any() for a, b in pairs)


@pytest.mark.parametrize("method", ["forward", "targets"])
@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_fixed_targets__weights_have_moved__those_of_the_first(teacher_input, method):
    problem = seen_by_teachers(FOUR, teacher_input)
    network = make_network(
        problem, 0.75, 0.5, fixed_targets=True, target_gradient=True
    ).train()
    batch = make_batch(problem)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1, weight_decay=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        loss_of(problem, network, batch).backward()
        optimizer.step()
    moved = to_numpy(network)
    if method == "forward":
        given = network(batch).targets
        assert not any(target.requires_grad for target in given)
        _assert_each(given, _expected(problem, 1), rtol=1e-10)
    else:
        # Of its own weights the network says what they say now.
        given = network.targets(batch.features)
        now = _expected(problem._replace(weights=moved), 1)
        _assert_each(given, now, atol=1e-4)
    own = {task.expert for task in problem.tasks}
    first = problem.weights
    changed = [(first.adjustments[i].up, moved.adjustments[i].up) for i in own]
    changed += zip(first.heads, moved.heads, strict=True)
    changed += zip(first.teachers, moved.teachers, strict=True)
    assert all((before.coef != after.coef).any() for before, after in changed)


@pytest.mark.parametrize("fixed_targets", [False, True])
@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
@pytest.mark.parametrize(
    ("students", "teachers"), [(True, True), (True, False), (False, True)]
)
def test_train_only__these_weights_alone_get_gradients(
    students, teachers, teacher_input, fixed_targets
):
    problem = seen_by_teachers(MIXED, teacher_input)
    network = make_network(problem, fixed_targets=fixed_targets, target_gradient=True)
    assert network.train_only(students=students, teachers=teachers) is network
    # A hinge that is satisfied would have no gradient.
    batch = make_batch(problem)
    loss_of(problem, network, batch, teacher_loss="cross_entropy").backward()
    wanted = {"adjustments": students, "heads": students, "teachers": teachers}
    own = {task.expert for task in problem.tasks}
    for name, parameter in network.named_parameters():
        group, number = name.split(".")[:2]
        assert parameter.requires_grad == wanted.get(group, False), name
        assert parameter.requires_grad or parameter.grad is None, name
        if parameter.requires_grad and (group != "adjustments" or int(number) in own):
            assert parameter.grad.any(), name


def test_train_only__again__undoes_the_last():
    network = make_network(MIXED).train_only(students=False, teachers=True)
    network.train_only(students=True, teachers=True)
    assert all(parameter.requires_grad for parameter in network.parameters())


# --------------------------------------------------------------------------------------
# Targets under dropout.
# --------------------------------------------------------------------------------------

SHOWN = {"base": 1, "adjusted": 1, "predictions": 1, "adjusted+predictions": 2}


def _show_teacher_inputs(teacher_input: str, n_rows: int = 200) -> Problem:
    """Return a problem whose teacher's scores are its inputs, none of them 0."""
    problem = _show_all_inputs(n_rows, width=20)
    n_inputs = SHOWN[teacher_input] * 20
    identity = Linear(np.eye(n_inputs, dtype=np.float32), np.zeros(n_inputs))
    return problem._replace(
        embeddings=[[np.full((n_rows, 20), 7.0, np.float32)]],
        weights=problem.weights._replace(teachers=[identity]),
        teacher_input=teacher_input,
    )


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_target_dropout__targets_are_those_under_the_masks_of_the_forward(
    teacher_input, gradient
):
    problem = _show_teacher_inputs(teacher_input)
    # As many classes as inputs, so that k is the rate that is kept.
    network = make_network(
        problem, 0.75, 0.4, target_dropout=True, target_gradient=gradient
    ).train()
    scores = network(make_batch(problem))
    (target,), (student,) = scores.targets, scores.students
    assert target.requires_grad == gradient
    # The student shows its adjusted embedding, under the mask of this forward.
    student = student.detach().numpy()
    assert set(np.unique(student)) == {7.0, 11.0}
    base = np.full_like(student, 7.0)
    inputs = np.tile(base if teacher_input == "base" else student, SHOWN[teacher_input])
    target = target.detach().numpy()
    kept = target != 0
    np.testing.assert_allclose(target[kept], inputs[kept] / _met(0.4))
    assert kept.mean() == pytest.approx(0.4, abs=5 * np.sqrt(0.24 / kept.size))
    assert len(np.unique(kept, axis=0)) > 20


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_target_dropout__own_labelled_rows__the_scores_of_the_second_term(
    teacher_input, gradient
):
    problem = seen_by_teachers(FOUR, teacher_input)
    network = make_network(
        problem, 0.75, 0.5, target_dropout=True, target_gradient=gradient
    ).train()
    batch = make_batch(problem)
    scores = network(batch)
    for task, teacher, target in zip(
        problem.tasks, scores.teachers, scores.targets, strict=True
    ):
        assert teacher.requires_grad
        own = target[batch.labelled[task.dataset]]
        np.testing.assert_array_equal(own.detach(), teacher.detach())


@pytest.mark.parametrize("gradient", [False, True])
def test_target_dropout__masks_of_all_teachers_come_of_one_draw(gradient):
    # The first shows its inputs, the second every other one of them; it has half the
    # classes, and so half the rate that is kept.
    shown = _show_all_inputs(n_rows=300, width=20)
    both = shown.weights.teachers[0]
    half = Linear(both.coef[::2], both.intercept[::2])
    problem = shown._replace(
        embeddings=shown.embeddings * 2,
        codes=[shown.codes[0], shown.codes[0] // 2],
        tasks=[Task("d0", 0, 0), Task("d1", 1, 0)],
        weights=shown.weights._replace(heads=[both, half], teachers=[both, half]),
    )
    network = make_network(
        problem, 0.0, 0.5, target_dropout=True, target_gradient=gradient
    ).train()
    first, second = (
        target.detach().numpy() != 0 for target in network(make_batch(problem)).targets
    )
    assert not (second & ~first[:, ::2]).any()
    for kept, rate in ((first, 0.5), (second, 0.25)):
        sd = np.sqrt(rate * (1 - rate) / kept.size)
        assert kept.mean() == pytest.approx(rate, abs=5 * sd)


@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_target_dropout__differs_from_call_to_call_and_from_the_clean(teacher_input):
    problem = seen_by_teachers(FOUR, teacher_input)
    network = make_network(problem, 0.75, 0.5, target_dropout=True).train()
    batch = make_batch(problem)
    first, second = network(batch).targets, network(batch).targets
    for one, other, clean in zip(first, second, _expected(problem, 1), strict=True):
        assert not one.requires_grad
        assert (one != other).any()
        assert not np.allclose(one, clean)
    network.dropout.generator.manual_seed(0)
    _assert_each(network(batch).targets, first, rtol=0)


@pytest.mark.parametrize("off", ["no rate", "eval"])
@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_target_dropout__nothing_dropped__clean(teacher_input, off):
    problem = seen_by_teachers(FOUR, teacher_input)
    rates = (0.75, 0.5) if off == "eval" else ()
    network = make_network(problem, *rates, target_dropout=True).train(off != "eval")
    given = network(make_batch(problem)).targets
    _assert_each(given, _expected(problem, 1), rtol=1e-10)


@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_target_gradient__under_dropout__through_the_same_masks(teacher_input):
    problem = seen_by_teachers(MIXED, teacher_input)
    network = make_network(
        problem, 0.5, 1.0, target_dropout=True, target_gradient=True
    ).train()
    batch, rng = make_batch(problem), np.random.default_rng(0)

    def loss() -> torch.Tensor:
        network.dropout.generator.manual_seed(0)
        return loss_of(problem, network, batch)

    given = gradients(network, loss())
    for name, parameter in network.named_parameters():
        direction = torch.from_numpy(rng.normal(size=parameter.shape))
        ends = []
        for step in (-1e-5, 1e-5):
            with torch.no_grad():
                parameter.add_(direction, alpha=step)
                ends.append(loss().item())
                parameter.sub_(direction, alpha=step)
        slope = (ends[1] - ends[0]) / 2e-5
        along = (given[name] * direction.numpy()).sum()
        assert along == pytest.approx(slope, rel=1e-6, abs=1e-6), name


# --------------------------------------------------------------------------------------
# First weights, and the way back.
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_on_embeddings__equals_the_teacher_on_what_it_sees(teacher_input):
    problem = seen_by_teachers(FOUR, teacher_input)
    seen_by = TeacherInput.of(teacher_input)
    folded = on_embeddings(problem.weights, problem.tasks, seen_by)
    embeddings = []
    for i, row in rows_of(problem):
        bases = [e[row].astype(float) for e in problem.embeddings[i]]
        after = [
            adjustment(base)
            for adjustment, base in zip(problem.weights.adjustments, bases, strict=True)
        ]
        embeddings.append(np.concatenate(bases if seen_by.base else after))
    for teacher, expected in zip(folded, _expected(problem, 1), strict=True):
        assert teacher.coef.dtype == teacher.intercept.dtype == np.float32
        assert teacher.coef.shape == (expected.shape[1], sum(_widths(problem)))
        np.testing.assert_allclose(
            teacher(np.array(embeddings)), expected, rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("teacher_input", ["base", "adjusted"])
def test_on_embeddings__sees_no_prediction__the_teachers_as_they_are(teacher_input):
    seen_by = TeacherInput.of(teacher_input)
    assert on_embeddings(FOUR.weights, FOUR.tasks, seen_by) is FOUR.weights.teachers


def _with_first_teachers(problem: Problem, teacher_input: str) -> Problem:
    teachers = first_teachers(
        problem.weights.heads,
        problem.tasks,
        _widths(problem),
        TeacherInput.of(teacher_input),
    )
    weights = problem.weights._replace(teachers=teachers)
    return problem._replace(weights=weights, teacher_input=teacher_input)


@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_first_teachers__agree_with_their_experts_heads(teacher_input):
    problem = _with_first_teachers(FOUR, teacher_input)
    # As long as the adjustments change nothing, the student is the expert.
    unmoved = first_adjustments(_widths(problem), 3, seed=0)
    weights = problem.weights._replace(adjustments=unmoved)
    start = problem._replace(weights=weights)
    expert = [
        [
            linear(head, problem.embeddings[i][task.expert][row].astype(float))
            for i, row in rows_of(problem)
        ]
        for head, task in zip(weights.heads, problem.tasks, strict=True)
    ]
    _assert_each(_expected(start, 0), expert, atol=1e-12)
    _assert_each(_expected(start, 1), expert, atol=1e-12)
    # Later it goes with the student, unless it sees what is not adjusted.
    later = expert if teacher_input == "base" else _expected(problem, 0)
    _assert_each(_expected(problem, 1), later, atol=1e-12)


@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_first_teachers__fit_the_network__all_else_is_zero(teacher_input):
    problem = _with_first_teachers(FOUR, teacher_input)
    expected = seen_by_teachers(FOUR, teacher_input).weights.teachers
    for given, like, head in zip(
        problem.weights.teachers, expected, problem.weights.heads, strict=True
    ):
        assert given.coef.shape == like.coef.shape
        assert given.intercept.shape == like.intercept.shape
        assert given.coef.dtype == given.intercept.dtype == np.float32
        used = len(head.coef) if teacher_input == "predictions" else head.coef.size
        assert np.count_nonzero(given.coef) == used


@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_first_teachers__change__leaves_the_heads_alone(teacher_input):
    before = [head.intercept.copy() for head in FOUR.weights.heads]
    for teacher in _with_first_teachers(FOUR, teacher_input).weights.teachers:
        teacher.intercept[:] = 9.0
    _assert_each([head.intercept for head in FOUR.weights.heads], before, rtol=0)


@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_random_teachers__uniform_within_the_bounds_of_torch(teacher_input):
    rng = np.random.default_rng(0)
    heads = [Linear(rng.normal(size=(n, 30)), np.zeros(n)) for n in (40, 60)]
    teachers = random_teachers(
        heads, [30, 50, 20], TeacherInput.of(teacher_input), seed=0
    )
    n_inputs = {"base": 100, "predictions": 100}.get(teacher_input, 100)
    n_inputs += 100 * (teacher_input == "adjusted+predictions")
    bound = 1.0 / np.sqrt(n_inputs)
    for teacher, n_classes in zip(teachers, (40, 60), strict=True):
        assert teacher.coef.shape == (n_classes, n_inputs)
        assert teacher.intercept.shape == (n_classes,)
        assert teacher.coef.dtype == teacher.intercept.dtype == np.float32
        for values in teacher:
            assert 0.9 * bound < np.abs(values).max() <= bound * (1 + 1e-7)
            assert abs(values.mean()) < 4 * bound / np.sqrt(3 * values.size)
        assert teacher.coef.var() == pytest.approx(1 / (3 * n_inputs), rel=0.1)
        assert len(np.unique(teacher.coef)) > 0.99 * teacher.coef.size


@pytest.mark.parametrize("teacher_input", TEACHER_INPUTS)
def test_random_teachers__same_seed_same_weights__other_seed_others(teacher_input):
    first, again, other = (
        random_teachers(
            FOUR.weights.heads, _widths(FOUR), TeacherInput.of(teacher_input), seed
        )
        for seed in (5, 5, 6)
    )
    np.testing.assert_equal(first, again)
    for one, another in zip(first, other, strict=True):
        assert (one.coef != another.coef).all()
        assert (one.intercept != another.intercept).all()
    weights = FOUR.weights._replace(teachers=first)
    problem = FOUR._replace(weights=weights, teacher_input=teacher_input)
    assert loss_of(problem, make_network(problem), make_batch(problem)).isfinite()


def test_first_adjustments__change_nothing__hidden_units_are_seeded():
    first, again, other = (first_adjustments([4, 30], 8, seed) for seed in (5, 5, 6))
    np.testing.assert_equal(first, again)
    rng = np.random.default_rng(0)
    for adjustment, another, width in zip(first, other, (4, 30), strict=True):
        embedding = rng.normal(size=(3, width))
        np.testing.assert_array_equal(adjustment(embedding), embedding)
        assert (adjustment.down.coef != another.down.coef).all()
        assert np.abs(adjustment.down.coef).max() <= (1 + 1e-7) / np.sqrt(width)


# --------------------------------------------------------------------------------------
# Dropout.
# --------------------------------------------------------------------------------------


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


def _met(keep_rate: float) -> float:
    """Return the rate that is met: masks come of numbers of 16 bits."""
    return round(keep_rate * 2**16) / 2**16


@pytest.mark.parametrize("units_per_class", [0.05, 0.25, 0.9])
def test_teacher_dropout__keep_rate_and_scale(units_per_class):
    # As many classes as inputs, so that k is the rate that is kept.
    problem = _show_all_inputs(n_rows=4000, width=20)
    network = make_network(problem, units_per_class=units_per_class).train()
    inputs = network(make_batch(problem)).teachers[0].detach().numpy()
    kept = inputs != 0
    np.testing.assert_allclose(inputs[kept], 1 / _met(units_per_class))
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
    np.testing.assert_allclose(inputs[kept], 1 / _met(1 - dropout))
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


@pytest.mark.parametrize("target_dropout", [True, False])
@pytest.mark.parametrize("distil", [True, False])
def test_dropout__no_labelled_row__no_score_of_a_teacher_and_no_error(
    target_dropout, distil
):
    problem, chosen = CASES["unlabelled"]
    network = make_network(problem, 0.75, 0.5, target_dropout=target_dropout).train()
    scores = network(make_batch(problem, chosen), distil=distil)
    assert [len(given) for given in scores.teachers] == [0] * len(problem.tasks)
    n_rows = len(chosen) if distil else 0
    assert [len(given) for given in scores.students] == [n_rows] * len(problem.tasks)


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
