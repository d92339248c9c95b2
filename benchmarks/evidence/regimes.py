"""Which training labels are known: all, a tenth, or a tenth and rows without any."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

Labels = dict[str, npt.NDArray[Any]]

REGIMES = ("all", "tenth", "extra")
SHARE = 0.1
AT_LEAST = 2  # labels of each class that are kept


def known_labels(regime: str, y: Labels, seed: int, extra: str) -> Labels:
    """Return the labels as a regime leaves them, missing ones as -1 or None.

    Parameters
    ----------
    regime : {"all", "tenth", "extra"}
        With `tenth` each dataset keeps a stratified random tenth of its labels, with
        `extra` it does too, but the dataset `extra` is left out: its rows have none.
    y : dict of str to ndarray
        All training labels.
    seed : int
        Chooses the tenth, which is the same one in `tenth` and `extra`.
    extra : str
    """
    if regime not in REGIMES:
        raise ValueError(f"There is no regime {regime!r}; there are {REGIMES}.")
    if regime == "all":
        return dict(y)
    return {
        name: keep_tenth(labels, np.random.default_rng([seed, crc32(name.encode())]))
        for name, labels in y.items()
        if regime == "tenth" or name != extra
    }


def keep_tenth(labels: npt.NDArray[Any], rng: np.random.Generator) -> npt.NDArray[Any]:
    """Return the labels with a tenth of each class kept and the rest missing."""
    is_number = labels.dtype.kind in "iu"
    kept = np.full(
        len(labels), -1 if is_number else None, dtype=np.int64 if is_number else object
    )
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        rows = rows[: max(AT_LEAST, round(SHARE * len(rows)))]
        kept[rows] = labels[rows]
    return kept


def is_known(labels: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Say which rows have a label."""
    if labels.dtype.kind in "iu":
        return labels != -1
    return np.array([label is not None for label in labels])


def known_codes(
    labels: npt.NDArray[Any],
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Return the classes, sorted, and each row's number among them, -1 if unknown."""
    known = is_known(labels)
    codes = np.full(len(labels), -1, dtype=np.int64)
    # Objects become what they are, so that classes are plain str.
    plain = np.array(labels[known].tolist())
    classes, codes[known] = np.unique(plain, return_inverse=True)
    return classes, codes
