"""Samples as encoders get them."""

from __future__ import annotations

from typing import Any


def by_position(samples: Any) -> Any:
    """Return samples that are indexed by position, as a Series of pandas is not."""
    return samples.to_numpy() if hasattr(samples, "iloc") else samples
