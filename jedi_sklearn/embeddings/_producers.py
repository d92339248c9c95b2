"""Producers of collections: features, probabilities, or both in one run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..experts.expert import Expert, NamedEncoder, unwrapped
from ._collections import Producer
from ._fingerprints import UnidentifiedError, fingerprint


class Probabilities:
    """Transformer of features to a head's probabilities.

    Parameters
    ----------
    head : classifier
        With ``predict_proba``.
    """

    def __init__(self, head: Any) -> None:
        self.head = head

    def transform(self, features: Any) -> npt.NDArray[Any]:
        """Return the probability of each class."""
        return np.asarray(self.head.predict_proba(np.asarray(features)))


class Both:
    """Transformer of samples to features and probabilities side by side.

    Parameters
    ----------
    encoder : transformer
        With ``features_and_probabilities``.
    """

    def __init__(self, encoder: Any) -> None:
        self.encoder = encoder

    def check_ready(self) -> None:
        """Raise ValueError if the encoder would fail for every sample."""
        check_ready(self.encoder)

    def transform(self, values: Any) -> npt.NDArray[Any]:
        """Return the features, and after them the probability of each class."""
        return np.hstack(self.encoder.features_and_probabilities(values))


class Columns:
    """Transformer that selects columns of rows that are stored already.

    Parameters
    ----------
    columns : slice
    """

    def __init__(self, columns: slice) -> None:
        self.columns = columns

    def transform(self, values: Any) -> npt.NDArray[Any]:
        """Return the columns."""
        return np.asarray(values)[:, self.columns]


def check_ready(encoder: Any) -> None:
    """Raise what an encoder's own check raises if it would fail for every sample.

    Without it each sample might be skipped as one that cannot be embedded.
    """
    check = getattr(unwrapped(encoder), "check_ready", None)
    if check is not None:
        check()


def both_of(expert: Expert) -> Both | None:
    """Return a transformer to features and probabilities, None if there is none.

    A video network has one: its probabilities are averaged over views, and so not those
    that its head gives for mean features, and running it twice would be slow.
    """
    encoder = unwrapped(expert.encoder)
    has_both = hasattr(encoder, "features_and_probabilities")
    return Both(encoder) if has_both and hasattr(expert.head, "classes_") else None


def producer_of_both(expert: Expert) -> Producer:
    """Return the producer of an expert's features and probabilities."""
    return Producer(expert.name, "both", _fingerprint_of(expert.name, expert.encoder))


def producer_of_features(expert: NamedEncoder) -> Producer:
    """Return the producer of an expert's embeddings.

    Raises
    ------
    UnidentifiedError
        If the expert has no fingerprint.
    """
    return Producer(
        expert.name, "features", _fingerprint_of(expert.name, expert.encoder)
    )


def producer_of_probabilities(expert: Expert) -> Producer:
    """Return the producer of an expert's probabilities.

    Raises
    ------
    ValueError
        If the expert has no head or no fingerprint.
    """
    if not hasattr(expert.head, "predict_proba"):
        raise ValueError(f"Expert {expert.name!r} has no head with predict_proba.")
    both = (expert.encoder, expert.head)
    return Producer(expert.name, "probabilities", _fingerprint_of(expert.name, both))


PRODUCER_OF: dict[str, Callable[[Expert], Producer]] = {
    "features": producer_of_features,
    "probabilities": producer_of_probabilities,
}


def _fingerprint_of(name: str, obj: Any) -> str:
    try:
        return fingerprint(obj)
    except UnidentifiedError as error:
        raise UnidentifiedError(f"Expert {name!r} cannot be kept: {error}") from error
