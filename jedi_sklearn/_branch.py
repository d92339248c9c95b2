"""From rows to what a student or a teacher sees of one expert."""

from __future__ import annotations

from typing import Any, NamedTuple

from ._weights import Adjustment


class Branch(NamedTuple):
    """From rows to the adjusted embedding of one expert.

    Attributes
    ----------
    name : str
        Name of the expert.
    encoder : transformer
        The expert's encoder, fitted.
    adjustment : Adjustment
    """

    name: str
    encoder: Any
    adjustment: Adjustment

    @property
    def width(self) -> int:
        """Number of features of the embedding."""
        return self.adjustment.down.coef.shape[1]
