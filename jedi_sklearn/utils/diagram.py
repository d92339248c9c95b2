"""Diagrams of estimators in notebooks: blocks that scikit-learn draws."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def serial(blocks: Iterable[Any]) -> Any:
    """Return blocks or estimators one below the other."""
    return _block("serial", list(blocks))


def parallel(names: Iterable[str], blocks: Iterable[Any]) -> Any:
    """Return blocks or estimators side by side, each under its name."""
    return _block("parallel", list(blocks), names=list(names))


def box(name: str, details: Any, caption: str | None = None) -> Any:
    """Return a box with a name and a caption that opens to show its details."""
    return _block(
        "single", None, names=name, name_details=str(details), name_caption=caption
    )


def _block(kind: str, blocks: Any, **names: Any) -> Any:
    # The class is private, but there is no public one. If its import fails in a later
    # version, scikit-learn draws the estimators as boxes without insides.
    try:
        from sklearn.utils._repr_html.estimator import _VisualBlock
    except ImportError:  # before 1.7
        from sklearn.utils._estimator_html_repr import _VisualBlock
    return _VisualBlock(kind, blocks, dash_wrapped=False, **names)
