"""Fits that are killed at random instants and resumed, compared bit by bit."""

from __future__ import annotations

import multiprocessing
import random
import shutil
import signal
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

# Imported here, so that a process which has this module is ready to train: the first
# step of an optimizer would import _dynamo.
import torch._dynamo
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA

from jedi_sklearn import JEDIClassifier
from jedi_sklearn.datasets import make_expert_embeddings
from jedi_sklearn.training.train import train  # noqa: F401

from .children import modules_found

# Each setting runs parts of the training that the others do not.
SETTINGS: tuple[dict[str, Any], ...] = (
    {"early_stopping": True, "n_iter_no_change": 50},
    {"schedule": "alternating", "n_rounds": 2, "restart_rounds": True},
    {"target_dropout": True, "warmup_epochs": 3, "labelled_share": 0.8},
)


def fitted(checkpoint: Path | None, number: int, n_epochs: int = 8) -> JEDIClassifier:
    """Fit on three small datasets, written down after every batch."""
    X, y = make_expert_embeddings(120, n_classes=4, n_features=6, random_state=0)
    y["dataset_1"][30:] = -1
    experts = [
        ("dataset_0", PCA(8)),
        ("dataset_1", MiniBatchKMeans(6, n_init=1)),
        ("dataset_2", PCA(5)),
    ]
    return JEDIClassifier(
        experts,
        max_epochs=n_epochs,
        batch_size=64,
        adjustment_units=8,
        checkpoint=checkpoint,
        checkpoint_minutes=0,
        random_state=0,
        **SETTINGS[number % len(SETTINGS)],
    ).fit(X, y)


def bits_of(classifier: JEDIClassifier) -> bytes:
    """Return all numbers that a fit has found."""
    models = [*classifier.students_.values(), *classifier.teachers_.values()]
    arrays: list[Any] = [classifier.history_.to_numpy()]
    for model in models:
        arrays += [model.coef_, model.intercept_]
        arrays += [a for b in model.branches for linear in b.adjustment for a in linear]
    return b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)


def fit_and_tell(checkpoint: Path | None, number: int, pipe: Connection) -> None:
    """Say that it begins, fit, and say what came out and how long that took."""
    torch.set_num_threads(1)
    pipe.send("begins")
    begun = time.perf_counter()
    bits = bits_of(fitted(checkpoint, number))
    pipe.send((bits, time.perf_counter() - begun))


def kill_fits(n_kills: int, seed: int = 0) -> dict[str, Any]:
    """Kill fits at random instants and start them again, until so many have been.

    Returns
    -------
    found : dict
        How many kills there were, how many fits came to their end, and how many of
        these in other bits than an undisturbed one.
    """
    random_ = random.Random(seed)
    n_killed = n_fits = n_different = 0
    expected, duration = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(len(SETTINGS)):
            undisturbed = _run(None, number), _run(Path(folder) / str(number), number)
            (expected[number], _), (_, duration[number]) = undisturbed
        while n_killed < n_kills:
            number, directory = n_fits % len(SETTINGS), Path(folder) / f"fit_{n_fits}"
            bits = b""
            while not bits:
                after = random_.uniform(0.0, duration[number] / 2)
                bits, _ = _run(directory, number, after)
                n_killed += not bits
            n_fits += 1
            n_different += bits != expected[number]
            shutil.rmtree(directory)
    return {"kills": n_killed, "fits": n_fits, "different": n_different}


def _run(
    checkpoint: Path | None, number: int, seconds: float | None = None
) -> tuple[bytes, float]:
    """Fit in another process, and return what it tells.

    After so many seconds it is killed, and then tells nothing.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    here, there = context.Pipe(duplex=False)
    with modules_found():
        process = context.Process(target=fit_and_tell, args=(checkpoint, number, there))
        process.start()
    try:
        there.close()
        here.recv()
        if not here.poll(seconds):
            process.kill()
        try:
            bits, duration = here.recv()
        except EOFError:
            bits, duration = b"", 0.0
        process.join()
    finally:
        process.kill()
        process.join()
    if not bits and process.exitcode != -signal.SIGKILL:
        raise RuntimeError(f"A fit failed with exit code {process.exitcode}.")
    return bits, duration
