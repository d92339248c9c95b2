"""Students and teachers as safetensors with a card: files that run nothing."""

from __future__ import annotations

import builtins
import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import joblib
import numpy as np
import pytest
import torch
from safetensors import numpy as safetensors
from sklearn.cluster import MiniBatchKMeans
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.kernel_approximation import Nystroem
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from skops import io as skops
from small_fits import small_classifier

from jedi_sklearn import __version__, load_student
from jedi_sklearn.encoders import MLPEncoder, TorchEncoder

ROOT = Path(__file__).resolve().parents[1]
ROWS = np.random.default_rng(0).normal(size=(30, 6))
THREE = np.arange(30) % 3


def fit(experts: Any, y: Any = None) -> Any:
    """Return a classifier of a dataset for each expert."""
    X = {name: ROWS + number for number, (name, _) in enumerate(experts)}
    y = y or dict.fromkeys(X, THREE)
    return small_classifier(experts, learning_rate=0.05).fit(X, y)


def student_of(encoder: Any, labels: Any = THREE) -> Any:
    return fit([("a", encoder)], {"a": labels}).students_["a"]


def assert_same(loaded: Any, model: Any) -> None:
    """Assert that two models are alike to the bit."""
    np.testing.assert_array_equal(loaded.predict_proba(ROWS), model.predict_proba(ROWS))
    np.testing.assert_array_equal(loaded.predict(ROWS), model.predict(ROWS))
    assert loaded.classes_.dtype == model.classes_.dtype
    assert loaded.classes_.tolist() == model.classes_.tolist()
    assert list(map(type, loaded.classes_)) == list(map(type, model.classes_))
    assert loaded.coef_.dtype == model.coef_.dtype
    assert [branch.name for branch in loaded.branches] == [
        branch.name for branch in model.branches
    ]


def card_of(path: Path) -> Any:
    return json.loads(path.with_suffix(".json").read_bytes())


def rewrite(path: Path, tensors: dict[str, Any] | None = None, **changes: Any) -> None:
    """Write other tensors and another card, which belong together."""
    if tensors is not None:
        path.write_bytes(safetensors.save(tensors))
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    card = card_of(path) | {"sha256": checksum} | changes
    path.with_suffix(".json").write_text(json.dumps(card))


@pytest.fixture
def path(tmp_path) -> Path:
    """A student whose encoder is in the file."""
    path = tmp_path / "a.safetensors"
    assert student_of(PCA(3, random_state=0)).export(path) == []
    return path


@pytest.fixture
def of_torch(tmp_path) -> Path:
    """A student whose encoder is not."""
    path = tmp_path / "t.safetensors"
    assert student_of(torch_encoder()).export(path) == ["a"]
    return path


def torch_encoder() -> TorchEncoder:
    module = torch.nn.Linear(6, 4)
    with torch.no_grad():
        module.weight[:] = torch.arange(24.0).reshape(4, 6) / 24
        module.bias[:] = 0
    return TorchEncoder(module, layer="", device="cpu")


# --------------------------------------------------------------------------------------
# What is inside.
# --------------------------------------------------------------------------------------

STORED = {
    "run of columns": make_column_transformer(("passthrough", slice(1, 4))),
    "passes on": FunctionTransformer(),
    "Pipeline": make_pipeline(StandardScaler(), PCA(3, random_state=0)),
    "frozen": FrozenEstimator(PCA(3, random_state=0).fit(ROWS)),
    "KMeans": MiniBatchKMeans(4, n_init=1, random_state=0),
    "Nystroem": Nystroem(n_components=4, random_state=0),
    "MLPEncoder": MLPEncoder(3),
    "MLPEncoder in a Pipeline": make_pipeline(StandardScaler(), MLPEncoder(3)),
}


@pytest.mark.parametrize("encoder", STORED.values(), ids=STORED)
def test_export__encoder_of_scikit_learn__all_inside(tmp_path, encoder):
    student = student_of(encoder)
    path = tmp_path / "a.safetensors"
    assert student.export(str(path)) == []
    assert_same(load_student(str(path)), student)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "a.safetensors"]


LABELS = {
    "int64": np.array([5, -6, 2**60]),
    "int8": np.array([5, 6, 7], dtype=np.int8),
    "uint64": np.array([5, 6, 2**63], dtype=np.uint64),
    "bool": np.array([True, False, True]),
    "float64": np.array([1.0, 2.0, 4.0]),
    "float32": np.array([1.0, 2.0, 4.0], dtype=np.float32),
    "str": np.array(["ä", "b \n", "longer"]),
    "two": np.array(["no", "yes", "no"]),
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_classes__same_dtype_and_values(tmp_path, labels):
    student = student_of(StandardScaler(), labels[THREE])
    student.export(tmp_path / "a.safetensors")
    assert_same(load_student(tmp_path / "a.safetensors"), student)


@pytest.mark.parametrize("values", [["x", "y", "z"], [1, 2, 3]])
def test_classes__objects(tmp_path, values):
    student = student_of(StandardScaler())
    student.set_params(classes=np.array(values, dtype=object))
    student.export(tmp_path / "a.safetensors")
    assert_same(load_student(tmp_path / "a.safetensors"), student)


@pytest.mark.parametrize(
    "classes", [np.array(["2020"] * 3, "M8[Y]"), np.array([b"x", b"y", b"z"])]
)
def test_classes__of_other_kinds__refused(tmp_path, classes):
    student = student_of(StandardScaler()).set_params(classes=classes)
    with pytest.raises(ValueError, match=r"must be str, int, float or bool"):
        student.export(tmp_path / "a.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_card__says_what_the_file_is(tmp_path):
    clf = fit([("ü.b c", PCA(3, random_state=0)), ("t", torch_encoder())])
    assert clf.teachers_["t"].export(tmp_path / "x.safetensors") == ["t"]
    card = card_of(tmp_path / "x.safetensors")
    checksum = card.pop("sha256")
    content = (tmp_path / "x.safetensors").read_bytes()
    assert checksum == hashlib.sha256(content).hexdigest()
    torch_text = card["experts"][0].pop("encoder")
    assert "TorchEncoder(" in torch_text
    assert "Linear(in_features=6, out_features=4" in torch_text
    assert card == {
        "format": 1,
        "jedi_sklearn": __version__,
        "classes": {"dtype": "<i8", "values": [0, 1, 2]},
        "experts": [
            {
                "name": "t",
                "width": 4,
                "units": 4,
                "encoder_class": "jedi_sklearn.encoders._torch_encoder.TorchEncoder",
                "stored": False,
            },
            {
                "name": "ü.b c",
                "width": 3,
                "units": 4,
                "encoder_class": "sklearn.decomposition._pca.PCA",
                "encoder": "PCA(n_components=3, random_state=0)",
                "stored": True,
            },
        ],
    }


def test_kept_expert__without_adjustment(tmp_path):
    clf = small_classifier([("a", StandardScaler())], learning_rate=1e-9)
    clf.set_params(keep_expert=True)
    X, y = {"a": ROWS}, {"a": THREE}
    clf.fit(X, y, X_val=X, y_val=y)
    assert clf.kept_experts_ == ["a"]
    clf.students_["a"].export(tmp_path / "a.safetensors")
    assert_same(load_student(tmp_path / "a.safetensors"), clf.students_["a"])


def test_loaded_student__is_exported_and_pickled_again(path, tmp_path):
    loaded = load_student(path)
    assert_same(pickle.loads(pickle.dumps(loaded)), loaded)
    loaded.export(tmp_path / "b.safetensors")
    assert_same(load_student(tmp_path / "b.safetensors"), loaded)


@pytest.mark.parametrize("encoder", ["Pipeline", "frozen", "MLPEncoder"])
def test_student_that_is_mapped_from_disk__is_exported_whole(tmp_path, encoder):
    student = student_of(STORED[encoder])
    joblib.dump(student, tmp_path / "a.joblib")
    mapped = joblib.load(tmp_path / "a.joblib", mmap_mode="r")
    assert isinstance(mapped.coef_, np.memmap)
    assert mapped.export(tmp_path / "a.safetensors") == []
    assert_same(load_student(tmp_path / "a.safetensors"), student)


def test_renamed_pair__loads(path, tmp_path):
    for suffix in (".safetensors", ".json"):
        path.with_suffix(suffix).rename(tmp_path / f"other{suffix}")
    load_student(tmp_path / "other.safetensors")


def test_export__replaces_files(path):
    other = student_of(StandardScaler())
    other.export(path)
    assert_same(load_student(path), other)


@pytest.mark.parametrize("name", ["a", "a.pkl", "a.json", "a.safetensors.gz"])
def test_other_suffix__refused(tmp_path, name):
    message = r"name that ends in '\.safetensors', got"
    with pytest.raises(ValueError, match=message):
        student_of(PCA(2)).export(tmp_path / name)
    with pytest.raises(ValueError, match=message):
        load_student(tmp_path / name)


def test_export__into_no_directory__error_names_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"cannot be written.*a\.safetensors"):
        student_of(PCA(2)).export(tmp_path / "none" / "a.safetensors")


# --------------------------------------------------------------------------------------
# Encoders that are not.
# --------------------------------------------------------------------------------------


def own_function(X: Any) -> Any:
    return X[:, :2]


class OwnPCA(PCA):
    """Of a class that only this file knows."""


@pytest.mark.parametrize(
    "encoder",
    [
        FunctionTransformer(own_function),
        FunctionTransformer(lambda X: X * 2),
        OwnPCA(2),
        make_pipeline(StandardScaler(), FrozenEstimator(torch_encoder())),
        make_column_transformer((OwnPCA(2), slice(0, 4))),
    ],
)
def test_own_encoder__is_asked_for(tmp_path, encoder):
    student = student_of(encoder)
    path = tmp_path / "a.safetensors"
    assert student.export(path) == ["a"]
    with pytest.raises(
        ValueError, match=r"holds no encoder of .*'a': .*encoder=\.\.\."
    ):
        load_student(path)
    fitted = student.branches[0].encoder
    for given in (fitted, {"a": fitted}):
        assert_same(load_student(path, encoder=given), student)


def test_torch__is_asked_for_by_what_it_was(of_torch):
    message = r"t\.safetensors' holds no encoder of these experts: 'a': TorchEncoder\("
    with pytest.raises(ValueError, match=message):
        load_student(of_torch)
    # Frozen or not makes no difference.
    for encoder in (torch_encoder(), FrozenEstimator(torch_encoder())):
        student = student_of(encoder)
        assert_same(load_student(of_torch, encoder), student)


def test_encoder_of_another_class__refused(of_torch, path):
    with pytest.raises(ValueError, match=r"class sklearn.*PCA; .*TorchEncoder"):
        load_student(of_torch, PCA(3).fit(ROWS))
    with pytest.raises(ValueError, match=r"class .*TorchEncoder; .*PCA\(n_comp"):
        load_student(path, torch_encoder())


def test_encoder_of_a_class_that_moved__taken(of_torch):
    card = card_of(of_torch)
    card["experts"][0]["encoder_class"] = "jedi_sklearn.elsewhere.TorchEncoder"
    rewrite(of_torch, experts=card["experts"])
    load_student(of_torch, torch_encoder())


def test_encoder_of_another_width__refused_when_it_predicts(of_torch):
    wider = TorchEncoder(torch.nn.Linear(6, 5), layer="", device="cpu")
    with pytest.raises(ValueError, match=r"'a'.* 5 features.* 4"):
        load_student(of_torch, wider).predict(ROWS)


def test_encoder_that_is_given__goes_before_the_one_inside(path):
    given = PCA(3, random_state=0).fit(ROWS)
    assert load_student(path, given).branches[0].encoder is given


def test_teacher__encoders_by_name(tmp_path):
    experts = [
        ("a", PCA(3, random_state=0)),
        ("b", torch_encoder()),
        ("c", FunctionTransformer(own_function)),
    ]
    clf = fit(experts)
    path = tmp_path / "x.safetensors"
    for name, teacher in clf.teachers_.items():
        assert teacher.export(path) == ["b", "c"]
        given = {"b": torch_encoder(), "c": FunctionTransformer(own_function)}
        assert_same(load_student(path, given), clf.teachers_[name])
    for too_few in ({"b": torch_encoder()}, given | {"c": None}):
        with pytest.raises(ValueError, match=r"'c': FunctionTransformer"):
            load_student(path, too_few)
    with pytest.raises(ValueError, match=r"several experts, \['a', 'b', 'c'\].*dict"):
        load_student(path, torch_encoder())
    with pytest.raises(ValueError, match=r"experts \['d'\].*\['a', 'b', 'c'\]"):
        load_student(path, given | {"d": torch_encoder()})


# --------------------------------------------------------------------------------------
# Files that are not as they were written.
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".safetensors", ".json"])
def test_missing_file__named(path, suffix):
    path.with_suffix(suffix).unlink()
    with pytest.raises(FileNotFoundError, match=rf"There is no '.*a\{suffix}'"):
        load_student(path)


@pytest.mark.parametrize(
    "change", [lambda b: b[:-1], lambda b: b"", lambda b: b + b"x"]
)
def test_damaged_weights__refused(path, change):
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=r"a\.safetensors' is damaged.*checksum"):
        load_student(path)


def test_one_bit_of_the_weights__refused(path):
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="checksum"):
        load_student(path)


def test_weights_of_another_card__refused(path, of_torch):
    of_torch.replace(path)
    with pytest.raises(ValueError, match="not the file that the card beside it is of"):
        load_student(path)


def test_interrupted_before_the_card__says_so(path, monkeypatch):
    original = Path.replace

    def fails(self: Path, target: Any) -> Path:
        if str(target).endswith(".json"):
            raise OSError(28, "No space left on device")
        return original(self, target)

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(OSError, match=r"No space left.*cannot be written"):
        student_of(StandardScaler()).export(path)
    assert sorted(p.name for p in path.parent.iterdir()) == ["a.json", path.name]
    with pytest.raises(ValueError, match="checksum"):
        load_student(path)


NO_CARDS = {
    "nothing": b"",
    "text": b"hello",
    "not utf-8": b'{"format": 1, "jedi_sklearn": "\xff"}',
    "a list": b"[1]",
    "another's": b'{"name": "x", "version": 3}',
    "no experts": b'{"format": 1, "jedi_sklearn": "0.1"}',
}


@pytest.mark.parametrize("content", NO_CARDS.values(), ids=NO_CARDS)
def test_no_card__refused(path, content):
    path.with_suffix(".json").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.json' is damaged, or no card"):
        load_student(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"experts": [{"name": "a"}]},
        {"experts": ["a"]},
        {"experts": None},
        {"classes": {"dtype": "V8", "values": []}},
        {"classes": {"dtype": "nonsense", "values": [1]}},
        {"classes": {"dtype": "<i8", "values": ["x", "y", "z"]}},
        {"classes": [1, 2, 3]},
        {"format": "x"},
    ],
)
def test_changed_card__refused(path, changes):
    rewrite(path, **changes)
    with pytest.raises(ValueError, match=r"a\.json' is damaged, or no card"):
        load_student(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": {"dtype": "<i8", "values": [1, 2]}},
        {"experts": []},
    ],
)
def test_card_of_other_weights__refused(path, changes):
    rewrite(path, **changes)
    with pytest.raises(ValueError, match=r"a\.safetensors' .* has other tensors"):
        load_student(path)


@pytest.mark.parametrize("lost", ["linear.coef", "branches.0.up.coef", "encoders.0"])
def test_tensor_missing_or_too_many__refused(path, lost):
    tensors = safetensors.load(path.read_bytes())
    rewrite(path, {name: a for name, a in tensors.items() if name != lost})
    with pytest.raises(ValueError, match="other tensors"):
        load_student(path)
    rewrite(path, tensors | {"encoders.7": np.zeros(3, np.uint8)})
    with pytest.raises(ValueError, match="other tensors"):
        load_student(path)


def test_no_safetensors__refused(path):
    path.write_bytes(pickle.dumps({"a": 1}))
    rewrite(path)
    with pytest.raises(ValueError, match=r"a\.safetensors' is no safetensors file"):
        load_student(path)


def test_newer_format__refused(path):
    rewrite(path, format=2, jedi_sklearn="99.0", experts="not as now")
    with pytest.raises(ValueError, match=r"written by jedi_sklearn 99\.0, .*newer"):
        load_student(path)


# --------------------------------------------------------------------------------------
# Nothing is run.
# --------------------------------------------------------------------------------------


class Hostile:
    """Writes a file when a pickle of it is loaded, or skops makes one of it."""

    marker: Path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.marker,))

    def __setstate__(self, state: Any) -> None:
        Path(state["marker"]).touch()

    def transform(self, X: Any) -> Any:
        return X


def with_encoder(path: Path, content: bytes) -> None:
    tensors = safetensors.load(path.read_bytes())
    rewrite(path, tensors | {"encoders.0": np.frombuffer(content, np.uint8)})


def test_encoder_that_is_a_pickle__refused_not_run(path, tmp_path):
    hostile = Hostile()
    hostile.marker = tmp_path / "ran"
    with_encoder(path, pickle.dumps(hostile))
    with pytest.raises(ValueError, match=r"encoder of expert 'a' in .* cannot be read"):
        load_student(path)
    assert not hostile.marker.exists()


class Innocent(Hostile):
    """The same, as skops writes it."""

    __reduce__ = object.__reduce__

    def __getstate__(self) -> Any:
        return {"marker": str(self.marker)}


@pytest.mark.parametrize("wrapped", [False, True])
def test_encoder_of_an_untrusted_type__refused_not_run(path, tmp_path, wrapped):
    hostile: Any = Innocent()
    hostile.marker = tmp_path / "ran"
    content = skops.dumps(make_pipeline(hostile) if wrapped else hostile)
    # It would run: that it does not is by what is trusted.
    skops.loads(content, trusted=skops.get_untrusted_types(data=content))
    assert hostile.marker.exists()
    hostile.marker.unlink()
    with_encoder(path, content)
    with pytest.raises(ValueError, match=r"UntrustedTypesFound.*Innocent"):
        load_student(path)
    assert not hostile.marker.exists()


def renamed(content: bytes, module: str, name: str) -> bytes:
    """Return what skops wrote of an MLPEncoder under the name of something else."""
    changed = io.BytesIO()
    with ZipFile(io.BytesIO(content)) as before, ZipFile(changed, "w") as after:
        for file in before.namelist():
            text = before.read(file)
            if file == "schema.json":
                assert text.count(b'"jedi_sklearn.encoders._mlp"') == 1
                text = text.replace(b"jedi_sklearn.encoders._mlp", module.encode())
                text = text.replace(b'"MLPEncoder"', f'"{name}"'.encode())
            after.writestr(file, text)
    return changed.getvalue()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("jedi_sklearn.utils.files", "os"),
        ("jedi_sklearn.models.student_file", "Path"),
        ("jedi_sklearn.classifier.jedi_classifier", "JEDIClassifier"),
        ("jedi_sklearn.embeddings._store", "EmbeddingStore"),
    ],
)
def test_names_of_the_package_that_are_no_encoders__refused(path, module, name):
    # What a module imports has a name that begins with the package's, too.
    content = skops.dumps(MLPEncoder(3).fit(ROWS, THREE))
    with_encoder(path, renamed(content, "jedi_sklearn.encoders._mlp", "MLPEncoder"))
    with pytest.raises(ValueError, match="encoder for expert 'a'"):
        load_student(path)  # It was read, and is no PCA.
    with_encoder(path, renamed(content, module, name))
    with pytest.raises(ValueError, match=rf"UntrustedTypesFound.*{module}\.{name}"):
        load_student(path)


@pytest.mark.parametrize("thing", [[1, 2], LABELS, StandardScaler()])
def test_encoder_that_is_another_thing__refused(path, thing):
    with_encoder(path, skops.dumps(thing))
    with pytest.raises(ValueError, match=r"encoder for expert 'a'|cannot be read"):
        load_student(path)


def test_load__unpickles_nothing(path, monkeypatch):
    expected = load_student(path).predict_proba(ROWS)

    def forbidden(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("something is unpickled")

    load = np.load

    def only_plain(*args: Any, allow_pickle: bool = False, **kwargs: Any) -> Any:
        assert not allow_pickle
        return load(*args, allow_pickle=False, **kwargs)

    for name in ("load", "loads", "Unpickler", "_Unpickler"):
        monkeypatch.setattr(pickle, name, forbidden)
    monkeypatch.setattr(np, "load", only_plain)
    loaded = load_student(path)
    np.testing.assert_array_equal(loaded.predict_proba(ROWS), expected)


WITHOUT_TORCH = """
import importlib.abc
import sys

class NoTorch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "skorch", "onnx", "skl2onnx"}:
            raise ImportError(f"{name} cannot be imported here")

sys.meta_path.insert(0, NoTorch())

import numpy as np
from jedi_sklearn import load_student

X = np.load(sys.argv[2], allow_pickle=False)
np.save(sys.argv[3], load_student(sys.argv[1]).predict_proba(X))
assert not {"torch", "skorch"} & sys.modules.keys()
"""


def test_process_without_torch__predicts_the_same(path, tmp_path):
    there, back = tmp_path / "X.npy", tmp_path / "back.npy"
    np.save(there, ROWS)
    subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, path, there, back],
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    expected = load_student(path).predict_proba(ROWS)
    np.testing.assert_array_equal(np.load(back), expected)


# --------------------------------------------------------------------------------------
# Libraries that are not installed.
# --------------------------------------------------------------------------------------


@pytest.fixture
def without(monkeypatch) -> Callable[[str], None]:
    def hide(library: str) -> None:
        original = builtins.__import__

        def importing(name: str, *args: Any) -> Any:
            if name.split(".")[0] == library:
                raise ImportError(f"No module named {name!r}")
            return original(name, *args)

        monkeypatch.setattr(builtins, "__import__", importing)

    return hide


@pytest.mark.parametrize("library", ["safetensors", "skops"])
def test_library_missing__error_says_what_to_install(path, without, library):
    without(library)
    message = rf'need {library}: pip install "jedi_sklearn\[export\]"'
    with pytest.raises(ImportError, match=message):
        load_student(path)
    with pytest.raises(ImportError, match=message):
        student_of(PCA(2)).export(path)


def test_load__of_an_encoder_that_is_given__without_skops(of_torch, without):
    without("skops")
    load_student(of_torch, torch_encoder())


def test_card_of_something_else__is_not_overwritten(tmp_path):
    (tmp_path / "config.json").write_text('{"mine": 1}')
    with pytest.raises(ValueError, match=r"config\.json' is damaged, or no card"):
        student_of(PCA(2)).export(tmp_path / "config.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
