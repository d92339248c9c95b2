"""Fingerprints of experts and samples: by content, the same in every process."""

from __future__ import annotations

import os
import pickle  # nosec B403 - for its errors alone
import stat
from collections.abc import Iterable
from contextlib import suppress
from hashlib import blake2b
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from joblib.hashing import NumpyHasher
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator

# Versions that wrote a state, and the address of an object in text vectorizers.
NOT_IDENTIFYING = ("_sklearn_version", "_version", "_format", "_stop_words_id")


class UnidentifiedError(ValueError):
    """An expert or a sample cannot be told apart from others.

    A store identifies both by the content of their pickles, and so cannot keep the
    embeddings of what cannot be pickled. A method ``fingerprint`` of the class, which
    returns something that identifies the object, helps.

    See Also
    --------
    EmbeddingStore : Raises it.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.preprocessing import FunctionTransformer
    >>> from jedi_sklearn.embeddings import EmbeddingStore, UnidentifiedError
    >>> encoder = FunctionTransformer(lambda X: X)
    >>> store = EmbeddingStore(tempfile.mkdtemp())
    >>> try:
    ...     store.extract([("nameless", encoder)], {"a": [[1.0]]})
    ... except UnidentifiedError as error:
    ...     print("refused:", str(error)[:20])
    refused: Expert 'nameless' ca
    """


class _Hasher(NumpyHasher):
    """Hasher of joblib that gives the same digest in every process.

    On the way to another process arrays become contiguous or memory maps, and torch
    tensors are pickled differently. Whatever does not change an object's behaviour is
    left out: the version of scikit-learn in an estimator's state, and all that a
    method ``fingerprint`` of the object leaves out.
    """

    def __init__(self) -> None:
        super().__init__("md5", coerce_mmap=True)

    def save(self, obj: Any) -> None:
        if isinstance(obj, np.ndarray) and not obj.flags.c_contiguous:
            obj = np.ascontiguousarray(obj)
        elif _is_tensor(obj):
            obj = (str(obj.dtype), _array_of(obj))
        elif isinstance(obj, FrozenEstimator):
            self.save(obj.estimator)
            return
        elif hasattr(type(obj), "fingerprint"):
            obj = (type(obj), obj.fingerprint())
        elif isinstance(obj, BaseEstimator):
            state = dict(obj.__getstate__())
            for name in NOT_IDENTIFYING:
                state.pop(name, None)
            obj = (type(obj), state)
        super().save(obj)


def fingerprint(obj: Any) -> str:
    """Return the fingerprint of an object, 32 hexadecimal digits.

    Parameters
    ----------
    obj : object
        Its pickle must hold all that decides its behaviour.

    Returns
    -------
    digits : str

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


def fingerprint_if_any(obj: Any) -> str | None:
    """Return the fingerprint of an object, None if it has none."""
    with suppress(UnidentifiedError):
        return fingerprint(obj)
    return None


def sample_ids(values: Any) -> list[str]:
    """Return an id for each row, 32 hexadecimal digits.

    A row is identified by its content; a path of a file also by the file's size and
    time of change.

    Parameters
    ----------
    values : row-indexable of shape (n_rows, ...)

    Raises
    ------
    UnidentifiedError
        If a row cannot be pickled.
    """
    if isinstance(values, pd.DataFrame):
        kinds = [(name, _kind_of(dtype)) for name, dtype in values.dtypes.items()]
        return _digests(repr(kinds), (row.tobytes() for row in _hashed_cells(values)))
    if hasattr(values, "tocsr"):
        matrix = values.tocsr().copy()
        # The same row can be stored in several ways; this makes it one.
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        columns = matrix.indices.astype(np.int64)
        return _digests(
            f"{matrix.dtype.str} {matrix.shape[1]}",
            (
                columns[first:last].tobytes() + matrix.data[first:last].tobytes()
                for first, last in pairwise(matrix.indptr)
            ),
        )
    if _is_tensor(values):
        values = _array_of(values)
    if _is_of_numbers(values):
        return _ids_of_numbers(values)
    return [_id_of(value) for value in values]


def sample_names(values: Any) -> list[str] | None:
    """Return samples that are texts or paths as str, None for anything else."""
    if getattr(values, "ndim", 1) != 1 or not all(map(_is_text, values)):
        return None
    return [os.fsdecode(value) for value in values]


def file_names(values: Any) -> list[str] | None:
    """Return samples that are paths of files as str, None for anything else."""
    names = sample_names(values)
    if names is None or not all(_state_of_file(name) for name in names):
        return None
    return names


def _is_text(value: Any) -> bool:
    return isinstance(value, str | os.PathLike)


def combined(ids: Iterable[str]) -> str:
    """Return the digest of a sequence of ids."""
    return blake2b("".join(ids).encode(), digest_size=16).hexdigest()


def _id_of(value: Any) -> str:
    if _is_text(value):
        name = os.fsdecode(value)
        known = f"{name}{_state_of_file(name)}"
        return blake2b(known.encode(errors="surrogatepass"), digest_size=16).hexdigest()
    if _is_of_numbers(value):
        return _ids_of_numbers(value[None])[0]
    if isinstance(value, np.ma.MaskedArray):
        value = (np.ma.getdata(value), np.ma.getmaskarray(value))
    elif isinstance(value, np.ndarray):
        # The dtype of texts has the length of the longest, which does not matter.
        value = (value.shape, value.tolist())
    return fingerprint(value)


def _state_of_file(path: str) -> str:
    """Return size and time of change of a file, "" for a text that is no path."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return ""
    if not stat.S_ISREG(found.st_mode):
        return ""
    return f"\0{found.st_size} {found.st_mtime_ns}"


def _is_tensor(obj: Any) -> bool:
    return hasattr(type(obj), "untyped_storage")


def _is_of_numbers(values: Any) -> bool:
    is_plain = isinstance(values, np.ndarray) and not np.ma.isMaskedArray(values)
    return is_plain and values.dtype.kind not in "OUS"


def _array_of(tensor: Any) -> npt.NDArray[Any]:
    """Return a torch tensor as an array, bfloat16 as its bits, which NumPy lacks."""
    tensor = tensor.detach().cpu()
    if str(tensor.dtype) == "torch.bfloat16":
        bits = tensor.float().numpy().view(np.uint32) >> 16
        return bits.astype("<u2").view([("bfloat16", "<u2")])
    array: npt.NDArray[Any] = tensor.numpy()
    return array


def _ids_of_numbers(rows: npt.NDArray[Any]) -> list[str]:
    # The dtype counts with its field names, but not with its byte order.
    dtype = rows.dtype.newbyteorder("<")
    return _digests(
        f"{np.dtype(dtype).descr} {rows.shape[1:]}",
        (np.ascontiguousarray(row, dtype=dtype).tobytes() for row in rows),
    )


def _digests(kind: str, rows: Iterable[bytes]) -> list[str]:
    """Return a digest of each row together with the kind of all rows."""
    start = blake2b(kind.encode(errors="surrogatepass"), digest_size=16)
    digests = []
    for row in rows:
        digest = start.copy()
        digest.update(row)
        digests.append(digest.hexdigest())
    return digests


def _kind_of(dtype: Any) -> str:
    """Return a text for a column's dtype; pandas' own may be cut short."""
    if isinstance(dtype, pd.CategoricalDtype):
        return f"{dtype.ordered} {fingerprint(dtype.categories.tolist())}"
    return str(dtype)


def _hashed_cells(frame: pd.DataFrame) -> npt.NDArray[np.uint64]:
    """Return two hashes for each cell, as one of 64 bits may collide."""
    columns = []
    for number in range(frame.shape[1]):
        column = frame.iloc[:, number]
        values: Any = column
        if column.dtype == object:
            # pandas would hash the text of what is no str, which may be cut short.
            values = pd.Series([fingerprint(cell) for cell in column])
        columns += [
            pd.util.hash_pandas_object(values, index=False, hash_key=key)
            for key in ("jedi_sklearn_id1", "jedi_sklearn_id2")
        ]
    return np.column_stack(columns)
