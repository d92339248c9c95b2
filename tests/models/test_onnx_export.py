"""Students and teachers as ONNX graphs, run by onnxruntime."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from sklearn.cluster import MiniBatchKMeans
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.frozen import FrozenEstimator
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    StandardScaler,
)
from sklearn.random_projection import GaussianRandomProjection
from small_fits import small_classifier

from jedi_sklearn.encoders import MLPEncoder, TorchEncoder

ROWS = np.random.default_rng(0).normal(2.0, 3.0, size=(40, 6))
THREE = np.arange(40) % 3


def fit(experts: Any, X: Any, y: Any) -> Any:
    """Return a classifier whose students and teachers are not their experts."""
    clf = small_classifier(experts, learning_rate=0.05)
    return clf.fit(X, y)


def student_of(encoder: Any, X: np.ndarray = ROWS, y: Any = THREE) -> Any:
    return fit([("a", encoder)], {"a": X}, {"a": y}).students_["a"]


def run(path: Path, X: np.ndarray) -> list[Any]:
    """Return labels and probabilities by onnxruntime."""
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["X"]
    assert [value.name for value in session.get_outputs()] == ["label", "probabilities"]
    return session.run(None, {"X": X})


def check(model: Any, X: np.ndarray, path: Path) -> None:
    """Assert that the graph predicts as the model does, for any number of rows."""
    model.export_onnx(path, X[:7])
    for n_rows in (len(X), 1):
        labels, probabilities = run(path, X[:n_rows])
        expected = model.predict_proba(X[:n_rows])
        assert probabilities.dtype == np.float32
        np.testing.assert_allclose(probabilities, expected, atol=1e-5)
        np.testing.assert_array_equal(labels, model.predict(X[:n_rows]))
    # The adjustment is part of it.
    for branch in model.branches:
        assert branch.adjustment.up.coef.any()


ENCODERS = {
    "run of columns": make_column_transformer(("passthrough", slice(1, 4))),
    "list of columns": make_column_transformer(("passthrough", [4, 0])),
    "passthrough": FunctionTransformer(),
    "PCA": PCA(3, random_state=0),
    "scaled PCA": make_pipeline(StandardScaler(), PCA(3, random_state=0)),
    "ColumnTransformer": make_column_transformer(
        (StandardScaler(), [0, 1]), (MinMaxScaler(), [2, 3]), remainder="passthrough"
    ),
    "KMeans": MiniBatchKMeans(4, n_init=1, random_state=0),
    "projection": GaussianRandomProjection(3, random_state=0),
    "MLPEncoder": MLPEncoder(5, random_state=0),
    "scaled MLPEncoder": make_pipeline(StandardScaler(), MLPEncoder(5, random_state=0)),
    "with a head": make_pipeline(StandardScaler(), PCA(2), LogisticRegression()),
    "passes through": make_pipeline("passthrough", StandardScaler()),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)
def test_encoder__predicts_the_same(tmp_path, encoder, dtype):
    X = ROWS.astype(dtype)
    check(student_of(encoder, X), X, tmp_path / "a.onnx")


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, bool])
@pytest.mark.parametrize("encoder", ["run of columns", "scaled PCA", "MLPEncoder"])
def test_other_numbers__predicts_the_same(tmp_path, encoder, dtype):
    X = np.abs(ROWS).astype(int) > 2 if dtype is bool else np.abs(ROWS).astype(dtype)
    check(student_of(ENCODERS[encoder], X), X, tmp_path / "a.onnx")


@pytest.mark.parametrize("encoder", ["PCA", "MLPEncoder", "scaled PCA"])
def test_frozen__predicts_the_same(tmp_path, encoder):
    frozen = FrozenEstimator(ENCODERS[encoder].fit(ROWS, THREE))
    check(student_of(frozen), ROWS, tmp_path / "a.onnx")


def test_images_for_an_mlp__are_flattened(tmp_path):
    images = ROWS.reshape(40, 1, 2, 3)
    student = student_of(MLPEncoder(5, random_state=0), images)
    check(student, images, tmp_path / "a.onnx")


CATEGORIES = [
    [["red", "big"], ["blue", "big"], ["red", "small"]],
    [[7, 1], [8, 1], [7, 2]],
]


@pytest.mark.parametrize("categories", CATEGORIES, ids=["str", "int"])
def test_categories__encoded_one_hot(tmp_path, categories):
    X = np.array(categories)[np.arange(40) % 3]
    check(student_of(OneHotEncoder(), X), X, tmp_path / "a.onnx")


LABELS = {
    "str": np.array(["one", "two", "drei"]),
    "objects": np.array(["one", "two", "drei"], dtype=object),
    "large int": np.array([5, 2**40, 10**9]),
    "int32": np.array([5, 6, 7], dtype=np.int32),
    "float": np.array([1.0, 2.0, 4.0]),
    "two": np.array(["no", "yes", "yes"]),
    "bool": np.array([True, False, True]),
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_labels__come_back(tmp_path, labels):
    student = student_of(StandardScaler(), ROWS, labels[THREE])
    check(student, ROWS, tmp_path / "a.onnx")
    kind = run(tmp_path / "a.onnx", ROWS)[0].dtype
    expected = {"U": "object", "O": "object", "f": "float64"}
    assert kind == expected.get(labels.dtype.kind, "int64")


def test_teachers_and_students__of_several_experts(tmp_path):
    X = {"a": ROWS[:25], "b": ROWS[25:] - 1.0}
    y = {"a": THREE[:25], "b": np.array(["no", "yes"])[THREE[25:] % 2]}
    experts = [
        ("a", make_pipeline(StandardScaler(), PCA(3, random_state=0))),
        ("b", MLPEncoder(5, random_state=0)),
        ("c", FrozenEstimator(MiniBatchKMeans(4, n_init=1, random_state=0).fit(ROWS))),
    ]
    clf = fit(experts, X, y)
    for models in (clf.students_, clf.teachers_):
        for name, model in models.items():
            check(model, ROWS, tmp_path / f"{name}.onnx")


def test_kept_expert__has_no_adjustment(tmp_path):
    clf = small_classifier([("a", StandardScaler())], learning_rate=1e-9)
    held_out = {"a": ROWS}, {"a": THREE}
    clf.set_params(keep_expert=True)
    clf.fit({"a": ROWS}, {"a": THREE}, X_val=held_out[0], y_val=held_out[1])
    assert clf.kept_experts_ == ["a"]
    student = clf.students_["a"]
    student.export_onnx(tmp_path / "a.onnx", ROWS)
    labels, probabilities = run(tmp_path / "a.onnx", ROWS)
    np.testing.assert_allclose(probabilities, student.predict_proba(ROWS), atol=1e-5)
    np.testing.assert_array_equal(labels, student.predict(ROWS))


# --------------------------------------------------------------------------------------
# Torch modules.
# --------------------------------------------------------------------------------------


def linear() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(6, 7), torch.nn.ReLU(), torch.nn.Linear(7, 3)
    )


def conv() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 2),
        torch.nn.BatchNorm2d(4),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Dropout(),
        torch.nn.Linear(4, 3),
    )


IMAGES = ROWS.reshape(40, 1, 2, 3)


@pytest.fixture
def torch_seed_stays() -> Any:
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)


@pytest.mark.usefixtures("torch_seed_stays")
@pytest.mark.parametrize(
    ("module", "layer", "X"),
    [
        (linear, None, ROWS),
        (linear, "", ROWS.astype(np.float32)),
        (conv, None, IMAGES.astype(np.float32)),
    ],
    ids=["linear", "linear's output", "conv"],
)
def test_torch__predicts_the_same(tmp_path, module, layer, X):
    encoder = TorchEncoder(module(), layer=layer, device="cpu")
    check(student_of(encoder, X), X, tmp_path / "a.onnx")


@pytest.mark.usefixtures("torch_seed_stays")
def test_torch_in_a_pipeline_and_beside_others__teacher_of_one_row(tmp_path):
    frozen = FrozenEstimator(TorchEncoder(linear(), device="cpu"))
    experts = [("a", make_pipeline(StandardScaler(), frozen)), ("b", PCA(2))]
    clf = fit(experts, {"a": ROWS, "b": ROWS + 1}, {"a": THREE, "b": THREE % 2})
    teacher = clf.teachers_["b"]
    # One row must do.
    teacher.export_onnx(tmp_path / "b.onnx", ROWS[:1])
    labels, probabilities = run(tmp_path / "b.onnx", ROWS)
    np.testing.assert_allclose(probabilities, teacher.predict_proba(ROWS), atol=1e-5)
    np.testing.assert_array_equal(labels, teacher.predict(ROWS))


class Stubborn(torch.nn.Module):
    """Looks at values, which no graph can."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return rows * 2 if float(rows.sum()) > 0 else rows


# --------------------------------------------------------------------------------------
# What cannot be.
# --------------------------------------------------------------------------------------

REFUSED = {
    "no converter": Nystroem(n_components=4, random_state=0),
    "own function": FunctionTransformer(np.sin),
    "a classifier that transforms": make_pipeline(
        LinearDiscriminantAnalysis(), StandardScaler()
    ),
    "torch": TorchEncoder(Stubborn(), layer="", device="cpu"),
    "samples": TorchEncoder(
        torch.nn.Identity(), layer="", dataset=lambda X: list(torch.tensor(X))
    ),
}


@pytest.mark.parametrize("encoder", REFUSED.values(), ids=REFUSED)
def test_encoder_without_conversion__error_names_the_expert(tmp_path, encoder):
    student = student_of(encoder)
    with pytest.raises(ValueError, match="Expert 'a' cannot be converted to ONNX"):
        student.export_onnx(tmp_path / "a.onnx", ROWS)
    assert list(tmp_path.iterdir()) == []


def test_wrong_conversion__refused(tmp_path, monkeypatch):
    # What skl2onnx makes is tried on the rows.
    import skl2onnx

    student, other = student_of(PCA(3)), PCA(3).fit(ROWS[:10])
    of_another = skl2onnx.to_onnx(other, ROWS[:1], target_opset=18)
    monkeypatch.setattr(skl2onnx, "to_onnx", lambda *_, **__: of_another)
    with pytest.raises(ValueError, match="does not return the embedding"):
        student.export_onnx(tmp_path / "a.onnx", ROWS)


@pytest.mark.parametrize("X", [ROWS.tolist(), ROWS[:0], ROWS.astype(object)])
def test_rows_that_are_no_array__refused(tmp_path, X):
    with pytest.raises(ValueError, match="X must be a NumPy array"):
        student_of(PCA(2)).export_onnx(tmp_path / "a.onnx", X)


@pytest.mark.parametrize("name", ["a", "a.pt", "a.onnx.bak"])
def test_other_suffix__refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"must end in '\.onnx'"):
        student_of(PCA(2)).export_onnx(tmp_path / name, ROWS)


def test_rows_of_another_width__refused(tmp_path):
    with pytest.raises(ValueError, match="Expert 'a'"):
        student_of(PCA(2)).export_onnx(tmp_path / "a.onnx", ROWS[:, :4])


@pytest.mark.parametrize("library", ["onnx", "skl2onnx"])
def test_library_missing__error_says_what_to_install(tmp_path, monkeypatch, library):
    student = student_of(PCA(2))
    original = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name.split(".")[0] == library:
            raise ImportError(f"No module named {name!r}", name=name)
        return original(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=rf'{library}.*"jedi_sklearn\[export\]"'):
        student.export_onnx(tmp_path / "a.onnx", ROWS)


def test_graph__names_its_maker_and_replaces_a_file(tmp_path):
    path = tmp_path / "a.onnx"
    path.write_text("old")
    student_of(PCA(2)).export_onnx(str(path), ROWS)
    model = onnx.load(path)
    assert model.producer_name == "jedi_sklearn"
    assert {opset.domain for opset in model.opset_import} <= {"", "ai.onnx.ml"}
    assert [p.name for p in tmp_path.iterdir()] == ["a.onnx"]
