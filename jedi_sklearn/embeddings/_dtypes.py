"""Number formats on disk: float32, or half as many bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Features = npt.NDArray[np.float32]

# NumPy's dtype for each format. It has no bfloat16, which is the upper half of a
# float32.
STORED_AS = {"float32": "<f4", "float16": "<f2", "bfloat16": "<u2"}


def encode(embedding: Features, dtype: str) -> npt.NDArray[Any]:
    """Round numbers to the nearest that a format has.

    Parameters
    ----------
    embedding : ndarray, float32
    dtype : {"float32", "float16", "bfloat16"}

    Raises
    ------
    OverflowError
        If a number is too large for the dtype.
    """
    if dtype == "bfloat16":
        bits = embedding.view(np.uint32)
        # Round to nearest, ties to even.
        stored = ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype("<u2")
    else:
        with np.errstate(over="ignore"):
            stored = embedding.astype(STORED_AS[dtype])
    if dtype != "float32" and not np.isfinite(decode(stored, dtype)).all():
        raise OverflowError(
            f"there is a feature of size {np.abs(embedding).max():g}, beyond what "
            f"{dtype} can hold"
        )
    return stored


def decode(stored: npt.NDArray[Any], dtype: str) -> Features:
    """Return stored numbers as float32."""
    if dtype == "bfloat16":
        bits = stored.astype(np.uint32)
        bits <<= 16
        return bits.view(np.float32)
    return stored.astype(np.float32, copy=False)
