"""The examples as their user sees them: what they print and draw."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[1]


def read_table(text: str) -> pd.DataFrame:
    """Return the table that `evaluate` printed somewhere in a text."""
    lines = text[text.index("accuracy  top_5") :].splitlines()[2:]
    rows = [line for line in lines if re.search(r"(expert|student|teacher) ", line)]
    table = pd.read_csv(
        io.StringIO("\n".join(row[9:] for row in rows[:12])), sep=r"\s+", header=None
    )
    return table.set_index(0)


def run_example(name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run an example in a folder as its user does, warnings as errors."""
    return subprocess.run(
        [sys.executable, "-W", "error", ROOT / "examples" / name],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.mark.slow
def test_demo_prints_the_table_of_the_readme(tmp_path):
    run = run_example("plot_quickstart.py", tmp_path)
    printed = read_table(run.stdout)
    shown = read_table((ROOT / "README.md").read_text(encoding="utf-8"))
    assert list(printed.index) == ["expert", "student", "teacher"] * 4
    # Other processors round differently, which training amplifies a little.
    np.testing.assert_allclose(printed, shown, atol=0.02)
    accuracy = printed[1].groupby(level=0).mean()
    assert accuracy["student"] > accuracy["expert"] + 0.02
    assert (tmp_path / "quickstart.png").stat().st_size > 10_000
    assert re.search(r"epoch 100/100 .* s left", run.stderr)


@pytest.mark.slow
def test_search_over_the_ablations__runs_as_it_is(tmp_path):
    run = run_example("plot_ablations.py", tmp_path)
    assert re.search(r"best: \{.*'schedule': .*'teacher_input'", run.stdout)
    for value in ("alternating", "joint", "adjusted+predictions", "base"):
        assert value in run.stdout
    assert (tmp_path / "ablations.png").stat().st_size > 10_000
