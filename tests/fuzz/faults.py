"""What can be wrong with what fit is given: each breaks one thing of a world."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from strategies import WIDTH, Random, World

from jedi_sklearn import MultiDataset


def n_rows_of(values: Any) -> int:
    """Return the number of rows, of what has none some number."""
    shape = getattr(values, "shape", None)
    if isinstance(shape, tuple) and shape:
        return shape[0]
    return len(values) if isinstance(values, list | tuple | str | dict | set) else 4


def _with_cell(value: Any) -> Callable[[int], Any]:
    def make(n: int) -> np.ndarray:
        X = np.linspace(0, 1, n * WIDTH).reshape(n, WIDTH)
        X[n // 2, 1] = value
        return X

    return make


def _objects(value: Any) -> Callable[[int], Any]:
    def make(n: int) -> np.ndarray:
        X = np.empty((n, WIDTH), dtype=object)
        for place in np.ndindex(X.shape):
            X[place] = value
        return X

    return make


def _generator(n: int) -> Iterator[list[float]]:
    return ([0.5] * WIDTH for _ in range(n))


def _itself(n: int) -> list[Any]:
    rows: list[Any] = [[0.5] * WIDTH for _ in range(n)]
    rows[0] = rows
    return rows


# Rows instead of a dataset's own, made from their number.
ROWS: dict[str, Callable[[int], Any]] = {
    "NaN": _with_cell(np.nan),
    "inf": _with_cell(np.inf),
    "huge": _with_cell(1e300),
    "large float32": _with_cell(3e38),
    "denormal": _with_cell(5e-324),
    "no columns": lambda n: np.empty((n, 0)),
    "no columns, frame": lambda n: pd.DataFrame(index=range(n)),
    "no rows": lambda n: np.empty((0, WIDTH)),
    "no rows, list": lambda n: [],
    "one row": lambda n: np.zeros((1, WIDTH)),
    "wide": lambda n: np.zeros((n, WIDTH + 1)),
    "one axis": np.arange,
    "ragged": lambda n: [[0.5] * (1 + i % 2) for i in range(n)],
    "nested": lambda n: [[[0.5], [[1, 2]], 3]] * n,
    "empty lists": lambda n: [[] for _ in range(n)],
    "itself": _itself,
    "objects": _objects(object()),
    "None": _objects(None),
    "NA": _objects(pd.NA),
    "str": _objects("red"),
    "numbers as str": _objects("1.5"),
    "bytes": lambda n: np.full((n, WIDTH), b"red"),
    "sets": lambda n: [{1, 2}] * n,
    "dates": lambda n: np.full((n, WIDTH), np.datetime64("2020-02-29")),
    "NaT": lambda n: np.full((n, WIDTH), np.datetime64("NaT")),
    "durations": lambda n: np.full((n, WIDTH), np.timedelta64(3, "h")),
    "complex": lambda n: np.full((n, WIDTH), 1 + 2j),
    "Decimal": _objects(Decimal("1.5")),
    "huge int": _objects(10**400),
    "uint64": lambda n: np.full((n, WIDTH), 2**64 - 1, dtype=np.uint64),
    "masked": lambda n: np.ma.masked_equal(np.arange(n * 3).reshape(n, 3), 4),
    "structured": lambda n: np.zeros(n, dtype=[("p", "f8"), ("q", "i4")]),
    "matrix": lambda n: np.zeros((n, WIDTH)).view(np.matrix),
    "constant": lambda n: np.ones((n, WIDTH)),
    "frame of dates": lambda n: pd.DataFrame({"p": pd.date_range("2020", periods=n)}),
    "frame with NaN": lambda n: pd.DataFrame(_with_cell(np.nan)(n), columns=[*"pqr"]),
    "frame with NA": lambda n: pd.DataFrame(
        {c: pd.array([1, None] * n, dtype="Int64")[:n] for c in "pqr"}
    ),
    "frame of two names": lambda n: pd.DataFrame(np.zeros((n, 2)), columns=["p", 1]),
    "frame of one name": lambda n: pd.DataFrame(np.zeros((n, 2)), columns=["p", "p"]),
    "frame of other names": lambda n: pd.DataFrame(np.zeros((n, 3)), columns=[*"abc"]),
    "Series of lists": lambda n: pd.Series([[0.5] * WIDTH] * n),
    "coo": lambda n: sparse.coo_array(np.eye(n, WIDTH)),
    "csc": lambda n: sparse.csc_matrix(np.eye(n, WIDTH)),
    "dia": lambda n: sparse.dia_array(np.eye(n, WIDTH)),
    "sparse with NaN": lambda n: sparse.csr_array(_with_cell(np.nan)(n)),
    "sparse of one axis": lambda n: sparse.coo_array(np.ones(n)),
    "scalar": lambda n: 3.5,
    "0-d": lambda n: np.array(3.5),
    "no value": lambda n: None,
    "text": lambda n: "rows.npy",
    "set": lambda n: set(range(n)),
    "dict": lambda n: {i: [0.5] * WIDTH for i in range(n)},
    "generator": _generator,
    "range": range,
    "a class": lambda n: np.ndarray,
    "datasets": lambda n: MultiDataset({"q": np.zeros((n, WIDTH))}),
    "memoryview": lambda n: memoryview(np.zeros((n, WIDTH))),
}


def _cycle(*values: Any) -> Callable[[int], Any]:
    def make(n: int) -> np.ndarray:
        labels = np.empty(n, dtype=object)
        for row in range(n):
            labels[row] = values[row % len(values)]
        return labels

    return make


def _itself_label(n: int) -> list[Any]:
    labels: list[Any] = [0, 1] * n
    labels = labels[:n]
    labels[0] = labels
    return labels


LABELS: dict[str, Callable[[int], Any]] = {
    "too many": lambda n: [0, 1] * n,
    "too few": lambda n: [0],
    "none": lambda n: [],
    "all missing": lambda n: [None] * n,
    "all -1": lambda n: np.full(n, -1),
    "all NaN": lambda n: np.full(n, np.nan),
    "all NA": lambda n: pd.array([pd.NA] * n, dtype="string"),
    "one class": lambda n: ["x"] * n,
    "one class and none": lambda n: (["x", None] * n)[:n],
    "as many as rows": np.arange,
    "str as many as rows": lambda n: [f"c{i}" for i in range(n)],
    "str and int": _cycle("x", 1),
    "look alike": _cycle("1", 1),
    "look alike, numbers": _cycle(1, 1.0, 2),
    "bool and int": _cycle(True, 2, 0),
    "str and bytes": _cycle("x", b"x"),
    "bytes": _cycle(b"x", b"y"),
    "lists": _cycle([1], [2]),
    "lists of two sizes": _cycle([1], [1, 2]),
    "a list of lists": lambda n: [[1], [2, 3]] * n,
    "dicts": _cycle({}, {"a": 1}),
    "tuples": _cycle((1, 2), (3, 4)),
    "tuples and int": _cycle((1, 2), 3),
    "sets": _cycle({1}, {2}),
    "dates": _cycle(datetime.date(2020, 1, 1), datetime.date(2021, 1, 1)),
    "datetime64": lambda n: np.array(["2020", "2021"] * n, "datetime64[D]")[:n],
    "NaT": lambda n: np.array(["2020", "NaT", "2021"] * n, "datetime64[D]")[:n],
    "timedelta64": lambda n: np.arange(n) % 2 * np.timedelta64(1, "D"),
    "periods": lambda n: pd.period_range("2020", periods=n, freq="D"),
    "intervals": lambda n: pd.cut(np.arange(n + 1), 2)[:n],
    "complex": _cycle(1j, 2j),
    "complex array": lambda n: np.arange(n) % 2 * 1j,
    "inf": _cycle(0.0, np.inf),
    "-inf array": lambda n: np.where(np.arange(n) % 2, -np.inf, 1.0),
    "continuous": lambda n: np.linspace(0, 1, n),
    "1e300": _cycle(1e300, 2e300),
    "huge": _cycle(2**63, 2**64),
    "very huge": _cycle(10**400, 1),
    "uint64": lambda n: np.where(np.arange(n) % 2, 2**64 - 1, 3).astype(np.uint64),
    "float16": lambda n: (np.arange(n) % 2).astype(np.float16),
    "Decimal": _cycle(Decimal(1), Decimal(2)),
    "Decimal NaN": _cycle(Decimal(1), Decimal("nan"), Decimal(2)),
    "Fraction": _cycle(Fraction(1, 2), Fraction(1, 3)),
    "objects": _cycle(object(), object()),
    "functions": _cycle(len, repr),
    "None and NaN": _cycle("x", None, np.nan, "y"),
    "None as a word": _cycle("None", "x"),
    "NumPy's str": _cycle(np.str_("x"), np.str_("y")),
    "-1 as a float": lambda n: np.where(np.arange(n) % 2, -1.0, 2.0),
    "surrogates": _cycle("\udc80", "\udc81"),
    "NUL": _cycle("x", "x\0"),
    "long": _cycle("x" * 5000, "y"),
    "one-hot": lambda n: np.eye(n)[:, :2],
    "three axes": lambda n: np.zeros((n, 1, 1)),
    "scalar": lambda n: 1,
    "0-d": lambda n: np.array(1),
    "no value": lambda n: None,
    "text": lambda n: "xy" * n,
    "set": lambda n: {0, 1},
    "generator": lambda n: (i % 2 for i in range(n)),
    "range": range,
    "dict": lambda n: {i: i % 2 for i in range(n)},
    "itself": _itself_label,
    "structured": lambda n: np.zeros(n, dtype=[("p", "i4")]),
    "frame": lambda n: pd.DataFrame({"p": np.arange(n) % 2}),
    "wide frame": lambda n: pd.DataFrame({"p": np.arange(n) % 2, "q": 0}),
    "sparse": lambda n: sparse.csr_array(np.eye(n)[:, :1]),
    "masked": lambda n: np.ma.masked_equal(np.arange(n) % 3, 2),
    "Sparse": lambda n: pd.arrays.SparseArray(np.arange(n) % 2),
    "a class": lambda n: np.ndarray,
}
NAMES: dict[str, Any] = {
    "number": 1,
    "None": None,
    "NaN": float("nan"),
    "tuple": ("a", "b"),
    "bytes": b"a",
    "slash": "a/b",
    "only a slash": "/",
    "parameter": "alpha",
    "underscores": "a__b",
    "bool": True,
    "date": datetime.date(2020, 1, 1),
    "surrogate": "\ud800",
    "NUL": "a\0",
    "blank": " ",
    "nothing": "",
    "half a surrogate": "\udc80",
}
WEIGHTS: dict[str, Callable[[int], Any]] = {
    "ones": np.ones,
    "some zero": lambda n: (np.arange(n) > 0).astype(float),
    "all zero": np.zeros,
    "negative": lambda n: np.arange(n) - 1.0,
    "NaN": lambda n: np.full(n, np.nan),
    "huge": lambda n: np.full(n, 1e300),
    "tiny": lambda n: np.full(n, 5e-324),
    "too many": lambda n: np.ones(n + 1),
    "column": lambda n: np.ones((n, 1)),
    "str": lambda n: ["1"] * n,
    "None": lambda n: [None] * n,
    "bool": lambda n: [True] * n,
    "complex": lambda n: np.ones(n) * 1j,
    "dates": lambda n: np.full(n, np.datetime64("2020")),
    "Series": lambda n: pd.Series(np.ones(n), index=range(3, 3 + n)),
    "NA": lambda n: pd.array([1, None] * n, dtype="Int64")[:n],
    "ragged": lambda n: [[1], [1, 2]] * n,
    "huge int": lambda n: [10**400] * n,
    "scalar": lambda n: 2.0,
    "no value": lambda n: None,
    "set": lambda n: {1, 2},
    "generator": lambda n: (1.0 for _ in range(n)),
    "text": lambda n: "1" * n,
}
CLASS_WEIGHTS: list[Any] = [
    "balanced",
    {},
    {"a": "balanced"},
    {"a": {"x": 2.0}},
    {"a": {0: 2.0}, "b": None},
    {"q": "balanced"},
    {0: 2.0},
    {"a": {"x": -1}},
    {"a": {"x": np.nan}},
    {"a": 1.0},
    {"a": {"x": 0, "y": 0, 0: 0, 1: 0}},
    {"a": {"x": "1"}},
    {"a": {None: 1.0}},
    {1: {0: 1}},
    {"a": {0: 10**400}},
    {"a": {0: 1e300, 1: 1e300}},
]
WHOLE_X: dict[str, Callable[[Any], Any]] = {
    "None": lambda X: None,
    "no dataset": lambda X: {},
    "generator": lambda X: (i for i in range(3)),
    "scalar": lambda X: 3.5,
    "text": lambda X: "rows.npy",
    "set": lambda X: {1, 2},
    "list of datasets": lambda X: list(X.values()) if isinstance(X, dict) else [X],
    "pairs": lambda X: list(X.items()) if isinstance(X, dict) else [X],
    "Series": lambda X: pd.Series([1.0, 2.0]),
    "a class": lambda X: dict,
    "frame of other levels": lambda X: pd.DataFrame(
        np.zeros((4, 2)),
        columns=["p", "q"],
        index=pd.MultiIndex.from_product([["a", "b"], [0, 1]]),
    ),
    "frame with levels without a name": lambda X: pd.DataFrame(
        np.zeros((4, 2)), index=pd.Index(["a", "a", None, "b"], name="dataset")
    ),
    "frame of numbered datasets": lambda X: pd.DataFrame(
        np.zeros((4, 2)), index=pd.Index([1, 1, 2, 2], name="dataset")
    ),
    "frame of two levels of datasets": lambda X: pd.DataFrame(
        np.zeros((4, 2)),
        index=pd.MultiIndex.from_product(
            [["a", "b"], [0, 1]], names=["dataset", "dataset"]
        ),
    ),
    "frame of mixed datasets": lambda X: pd.DataFrame(
        np.zeros((4, 2)), index=pd.Index([1, "a", 2, "b"], name="dataset")
    ),
    "empty frame": lambda X: pd.DataFrame(),
    "empty frame with a level": lambda X: pd.DataFrame(
        {"p": []}, index=pd.Index([], name="dataset")
    ),
}
WHOLE_Y: dict[str, Callable[[Any], Any]] = {
    "None": lambda y: None,
    "empty": lambda y: {},
    "one list": lambda y: [0, 1, 0, 1],
    "list of lists": lambda y: [list(v) for v in getattr(y, "values", list)()] or [[0]],
    "scalar": lambda y: 1,
    "text": lambda y: "xy",
    "generator": lambda y: (i % 2 for i in range(9)),
    "for an unknown dataset": lambda y: {"unknown": [0, 1]},
    "for a number": lambda y: {0: [0, 1]},
    "set": lambda y: {0, 1},
    "NaT": lambda y: pd.Series([pd.NaT] * 4),
}


def break_one(world: World, kind: str, what: Any, random: Random) -> None:
    """Break one thing of a world, of a dataset that is drawn."""
    name = list(world.X)[random.integers(len(world.X))]
    n_rows = max(n_rows_of(world.X[name]), 1)
    if kind == "rows":
        world.X[name] = ROWS[what](n_rows)
    elif kind == "labels":
        world.y[name] = LABELS[what](n_rows)
    elif kind == "name":
        new = NAMES[what]
        world.X = {new if n == name else n: rows for n, rows in world.X.items()}
        world.y = {new if n == name else n: own for n, own in world.y.items()}
        world.experts = [(new if n == name else n, e) for n, e in world.experts]
    elif kind == "label name":
        world.y[NAMES[what]] = [0, 1]
    elif kind == "sample_weight":
        flat = world.container not in ("dict",) or random.integers(2)
        total = sum(map(n_rows_of, world.X.values()))
        world.further["sample_weight"] = (
            WEIGHTS[what](total) if flat else {name: WEIGHTS[what](n_rows)}
        )
    elif kind == "class_weight":
        world.parameters["class_weight"] = CLASS_WEIGHTS[what]
    elif kind == "validation rows":
        y_val = world.y.get(name, np.arange(n_rows) % 2)
        world.further.update(X_val={name: ROWS[what](n_rows)}, y_val={name: y_val})
    elif kind == "validation labels":
        world.further.update(
            X_val={name: world.X[name]}, y_val={name: LABELS[what](n_rows)}
        )


KINDS: dict[str, list[Any]] = {
    "rows": list(ROWS),
    "labels": list(LABELS),
    "name": list(NAMES),
    "label name": list(NAMES),
    "sample_weight": list(WEIGHTS),
    "class_weight": list(range(len(CLASS_WEIGHTS))),
    "validation rows": list(ROWS),
    "validation labels": list(LABELS),
}
