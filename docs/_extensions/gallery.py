"""How the examples run and in which order they are shown.

sphinx-gallery calls both by their names in conf.py.
"""

from __future__ import annotations

import warnings

# From the first steps to the special. An example that is not named comes last.
ORDER = (
    "quickstart",
    "grid_search",
    "ablations",
    "unlabelled",
    "class_gains",
    "tabular",
    "text",
    "image_files",
    "video_recipe",
)


def place(filename: str) -> tuple[int, str]:
    """Return what examples are sorted by."""
    name = filename.removeprefix("plot_").removesuffix(".py")
    return (ORDER.index(name) if name in ORDER else len(ORDER)), name


def warnings_are_errors(gallery_conf: object, path: object) -> None:
    """Set so before each example."""
    del gallery_conf, path
    warnings.simplefilter("error")
    # Of matplotlib, where an example shows a figure and there is no window.
    warnings.filterwarnings("ignore", "FigureCanvasAgg is non-interactive")
