"""The command line of the store, as its user types it."""

import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from jedi_sklearn.embeddings import EmbeddingStore
from jedi_sklearn.embeddings.__main__ import main

EXPERT = "test_store_command:pixels"


class Pixels(TransformerMixin, BaseEstimator):
    """Reads the pixels of files."""

    def fit(self, X, y=None):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def transform(self, paths):
        images = []
        for path in paths:
            with Image.open(path) as image:
                images.append(np.asarray(image, dtype=np.float32).ravel())
        return np.stack(images)


def pixels():
    """Return a fitted expert on pictures of 2 x 2 pixels."""
    head = LogisticRegression().fit(np.eye(4), [0, 1, 2, 2])
    return make_pipeline(Pixels(), head)


@pytest.fixture
def samples(tmp_path, monkeypatch) -> Path:
    """Write seven pictures of two datasets, and the table of their paths."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    lines = ["dataset,path"]
    pictures = np.random.default_rng(0).integers(256, size=(7, 2, 2), dtype=np.uint8)
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(f"{number}.png")
        lines.append(f"{'cats' if number < 3 else 'dogs'},{number}.png")
    Path("clips.csv").write_text("\n".join(lines))
    return tmp_path


def extract(*more: str) -> int:
    command = ["extract", "store", "--samples", "clips.csv", "--quiet"]
    return main([*command, "--expert", f"a={EXPERT}", *more])


def test_extract__info_and_rows(samples, capsys):
    assert extract("--dtype", "float16", "--shard-rows", "2") == 0
    shown = capsys.readouterr().out
    assert [line.split()[1] for line in shown.splitlines()[1:]] == (
        ["features"] * 2 + ["probabilities"] * 2
    )
    dogs = [f"{number}.png" for number in range(3, 7)]
    rows = EmbeddingStore("store").features(("a", pixels()), dogs)
    np.testing.assert_array_equal(rows, Pixels().transform(dogs))
    assert main(["info", "store"]) == 0
    assert capsys.readouterr().out == shown


def test_extract__again__changes_nothing_and_warns_of_changed_files(samples, capsys):
    assert extract() == 0
    before = {path: path.stat().st_mtime_ns for path in samples.glob("store/**/*")}
    assert extract() == 0
    after = {path: path.stat().st_mtime_ns for path in samples.glob("store/**/*")}
    assert after == before
    assert capsys.readouterr().err == ""
    Image.new("L", (2, 2)).save("5.png")
    assert extract() == 0
    assert "warning: 1 files of dataset 'dogs' have changed" in capsys.readouterr().err
    assert extract() == 0
    assert capsys.readouterr().err == ""


def test_extract__file_is_no_picture__named_or_skipped(samples, capsys):
    Path("4.png").write_text("no picture")
    assert extract() == 2
    assert "Row 1 of dataset 'dogs', '4.png', cannot be" in capsys.readouterr().err
    assert extract("--on-error", "skip") == 0
    assert "missing, by a: Row 1 of dataset 'dogs', '4.png'" in capsys.readouterr().out


def test_extract__pickled_expert_and_one_dataset__name_of_the_file(samples, capsys):
    joblib.dump(pixels(), "expert.joblib")
    Path("pets.csv").write_text("path\n0.png\n1.png\n")
    command = ["extract", "store", "--samples", "pets.csv", "--quiet"]
    assert main([*command, "--expert", "a=expert.joblib"]) == 0
    assert EmbeddingStore("store").info()["dataset"].tolist() == ["pets", "pets"]


def test_verify__all_well_and_damaged(samples, capsys):
    extract()
    assert main(["verify", "store"]) == 0
    path = next(samples.glob("store/a-features-*/cats/*.npy"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert main(["verify", "store"]) == 1
    assert str(path) in capsys.readouterr().out
    assert main(["verify", "store", "--remove"]) == 1
    assert main(["verify", "store"]) == 0
    assert extract() == 0


def test_export__tensors_in_the_order_of_the_table(samples):
    extract()
    command = ["export", "store", "--samples", "clips.csv", "--expert", "a"]
    assert main([*command, "--output", "a.safetensors"]) == 0
    cats = [f"{number}.png" for number in range(3)]
    with safe_open("a.safetensors", "numpy") as file:
        assert sorted(file.keys()) == [
            f"{name}/{kind}"
            for name in ("cats", "dogs")
            for kind in ("features", "probabilities")
        ]
        assert file.metadata()["cats/samples"] == '["0.png", "1.png", "2.png"]'
        features = file.get_tensor("cats/features")
        probabilities = file.get_tensor("cats/probabilities")
    np.testing.assert_array_equal(features, Pixels().transform(cats))
    np.testing.assert_allclose(probabilities, pixels().predict_proba(cats), atol=1e-6)


@pytest.mark.parametrize(
    ("expert", "message"),
    [
        ("a", "--expert 'a' must be NAME="),
        ("a=test_store_command:nothing", "has no attribute 'nothing'"),
        ("a=no_such_module:pixels", "No module named 'no_such_module'"),
        ("a=none.joblib", "none.joblib"),
        ("a=test_store_command:Path", "must be a transformer or end in"),
    ],
)
def test_extract__wrong_expert__error_says_why(samples, capsys, expert, message):
    command = ["extract", "store", "--samples", "clips.csv", "--expert", expert]
    assert main(command) == 2
    assert message in capsys.readouterr().err
    assert not Path("store").exists()


def test_wrong_table_or_store__error_says_why(samples, capsys):
    Path("clips.csv").write_text("file\n0.png\n")
    assert extract() == 2
    assert "has no column 'path'; it has ['file']" in capsys.readouterr().err
    for command in ("info", "verify"):
        assert main([command, "nowhere"]) == 2
        assert "There is no embedding store in" in capsys.readouterr().err


def test_as_a_command__progress_bar_and_status(samples):
    command = ["extract", "store", "--samples", "clips.csv", "--expert"]
    done = subprocess.run(
        [sys.executable, "-m", "jedi_sklearn.embeddings", *command, f"a={EXPERT}"],
        env={"PYTHONPATH": f"{Path(__file__).parents[1]}:{Path(__file__).parent}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "100%" in done.stderr
    assert "rows/s" in done.stderr
    assert "probabilities" in done.stdout
