"""Rows of shards as an array that is read when needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..inputs.containers import Rows
from ._dtypes import Features
from ._shards import Shard

# Shard number of a row that could not be embedded.
MISSING = -1


class StoredRows:
    """Rows of an :class:`EmbeddingStore`, read when needed.

    Indexed with row numbers, a mask or a slice it gives other `StoredRows`, which
    reads nothing; ``np.asarray`` reads them all, as float32, and checks them. A
    pickle holds paths and row numbers, but no values.

    Parameters
    ----------
    shards : sequence of Path
        Paths of the .npy files.
    shard_of_row : ndarray of int of shape (n_rows,)
        Shard number of each row, -1 where it could not be embedded.
    row : ndarray of int of shape (n_rows,)
        Position of each row in its shard.
    n_features : int
        Number of values in each row.

    Attributes
    ----------
    shape : tuple of int
        (n_rows, n_features)
    dtype : dtype
        float32, whatever the format on disk.

    See Also
    --------
    EmbeddingStore.features : Returns such rows.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from sklearn.preprocessing import FunctionTransformer
    >>> from jedi_sklearn.embeddings import EmbeddingStore
    >>> store = EmbeddingStore(tempfile.mkdtemp())
    >>> X = np.arange(6.0).reshape(3, 2)
    >>> store = store.extract([("same", FunctionTransformer())], {"a": X})
    >>> rows = store.features("same", X)
    >>> rows[1:]
    StoredRows(shape=(2, 2))
    >>> np.asarray(rows[1:])
    array([[2., 3.],
           [4., 5.]], dtype=float32)
    """

    ndim = 2
    dtype = np.dtype(np.float32)

    def __init__(
        self, shards: Sequence[Path], shard_of_row: Rows, row: Rows, n_features: int
    ) -> None:
        self._paths = shards
        self._shard_of_row = shard_of_row
        self._row = row
        self.shape = (len(row), n_features)
        # Shards are opened when their first row is read. Views do not share them, so
        # that each view checks what it reads.
        self._open: dict[int, Shard] = {}

    @property
    def nbytes(self) -> int:
        """Number of bytes of the rows in memory."""
        return self.shape[0] * self.shape[1] * self.dtype.itemsize

    @property
    def missing(self) -> npt.NDArray[np.bool_]:
        """Mask of the rows that could not be embedded, of shape (n_rows,)."""
        missing: npt.NDArray[np.bool_] = self._shard_of_row == MISSING
        return missing

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, tuple):
            # scikit-learn selects rows with ``X[rows, ...]``.
            key, *columns = key
            if not all(c is ... for c in columns):
                raise IndexError(f"only rows can be selected, not columns {columns}")
        if isinstance(key, int | np.integer):
            return self.take(np.array([key]))[0]
        chosen = np.arange(len(self))[key]
        return StoredRows(
            self._paths, self._shard_of_row[chosen], self._row[chosen], self.shape[1]
        )

    def take(self, rows: Rows, out: Features | None = None) -> Features:
        """Read rows.

        Parameters
        ----------
        rows : ndarray of int of shape (n_rows,)
            Row numbers.
        out : ndarray of shape (n_rows, n_features), float32, optional
            Array to write them to.

        Returns
        -------
        features : ndarray of shape (n_rows, n_features), float32
            The rows in this order; `out` if it was given.

        Raises
        ------
        DamagedError
            If a shard has changed since it was written.
        ValueError
            If one of the rows could not be embedded.
        """
        # Open, and so check, all shards before memory is allocated.
        parts = list(self._parts(rows))
        taken = out
        if taken is None:
            taken = np.empty((len(rows), self.shape[1]), dtype=np.float32)
        for shard, places, in_shard in parts:
            taken[places] = shard.take(in_shard)
        return taken

    def will_need(self, rows: Rows) -> None:
        """Ask the system to read rows in the background.

        Parameters
        ----------
        rows : ndarray of int of shape (n_rows,)
            Row numbers.
        """
        for shard, _, in_shard in self._parts(rows):
            shard.will_need(in_shard)

    def _parts(self, rows: Rows) -> Iterator[tuple[Shard, Rows, Rows]]:
        """Yield each shard with the positions of its rows in `rows` and in it."""
        if not len(rows):
            return
        shard_of_row = self._shard_of_row[rows]
        order = np.argsort(shard_of_row, kind="stable")
        numbers, firsts = np.unique(shard_of_row[order], return_index=True)
        if MISSING in numbers:
            raise ValueError(
                f"{np.count_nonzero(shard_of_row == MISSING)} of the rows could not be "
                "embedded and are marked as missing; `missing` says which."
            )
        in_shard = self._row[rows]
        for number, places in zip(
            numbers.tolist(), np.split(order, firsts[1:]), strict=True
        ):
            if number not in self._open:
                self._open[number] = Shard(self._paths[number], self.shape[1])
            yield self._open[number], places, in_shard[places]

    def __array__(
        self, dtype: Any = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("rows of a store cannot be an array without a copy")
        return self.take(np.arange(len(self))).astype(dtype or self.dtype, copy=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={self.shape})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Keep only the shards of these rows, and none of the open files.
        numbers, shard_of_row = np.unique(self._shard_of_row, return_inverse=True)
        if len(numbers) and numbers[0] == MISSING:
            numbers, shard_of_row = numbers[1:], shard_of_row - 1
        paths = [self._paths[number] for number in numbers]
        return type(self), (paths, shard_of_row, self._row, self.shape[1])
