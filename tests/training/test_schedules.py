"""Who is trained when, and when students learn from teachers."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from jedi_sklearn.training.schedules import Phase, alternating, joint

epochs = st.integers(0, 500)
rounds = st.integers(1, 60)


@settings(deadline=None)
@given(max_epochs=epochs, n_rounds=rounds, restart=st.booleans())
def test_alternating__phases_take_turns_and_add_up(max_epochs, n_rounds, restart):
    phases = alternating(max_epochs, n_rounds, restart=restart)
    assert len(phases) == 2 * n_rounds
    assert [phase.teachers for phase in phases] == [True, False] * n_rounds
    assert all(phase.students != phase.teachers for phase in phases)
    assert all(phase.restart is restart for phase in phases)
    assert sum(phase.n_epochs for phase in phases) == max_epochs


@settings(deadline=None)
@given(max_epochs=epochs, n_rounds=rounds)
def test_alternating__epochs__shared_out_evenly(max_epochs, n_rounds):
    lengths = [p.n_epochs for p in alternating(max_epochs, n_rounds, restart=False)]
    assert min(lengths) >= 0
    assert max(lengths) - min(lengths) <= 1
    if max_epochs % len(lengths) == 0:
        assert set(lengths) == {max_epochs // len(lengths)}
    # So do the first phases together: the longer ones are not all at one end.
    for number in range(len(lengths)):
        part = max_epochs * number / len(lengths)
        assert abs(sum(lengths[:number]) - part) < 1


@settings(deadline=None)
@given(max_epochs=epochs, n_rounds=rounds, epoch=st.integers(1, 500))
def test_alternating__distils__where_students_are_trained(max_epochs, n_rounds, epoch):
    for phase in alternating(max_epochs, n_rounds, restart=False):
        assert phase.distils(epoch) == phase.students


@settings(deadline=None)
@given(max_epochs=epochs, warmup_epochs=epochs)
def test_joint__one_phase__distils_after_the_warmup(max_epochs, warmup_epochs):
    (phase,) = joint(max_epochs, warmup_epochs)
    assert phase.n_epochs == max_epochs
    assert phase.students
    assert phase.teachers
    assert not phase.restart
    distils = [phase.distils(epoch) for epoch in range(1, max_epochs + 1)]
    n_without = min(warmup_epochs, max_epochs)
    assert distils == [False] * n_without + [True] * (max_epochs - n_without)


def test_phase__students_are_fixed__never_distils():
    phase = Phase(9, students=False, teachers=True, warmup_epochs=2)
    assert not any(phase.distils(epoch) for epoch in range(1, 10))
