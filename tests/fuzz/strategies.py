"""Datasets, labels and experts of every accepted kind, small, from one seed each."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    StandardScaler,
)
from sklearn.svm import LinearSVC

from jedi_sklearn import JEDIClassifier, MultiDataset, stack_datasets

Random = np.random.Generator
WIDTH = 3


@dataclass
class World:
    """All that fit is given, still in its parts: datasets by name, then a container.

    Attributes
    ----------
    X, y, X_val, y_val : dict
        By dataset.
    family : str
        What the rows are, which decides the experts.
    container : str
        In what the datasets are given.
    experts : list of (str, estimator)
    further : dict
        Arguments of fit as they are, beside X and y.
    parameters : dict
        Of the classifier, beside those that keep a fit small.
    faults : list of str
        What has been broken.
    """

    family: str
    container: str
    X: dict[Any, Any] = field(default_factory=dict)
    y: dict[Any, Any] = field(default_factory=dict)
    experts: Any = field(default_factory=list)
    further: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[Any]:
        """Of all that a message may name."""
        experts = [name for name, _ in self.experts]
        given = [self.X, self.y, self.parameters, *self.further.values()]
        names = [name for part in given if isinstance(part, dict) for name in part]
        return [*names, *experts, "dataset"]

    def classifier(self) -> JEDIClassifier:
        small = {"max_epochs": 1, "adjustment_units": 2, "random_state": 0}
        return JEDIClassifier(
            self.experts, **{**small, "device": "cpu", **self.parameters}
        )

    def given(self) -> tuple[Any, Any]:
        """Return X and y as fit is given them."""
        return CONTAINERS[self.container](self.X, self.y)


# Rows


def _numbers(random: Random, n_rows: int) -> np.ndarray:
    return random.normal(size=(n_rows, WIDTH)).round(2)


def _memmap(random: Random, n_rows: int) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npy"
        np.save(path, _numbers(random, n_rows))
        # The pages stay as long as somebody looks at them.
        return np.load(path, mmap_mode="r")


def _frame(random: Random, n_rows: int) -> pd.DataFrame:
    columns = pd.Index(["p", "q", "r"])
    return pd.DataFrame(
        _numbers(random, n_rows), columns=columns, index=random.permutation(n_rows)
    )


def _as(dtype: Any) -> Callable[[Random, int], Any]:
    def make(random: Random, n_rows: int) -> Any:
        return (3 * _numbers(random, n_rows)).astype(dtype)

    return make


NUMERIC = {
    "float64": _numbers,
    "float32": _as(np.float32),
    "float16": _as(np.float16),
    "int64": _as(np.int64),
    "int8": _as(np.int8),
    "big endian": _as(">f8"),
    "bool": lambda r, n: _numbers(r, n) > 0,
    "object": _as(object),
    "Fortran": lambda r, n: np.asfortranarray(_numbers(r, n)),
    "strided": lambda r, n: _numbers(r, 2 * n)[::-2],
    "memmap": _memmap,
    "list": lambda r, n: _numbers(r, n).tolist(),
    "tuple of arrays": lambda r, n: tuple(_numbers(r, n)),
}
# An expert that has seen names wants them, so that these are among themselves.
FRAMES = {
    "frame": _frame,
    "frame of float32": lambda r, n: _frame(r, n).astype(np.float32),
    "frame of Float64": lambda r, n: _frame(r, n).astype("Float64"),
    "frame of two dtypes": lambda r, n: _frame(r, n).astype({"q": "int64"}),
}
SPARSE = {
    "csr": lambda r, n: sparse.csr_matrix(_numbers(r, n)),
    "csr array": lambda r, n: sparse.csr_array(_numbers(r, n)),
    "lil": lambda r, n: sparse.lil_matrix(_numbers(r, n)),
    "sparse float32": lambda r, n: sparse.csr_array(_numbers(r, n).astype("f4")),
}
CUBES = {
    "cube": lambda r, n: r.normal(size=(n, WIDTH, 2)),
    "four axes": lambda r, n: r.normal(size=(n, WIDTH, 2, 1)).astype(np.float32),
    "list of matrices": lambda r, n: list(r.normal(size=(n, WIDTH, 2))),
}
WORDS = np.array(["red", "green", "blue", "", "ünïcode \U0001f600", "a\0b", "nan"])
TEXTS = {
    "list of str": lambda r, n: r.choice(WORDS, n).tolist(),
    "array of str": lambda r, n: r.choice(WORDS, n),
    "array of objects": lambda r, n: r.choice(WORDS, n).astype(object),
    "Series": lambda r, n: pd.Series(r.choice(WORDS, n), index=range(5, 5 + n)),
    "Series of string": lambda r, n: pd.Series(r.choice(WORDS, n), dtype="string"),
}


def _table(random: Random, n_rows: int) -> pd.DataFrame:
    return _frame(random, n_rows).assign(word=random.choice(WORDS[:3], n_rows))


TABLES = {
    "table": _table,
    "table of categories": lambda r, n: _table(r, n).astype({"word": "category"}),
}
PLAIN_SPARSE = {
    "csc": lambda r, n: sparse.csc_matrix(_numbers(r, n)),
    "coo": lambda r, n: sparse.coo_array(_numbers(r, n)),
    **SPARSE,
}
FAMILIES: dict[str, dict[str, Callable[[Random, int], Any]]] = {
    "numeric": NUMERIC,
    "frames": FRAMES,
    "sparse": SPARSE,
    "cubes": CUBES,
    "texts": TEXTS,
    "tables": TABLES,
}
# What one table may be, and a dataset of several may not.
ALL = {**FAMILIES, "plain sparse": PLAIN_SPARSE}

# Experts


class Flatten(TransformerMixin, BaseEstimator):
    """Embeds a row of any number of axes as its values."""

    def fit(self, X: Any, y: Any = None) -> Flatten:
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def transform(self, X: Any) -> np.ndarray:
        X = np.asarray(X)
        return X.reshape(len(X), -1)


def _of_columns() -> Any:
    words = OneHotEncoder(categories=[WORDS[:3].tolist()], handle_unknown="ignore")
    return make_column_transformer((StandardScaler(), ["p", "q"]), (words, ["word"]))


ENCODERS: dict[str, list[Callable[[], Any]]] = {
    "numeric": [
        StandardScaler,
        MinMaxScaler,
        FunctionTransformer,
        lambda: make_column_transformer(("passthrough", slice(0, 2))),
    ],
    "frames": [StandardScaler, MinMaxScaler, FunctionTransformer],
    "sparse": [lambda: StandardScaler(with_mean=False), FunctionTransformer],
    "plain sparse": [FunctionTransformer, lambda: StandardScaler(with_mean=False)],
    "cubes": [Flatten, lambda: make_pipeline(Flatten(), MinMaxScaler())],
    "texts": [lambda: HashingVectorizer(n_features=4)],
    "tables": [_of_columns],
}
HEADS: list[Callable[[], Any]] = [
    LogisticRegression,
    lambda: LinearSVC(max_iter=100_000),
    RidgeClassifier,
    lambda: SGDClassifier(max_iter=2000),
]


def expert_of(family: str, random: Random, X: Any, y: Any) -> Any:
    encoder = ENCODERS[family][random.integers(len(ENCODERS[family]))]()
    kind = random.choice(["bare", "pipeline", "frozen encoder", "frozen"])
    if kind == "pipeline":
        return make_pipeline(encoder, HEADS[random.integers(len(HEADS))]())
    if kind == "frozen encoder":
        return FrozenEstimator(encoder.fit(X))
    if kind == "frozen" and y is not None:
        known = np.flatnonzero(y >= 0)
        own = X.iloc[known] if hasattr(X, "iloc") else _rows(X, known)
        return make_pipeline(encoder, LogisticRegression()).fit(own, y[known])
    return encoder


def _rows(values: Any, rows: np.ndarray) -> Any:
    return values[rows] if hasattr(values, "shape") else [values[i] for i in rows]


# Labels: from numbers of classes, -1 where there is none


def _objects(names: list[Any], missing: Any) -> Callable[[np.ndarray], Any]:
    def make(codes: np.ndarray) -> np.ndarray:
        labels = np.empty(len(codes), dtype=object)
        labels[:] = [missing if code < 0 else names[code] for code in codes]
        return labels

    return make


_STR = _objects(["x", "y", "z"], None)
_ODD = _objects(["nan", "-1", ""], None)
_NA = _objects(["x", "y", "z"], pd.NA)
_BOOL = _objects([True, False, True], None)
_INT_OR_NONE = _objects([4, 5, 2**40], None)

LABELS: dict[str, Callable[[np.ndarray], Any]] = {
    "int": lambda codes: codes,
    "int8": lambda codes: codes.astype(np.int8),
    "list of int": lambda codes: codes.tolist(),
    "negative int": lambda codes: np.where(codes < 0, -1, codes - 9),
    "str": _STR,
    "list of str": lambda codes: _STR(codes).tolist(),
    "tuple": lambda codes: tuple(_STR(codes)),
    "odd str": _ODD,
    "str with slashes": _objects(["a/x", "/", "b"], None),
    "float": lambda codes: np.where(codes < 0, np.nan, codes),
    "list of float": lambda codes: np.where(codes < 0, np.nan, codes).tolist(),
    "bool": _BOOL,
    "int or None": _INT_OR_NONE,
    "Series": lambda codes: pd.Series(_STR(codes), index=range(7, 7 + len(codes))),
    "Series of string": lambda codes: pd.Series(_NA(codes), dtype="string"),
    "Series of Int64": lambda codes: pd.Series(codes).astype("Int64").mask(codes < 0),
    "Categorical": lambda codes: pd.Categorical(_STR(codes)),
    "Series of categories": lambda codes: pd.Series(pd.Categorical(codes - 0.0)).where(
        codes >= 0
    ),
    "column": lambda codes: codes[:, None],
    "Index": lambda codes: pd.Index(_STR(codes)),
}


def codes_of(random: Random, n_rows: int) -> np.ndarray:
    """Return class numbers, two or three of them, and -1 where there is no label."""
    n_classes = random.integers(2, 4)
    codes = np.arange(n_rows) % n_classes
    n_missing = random.integers(0, n_rows - n_classes + 1)
    codes[n_rows - n_missing :] = -1
    return random.permutation(codes)


# Containers: what the datasets are given in


def _concatenated(y: dict[Any, Any], X: dict[Any, Any]) -> np.ndarray:
    parts = []
    for name, rows in X.items():
        n_rows = rows.shape[0] if hasattr(rows, "shape") else len(rows)
        own = np.empty(n_rows, dtype=object)
        if name in y:
            own[:] = list(y[name])
        parts.append(own)
    return np.concatenate(parts)


def _levelled(X: dict[Any, Any], y: dict[Any, Any]) -> tuple[Any, Any]:
    frame = pd.concat(
        {name: pd.DataFrame(np.asarray(X[name], dtype=float)) for name in X},
        names=["dataset", "row"],
    )
    frame.columns = [f"c{column}" for column in frame]
    return frame, _concatenated(y, X)


CONTAINERS: dict[str, Callable[..., Any]] = {
    "dict": lambda X, y: (X, y),
    "MultiDataset": lambda X, y: (MultiDataset(X), y),
    "stacked": lambda X, y: stack_datasets(X, y),
    "frame with level": _levelled,
    "one": lambda X, y: (next(iter(X.values())), next(iter(y.values()))),
}

NAMES = [
    "a",
    "b",
    "c d",
    "ümlaut",
    "\U0001f600",
    "e.f",
    "..",
    "1",
    "dataset",
    "x" * 300,
]


@st.composite
def worlds(
    draw: st.DrawFn,
    families: Sequence[str] = tuple(FAMILIES),
    containers: Sequence[str] = ("dict", "MultiDataset", "stacked"),
    one_kind_of_label: bool = False,
) -> World:
    """Draw a world in which nothing is broken."""
    world = World(draw(st.sampled_from(families)), draw(st.sampled_from(containers)))
    if world.container == "frame with level":
        world.family = "numeric"
    n_datasets = 1 if world.container == "one" else 3
    names = draw(
        st.lists(st.sampled_from(NAMES), min_size=1, max_size=n_datasets, unique=True)
    )
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    for number, name in enumerate(names):
        n_rows = draw(st.integers(4, 9))
        kind = draw(st.sampled_from(list(ALL[world.family])))
        world.X[name] = ALL[world.family][kind](random, n_rows)
        codes = None
        if number == 0 or draw(st.integers(0, 3)):
            kind = "str" if one_kind_of_label else draw(st.sampled_from(list(LABELS)))
            codes = codes_of(random, n_rows)
            world.y[name] = LABELS[kind](codes)
        if name in world.y or draw(st.booleans()):
            # A frozen head knows labels as numbers, whatever they are called.
            are_codes = name in world.y and world.y[name] is codes
            own = codes if are_codes else None
            world.experts.append(
                (name, expert_of(world.family, random, world.X[name], own))
            )
    return world
