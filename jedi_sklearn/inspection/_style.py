"""Look of the models and panels to draw on, for all displays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Style:
    """Look of a model's curves and points."""

    color: str
    line: str
    marker: str


# A model looks the same in every display, whichever others are drawn beside it.
STYLES = {
    "expert": Style("C0", "--", "o"),
    "student": Style("C1", "-", "s"),
    "teacher": Style("C2", "-", "^"),
}

# Width and height of a panel of curves in inches.
PANEL_SIZE = 3.2

# Panels in a row.
_MAX_COLUMNS = 4


def as_panels(
    axes: Any,
    n_panels: int,
    needed: str,
    *,
    width: float = PANEL_SIZE,
    height: float = PANEL_SIZE,
) -> npt.NDArray[np.object_]:
    """Return the given axes, or new ones of this size in inches, as a flat array."""
    if axes is not None:
        panels: npt.NDArray[np.object_] = np.asarray(axes, dtype=object).ravel()
        if len(panels) != n_panels:
            raise ValueError(f"axes has {len(panels)} panels; {needed}.")
        return panels
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            'Displays need matplotlib: pip install "jedi_sklearn[plot]"'
        ) from error

    n_rows = -(-n_panels // _MAX_COLUMNS)
    n_columns = -(-n_panels // n_rows)
    figure, grid = plt.subplots(
        n_rows,
        n_columns,
        figsize=(width * n_columns, height * n_rows),
        layout="constrained",
        squeeze=False,
    )
    panels = grid.ravel()
    for panel in panels[n_panels:]:
        figure.delaxes(panel)
    return panels[:n_panels]


def is_leftmost(panel: Axes) -> bool:
    """Say whether no panel of the same grid stands to the left."""
    spec = panel.get_subplotspec()
    return spec is None or spec.is_first_col()


def legend_above(panel: Axes, n_columns: int, **options: Any) -> None:
    """Put the legend above a panel, where it hides nothing.

    It is flush right, since there is room on the left, above the names.
    """
    panel.legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        borderaxespad=0.2,
        columnspacing=1.0,
        handletextpad=0.4,
        ncols=n_columns,
        frameon=False,
        **options,
    )
