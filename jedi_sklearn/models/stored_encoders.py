"""Encoders as bytes in the format of skops."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any
from zipfile import ZIP_DEFLATED

import numpy as np
from sklearn.base import BaseEstimator

from .optional_dependencies import needed

# Classes of this package that skops may create from a file, besides those of
# scikit-learn, SciPy and NumPy that it trusts itself. These are names, not a prefix:
# whatever the package's modules import has a name with the package's prefix, too.
OWN_ENCODERS = ("jedi_sklearn.encoders._mlp.MLPEncoder",)

NEEDED = "Files of students need skops"


def encoder_to_bytes(encoder: Any) -> bytes | None:
    """Return an encoder as bytes, None if `encoder_from_bytes` could not read them.

    Raises
    ------
    ImportError
        If skops is not installed.
    """
    with needed(NEEDED):
        from skops import io as skops
    try:
        # skops writes memory maps but cannot read them.
        in_memory = {id(array): np.array(array) for array in _memory_maps(encoder)}
        if in_memory:
            encoder = copy.deepcopy(encoder, memo=in_memory)
        # Most of a small encoder is JSON, which compresses well.
        content: bytes = skops.dumps(encoder, compression=ZIP_DEFLATED, compresslevel=1)
        untrusted = skops.get_untrusted_types(data=content)
        if set(untrusted) <= set(OWN_ENCODERS):
            skops.loads(content, trusted=untrusted)
            return content
    except Exception:
        # The ways in which skops fails to write or read objects cannot be listed.
        return None
    return None


def encoder_from_bytes(content: bytes) -> Any:
    """Return the encoder that `encoder_to_bytes` wrote; no code in it is run.

    Raises
    ------
    ImportError
        If skops is not installed.
    Exception
        Any error of skops if the content is damaged or contains another class.
    """
    with needed(NEEDED):
        from skops import io as skops
    return skops.loads(content, trusted=list(OWN_ENCODERS))


def _memory_maps(thing: Any) -> Iterator[np.memmap]:
    """Yield the memory maps in an estimator and in the containers that it holds."""
    if isinstance(thing, np.memmap):
        yield thing
    parts: Any = ()
    if isinstance(thing, Mapping):
        parts = thing.values()
    elif isinstance(thing, list | tuple):
        parts = thing
    elif isinstance(thing, BaseEstimator):
        parts = vars(thing).values()
    for part in parts:
        yield from _memory_maps(part)
