"""The Python blocks of pages of docs/ run, as those of the README do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_readme import read_blocks, run_block

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
        run_block(block, namespace)
    return namespace


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
