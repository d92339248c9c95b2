"""`make demo` as its user sees it: the table of the README and the picture."""

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


@pytest.mark.slow
def test_demo_prints_the_table_of_the_readme(tmp_path):
    run = subprocess.run(
        [sys.executable, ROOT / "examples" / "plot_quickstart.py"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        check=True,
    )
    printed = read_table(run.stdout)
    shown = read_table((ROOT / "README.md").read_text(encoding="utf-8"))
    assert list(printed.index) == ["expert", "student", "teacher"] * 4
    # Other processors round differently, which training amplifies a little.
    np.testing.assert_allclose(printed, shown, atol=0.02)
    accuracy = printed[1].groupby(level=0).mean()
    assert accuracy["student"] > accuracy["expert"] + 0.02
    assert (tmp_path / "quickstart.png").stat().st_size > 10_000
    assert re.search(r"epoch 100/100 .* s left", run.stderr)
