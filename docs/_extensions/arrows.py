"""The directive ``arrows``: the table of test_architecture.py as a picture.

Every room stands above all that it imports. An arrow is left out where others lead to
the same room.
"""

from __future__ import annotations

import ast
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

Rooms = dict[str, set[str]]

WIDTH, ROW, BOX = 860, 62, 24
CHARACTER = 7.0


class Arrows(SphinxDirective):
    """Draw the arrows between rooms; the argument is the path of the test."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the drawing."""
        _, path = self.env.relfn2path(self.arguments[0])
        self.env.note_dependency(path)
        rooms = read_rooms(Path(path).read_text(encoding="utf-8"))
        return [nodes.raw("", draw(reduced(rooms)), format="html")]


def read_rooms(source: str) -> Rooms:
    """Return which room of the top level imports which, by the table ROOMS.

    Rooms without any arrow are left out.
    """
    (table,) = (
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "ROOMS"
    )
    assert table is not None
    rooms: Rooms = {}
    for inner_room, allowed in ast.literal_eval(table).items():
        room = inner_room.partition(".")[0]
        rooms.setdefault(room, set()).update(a.partition(".")[0] for a in allowed)
    rooms = {room: below - {room} for room, below in rooms.items()}
    imported = set().union(*rooms.values())
    return {room: below for room, below in rooms.items() if below or room in imported}


def reduced(rooms: Rooms) -> Rooms:
    """Leave out what can be reached by way of another room."""
    return {
        room: {
            target
            for target in below
            if not any(target in reachable(rooms, other) for other in below - {target})
        }
        for room, below in rooms.items()
    }


def reachable(rooms: Rooms, room: str) -> set[str]:
    """Return all that a room imports, by whatever way."""
    return rooms[room].union(*(reachable(rooms, below) for below in rooms[room]))


def layers(rooms: Rooms) -> list[list[str]]:
    """Return the rooms from the lowest layer up, each below what imports it."""
    remaining, found = dict(rooms), []
    while remaining:
        done = set(rooms) - set(remaining)
        layer = [room for room, below in remaining.items() if below <= done]
        found.append(sorted(layer))
        remaining = {r: below for r, below in remaining.items() if r not in layer}
    return found


def places(rooms: Rooms) -> dict[str, tuple[float, float]]:
    """Return the middle of each room's box, near the middles of what it imports."""
    middles: dict[str, tuple[float, float]] = {}
    found = layers(rooms)
    for number, layer in enumerate(found):
        y = (len(found) - number - 0.5) * ROW

        def wanted(room: str) -> float:
            xs = [middles[below][0] for below in rooms[room]]
            return sum(xs) / len(xs) if xs else WIDTH / 2

        free = WIDTH - sum(width_of(room) for room in layer)
        x = 0.0
        for room in sorted(layer, key=wanted):
            x += free / (len(layer) + 1) + width_of(room) / 2
            middles[room] = (x, y)
            x += width_of(room) / 2
    return middles


def width_of(room: str) -> float:
    """Return the width of a room's box."""
    return len(name_of(room)) * CHARACTER + 14


def name_of(room: str) -> str:
    """Return how a room is called; the package itself has no name in the table."""
    return room or "__init__"


def draw(rooms: Rooms) -> str:
    """Return the picture, in the colours of the text around it."""
    middles = places(rooms)
    height = max(y for _, y in middles.values()) + ROW / 2
    lines = [
        f'<line x1="{middles[room][0]:.0f}" y1="{middles[room][1] + BOX / 2:.0f}" '
        f'x2="{middles[below][0]:.0f}" y2="{middles[below][1] - BOX / 2 - 2:.0f}"/>'
        for room in rooms
        for below in sorted(rooms[room])
    ]
    boxes = [
        f'<rect x="{x - width_of(room) / 2:.0f}" y="{y - BOX / 2:.0f}" '
        f'width="{width_of(room):.0f}" height="{BOX}" rx="4"/>'
        f'<text x="{x:.0f}" y="{y + 4:.0f}">{escape(name_of(room))}</text>'
        for room, (x, y) in middles.items()
    ]
    return (
        '<div class="arrows">'
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        'aria-label="Which room imports which">'
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z"/></marker></defs>'
        f"{''.join(lines)}{''.join(boxes)}</svg></div>"
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("arrows", Arrows)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
