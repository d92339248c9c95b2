"""Runs what is not yet done: regimes and seeds in processes, cell after cell."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed, parallel_config
from threadpoolctl import threadpool_limits

from . import store
from .data import Data, validation_in_test
from .problem import Problem, make_problem
from .scores import measure
from .variants import contestants_of, run_contestant, settings_of

LIBRARIES = ("numpy", "scikit-learn", "torch", "skorch", "jedi_sklearn")


@dataclass(frozen=True)
class Plan:
    """What is to be run.

    Attributes
    ----------
    regimes : sequence of str
    seeds : sequence of int
    contestants : sequence of str or None
        None stands for all that a regime has.
    extra : str
        The dataset that serves without labels in the regime `extra`.
    shortened : dict
        Parameters that every variant of JEDI is given last.
    validation : bool
        Whether held-out training rows stand for the test rows.
    """

    regimes: Sequence[str]
    seeds: Sequence[int]
    contestants: Sequence[str] | None
    extra: str
    shortened: dict[str, Any] = field(default_factory=dict)
    validation: bool = False

    def contestants_of(self, regime: str, seed: int) -> list[str]:
        """Return the contestants that run in a regime with a seed."""
        names = contestants_of(regime, seed, self.extra)
        if self.contestants is None:
            return names
        return [name for name in names if name in self.contestants]

    def finished_in(self, folder: Path, regime: str, seed: int) -> list[store.Cell]:
        """Return a group's results, those of other settings than today's left out."""
        wanted = {
            name: settings_of(name, self.extra, self.shortened)
            for name in self.contestants_of(regime, seed)
        }
        return [
            cell
            for cell in store.read(store.path_of(folder, regime, seed))
            if wanted.get(cell["contestant"]) == cell["settings"]
        ]

    def missing(self, folder: Path, regime: str, seed: int) -> list[str]:
        """Return the contestants of a group that have no result."""
        cells = self.finished_in(folder, regime, seed)
        done = {cell["contestant"] for cell in cells}
        wanted = self.contestants_of(regime, seed)
        return [name for name in wanted if name not in done]

    def finished(self, folder: Path) -> list[store.Cell]:
        """Return all results that are there."""
        return [
            cell
            for regime in self.regimes
            for seed in self.seeds
            for cell in self.finished_in(folder, regime, seed)
        ]

    def n_wanted(self) -> int:
        """Return how many results there are when all is done."""
        groups = [(regime, seed) for regime in self.regimes for seed in self.seeds]
        return sum(len(self.contestants_of(*group)) for group in groups)


def run(plan: Plan, data: Data, folder: Path, n_jobs: int) -> None:
    """Run the groups that are not finished, each in one process with one thread."""
    groups = {
        (regime, seed): plan.missing(folder, regime, seed)
        for seed in plan.seeds
        for regime in plan.regimes
    }
    groups = {group: names for group, names in groups.items() if names}
    remaining = sum(len(names) for names in groups.values())
    print(f"{remaining} results in {len(groups)} groups remain", flush=True)
    with parallel_config("loky", n_jobs=n_jobs, inner_max_num_threads=1):
        finished = Parallel(return_as="generator_unordered")(
            delayed(run_group)(plan, data, folder, regime, seed, names)
            for (regime, seed), names in groups.items()
        )
        for regime, seed, n_done in finished:
            remaining -= n_done
            print(f"{regime}, seed {seed} is done; {remaining} remain", flush=True)


def run_group(
    plan: Plan, data: Data, folder: Path, regime: str, seed: int, names: list[str]
) -> tuple[str, int, int]:
    """Make a regime's problem for a seed once and run contestants on it."""
    with one_thread():
        return _run_group(plan, data, folder, regime, seed, names)


def _run_group(
    plan: Plan, data: Data, folder: Path, regime: str, seed: int, names: list[str]
) -> tuple[str, int, int]:
    if plan.validation:
        data = validation_in_test(data, seed)
    problem = make_problem(data, regime, seed, plan.extra)
    path = store.path_of(folder, regime, seed)
    for i, name in enumerate(names):
        cell = run_cell(plan, problem, data, regime, seed, name)
        store.append(path, cell)
        text = f"{regime} {seed}: {name}, {cell['seconds']:.0f} s"
        print(f"{text}; {len(names) - i - 1} remain here", flush=True)
    return regime, seed, len(names)


def run_cell(
    plan: Plan, problem: Problem, data: Data, regime: str, seed: int, name: str
) -> store.Cell:
    """Fit a contestant and score it on the test rows, which are used here alone."""
    start = time.perf_counter()
    scores = run_contestant(name, problem, seed, plan.shortened)
    seconds = time.perf_counter() - start
    rows = []
    for dataset, models in scores.items():
        codes = np.unique(data.y_test[dataset], return_inverse=True)[1]
        rows += [
            {"dataset": dataset, "model": model, **measure(matrix, codes)}
            for model, matrix in models.items()
        ]
    return {
        "regime": regime,
        "seed": seed,
        "contestant": name,
        "seconds": round(seconds, 2),
        "settings": settings_of(name, plan.extra, plan.shortened),
        "versions": versions(),
        "rows": rows,
    }


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute in one thread, as sums depend on how many there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


def versions() -> str:
    """Return the versions that results depend on."""
    names = [f"{name} {version(name)}" for name in LIBRARIES]
    return ", ".join([f"python {platform.python_version()}", *names])
