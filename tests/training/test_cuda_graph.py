"""Steps on padded batches, as a GPU records them: here played by the CPU."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from small_fits import NO_DROPOUT, differ, small_classifier, weights_of
from test_losses import (
    CASES,
    gradients,
    make_network,
    make_objective,
    problems,
    seen_by_teachers,
    weighted,
)
from test_training import Count
from torch.nn import functional

from jedi_sklearn.training import cuda_graph as replay
from jedi_sklearn.training import skorch_net as net_module
from jedi_sklearn.training.cuda_graph import WARM_UP, ReplayedStep
from jedi_sklearn.training.data.batch import Batch
from jedi_sklearn.training.data.batches import Batches
from jedi_sklearn.training.losses import joint_loss
from jedi_sklearn.training.skorch_net import JointNet

pytestmark = pytest.mark.usefixtures("global_random_states_stay")

# --------------------------------------------------------------------------------------
# Padded batches.
# --------------------------------------------------------------------------------------

SHARES = st.sampled_from([0.0, 0.5, 0.9])
SIZES = st.integers(1, 12)
SEEDS = st.integers(0, 2**32)


def _batches(problem: Any, batch_size: int, share: float, seed: int) -> Batches:
    generator = torch.Generator().manual_seed(seed)
    return Batches(problem.rows, batch_size, generator, "cpu", share)


def _strata(batch: Batch) -> list[slice]:
    """Return where the labelled and where the other rows of each dataset stand."""
    return [
        part
        for rows, labelled in zip(batch.rows, batch.labelled, strict=True)
        for part in (labelled, slice(labelled.stop, rows.stop))
    ]


@settings(deadline=None)
@given(problem=problems(), batch_size=SIZES, share=SHARES, seed=SEEDS)
def test_padded__every_row_in_the_columns_of_its_stratum__all_else_is_padding(
    problem, batch_size, share, seed
):
    problem = weighted(problem)
    batches = _batches(problem, batch_size, share, seed)
    shapes = set()
    for _ in range(3):
        epoch = batches.epoch()
        rows, real = batches.padded(epoch)
        shapes.add((rows.shape, real.shape))
        assert rows.shape == real.shape == (len(batches), batches.n_columns)
        for of_rows, of_real, batch in zip(
            rows, real, batches.batches(epoch), strict=True
        ):
            _assert_padded(batches.of_padded(of_rows, of_real), batch, of_real)
    assert len(shapes) == 1


def _assert_padded(padded: Batch, batch: Batch, real: torch.Tensor) -> None:
    counts = real != 0
    assert set(real.tolist()) <= {0.0, 1.0}
    assert padded.size.item() == counts.sum() == batch.size
    # Nothing overlaps, and no column is left over.
    strata = _strata(padded)
    columns = [column for part in strata for column in range(part.start, part.stop)]
    assert columns == list(range(len(real)))
    for wide, narrow in zip(strata, _strata(batch), strict=True):
        own = counts[wide]
        for of_wide, of_narrow in (
            (padded.features, batch.features),
            (padded.datasets, batch.datasets),
            (padded.weights, batch.weights),
        ):
            np.testing.assert_array_equal(of_wide[wide][own], of_narrow[narrow])
        assert not padded.weights[wide][~own].any()
    for i, labelled in enumerate(padded.labelled):
        own = counts[labelled]
        np.testing.assert_array_equal(padded.labels[i][own], batch.labels[i])
        # Where a label is missing a loss would fail on it, whatever it weighs.
        assert (padded.labels[i] >= 0).all()
        of_labels = padded.label_weights[i]
        np.testing.assert_array_equal(of_labels[own], batch.label_weights[i])
        assert not of_labels[~own].any()


def _double(batch: Batch) -> Batch:
    return batch._replace(
        features=batch.features.double(),
        weights=batch.weights.double(),
        label_weights=[weights.double() for weights in batch.label_weights],
    )


@settings(max_examples=25, deadline=None)
@given(
    problem=problems(),
    batch_size=SIZES,
    share=SHARES,
    seed=SEEDS,
    teacher_input=st.sampled_from(["adjusted", "base", "adjusted+predictions"]),
    targets=st.fixed_dictionaries(
        {"target_dropout": st.booleans(), "target_gradient": st.booleans()}
    ),
    distil=st.booleans(),
)
def test_padded__loss_terms_and_gradients__those_of_the_batch(
    problem, batch_size, share, seed, teacher_input, targets, distil
):
    problem = weighted(seen_by_teachers(problem, teacher_input))
    network, objective = make_network(problem, **targets), make_objective(problem)
    batches = _batches(problem, batch_size, share, seed)
    epoch = batches.epoch()
    padded = map(batches.of_padded, *batches.padded(epoch))
    for pair in zip(padded, batches.batches(epoch), strict=True):
        (loss, terms, slopes), expected = (
            _step(network, objective, _double(batch), distil) for batch in pair
        )
        assert loss == pytest.approx(expected[0], rel=1e-9, abs=1e-12)
        np.testing.assert_allclose(terms, expected[1], rtol=1e-9, atol=1e-12)
        for name, slope in slopes.items():
            np.testing.assert_allclose(slope, expected[2][name], rtol=1e-9, atol=1e-10)


def _step(network: Any, objective: Any, batch: Batch, distil: bool) -> Any:
    scores = network(batch, distil=distil)
    loss, terms = joint_loss(objective, scores, batch, network.datasets)
    correct = net_module.weighted_correct(scores, batch, network.datasets)
    return loss.item(), torch.cat([terms, correct]), gradients(network, loss)


# --------------------------------------------------------------------------------------
# Steps that are recorded once.
# --------------------------------------------------------------------------------------


@pytest.fixture
def recordings(monkeypatch) -> list[Any]:
    """Have the CPU take every run as its own recording; return what was recorded."""
    recorded: list[Any] = []

    def record(run: Any, generator: torch.Generator) -> Any:
        # Recording itself does nothing.
        recorded.append(run)
        return run

    monkeypatch.setattr(replay, "aside", lambda run: run())
    monkeypatch.setattr(replay, "recorded", record)
    monkeypatch.setattr(JointNet, "_can_replay", lambda self, batches: True)
    return recorded


@pytest.mark.parametrize("n_steps", [0, 1, WARM_UP, WARM_UP + 1, 10])
def test_replayed_step__each_once_on_its_own_rows__recorded_after_some(
    recordings, n_steps
):
    seen = []

    def step(rows: torch.Tensor, real: torch.Tensor) -> None:
        seen.append((rows.tolist(), real.tolist(), rows.data_ptr(), real.data_ptr()))

    replayed = ReplayedStep(step, 3, torch.Generator())
    for k in range(n_steps):
        replayed(torch.arange(3) + k, torch.full((3,), float(k)))
    assert [rows for rows, *_ in seen] == [[k, k + 1, k + 2] for k in range(n_steps)]
    assert [real for _, real, *_ in seen] == [[float(k)] * 3 for k in range(n_steps)]
    # A recording reads where they stood when it was made.
    assert len({places for *_, places in seen}) <= 1
    assert len(recordings) == (n_steps > WARM_UP)


# With a small rate rounding stays where it is; see test_processes too.
SLOW = {"learning_rate": 1e-3, "max_epochs": 4, **NO_DROPOUT}
FITS: dict[str, tuple[dict[str, Any], int]] = {
    "as it is": ({}, 1),
    "cosine": ({"learning_rate_decay": "cosine"}, 1),
    "warm-up": ({"warmup_epochs": 2}, 2),
    "no distillation": ({"gamma": 0.0}, 1),
    # Each phase has a network and an optimizer of its own.
    "alternating": ({"schedule": "alternating", "n_rounds": 2}, 4),
    "labelled_share": ({"labelled_share": 0.8}, 1),
    "wiring": ({"teacher_input": "adjusted+predictions", "target_gradient": True}, 1),
    "class_weight": ({"class_weight": "balanced", "teacher_loss": "cross_entropy"}, 1),
    "hardly a batch": ({"batch_size": 50}, 1),
}


@pytest.mark.parametrize("kind", FITS)
def test_replayed_fit__learns_what_the_plain_one_learns(data, request, kind):
    params, n_recordings = FITS[kind]
    expected = small_classifier(**SLOW | params).fit(*data)
    recorded = request.getfixturevalue("recordings")
    given_ = small_classifier(**SLOW | params).fit(*data)
    assert len(recorded) == n_recordings
    np.testing.assert_allclose(
        given_.history_.to_numpy(), expected.history_.to_numpy(), rtol=1e-4, atol=1e-5
    )
    for models in ("students_", "teachers_"):
        for name, model in getattr(expected, models).items():
            other = getattr(given_, models)[name]
            for X in data[0].values():
                np.testing.assert_allclose(
                    other.decision_function(X),
                    model.decision_function(X),
                    rtol=1e-3,
                    atol=1e-3,
                )
            off = np.linalg.norm(other.coef_ - model.coef_)
            assert off <= 1e-4 * np.linalg.norm(model.coef_)


def test_replayed_fit__dropout__other_masks_but_learns(data, request):
    plain = small_classifier(max_epochs=6).fit(*data)
    request.getfixturevalue("recordings")
    first, second = (small_classifier(max_epochs=6).fit(*data) for _ in range(2))
    np.testing.assert_equal(weights_of(first.students_), weights_of(second.students_))
    assert differ(weights_of(first.students_), weights_of(plain.students_))
    losses = [clf.history_["loss", "all"] for clf in (first, plain)]
    np.testing.assert_allclose(*losses, rtol=0.25)
    assert losses[0].iloc[-1] < losses[0].iloc[0]


def test_replayed_fit__validation_and_early_stopping__as_the_plain_one(data, request):
    params = SLOW | {"early_stopping": True, "n_iter_no_change": 2, "max_epochs": 8}
    expected = small_classifier(**params).fit(*data)
    request.getfixturevalue("recordings")
    given_ = small_classifier(**params).fit(*data)
    assert given_.n_iter_ == expected.n_iter_
    np.testing.assert_allclose(
        given_.history_.to_numpy(), expected.history_.to_numpy(), rtol=1e-3, atol=1e-4
    )


# --------------------------------------------------------------------------------------
# When.
# --------------------------------------------------------------------------------------


class Keep(Callback):
    """Keeps what decides of a net, and hears of epochs alone."""

    def on_epoch_end(self, net: Any, dataset_train: Any = None, **_: Any) -> None:
        self.callbacks_, self.batches = net.callbacks_, dataset_train
        self.device, self.decided = net.device, net._can_replay(dataset_train)


def _decides(
    callbacks: list[tuple[str, Any]],
    device: str = "cuda",
    stays: bool = True,
    **losses: Any,
) -> bool:
    objective = make_objective(CASES["four datasets"][0], **losses)
    net: Any = SimpleNamespace(
        device=device, callbacks_=callbacks, criterion_=objective
    )
    batches: Any = SimpleNamespace(source=SimpleNamespace(stays=stays))
    return JointNet._can_replay(net, batches)


def _callbacks_of_a_fit(data: Any, **params: Any) -> list[tuple[str, Any]]:
    keep = Keep()
    clf = small_classifier(max_epochs=1, verbose=1, callbacks=[keep], **params)
    clf.fit(*data)
    return keep.callbacks_


class Begins(Callback):
    def on_batch_begin(self, net: Any, **_: Any) -> None: ...


class Computes(Callback):
    def on_grad_computed(self, net: Any, named_parameters: Any, **_: Any) -> None: ...


def test_can_replay__callbacks_of_epochs_alone(data):
    stop = EarlyStopping(monitor="train_loss")
    assert _decides([])
    assert _decides([("keep", Keep()), ("stop", stop)])
    assert _decides(_callbacks_of_a_fit(data, early_stopping=True))


def test_can_replay__learning_rate_that_decays_by_epochs(data):
    # The default of the estimator.
    assert _decides(_callbacks_of_a_fit(data, learning_rate_decay="cosine"))


@pytest.mark.parametrize(
    "callback",
    [
        Count(),
        Begins(),
        Computes(),
        LRScheduler("StepLR", step_size=1, step_every="batch"),
    ],
    ids=lambda callback: type(callback).__name__,
)
def test_can_replay__callback_between_steps__no(callback):
    assert not _decides([("keep", Keep()), ("own", callback)])


@pytest.mark.parametrize("name", ["student_loss", "teacher_loss"])
def test_can_replay__loss_of_the_users_own__no(name):
    def own(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(scores, labels, reduction="none")

    assert _decides([], **{name: "squared_hinge"}, distillation_loss="kl")
    assert not _decides([], **{name: own})


def test_can_replay__features_are_streamed__no():
    assert not _decides([], stays=False)


def test_can_replay__several_processes__no(monkeypatch):
    monkeypatch.setattr(net_module, "n_processes", lambda: 2)
    assert not _decides([])


def test_can_replay__on_the_cpu__no(data):
    assert not _decides([], device="cpu")
    keep = Keep()
    small_classifier(max_epochs=1, callbacks=[keep]).fit(*data)
    assert keep.batches.source.stays
    assert not keep.decided
