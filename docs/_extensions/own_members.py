"""What the reference says of classes and constants, beyond what autodoc finds."""

from __future__ import annotations

import sys

from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

PACKAGE = "jedi_sklearn"


def skip_others(
    app: Sphinx, kind: str, name: str, member: object, skip: bool, options: object
) -> bool | None:
    """Leave out what a class has of another package's: it is documented there."""
    del app, kind, name, skip, options
    member = getattr(member, "fget", member)
    for owner in (member, getattr(member, "__objclass__", None)):
        module = getattr(owner, "__module__", None)
        if module is not None:
            return None if module.startswith(PACKAGE) else True
    return None


def find_comment(
    app: Sphinx, kind: str, name: str, value: object, options: object, lines: list[str]
) -> None:
    """Describe a constant as the comment where it is made does."""
    del app, options
    if kind != "data":
        return
    name = name.rpartition(".")[2]
    for module in [module for module in sys.modules if module.startswith(PACKAGE)]:
        if getattr(sys.modules[module], name, None) is value:
            comments = ModuleAnalyzer.for_module(module).find_attr_docs()
            if ("", name) in comments:
                lines[:] = comments["", name]


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the steps; the comment comes before numpydoc reads it."""
    app.connect("autodoc-skip-member", skip_others)
    app.connect("autodoc-process-docstring", find_comment, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
