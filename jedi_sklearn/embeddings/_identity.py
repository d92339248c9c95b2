"""What tells experts and samples apart: by content, in every process alike."""

from __future__ import annotations

import os
import pickle
import stat
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from joblib.hashing import NumpyHasher
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator


class UnidentifiedError(ValueError):
    """An expert or a sample cannot be told apart from others."""


class _Hasher(NumpyHasher):
    """Hashes an object as joblib does, and alike after a trip to another process.

    On the way arrays become contiguous or memory maps, and torch tensors get
    another pickle. What does not decide what an object does is left out: of an
    estimator the version of scikit-learn in its state, of any object that has a
    method ``fingerprint`` all that this leaves out.
    """

    def __init__(self) -> None:
        super().__init__("md5", coerce_mmap=True)

    def save(self, obj: Any) -> None:
        if isinstance(obj, np.ndarray) and not obj.flags.forc:
            obj = np.ascontiguousarray(obj)
        elif hasattr(type(obj), "untyped_storage"):
            tensor = obj.detach().cpu()
            # NumPy has no bfloat16; what is smaller than a float32 fits into one.
            small = tensor.is_floating_point() and tensor.itemsize < 4
            obj = (str(tensor.dtype), (tensor.float() if small else tensor).numpy())
        elif isinstance(obj, FrozenEstimator):
            self.save(obj.estimator)
            return
        elif hasattr(type(obj), "fingerprint"):
            obj = (type(obj), obj.fingerprint())
        elif isinstance(obj, BaseEstimator):
            state = dict(obj.__getstate__())
            state.pop("_sklearn_version", None)
            obj = (type(obj), state)
        super().save(obj)


def fingerprint(obj: Any) -> str:
    """Return what tells an object apart from others, 32 hexadecimal digits.

    Raises
    ------
    UnidentifiedError
        If the object, or something in it, cannot be pickled.
    """
    try:
        return str(_Hasher().hash(obj))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UnidentifiedError(
            "what cannot be pickled cannot be told apart from others of its kind "
            f"({error})"
        ) from error


def sample_ids(values: Any) -> list[str]:
    """Return what tells each row apart from others, 32 hexadecimal digits.

    A row is known by what it holds; the path of a file also by the size of the
    file and when it was changed.

    Parameters
    ----------
    values : row-indexable of shape (n_rows, ...)

    Raises
    ------
    UnidentifiedError
        If a row cannot be pickled.
    """
    if isinstance(values, pd.DataFrame):
        return _digests(repr(dict(values.dtypes)), _hashed_cells(values))
    if hasattr(values, "tocsr"):
        return _ids_of_sparse_rows(values.tocsr())
    if hasattr(type(values), "untyped_storage"):
        values = values.detach().cpu().numpy()
    if isinstance(values, np.ndarray) and values.dtype.kind not in "OUS":
        return _digests(f"{values.dtype.str} {values.shape[1:]}", values)
    return [_id_of(value) for value in values]


def sample_names(values: Any) -> list[str] | None:
    """Return the texts or paths that samples are, None for anything else."""
    if getattr(values, "ndim", 1) != 1 or not all(map(_is_text, values)):
        return None
    return [os.fsdecode(value) for value in values]


def _is_text(value: Any) -> bool:
    return isinstance(value, str | os.PathLike)


def combined(ids: Iterable[str]) -> str:
    """Return what tells a sequence of ids apart from others."""
    return blake2b("".join(ids).encode(), digest_size=16).hexdigest()


def _id_of(value: Any) -> str:
    if not _is_text(value):
        return fingerprint(value)
    name = os.fsdecode(value)
    return blake2b(f"{name}{_state_of_file(name)}".encode(), digest_size=16).hexdigest()


def _state_of_file(path: str) -> str:
    """Return what changes when a file does; nothing for a text that is no path."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return ""
    if not stat.S_ISREG(found.st_mode):
        return ""
    return f"\0{found.st_size} {found.st_mtime_ns}"


def _digests(kind: str, rows: npt.NDArray) -> list[str]:
    """Return a digest of each row, and of what kind they all are."""
    start = blake2b(kind.encode(), digest_size=16)
    digests = []
    for row in rows:
        digest = start.copy()
        digest.update(np.ascontiguousarray(row).tobytes())
        digests.append(digest.hexdigest())
    return digests


def _hashed_cells(frame: pd.DataFrame) -> npt.NDArray[np.uint64]:
    """Return two numbers for each cell, as one could be that of another cell."""
    columns = []
    for number in range(frame.shape[1]):
        column = frame.iloc[:, number]
        values: Any = column
        if column.dtype == object:
            # pandas would take the text of what is no str, which may be cut short.
            values = pd.Series([fingerprint(cell) for cell in column])
        columns += [
            pd.util.hash_pandas_object(values, index=False, hash_key=key)
            for key in ("jedi_sklearn_id1", "jedi_sklearn_id2")
        ]
    return np.column_stack(columns)


def _ids_of_sparse_rows(matrix: Any) -> list[str]:
    matrix = matrix.copy()
    matrix.sum_duplicates()
    start = blake2b(f"{matrix.dtype.str} {matrix.shape[1]}".encode(), digest_size=16)
    ids = []
    for first, last in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
        digest = start.copy()
        digest.update(matrix.indices[first:last].astype(np.int64).tobytes())
        digest.update(matrix.data[first:last].tobytes())
        ids.append(digest.hexdigest())
    return ids
