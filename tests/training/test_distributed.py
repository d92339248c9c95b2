"""Two processes that train together, as one does alone."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import processes_worker as worker
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_batches import _datasets, _who, tables

from jedi_sklearn.training.data import batches as batches_module
from jedi_sklearn.training.data.batches import Batches
from jedi_sklearn.training.distributed import add_up, check_same, n_processes, rank

HERE = Path(__file__).parent
SECONDS = 60
ERRORS = {"own seeds", "no seed", "own labels"}
FITS = [name for name in worker.TOGETHER if name not in ERRORS]
# Each process draws its own masks, so that one alone has others.
AS_ALONE = [
    name
    for name in FITS
    if worker.TOGETHER[name].get("units_per_class") == 1e6 and name != "early_stopping"
]

Learnt = Callable[[str, int], dict[str, Any]]


@pytest.fixture(scope="module")
def learnt(tmp_path_factory) -> Learnt:
    """Let two processes do all fits; return what one of them has of one."""
    directory = tmp_path_factory.mktemp("processes")
    environment = {
        **os.environ,
        "PYTHONPATH": f"{HERE}{os.pathsep}{HERE.parent}",
        "OMP_NUM_THREADS": "1",
    }
    running = [
        subprocess.Popen(
            [sys.executable, HERE / "processes_worker.py", directory, str(number), "2"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(2)
    ]
    try:
        said = [process.communicate(timeout=SECONDS)[0] for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0], "\n".join(said)

    def of(name: str, number: int) -> dict[str, Any]:
        return pickle.loads((directory / f"{name}.{number}").read_bytes())

    return of


@pytest.mark.parametrize("name", FITS)
def test_processes__any_fit__both_have_the_same_bits(learnt, name):
    first, second = learnt(name, 0), learnt(name, 1)
    assert "error" not in first
    np.testing.assert_equal(first, second)
    assert np.isfinite(first["history"][:, 0]).all()
    assert len(first["history"]) > 0


@pytest.mark.parametrize("name", AS_ALONE)
def test_processes__nothing_dropped__as_one_alone(learnt, name):
    given, expected = learnt(name, 0), worker.fit(name)
    np.testing.assert_allclose(given["history"], expected["history"], rtol=1e-4)
    for here, there in zip(given["weights"], expected["weights"], strict=True):
        assert np.linalg.norm(here - there) <= 1e-4 * np.linalg.norm(there)
    for dataset, proba in expected["proba"].items():
        np.testing.assert_allclose(given["proba"][dataset], proba, atol=1e-4)


def test_processes__dropout__learn_as_one_alone(learnt):
    # Of other masks: near, and not the same.
    given, expected = learnt("dropout", 0), worker.fit("dropout")
    assert (given["history"] != expected["history"]).any()
    loss = given["history"][:, 0]
    np.testing.assert_allclose(loss, expected["history"][:, 0], rtol=0.2)


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_processes__do_not_start_alike__error_in_both(learnt, name):
    for number in range(2):
        error = learnt(name, number)["error"]
        assert "random_state" in error
        assert "same data" in error
        assert "2 processes" in error


def test_processes__fit_after_an_error__as_if_there_were_none(learnt):
    np.testing.assert_equal(learnt("after the errors", 0), learnt("plain", 0))


def test_processes__streamed__same_bits_as_from_memory(learnt):
    np.testing.assert_equal(learnt("streamed", 1), learnt("plain", 1))


# --------------------------------------------------------------------------------------
# In one process.
# --------------------------------------------------------------------------------------


def test_one_process__nothing_is_added_or_compared():
    assert (n_processes(), rank()) == (1, 0)
    tensors = [torch.arange(3.0), torch.ones(2, 2)]
    add_up(tensors)
    torch.testing.assert_close(tensors, [torch.arange(3.0), torch.ones(2, 2)])
    add_up([])
    check_same([np.ones(3)], "cpu")


@settings(max_examples=50, deadline=None)
@given(
    table=tables(),
    batch_size=st.integers(1, 20),
    n=st.integers(1, 4),
    seed=st.integers(0, 2**32),
)
def test_batches__of_several_processes__shares_of_the_batch_of_one(
    table, batch_size, n, seed
):
    codes, sizes = table

    def epoch_of(number: int, n: int) -> list[Any]:
        generator = torch.Generator().manual_seed(seed)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(batches_module, "n_processes", lambda: n)
            patch.setattr(batches_module, "rank", lambda: number)
            rows = _datasets(codes, sizes)
            return list(Batches(rows, batch_size, generator, "cpu"))

    shares = [epoch_of(number, n) for number in range(n)]
    for whole, *parts in zip(epoch_of(0, 1), *shares, strict=True):
        assert {part.size for part in parts} == {whole.size} == {len(whole.features)}
        together = [who for part in parts for who in _who(part.features)]
        assert sorted(together) == sorted(_who(whole.features))
        for kind in ("rows", "labelled"):
            of_parts = [
                [_who(part.features[own]) for own in getattr(part, kind)]
                for part in parts
            ]
            for i, own in enumerate(getattr(whole, kind)):
                mine = [who for of_part in of_parts for who in of_part[i]]
                assert sorted(mine) == sorted(_who(whole.features[own]))
                # As many for each as can be.
                lengths = [len(of_part[i]) for of_part in of_parts]
                assert max(lengths) - min(lengths) <= 1
