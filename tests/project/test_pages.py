"""The Python blocks of pages of docs/ run, as those of the README do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot as plt
from test_readme import check_names, read_blocks, run_block

from jedi_sklearn.embeddings import EmbeddingStore

DOCS = Path(__file__).resolve().parents[1] / "docs"


@pytest.fixture
def in_a_new_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep what the blocks write, and torch's seed, out of the way of other tests."""
    import torch

    state = torch.get_rng_state()
    monkeypatch.chdir(tmp_path)
    yield
    torch.set_rng_state(state)


def run_page(name: str, n_blocks: int) -> dict[str, Any]:
    """Run the blocks of a page one after another; return the names that they set."""
    blocks = read_blocks((DOCS / name).read_text(encoding="utf-8"))
    assert len(blocks) == n_blocks
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks:
        if block.slow is None:
            run_block(block, namespace)
        else:
            problems = check_names(block.source, dict(namespace))
            assert not problems, f"{name}:{block.line}: {problems}"
    return namespace


@pytest.mark.usefixtures("in_a_new_folder")
def test_getting_started():
    names = run_page("getting_started.md", 3)
    text = (DOCS / "getting_started.md").read_text(encoding="utf-8")
    shown = [float(number) for number in re.findall(r"\b[01]\.\d\d\b", text)]
    # Other processors round differently, which training amplifies a little.
    np.testing.assert_allclose(names["table"].to_numpy().ravel(), shown, atol=0.03)
    assert set(names["clf"].predict({"scans": names["X"]["scans"]})["scans"]) <= {0, 1}


@pytest.mark.usefixtures("in_a_new_folder")
def test_models_in_files():
    names = run_page("persistence.md", 7)
    student, rows = names["student"], names["X"]["photos"]
    expected = student.predict_proba(rows.astype(np.float32))
    np.testing.assert_allclose(names["probabilities"], expected, atol=1e-5)
    np.testing.assert_array_equal(names["labels"], student.predict(rows))


@pytest.mark.usefixtures("in_a_new_folder")
def test_long_trainings():
    names = run_page("long_trainings.md", 4)
    assert names["clf"].n_iter_ == 21
    assert sorted(path.name for path in Path("run").iterdir())[0] == "fit.json"
    # Four candidates on two folds, and the best on all rows.
    assert len(list(Path("search").iterdir())) == 9


@pytest.mark.usefixtures("in_a_new_folder")
def test_method():
    names = run_page("user_guide/method.md", 5)
    phases = names["two_stages"].history_["distillation_loss"]
    assert (phases.iloc[:2] == 0).all(axis=None)
    assert (phases.iloc[2:] > 0).all(axis=None)


@pytest.mark.usefixtures("in_a_new_folder")
def test_experts():
    names = run_page("user_guide/experts.md", 7)
    (branch,) = names["clf"].students_["numerals"].branches
    assert branch.width == 16  # blocks of 7 pixels of 28


@pytest.mark.usefixtures("in_a_new_folder")
def test_unlabelled():
    names = run_page("user_guide/unlabelled.md", 3)
    assert names["clf"].datasets_ == ["digits", "letters", "numerals"]
    assert len(names["scores"]) == 3


@pytest.mark.usefixtures("in_a_new_folder")
def test_search():
    names = run_page("user_guide/search.md", 6)
    assert names["halving"].n_resources_ == [2, 4]
    assert len(list(Path("search").iterdir())) == 5
    assert len(names["study"].trials) == 3


@pytest.mark.usefixtures("in_a_new_folder")
def test_caching():
    names = run_page("user_guide/caching.md", 1)
    assert names["again"].n_iter_ == 2
    # Both experts on both datasets, whatever was fitted and scored.
    info = EmbeddingStore("embeddings").info()
    assert info[["n_rows", "n_shards"]].sum().tolist() == [2 * 200, 2 * 2]
    assert [path.name for path in Path().iterdir()] == ["embeddings"]


@pytest.mark.usefixtures("in_a_new_folder")
def test_gpus():
    names = run_page("user_guide/gpus.md", 2)
    assert isinstance(names["clf"].students_["digits"].coef_, np.ndarray)


@pytest.mark.usefixtures("in_a_new_folder")
def test_deployment():
    names = run_page("user_guide/deployment.md", 2)
    student, rows = names["student"], names["X"]["digits"]
    assert [label for label, _ in names["classify"](student, rows, at_least=0)] == (
        student.predict(rows).tolist()
    )
    assert names["classify"](student, rows, at_least=1.01)[0][0] is None
    with pytest.raises(ValueError, match="784 columns"):
        names["classify"](student, rows[:, :3])


@pytest.mark.usefixtures("in_a_new_folder")
def test_looking_at_results():
    try:
        names = run_page("user_guide/metrics_and_plots.md", 7)
    finally:
        plt.close("all")
    assert list(names["accuracy"]) == ["expert", "student", "teacher"]
    assert names["stopped"].n_iter_ < 50
    assert names["display"].scores.shape == (2 * 3, 3)
    card = Path("README.md").read_text(encoding="utf-8")
    assert "Not for addresses." in card
    assert {"class_gains.png", "calibration.png"} <= {p.name for p in Path().iterdir()}


def test_every_page_of_the_user_guide_runs():
    tests = Path(__file__).read_text(encoding="utf-8")
    pages = {page.name for page in (DOCS / "user_guide").glob("*.md")}
    pages -= {"index.md", "clients.md"}  # The latter runs in clients/.
    assert {name for name in pages if f'"user_guide/{name}"' in tests} == pages
