"""Rows of several datasets as one indexable table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from .checks import check_has_labels, check_n_rows, check_names
from .containers import (
    Rows,
    is_mapping,
    n_rows_of,
    order_when_sorted,
    row_size,
    take_rows,
)
from .labels import composite_labels, missing_labels, one_dimensional


class Table:
    """The rows of one dataset, shared by all views of them.

    Attributes
    ----------
    name : str
    values : row-indexable
    n_rows : int
    labelled : ndarray of bool of shape (n_rows,) or None
        Which rows have a label, where that is known.
    outlives_call : bool
        Whether the rows may be asked for again after the call that was given them.
    """

    __slots__ = ("__weakref__", "labelled", "n_rows", "name", "outlives_call", "values")

    def __init__(
        self, name: str, values: Any, labelled: npt.NDArray[np.bool_] | None = None
    ) -> None:
        self.name = name
        self.values = values
        self.n_rows = n_rows_of(name, values)
        self.labelled = labelled
        self.outlives_call = True


# A table with the numbers of some of its rows.
Part = tuple[Table, Rows]


class MultiDataset(Mapping[str, Any]):
    """Rows of several datasets, as a mapping and as one indexable table.

    As a mapping it gives the rows of a dataset by name; ``len`` and iteration are
    those of a mapping. Indexed with row numbers, a mask or a slice it gives
    another `MultiDataset` of these rows in this order, which copies nothing. With
    its ``shape`` this is all that scikit-learn's splitters, searches and
    meta-estimators ask of X.

    The values are held by reference. :func:`stack_datasets` makes one together
    with the matching labels.

    Parameters
    ----------
    datasets : mapping of str to row-indexable of shape (n_rows, ...)
        Arrays of any number of dimensions, DataFrames, sparse matrices, memory
        maps or lists. A name must not contain ``"/"``, which separates it from
        the label in ``"dataset/label"``.

    Attributes
    ----------
    shape : tuple of int
        Number of rows of all datasets and number of values in a row; the latter
        is 1 where rows are not numeric or not of one size.

    Raises
    ------
    TypeError
        If a name is not a str, or the values cannot be indexed by row.
    ValueError
        If there is no dataset, one has no rows or no values in a row, or a name is
        empty or contains ``"/"``, NUL or a surrogate.

    See Also
    --------
    stack_datasets : Makes one together with the matching labels.
    MultiTarget : The labels beside it.

    Examples
    --------
    >>> import numpy as np
    >>> from jedi_sklearn import MultiDataset
    >>> X = MultiDataset({"b": np.arange(4.0).reshape(2, 2), "a": np.ones((3, 2))})
    >>> X
    MultiDataset(a: 3 rows, b: 2 rows)
    >>> X.shape
    (5, 2)
    >>> X[[4, 0]]["b"]
    array([[2., 3.]])
    """

    def __init__(self, datasets: Mapping[str, Any]) -> None:
        if not isinstance(datasets, Mapping):
            raise TypeError(
                f"datasets must be a mapping of names to rows, got {type(datasets)}."
            )
        for name in datasets:
            _check_name(name)
        if not datasets:
            raise ValueError("datasets is empty; at least one dataset is needed.")
        self._init_tables([Table(name, datasets[name]) for name in sorted(datasets)])

    def _init_tables(self, tables: list[Table]) -> None:
        sizes = [table.n_rows for table in tables]
        self._tables = tables
        # Number of each row's table, and of the row in that table.
        self._table_of_row: Rows = np.repeat(np.arange(len(tables)), sizes)
        self._row: Rows = np.concatenate(
            [np.arange(size) for size in sizes] or [np.arange(0)]
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of rows of all datasets and number of values in a row."""
        sizes = {row_size(table.values) for table in self._tables}
        return len(self._row), sizes.pop() if len(sizes) == 1 else 1

    @property
    def groups(self) -> npt.NDArray[np.str_]:
        """Name of the dataset of each row, an array of str of shape (n_rows,)."""
        return np.array([table.name for table in self._tables])[self._table_of_row]

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            for table, rows in self.parts():
                if table.name == key:
                    return take_rows(table.values, rows)
            raise KeyError(f"no dataset {key!r}; there are {list(self)}")
        if isinstance(key, tuple):
            # scikit-learn selects rows with ``X[rows, ...]``.
            key, *columns = key
            if not all(c is ... for c in columns):
                raise IndexError(f"only rows can be selected, not columns {columns}")
        if isinstance(key, int | np.integer):
            key = [key]
        row = self._row[key]
        if row.ndim != 1:
            raise IndexError(f"rows must be one-dimensional, got {row.ndim} dimensions")
        return self._view(self._table_of_row[key], row)

    def _view(self, table_of_row: Rows, row: Rows) -> Self:
        view = object.__new__(type(self))
        view._tables = self._tables
        view._table_of_row = table_of_row
        view._row = row
        return view

    def __contains__(self, name: object) -> bool:
        # The method of Mapping would take the rows.
        return name in list(self)

    def __iter__(self) -> Iterator[str]:
        return (table.name for table, _ in self.parts())

    def __len__(self) -> int:
        return len(np.unique(self._table_of_row))

    def parts(self) -> Iterator[tuple[Table, Rows]]:
        """Yield each dataset that has rows here with their numbers in its table.

        Yields
        ------
        table : Table
            The rows of one dataset, with its ``name`` and ``values``.
        rows : ndarray of int of shape (n_rows,)
            Numbers, in the table, of the rows that are here.
        """
        for number, table in enumerate(self._tables):
            rows = self._row[self._table_of_row == number]
            if len(rows):
                yield table, rows

    def rows_of(self, name: str) -> Rows:
        """Return the positions of a dataset's rows among all rows.

        Parameters
        ----------
        name : str
            Name of the dataset.

        Returns
        -------
        positions : ndarray of int of shape (n_rows_of_dataset,)
            Sorted; empty where none of its rows is here.
        """
        names = [table.name for table in self._tables]
        return np.flatnonzero(self._table_of_row == names.index(name))

    def with_values(self, values: Mapping[str, Any]) -> MultiDataset:
        """Return the same rows in the same order with other values.

        Parameters
        ----------
        values : mapping of str to row-indexable
            For each dataset the values of its rows in their order here.

        Returns
        -------
        datasets : MultiDataset of the same length
            With the same rows labelled.

        Raises
        ------
        ValueError
            If a dataset has another number of rows.
        """
        changed = MultiDataset(values)
        for table, (old, rows) in zip(changed._tables, self.parts(), strict=True):
            check_n_rows(table.name, len(rows), table.n_rows)
            table.labelled = None if old.labelled is None else old.labelled[rows]
        return changed[self._order()]

    def labelled(self) -> npt.NDArray[np.bool_]:
        """Return the mask of labelled rows; where it is not known, they count as such.

        Returns
        -------
        labelled : ndarray of bool of shape (n_rows,)
            In the order of the rows.
        """
        labelled = np.ones(len(self._row), dtype=bool)
        for table, rows in self.parts():
            if table.labelled is not None:
                labelled[self.rows_of(table.name)] = table.labelled[rows]
        return labelled

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray:
        # NumPy would make an array of views of one row each.
        raise TypeError(
            f"{self!r} is not an array; X[name] gives the rows of one dataset, and "
            "jedi_sklearn.preprocessing.PerDataset runs a transformer on each."
        )

    def __repr__(self) -> str:
        parts = [f"{table.name}: {len(rows)} rows" for table, rows in self.parts()]
        return f"{type(self).__name__}({', '.join(parts)})"

    def __copy__(self) -> Self:
        # Views are never changed, and a copy of the data would cost memory.
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # The rows outside this view are left out.
        tables = [
            (
                table.name,
                take_rows(table.values, rows),
                None if table.labelled is None else table.labelled[rows],
            )
            for table, rows in self.parts()
        ]
        return _rebuild, (type(self), tables, self._order())

    def _order(self) -> Rows:
        """Return the position of each row among the rows sorted by dataset."""
        return order_when_sorted(self._table_of_row)


class MultiTarget(MultiDataset):
    """Labels of the rows of a `MultiDataset`, as `stack_datasets` returns them.

    As a mapping it gives the labels of a dataset as they were written, as an array
    it is one of str, ``"dataset/label"``; an unlabelled row is its dataset's name
    alone. See :class:`MultiDataset` for the rest.

    Parameters
    ----------
    datasets : mapping of str to array-like of shape (n_rows,)
        The labels of each dataset, in the order of its rows.

    See Also
    --------
    stack_datasets : Makes one together with the rows.

    Examples
    --------
    >>> import numpy as np
    >>> from jedi_sklearn import stack_datasets
    >>> X = {"a": np.ones((3, 2)), "b": np.ones((2, 2))}
    >>> X, y = stack_datasets(X, {"a": [7, -1, 8], "b": ["x", "y"]})
    >>> np.asarray(y)
    array(['a/7', 'a', 'a/8', 'b/x', 'b/y'], dtype='<U3')
    >>> y[[4, 0]]["a"]
    array([7])
    """

    def __init__(self, datasets: Mapping[str, Any]) -> None:
        super().__init__(
            {name: one_dimensional(labels, name) for name, labels in datasets.items()}
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of rows of all datasets, in a tuple."""
        return (len(self._row),)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray:
        parts = [
            composite_labels(table.name, take_rows(table.values, rows))
            for table, rows in self.parts()
        ]
        labels = np.concatenate(parts) if parts else np.array([], dtype=str)
        return labels[self._order()].astype(dtype or labels.dtype)


def _rebuild(
    kind: type[MultiDataset], tables: list[tuple[Any, ...]], order: Rows
) -> MultiDataset:
    stacked = object.__new__(kind)
    stacked._init_tables([Table(*table) for table in tables])
    return stacked[order]


def stack_datasets(
    X: Mapping[str, Any], y: Mapping[str, Any]
) -> tuple[MultiDataset, MultiTarget]:
    """Stack datasets and their labels into a pair for scikit-learn's tools.

    Parameters
    ----------
    X : mapping of str to row-indexable of shape (n_rows, ...)
        See :class:`MultiDataset`.
    y : mapping of str to array-like of shape (n_rows,)
        Labels of each dataset; -1 (integers), None or NaN mark unlabelled rows,
        and a dataset that is missing here is wholly unlabelled.

    Returns
    -------
    X : MultiDataset of shape (n_rows, n_features)
        The rows, dataset by dataset in sorted order; nothing is copied.
    y : MultiTarget of shape (n_rows,)
        Labels of the rows.

    Raises
    ------
    TypeError
        If X or y is not a mapping.
    ValueError
        If y has a dataset that X has not, or another number of rows.

    See Also
    --------
    MultiDataset : The rows as a mapping and as a table.
    jedi_sklearn.model_selection.MultiDatasetKFold : Folds for such a pair.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import train_test_split
    >>> from jedi_sklearn import stack_datasets
    >>> X = {"a": np.ones((6, 2)), "b": np.ones((4, 2))}
    >>> X, y = stack_datasets(X, {"a": [0, 1] * 3, "b": ["x", "y"] * 2})
    >>> X_train, X_test, y_train, y_test = train_test_split(
    ...     X, y, stratify=y, test_size=4, random_state=0
    ... )
    >>> X_train
    MultiDataset(a: 4 rows, b: 2 rows)
    """
    if not isinstance(y, Mapping):
        raise TypeError(f"y must be a mapping of names to labels, got {type(y)}.")
    stacked = MultiDataset(X)
    sizes = {table.name: table.n_rows for table in stacked._tables}
    check_names(y, sizes)
    labels = {
        name: y.get(name, np.full(size, None, dtype=object))
        for name, size in sizes.items()
    }
    target = MultiTarget(labels)
    for table, labels_table in zip(stacked._tables, target._tables, strict=True):
        check_n_rows(table.name, table.n_rows, labels_table.n_rows)
        table.labelled = ~missing_labels(labels_table.values)
        if table.name in y:
            check_has_labels(table.name, bool(table.labelled.any()))
    return stacked, target


def _check_name(name: Any) -> None:
    if not isinstance(name, str):
        raise TypeError(f"Names of datasets must be str, got {name!r}.")
    if not name or "\0" in name or any("\ud800" <= c <= "\udfff" for c in name):
        raise ValueError(
            f"Dataset name {name!r} is empty, or has NUL or a surrogate, which are no "
            "letters; it must have one letter or more that can be written to files."
        )
    if "/" in name:
        raise ValueError(
            f"Dataset name {name!r} contains '/', which separates a dataset's name "
            "from a label; use another character."
        )


def is_row_wise(X: Any) -> bool:
    """Say whether the rows of X have one order, and results for it are one array."""
    return isinstance(X, MultiDataset) or not is_mapping(X)
