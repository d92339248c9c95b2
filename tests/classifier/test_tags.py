"""What estimators say of themselves by tags is what they do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.base import is_classifier
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.frozen import FrozenEstimator
from sklearn.preprocessing import MaxAbsScaler, PowerTransformer, QuantileTransformer
from sklearn.utils import get_tags

from jedi_sklearn import JEDIClassifier
from jedi_sklearn.encoders import MLPEncoder, TorchEncoder
from jedi_sklearn.preprocessing import PerDataset

ROWS = np.random.default_rng(0).normal(size=(12, 4))
SPARSE = sparse.csr_matrix(np.abs(ROWS))
LABELS = np.arange(12) % 3


def model(expert: Any = None) -> JEDIClassifier:
    experts = None if expert is None else [("a", expert)]
    return JEDIClassifier(experts, max_epochs=1, random_state=0, device="cpu")


class NoTags:
    """A transformer that has never heard of them."""

    def fit(self, X: Any, y: Any = None) -> NoTags:
        return self

    def transform(self, X: Any) -> Any:
        return X

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {}


says_sparse = pytest.mark.skipif(
    not get_tags(MaxAbsScaler()).input_tags.sparse,
    reason="scikit-learn 1.6 says of none of its estimators that they take it",
)


@says_sparse
@pytest.mark.parametrize(
    "expert",
    [None, MaxAbsScaler(), PowerTransformer(), LinearDiscriminantAnalysis()],
)
def test_classifier__sparse(expert):
    clf = model(expert)
    tags = get_tags(clf)
    # What a head takes is an embedding, which is dense.
    assert tags.input_tags.sparse == (not isinstance(expert, PowerTransformer))
    if tags.input_tags.sparse:
        assert clf.fit(SPARSE, LABELS).predict(SPARSE).shape == (12,)
        assert get_tags(clf.students_["dataset" if expert is None else "a"])
    else:
        with pytest.raises(ValueError, match="Sparse data was passed"):
            clf.fit(SPARSE, LABELS)


# Of which scikit-learn warns in 1.7, and which it refuses from 1.8 on.
@pytest.mark.filterwarnings("ignore:The following error was raised:DeprecationWarning")
def test_classifier__experts_without_tags__nothing_is_claimed():
    assert not get_tags(model(NoTags())).input_tags.sparse
    assert not get_tags(model("nonsense")).input_tags.sparse


def test_classifier__others():
    tags = get_tags(model())
    assert is_classifier(model())
    assert tags.classifier_tags.multi_class
    assert not tags.classifier_tags.poor_score
    assert tags.target_tags.required
    assert tags.requires_fit
    assert not tags.non_deterministic
    clf = model()
    assert not tags.input_tags.allow_nan
    assert not tags.input_tags.three_d_array
    for refused in (np.full((12, 2), np.nan), ROWS.reshape(12, 2, 2)):
        with pytest.raises(ValueError, match="X cannot be read as one table"):
            clf.fit(refused, LABELS)


@says_sparse
def test_student():
    student = model(MaxAbsScaler()).fit(SPARSE, LABELS).students_["a"]
    tags = get_tags(student)
    assert is_classifier(student)
    assert tags.input_tags.sparse
    assert student.predict(SPARSE).shape == (12,)
    assert not tags.requires_fit
    assert not tags.target_tags.required
    assert student.fit(ROWS) is student
    frozen = FrozenEstimator(QuantileTransformer(n_quantiles=4).fit(ROWS))
    assert get_tags(model(frozen).fit(ROWS, LABELS).students_["a"]).input_tags.sparse


def test_mlp_encoder():
    tags = get_tags(MLPEncoder())
    assert tags.target_tags.required
    assert tags.input_tags.sparse
    assert tags.input_tags.three_d_array
    encoder = MLPEncoder(2, max_iter=1, random_state=0)
    assert encoder.fit(SPARSE, LABELS).transform(SPARSE).shape == (12, 2)
    images = ROWS.reshape(12, 2, 2)
    assert encoder.fit(images, LABELS).transform(images).shape == (12, 2)
    assert not tags.input_tags.allow_nan


def test_torch_encoder():
    encoder = TorchEncoder(torch.nn.Linear(4, 2), layer="")
    tags = get_tags(encoder)
    assert not tags.requires_fit
    assert not tags.target_tags.required
    assert tags.input_tags.sparse
    assert encoder.transform(SPARSE).shape == (12, 2)
    assert tags.input_tags.three_d_array
    assert encoder.transform(ROWS[:, None]).shape == (12, 2)


@pytest.mark.parametrize("inside", [MaxAbsScaler(), LinearDiscriminantAnalysis()])
def test_per_dataset__as_what_is_inside(inside):
    tags, own = get_tags(PerDataset(inside)), get_tags(inside)
    assert tags.input_tags.sparse == own.input_tags.sparse
    assert tags.target_tags.required == own.target_tags.required
    assert tags.requires_fit
