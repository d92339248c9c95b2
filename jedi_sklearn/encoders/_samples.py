"""Samples as encoders get them."""

from __future__ import annotations

from typing import Any


def by_position(samples: Any) -> Any:
    """Return samples that are indexed by position, as a Series of pandas is not.

    Of a table with one column the samples are what is in that.
    """
    if hasattr(samples, "iloc"):
        samples = samples.to_numpy()
    is_column = getattr(samples, "ndim", 1) == 2 and samples.shape[1] == 1
    return samples[:, 0] if is_column else samples
