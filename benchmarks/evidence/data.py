"""The images: the bundled ones, or four whole datasets from OpenML."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.ndimage import zoom
from sklearn.datasets import fetch_openml

from jedi_sklearn.datasets import load_glyphs

from .rows import split_rows

Images = npt.NDArray[np.float32]
Arrays = dict[str, npt.NDArray[Any]]

SIZE = 28
HELD_OUT = 0.25


class Data(NamedTuple):
    """Images of shape (n, 28, 28) in [0, 1] and their labels, by dataset."""

    X_train: Arrays
    y_train: Arrays
    X_test: Arrays
    y_test: Arrays


class Source(NamedTuple):
    """What OpenML calls a dataset, and how many of its rows come first for training."""

    title: str
    data_id: int
    n_train: int


# How many rows of each digit the training part has: a check that it comes first.
USPS_COUNTS = (1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644)

SOURCES = {
    "fashion_mnist": Source("Fashion-MNIST", 40996, 60_000),
    "kuzushiji": Source("Kuzushiji-MNIST", 41982, 60_000),
    "mnist": Source("mnist_784", 554, 60_000),
    "usps": Source("USPS", 41082, 7291),
}

# The dataset whose rows alone serve in the regime `extra`.
EXTRA = {"glyphs": "letters", "openml": "kuzushiji"}


def glyphs() -> Data:
    """Return the images that come with jedi_sklearn."""
    return Data(*load_glyphs("train"), *load_glyphs("test"))


def openml(fetch: Callable[..., Any] = fetch_openml) -> Data:
    """Return four datasets in full, downloaded and kept by scikit-learn.

    Parameters
    ----------
    fetch : callable, default=fetch_openml
    """
    data = Data({}, {}, {}, {})
    for name, source in SOURCES.items():
        values, labels = fetch(data_id=source.data_id, as_frame=False, return_X_y=True)
        images, codes = as_images(values), as_codes(labels)
        data.X_train[name], data.X_test[name] = np.split(images, [source.n_train])
        data.y_train[name], data.y_test[name] = np.split(codes, [source.n_train])
        check_division(name, source, data)
    return data


def check_division(name: str, source: Source, data: Data) -> None:
    """Raise ValueError where the first rows are not the training part."""
    counts = tuple(np.bincount(data.y_train[name]).tolist())
    expected = USPS_COUNTS if name == "usps" else (source.n_train // 10,) * 10
    # MNIST's digits are not balanced; its order is.
    balanced = name != "mnist"
    if not len(data.y_test[name]) or (balanced and counts != expected):
        raise ValueError(
            f"The first {source.n_train} rows of {source.title} have {counts} rows of "
            f"each class; {expected} were expected."
        )


def as_images(values: npt.ArrayLike) -> Images:
    """Return rows of pixels of any scale as 28 x 28 images in [0, 1]."""
    values = np.asarray(values, dtype=np.float32)
    low = -1 if (values < 0).any() else 0
    high = 255 if (values > 1).any() else 1
    side = round(values.shape[1] ** 0.5)
    images = (values.reshape(-1, side, side) - low) / (high - low)
    if side != SIZE:
        images = zoom(images, (1, SIZE / side, SIZE / side), order=1)
    return np.ascontiguousarray(images, dtype=np.float32)


def as_codes(labels: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return labels as 0, 1, 2 and so on, in the order of their numbers."""
    numbers = np.asarray(labels).astype(float).astype(np.int64)
    return np.unique(numbers, return_inverse=True)[1]


def subsample(data: Data, n_train: int, n_test: int) -> Data:
    """Keep the first rows of each class, so many for training and for test."""
    kept = Data({}, {}, {}, {})
    for name in data.X_train:
        train = first_rows(data.y_train[name], n_train)
        test = first_rows(data.y_test[name], n_test)
        kept.X_train[name] = data.X_train[name][train]
        kept.y_train[name] = data.y_train[name][train]
        kept.X_test[name] = data.X_test[name][test]
        kept.y_test[name] = data.y_test[name][test]
    return kept


def validation_in_test(data: Data, seed: int) -> Data:
    """Return training rows alone: a quarter of them, held out, stands for the test.

    So the study can be run, and settings be chosen, without a look at a test row.
    """
    kept = Data({}, {}, {}, {})
    for name, X in data.X_train.items():
        codes = np.unique(data.y_train[name], return_inverse=True)[1]
        rows, held_out = split_rows(codes, HELD_OUT, seed)
        kept.X_train[name], kept.y_train[name] = X[rows], data.y_train[name][rows]
        kept.X_test[name], kept.y_test[name] = X[held_out], data.y_train[name][held_out]
    return kept


def first_rows(labels: npt.NDArray[Any], n: int) -> npt.NDArray[np.int64]:
    """Return where the first n rows of each class are, in order."""
    rows = [np.flatnonzero(labels == label)[:n] for label in np.unique(labels)]
    return np.sort(np.concatenate(rows))
