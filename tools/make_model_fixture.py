r"""Make the models that later versions must be able to load.

Every version of the package, and every change in the state of its models, adds a
directory to tests/data/models. The persistence tests load all of them:

    python tools/make_model_fixture.py
    python tools/make_model_fixture.py --name 0.1.0.dev0-before-x

It holds a small fitted JEDIClassifier as model.joblib and model.skops, one student as
student.safetensors with its card student.json, and expected.json: rows, labels and the
predictions of the models. An existing directory is kept, unless --replace is given; use
this for versions that were not released only.
"""

from __future__ import annotations

import argparse
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jedi_sklearn import JEDIClassifier, __version__
from jedi_sklearn.encoders import MLPEncoder

MODELS = Path(__file__).resolve().parents[1] / "tests" / "data" / "models"

Rows = dict[str, npt.NDArray[np.float64]]
Labels = dict[str, npt.NDArray]


def make_data() -> tuple[Rows, Labels]:
    """Return rows of three datasets: labels of str, of int, and two classes."""
    rng = np.random.default_rng(0)
    X = {name: rng.normal(size=(18, 5)).round(3) for name in ("a", "b", "c")}
    y = {
        "a": np.array(["x", "y", "z"])[np.arange(18) % 3],
        "b": np.arange(18) % 4,
        "c": np.where(X["c"][:, 0] > 0, "up", "down"),
    }
    return X, y


def fit_model(X: Rows, y: Labels) -> JEDIClassifier:
    """Return a classifier with one expert of each kind that works without torch."""
    experts = [
        ("a", make_pipeline(StandardScaler(), PCA(3), LogisticRegression())),
        ("b", make_column_transformer(("passthrough", slice(0, 4)))),
        ("c", MLPEncoder(4)),
    ]
    return JEDIClassifier(
        experts, adjustment_units=3, max_epochs=3, random_state=0, device="cpu"
    ).fit(X, y)


def expectation(clf: JEDIClassifier, X: Rows, y: Labels) -> dict[str, Any]:
    """Return rows, labels and predictions as JSON values."""
    kinds = {"students": clf.students_, "teachers": clf.teachers_}
    libraries = ("numpy", "pandas", "scikit-learn", "skops", "safetensors")
    return {
        "jedi_sklearn": __version__,
        "made_with": {name: version(name) for name in libraries},
        "X": {name: rows.tolist() for name, rows in X.items()},
        "y": {name: labels.tolist() for name, labels in y.items()},
        "probabilities": {
            kind: {
                name: m.predict_proba(X[name]).tolist() for name, m in models.items()
            }
            for kind, models in kinds.items()
        },
        "history": clf.history_.to_numpy().tolist(),
    }


def write_model(directory: Path) -> None:
    """Write all files of one version."""
    from skops import io as skops

    X, y = make_data()
    clf = fit_model(X, y)
    directory.mkdir(parents=True, exist_ok=True)
    joblib.dump(clf, directory / "model.joblib", compress=3)
    skops.dump(clf, directory / "model.skops", compression=8)  # zlib's deflate
    clf.students_["a"].export(directory / "student.safetensors")
    expected = json.dumps(expectation(clf, X, y))
    (directory / "expected.json").write_text(f"{expected}\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--name", default=__version__, help="of the directory")
    parser.add_argument("--replace", action="store_true")
    args = parser.parse_args()
    directory = MODELS / args.name
    if directory.exists() and not args.replace:
        parser.error(f"{directory} is there already")
    write_model(directory)
    for path in sorted(directory.iterdir()):
        print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
