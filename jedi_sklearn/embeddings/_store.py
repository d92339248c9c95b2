"""The store: embeddings by frozen experts on disk, made once."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from numbers import Integral
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from ..exceptions import NotStoredWarning
from ..experts.expert import NamedEncoder, is_frozen, named_experts, split_expert
from ..inputs.containers import take_rows
from ..inputs.multidataset import Part, Table
from ..inputs.read_x import as_multidataset
from ..utils.accepted import invalid, unsuitable
from ..utils.errors import named_errors
from ..utils.files import exclusive_lock
from ._changes import warn_of_changed_experts, warn_of_changed_samples
from ._collections import (
    Ids,
    Producer,
    as_ids,
    collections_in,
    dataset_of,
    directories_in,
    failures_in,
    read_collection,
    restore,
    shards_of,
)
from ._dtypes import STORED_AS
from ._extraction import Settings, plan, run
from ._fingerprints import (
    UnidentifiedError,
    fingerprint_if_any,
    sample_ids,
    sample_names,
)
from ._index import Index
from ._maintenance import check_shard, problem_with, tidy
from ._manifests import DamagedError, read_json, write_json
from ._producers import (
    PRODUCER_OF,
    Columns,
    Probabilities,
    both_of,
    check_ready,
    producer_of_both,
    producer_of_features,
    producer_of_probabilities,
)
from ._shards import finished_shards, read_manifest, remove_shard
from ._stored_rows import StoredRows

# Settings that hold for all that is in a store, which has them in its manifest.
KEPT = ("dtype", "shard_rows")


class EmbeddingStore:
    """Embeddings of samples by frozen experts, kept in a directory.

    Every expert embeds a sample once, in whichever process, session or order: a
    sample is identified by its content (a path also by the file's size and time of
    change), an expert by its parameters and weights. If either changes, the sample is
    embedded anew.

    Embeddings are written in shards. A process that is killed loses at most the
    shard that it was writing; several may work on one store, and readers see only
    finished shards. All is checked when it is read.

    ``JEDIClassifier(memory=store)`` fills a store as needed and trains from it.

    Parameters
    ----------
    path : str or Path
        Directory, made when the first embedding is written.
    dtype : {"float32", "float16", "bfloat16"}, optional
        Format of the numbers on disk; they are read as float32. By default that of
        the store in the directory, or float32.
    shard_rows : int, optional
        Number of rows of a dataset in one shard. By default that of the store in the
        directory, or 4096.
    on_error : {"raise", "skip"}, default="raise"
        "raise" ends the extraction at a sample that cannot be embedded, which the
        error names; "skip" marks it as missing. ``JEDIClassifier.fit`` leaves missing
        rows out, with a warning. "raise" tries them again.

    Attributes
    ----------
    path : Path
        Absolute path of the directory.

    Raises
    ------
    ValueError
        If a parameter is out of range or not that of the store in the directory, or
        if a newer version wrote that store.

    See Also
    --------
    jedi_sklearn.JEDIClassifier : Takes one as its ``memory``.
    StoredRows : Rows of a store.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from jedi_sklearn.embeddings import EmbeddingStore
    >>> X, y = load_iris(return_X_y=True)
    >>> expert = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    >>> store = EmbeddingStore(tempfile.mkdtemp(), dtype="float16")
    >>> store.extract([("iris", expert)], {"iris": X}).features("iris", X)
    StoredRows(shape=(150, 4))
    >>> store.probabilities(("iris", expert), X).shape
    (150, 3)
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        dtype: str | None = None,
        shard_rows: int | None = None,
        on_error: str = "raise",
    ) -> None:
        self.path = Path(path).absolute()
        found: dict[str, Any] = {}
        with suppress(DamagedError):  # verify says so, and whatever would write here
            found = self._written()
        chosen: dict[str, Any] = {"dtype": "float32", "shard_rows": 4096} | found
        self._settings = Settings(
            chosen["dtype"] if dtype is None else dtype,
            chosen["shard_rows"] if shard_rows is None else shard_rows,
            on_error,
        )
        _check_settings(self._settings)
        self._check_against(found)

    def _written(self) -> dict[str, Any]:
        """Return the settings of the store in the directory, none if there is none."""
        try:
            found = read_json(self.path / "store.json", dtype=str, shard_rows=int)
        except FileNotFoundError:
            return {}
        except NotADirectoryError as error:
            raise ValueError(
                f"{self.path} is, or lies below, a file; an embedding store is a "
                "directory."
            ) from error
        return {name: found[name] for name in KEPT}

    def _check_against(self, found: dict[str, Any]) -> None:
        for name, value in found.items():
            asked = getattr(self._settings, name)
            if asked != value:
                there = f"{name}={value!r}, for all that is in it"
                why = f"The store in {self.path} has {there}."
                raise unsuitable(name, asked, why)

    @property
    def dtype(self) -> str:
        """Format of the numbers on disk."""
        return self._settings.dtype

    @property
    def on_error(self) -> str:
        """Treatment of samples that cannot be embedded."""
        return self._settings.on_error

    def __repr__(self) -> str:
        return f"{type(self).__name__}({fspath(self.path)!r}, dtype={self.dtype!r})"

    def extract(
        self,
        experts: Sequence[tuple[str, Any]],
        X: Any,
        *,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> Self:
        """Embed samples by experts, except those that are in the store already.

        Parameters
        ----------
        experts : sequence of (str, estimator)
            Fitted; see ``JEDIClassifier.experts``. If the head of one gives
            probabilities, they are kept too.
        X : mapping, MultiDataset, DataFrame or array-like
            Samples of the datasets; every expert embeds all of them.
        n_jobs : int or None, default=None
            Number of shards that are made at once, as in joblib; threads, unless
            :func:`joblib.parallel_config` names a backend. Workers on other
            machines have to share the directory.
        verbose : int, default=0
            1 shows a progress bar on standard error.

        Returns
        -------
        self : EmbeddingStore
            The store itself.

        Raises
        ------
        ValueError
            If an expert is not fitted, has no fingerprint, cannot embed a sample, or
            changes the width of its embeddings.
        OSError
            If the store cannot be written.

        Warns
        -----
        UserWarning
            If an expert or the file of a sample has changed.
        """
        parts = list(as_multidataset(X).parts())
        split = [split_expert(*named) for named in named_experts(experts)]
        for expert in split:
            with named_errors(f"Expert {expert.name!r} is not fitted"):
                check_is_fitted(expert.estimator)
        features = [producer_of_features(expert) for expert in split]
        tidy(self.path)
        ids = [as_ids(sample_ids(table.values)) for table, _ in parts]
        if self._written():
            warn_of_changed_experts(features, self._collections(), self.path)
        warn_of_changed_samples(features, parts, ids, self.path)
        fill = partial(self._fill, ids=ids, n_jobs=n_jobs, verbose=verbose)
        for expert in split:
            if (both := both_of(expert)) is not None:
                [index] = fill([producer_of_both(expert)], [both], parts)
                made = _embedded(parts, ids, index)
                n_classes = len(expert.head.classes_)
                for producer_of, columns in (
                    (producer_of_features, slice(-n_classes)),
                    (producer_of_probabilities, slice(-n_classes, None)),
                ):
                    fill([producer_of(expert)], [Columns(columns)], made)
        indices = fill(features, [expert.encoder for expert in split], parts)
        for expert, index in zip(split, indices, strict=True):
            if hasattr(expert.head, "predict_proba"):
                producer = producer_of_probabilities(expert)
                made = _embedded(parts, ids, index)
                fill([producer], [Probabilities(expert.head)], made)
        return self

    def embed(
        self,
        experts: Sequence[NamedEncoder],
        parts: Sequence[Part],
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> dict[str, list[StoredRows]]:
        """Return embeddings of rows by frozen experts, made if the store lacks them.

        A classifier uses it where a user uses `extract`.

        Parameters
        ----------
        experts : sequence of Expert or Branch
            With fitted encoders.
        parts : sequence of (Table, ndarray of int)
            Datasets, and rows of them.
        n_jobs, verbose : int
            See `extract`.

        Returns
        -------
        rows : dict of str to list of StoredRows
            For each expert that is frozen and has a fingerprint, one a part.

        Warns
        -----
        NotStoredWarning
            If a frozen expert or a sample has no fingerprint.
        """
        frozen = [expert for expert in experts if is_frozen(expert.encoder)]
        while frozen:
            try:
                producers = [producer_of_features(expert) for expert in frozen]
                ids = [as_ids(sample_ids(table.values)) for table, _ in parts]
            except UnidentifiedError as error:
                warnings.warn(
                    f"Embeddings are not kept in {self}: {error}.",
                    NotStoredWarning,
                    stacklevel=5,
                )
                known = [e for e in frozen if fingerprint_if_any(e.encoder) is not None]
                # If all experts have fingerprints, it is a sample that has none.
                frozen = known if len(known) < len(frozen) else []
                continue
            models = [expert.encoder for expert in frozen]
            indices = self._fill(producers, models, parts, ids, n_jobs, verbose)
            return {
                expert.name: [
                    index.rows(own[rows])
                    for (_, rows), own in zip(parts, ids, strict=True)
                ]
                for expert, index in zip(frozen, indices, strict=True)
            }
        return {}

    def features(self, expert: str | tuple[str, Any], samples: Any) -> StoredRows:
        """Return the embeddings of samples, read when needed.

        Parameters
        ----------
        expert : str or (str, estimator)
            Name of the expert, or the expert itself, which must then be the one that
            made the embeddings.
        samples : row-indexable of shape (n_rows, ...)
            Samples that were given to `extract`, in any order.

        Returns
        -------
        rows : StoredRows of shape (n_rows, n_features)
            Rows in the order of `samples`.

        Raises
        ------
        ValueError
            If the store has nothing by the expert, or of a sample, as they are now.
        """
        return self._stored(expert, "features", samples)

    def probabilities(self, expert: str | tuple[str, Any], samples: Any) -> StoredRows:
        """Return the probabilities of samples by an expert's head, read when needed.

        Parameters
        ----------
        expert, samples : object
            See `features`.

        Returns
        -------
        rows : StoredRows of shape (n_rows, n_classes)
            With columns as in the ``classes_`` of the head.

        Raises
        ------
        ValueError
            If the store has nothing by the expert, or of a sample, as they are now.
        """
        return self._stored(expert, "probabilities", samples)

    def info(self) -> pd.DataFrame:
        """Return a table of the content.

        Returns
        -------
        table : DataFrame
            One row for each expert, kind and dataset, with the numbers of features, of
            rows, of rows that could not be embedded, of shards and of bytes.
        """
        rows = []
        for collection in self._collections():
            known = read_collection(collection)
            for directory in directories_in(collection):
                shards = list(finished_shards(directory))
                manifests = [read_manifest(path) for path in shards]
                rows.append(
                    {
                        "expert": known["expert"],
                        "kind": known["kind"],
                        "fingerprint": known["fingerprint"][:16],
                        "dataset": dataset_of(directory),
                        "n_features": known["n_features"],
                        "n_rows": sum(len(manifest.ids) for manifest in manifests),
                        "n_missing": len(failures_in(manifests)),
                        "n_shards": len(shards),
                        "n_bytes": sum(path.stat().st_size for path in shards),
                    }
                )
        return pd.DataFrame(rows)

    def failures(self) -> pd.DataFrame:
        """Return a table of the samples that could not be embedded.

        Returns
        -------
        table : DataFrame
            One row for each sample, with the columns expert, dataset and reason.
        """
        found = []
        for collection in self._collections():
            producer = Producer.of(collection)
            for directory in directories_in(collection):
                manifests = map(read_manifest, finished_shards(directory))
                for own, reason in failures_in(manifests).items():
                    found.append((producer, dataset_of(directory), own, reason))
        # Features that are columns of kind "both" do not know why a row is missing.
        first = {
            (producer.fingerprint, own): reason
            for producer, _, own, reason in found
            if producer.kind == "both"
        }
        return pd.DataFrame(
            [
                (
                    producer.expert,
                    dataset,
                    first.get((producer.fingerprint, own), reason),
                )
                for producer, dataset, own, reason in found
                if producer.kind == "features"
            ],
            columns=["expert", "dataset", "reason"],
        )

    def verify(self, *, remove: bool = False) -> list[str]:
        """Read the whole store and report files that changed since they were written.

        Parameters
        ----------
        remove : bool, default=False
            Whether to remove damaged files, whose samples the next extraction embeds
            anew.

        Returns
        -------
        problems : list of str
            One message a damaged file.
        """
        problems = []
        for collection in self._collections():
            for path in shards_of(collection):
                found = problem_with(partial(check_shard, path))
                if found and remove:
                    remove_shard(path)
                problems += found
        wholes = [self.path, *collections_in(self.path)]
        for path in (manifest for whole in wholes for manifest in whole.glob("*.json")):
            found = problem_with(partial(read_json, path))
            if found and remove:
                path.unlink()
            problems += found
        return problems

    def _collections(self) -> list[Path]:
        if not (self.path / "store.json").exists():
            raise ValueError(
                f"There is no embedding store in {self.path}; extract makes one."
            )
        return collections_in(self.path)

    def _fill(
        self,
        producers: Sequence[Producer],
        encoders: Sequence[Any],
        parts: Sequence[Part],
        ids: Sequence[Ids],
        n_jobs: int | None,
        verbose: int,
    ) -> list[Index]:
        """Embed the wanted rows that are lacking; return an index for each producer."""
        # Experts may share an encoder; the collection has the name of the first.
        different: dict[Any, Producer] = {}
        for producer in producers:
            different.setdefault(producer[1:], producer)
        encoder_of = {p[1:]: e for p, e in zip(producers, encoders, strict=True)}
        indices = {k: Index.of(p, self.path) for k, p in different.items()}
        self._create()
        works = []
        for key, producer in different.items():
            index = indices[key]
            restore(producer.directories(self.path), producer, index.n_features)
            retry = self.on_error == "raise"
            lacking = [index.lacks(own, retry=retry) for own in ids]
            works += [
                (work, encoder_of[key], table.values)
                for work, table in plan(
                    self.path, producer, parts, ids, lacking, self._settings
                )
            ]
        if works:
            for encoder in {id(encoder): encoder for _, encoder, _ in works}.values():
                check_ready(encoder)
            run(works, n_jobs, verbose)
            tidy(self.path)
            indices = {k: Index.of(p, self.path) for k, p in different.items()}
        return [indices[producer[1:]] for producer in producers]

    def _create(self) -> None:
        """Write the store's manifest, unless another process has done it."""
        path = self.path / "store.json"
        if not path.exists():
            with exclusive_lock(self.path / "store.lock"):
                if not path.exists():
                    kept = {name: getattr(self._settings, name) for name in KEPT}
                    write_json(path, kept)
        self._check_against(self._written())

    def _producer_named(self, expert: str, kind: str) -> Producer:
        known = [Producer.of(collection) for collection in self._collections()]
        found = {producer for producer in known if producer[:2] == (expert, kind)}
        if len(found) == 1:
            return found.pop()
        if found:
            raise ValueError(
                f"{self.path} has {kind} of {len(found)} experts named {expert!r}: its "
                "parameters or weights have changed. Give the one that is meant as "
                "(name, estimator)."
            )
        names = sorted({producer.expert for producer in known if producer.kind == kind})
        raise ValueError(
            f"{self.path} has no {kind} of an expert {expert!r}, but of {names}. One "
            "that shares its encoder with another has that one's name here; it is "
            "found as (name, estimator)."
        )

    def _stored(
        self, expert: str | tuple[str, Any], kind: str, samples: Any
    ) -> StoredRows:
        """Return rows of samples, all of which must be in the store."""
        if isinstance(expert, str):
            producer = self._producer_named(expert, kind)
        else:
            producer = PRODUCER_OF[kind](split_expert(*expert))
        if not producer.directories(self.path):
            raise ValueError(
                f"{self.path} has no {kind} of expert {producer.expert!r} as it is "
                "now: it was never run, or its parameters or weights have changed."
            )
        index = Index.of(producer, self.path)
        ids = as_ids(sample_ids(samples))
        new = np.flatnonzero(index.lacks(ids, retry=False))
        if len(new):
            names = sample_names(take_rows(samples, new[:1]))
            first = f"row {new[0]}" if names is None else f"{names[0]!r}"
            raise ValueError(
                f"{self.path} has no {kind} by expert {producer.expert!r} of "
                f"{len(new)} of the {len(ids)} samples (first: {first}): they are new, "
                "or have changed since. extract embeds them."
            )
        return index.rows(ids)


def _embedded(parts: Sequence[Part], ids: Sequence[Ids], index: Index) -> list[Part]:
    """Return parts with an expert's embeddings in place of the samples."""
    return [
        (Table(table.name, index.rows(own)), rows)
        for (table, rows), own in zip(parts, ids, strict=True)
    ]


def _check_settings(settings: Settings) -> None:
    """Raise ValueError for the first parameter that is out of range."""
    n_rows: Any = settings.shard_rows
    is_number = isinstance(n_rows, Integral) and not isinstance(n_rows, bool)
    for name, is_valid, accepted in (
        ("dtype", settings.dtype in STORED_AS, ", ".join(map(repr, STORED_AS))),
        ("shard_rows", is_number and n_rows > 0, "integers of 1 or more"),
        ("on_error", settings.on_error in ("raise", "skip"), "'raise', 'skip'"),
    ):
        if not is_valid:
            raise invalid(name, getattr(settings, name), accepted)
