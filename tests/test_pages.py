"""The Python blocks of docs/persistence.md run, as those of the README do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_readme import read_blocks, run_block

PAGE = Path(__file__).resolve().parents[1] / "docs" / "persistence.md"


@pytest.mark.usefixtures("torch_seed_stays")
def test_blocks_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = read_blocks(PAGE.read_text(encoding="utf-8"))
    assert len(blocks) == 7
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks:
        run_block(block, namespace)
    np = namespace["np"]
    student, rows = namespace["student"], namespace["X"]["photos"]
    expected = student.predict_proba(rows.astype(np.float32))
    np.testing.assert_allclose(namespace["probabilities"], expected, atol=1e-5)
    np.testing.assert_array_equal(namespace["labels"], student.predict(rows))


@pytest.fixture
def torch_seed_stays() -> Any:
    import torch

    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)
