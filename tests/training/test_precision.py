"""In which numbers a fit multiplies, and that little depends on it."""

from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from small_fits import NO_DROPOUT, differ, few_labels, small_classifier, weights_of
from test_features import assert_same, fit_in_memory, fit_streamed

from jedi_sklearn import JEDIClassifier
from jedi_sklearn.training import precision
from jedi_sklearn.training.precision import WIDE, dtype_of

pytestmark = pytest.mark.usefixtures("global_random_states_stay")


def _cpu_that_has(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    known = dict.fromkeys(["avx2", "avx512_bf16", "amx_bf16"], False)
    able = known | dict.fromkeys(names, True)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("n_features", [1, 10**6])
def test_dtype_of__by_name__that_whatever_the_machine(device, n_features):
    assert dtype_of("float32", device, n_features) is torch.float32
    assert dtype_of("bfloat16", device, n_features) is torch.bfloat16


@pytest.mark.parametrize(
    ("names", "faster"),
    [
        ([], False),
        (["avx2"], False),
        (["avx512_bf16"], True),
        (["amx_bf16"], True),
        (["amx_bf16", "avx512_bf16"], True),
    ],
)
def test_dtype_of__auto_on_a_cpu__bfloat16_where_wide_and_it_has_instructions(
    monkeypatch, names, faster
):
    _cpu_that_has(monkeypatch, *names)
    wide = torch.bfloat16 if faster else torch.float32
    assert dtype_of("auto", "cpu", WIDE) is wide
    assert dtype_of("auto", "cpu", WIDE - 1) is torch.float32


def test_dtype_of__auto_with_a_torch_that_does_not_say__float32(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert dtype_of("auto", "cpu", WIDE) is torch.float32


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
@pytest.mark.parametrize("native", [True, False])
def test_dtype_of__auto_on_a_gpu__not_where_it_is_emulated(monkeypatch, device, native):
    def is_supported(including_emulation: bool = True) -> bool:
        return native or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_supported)
    wide = torch.bfloat16 if native else torch.float32
    assert dtype_of("auto", device, WIDE) is wide
    assert dtype_of("auto", device, WIDE - 1) is torch.float32


def test_dtype_of__auto_on_another_device__float32(monkeypatch):
    _cpu_that_has(monkeypatch, "amx_bf16")
    assert dtype_of("auto", "meta", WIDE) is torch.float32


# --------------------------------------------------------------------------------------
# Fits.
# --------------------------------------------------------------------------------------


class Dtypes(Callback):
    """Keeps the dtypes of a batch, of its scores, of weights and of their gradients."""

    def on_batch_end(self, net: Any, batch: Any, y_pred: Any, **_: Any) -> None:
        weights = list(net.module_.parameters())
        self.seen = SimpleNamespace(
            features=batch.features.dtype,
            scores={s.dtype for group in vars(y_pred).values() for s in group or ()},
            weights={weight.dtype for weight in weights},
            gradients={weight.grad.dtype for weight in weights},
        )


@pytest.mark.parametrize("target_dropout", [False, True])
def test_fit__bfloat16__features_alone_are(data, target_dropout):
    dtypes = Dtypes()
    clf = small_classifier(
        precision="bfloat16", target_dropout=target_dropout, callbacks=[dtypes]
    ).fit(*data)
    assert dtypes.seen.features is torch.bfloat16
    for kind in ("scores", "weights", "gradients"):
        assert getattr(dtypes.seen, kind) == {torch.float32}, kind
    for name, student in clf.students_.items():
        for model in (student, clf.teachers_[name]):
            assert model.coef_.dtype == model.intercept_.dtype == np.float32
            arrays = [a for b in model.branches for part in b.adjustment for a in part]
            assert {array.dtype for array in arrays} == {np.dtype(np.float32)}
        # What predicts is not rounded.
        assert len(np.unique(student.coef_.view(np.uint32) & 0xFFFF)) > 1
    assert np.isfinite(clf.history_.to_numpy()).all()


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"target_dropout": True, "target_gradient": True},
        {"teacher_input": "adjusted+predictions", "labelled_share": 0.8},
        {"schedule": "alternating", "n_rounds": 1, "max_epochs": 4},
    ],
    ids=str,
)
def test_fit__bfloat16__same_bits_again_and_others_than_float32(data, params):
    first, second, single = (
        small_classifier(precision=name, **params).fit(*data)
        for name in ("bfloat16", "bfloat16", "float32")
    )
    assert_same(first, second)
    assert differ(weights_of(first.students_), weights_of(single.students_))
    # Near them all the same: eight bits of each number are kept.
    np.testing.assert_allclose(
        first.history_["loss", "all"], single.history_["loss", "all"], rtol=0.05
    )


def test_fit__bfloat16_streamed__same_bits(data):
    clfs = [small_classifier(precision="bfloat16", **NO_DROPOUT) for _ in range(2)]
    assert_same(fit_streamed(clfs[0], *data), fit_in_memory(clfs[1], *data))


def test_fit__auto__float32_where_narrow_bfloat16_where_wide(data, monkeypatch):
    _cpu_that_has(monkeypatch, "avx512_bf16")
    expected = {
        name: small_classifier(precision=name).fit(*data)
        for name in ("float32", "bfloat16")
    }
    assert_same(small_classifier().fit(*data), expected["float32"])
    # Two experts: of five features and of three.
    monkeypatch.setattr(precision, "WIDE", 8)
    assert_same(small_classifier().fit(*data), expected["bfloat16"])
    monkeypatch.setattr(precision, "WIDE", 9)
    assert_same(small_classifier().fit(*data), expected["float32"])


def test_fit__bfloat16__learns_as_float32_and_pickles():
    experts, X, y, X_train, y_train = few_labels()

    def accuracies(clf: JEDIClassifier) -> np.ndarray:
        return np.array(
            [
                np.mean([models[n].score(X[n][400:], y[n][400:]) for n in X])
                for models in (clf.experts_, clf.students_, clf.teachers_)
            ]
        )

    half, single = (
        small_classifier(
            experts, precision=name, max_epochs=12, batch_size=128, gamma=2.0
        ).fit(X_train, y_train)
        for name in ("bfloat16", "float32")
    )
    given, expected = accuracies(half), accuracies(single)
    np.testing.assert_allclose(given, expected, atol=0.02)
    assert given[1] > given[0] + 0.01
    assert given[2] > given[1]
    again = pickle.loads(pickle.dumps(half))
    assert again.precision == "bfloat16"
    np.testing.assert_equal(again.predict_proba(X), half.predict_proba(X))
