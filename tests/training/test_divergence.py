"""Trainings that leave the finite numbers: where they stop, and what is kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from skorch.callbacks import Callback
from small_fits import small_classifier

from benchmarks.fit_kills import bits_of

RANDOM = np.random.default_rng(0)
X = {name: RANDOM.normal(size=(n, 5)) for name, n in (("a", 40), ("b", 30))}
Y = {name: np.where(rows[:, 0] > 0, "up", "down") for name, rows in X.items()}


class Spoil(Callback):
    """Sets a weight to NaN in an epoch, before its last step or after it."""

    def __init__(self, epoch, place, method="on_epoch_end"):
        self.epoch = epoch
        self.place = place
        self.method = method

    def _spoil(self, net, method):
        if (method, len(net.history)) == (self.method, self.epoch):
            weights = dict(net.module_.named_parameters())[self.place]
            weights.data.view(-1)[0] = torch.nan

    def on_epoch_begin(self, net, **_):
        self._spoil(net, "on_epoch_begin")

    def on_batch_end(self, net, **_):
        self._spoil(net, "on_batch_end")


def bits_after(n_epochs):
    return bits_of(small_classifier(max_epochs=n_epochs).fit(X, Y))


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("heads.0.weight", "the student_loss of dataset 'a' is not finite"),
        ("heads.1.weight", "the student_loss of dataset 'b' is not finite"),
        ("teachers.1.bias", "the teacher_loss of dataset 'b' is not finite"),
        ("adjustments.0.up.bias", "the student_loss of dataset 'a' is not finite"),
    ],
)
def test_a_loss_that_is_not_finite_ends_with_the_weights_of_the_epoch_before(
    place, message
):
    callbacks = [Spoil(4, place, "on_epoch_begin")]
    classifier = small_classifier(max_epochs=9, callbacks=callbacks)
    with pytest.warns(ConvergenceWarning, match=f"diverged in epoch 4: {message}") as w:
        classifier.fit(X, Y)
    assert "ends with the weights of epoch 3. A learning_rate" in str(w[0].message)
    assert w[0].filename == __file__
    assert classifier.n_iter_ == len(classifier.history_) == 3
    assert np.isfinite(classifier.history_.to_numpy()).all()
    assert bits_of(classifier) == bits_after(3)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("heads.1.weight", "the student of dataset 'b'"),
        ("teachers.0.weight", "the teacher of dataset 'a'"),
        ("adjustments.1.down.weight", "the student of dataset 'b'"),
    ],
)
def test_a_weight_that_is_not_finite_after_the_last_step_is_named(place, message):
    class AfterTheLast(Spoil):
        def on_batch_end(self, net, **_):
            if net.position_.n_done == 5:
                super().on_batch_end(net)

    callbacks = [AfterTheLast(3, place, "on_batch_end")]
    classifier = small_classifier(max_epochs=9, callbacks=callbacks)
    with pytest.warns(ConvergenceWarning, match=f"epoch 3: {message} is not finite"):
        classifier.fit(X, Y)
    assert bits_of(classifier) == bits_after(2)


def test_the_expert_of_no_dataset_is_known_by_its_number():
    callbacks = [Spoil(2, "adjustments.0.down.weight", "on_batch_end")]
    classifier = small_classifier(callbacks=callbacks, gamma=0.0, max_epochs=2)
    experts = [("0", FrozenEstimator(PCA(2).fit(X["a"]))), *classifier.experts]
    classifier.set_params(experts=experts, batch_size=100)
    with pytest.warns(ConvergenceWarning, match="the adjustment of expert number 0"):
        classifier.fit(X, Y)


@pytest.mark.parametrize("schedule", ["joint", "alternating"])
def test_the_first_epoch_is_an_error_that_changes_nothing(schedule):
    callbacks = [Spoil(1, "heads.0.weight", "on_epoch_begin")]
    classifier = small_classifier(max_epochs=4, schedule=schedule).fit(X, Y)
    before = bits_of(classifier)
    classifier.set_params(callbacks=callbacks)
    message = "diverged in its first epoch: the .* of dataset 'a' is not finite"
    with pytest.raises(ValueError, match=rf"{message}.*learning_rate below 0\.01"):
        classifier.fit(X, Y)
    assert bits_of(classifier) == before


def test_with_early_stopping_the_best_weights_are_kept():
    callbacks = [Spoil(4, "heads.0.weight", "on_epoch_begin")]
    given = {"X_val": X, "y_val": Y}
    params = {"early_stopping": True, "n_iter_no_change": 50}
    expected = small_classifier(max_epochs=3, **params).fit(X, Y, **given)
    classifier = small_classifier(max_epochs=9, callbacks=callbacks, **params)
    message = "in epoch 4: .* It ends with the best weights of epoch 3 and before"
    with pytest.warns(ConvergenceWarning, match=message):
        classifier.fit(X, Y, **given)
    assert bits_of(classifier) == bits_of(expected)


def test_no_later_phase_goes_on(tmp_path):
    callbacks = [Spoil(2, "teachers.0.weight", "on_epoch_begin")]
    classifier = small_classifier(
        max_epochs=8, schedule="alternating", n_rounds=2, callbacks=callbacks
    )
    with pytest.warns(ConvergenceWarning, match="diverged in epoch 2: the teacher"):
        classifier.fit(X, Y)
    assert classifier.n_iter_ == 1


def test_a_fit_that_diverged_is_not_taken_for_finished(tmp_path):
    for _ in range(2):
        callbacks = [Spoil(4, "heads.0.weight", "on_epoch_begin")]
        classifier = small_classifier(
            max_epochs=9, callbacks=callbacks, checkpoint=tmp_path, checkpoint_epochs=1
        )
        with pytest.warns(ConvergenceWarning, match="diverged in epoch 4"):
            classifier.fit(X, Y)
        assert bits_of(classifier) == bits_after(3)


def test_losses_whose_sum_alone_is_not_finite_are_found():
    def large(scores, labels):
        return scores[:, 0] * 0 + 1e25

    with pytest.raises(ValueError, match="the sum of the losses is not finite"):
        small_classifier(alpha=1e17, student_loss=large).fit(X, Y)


def test_rows_beyond_single_precision_are_refused_by_name():
    rows = X | {"b": np.where(X["b"] > 1.5, 1e300, X["b"])}
    with pytest.raises(ValueError, match="dataset 'b'"):
        small_classifier().fit(rows, Y)
