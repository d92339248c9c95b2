"""Tables with sentences in them are marked, so that a phone can show a row as a list.

Tables of numbers stay tables, and are scrolled sideways.
"""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx

LONG = 40  # characters


def mark_tables(app: Sphinx, document: nodes.document) -> None:
    """Give tables that have a long cell a class."""
    del app
    for table in document.findall(nodes.table):
        cells = [cell.astext() for cell in table.findall(nodes.entry)]
        if max(map(len, cells)) > LONG:
            table["classes"].append("prose")


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the step."""
    app.connect("doctree-read", mark_tables)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
