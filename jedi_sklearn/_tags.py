"""What estimators say of the estimators inside them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def take_sparse(estimators: Iterable[Any]) -> bool:
    """Say whether all of some estimators say that they take sparse matrices."""
    try:
        return all(e.__sklearn_tags__().input_tags.sparse for e in estimators)
    except (AttributeError, TypeError, ValueError):
        return False  # what is no estimator of scikit-learn's kind says nothing
