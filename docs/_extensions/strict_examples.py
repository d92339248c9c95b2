"""Warnings are errors in examples."""

from __future__ import annotations

import warnings


def warnings_are_errors(gallery_conf: object, path: object) -> None:
    """Set so before each example; sphinx-gallery calls this by its name in conf.py."""
    del gallery_conf, path
    warnings.simplefilter("error")
    # Of matplotlib, where an example shows a figure and there is no window.
    warnings.filterwarnings("ignore", "FigureCanvasAgg is non-interactive")
