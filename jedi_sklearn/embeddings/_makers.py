"""The two things that an expert makes of samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .._expert import Encoding, Expert
from ._collections import Maker
from ._identity import UnidentifiedError, fingerprint


class Probabilities:
    """A head as a transformer of features.

    Parameters
    ----------
    head : classifier
        With ``predict_proba``.
    """

    def __init__(self, head: Any) -> None:
        self.head = head

    def transform(self, features: Any) -> npt.NDArray:
        """Return the probability of each class."""
        return np.asarray(self.head.predict_proba(np.asarray(features)))


def maker_of_features(expert: Encoding) -> Maker:
    """Return the maker of an expert's embeddings.

    Raises
    ------
    UnidentifiedError
        If the expert cannot be told apart from others.
    """
    return Maker(expert.name, "features", _fingerprint_of(expert.name, expert.encoder))


def maker_of_probabilities(expert: Expert) -> Maker:
    """Return the maker of the probabilities that an expert's head gives.

    Raises
    ------
    ValueError
        If the expert has no head, or cannot be told apart from others.
    """
    if not hasattr(expert.head, "predict_proba"):
        raise ValueError(f"Expert {expert.name!r} has no head with predict_proba.")
    both = (expert.encoder, expert.head)
    return Maker(expert.name, "probabilities", _fingerprint_of(expert.name, both))


MAKER_OF: dict[str, Callable[[Expert], Maker]] = {
    "features": maker_of_features,
    "probabilities": maker_of_probabilities,
}


def _fingerprint_of(name: str, obj: Any) -> str:
    try:
        return fingerprint(obj)
    except UnidentifiedError as error:
        raise UnidentifiedError(f"Expert {name!r} cannot be kept: {error}") from error
