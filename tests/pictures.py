"""What is wrong with a picture: texts that are cut off, or lie on one another."""

from __future__ import annotations

from itertools import combinations
from typing import Any
from unittest import mock

from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

# Pixels: the box of a text is larger than its ink.
_SLACK = 2.0


def problems_of(figure: Figure) -> list[str]:
    """Return which texts are cut off by the figure's edge or overlap another."""
    boxes = _texts(figure)
    edge = figure.bbox
    cut = [
        f"{text.get_text()!r} is cut off"
        for text, box in boxes
        if min(box.x0, box.y0) < edge.x0 - _SLACK
        or box.x1 > edge.x1 + _SLACK
        or box.y1 > edge.y1 + _SLACK
    ]
    # The box of what is written aslant is mostly empty.
    level = [(text, box) for text, box in boxes if text.get_rotation() in (0, 90)]
    return cut + [
        f"{one.get_text()!r} and {other.get_text()!r} overlap"
        for (one, own), (other, box) in combinations(level, 2)
        if _overlap(own, box)
    ]


def _texts(figure: Figure) -> list[tuple[Text, Bbox]]:
    """Return the texts that drawing the figure draws, and where they are."""
    drawn: list[Text] = []
    draw = Text.draw

    def record(self: Text, *args: Any, **kwargs: Any) -> None:
        if self.get_visible() and self.get_text().strip():
            drawn.append(self)
        draw(self, *args, **kwargs)

    with mock.patch.object(Text, "draw", record):
        figure.canvas.draw()
    return [(text, text.get_window_extent()) for text in dict.fromkeys(drawn)]


def _overlap(one: Bbox, other: Bbox) -> bool:
    wide = min(one.x1, other.x1) - max(one.x0, other.x0)
    high = min(one.y1, other.y1) - max(one.y0, other.y0)
    return bool(wide > _SLACK and high > _SLACK)
