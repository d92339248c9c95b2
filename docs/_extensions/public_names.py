"""Public names in pages' code, as `JEDIClassifier`, become links to their reference.

So Markdown needs no mark of its own for them and reads well on a forge.
"""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

PACKAGE = "jedi_sklearn"
MEMBERS = {"attribute", "method", "property"}


def link_names(app: Sphinx, document: nodes.document, docname: str) -> None:
    """Link the names in a page's text; headings and links stay as they are."""
    pages = pages_of_names(app.env)
    for code in list(document.findall(nodes.literal)):
        inside = (nodes.reference, nodes.title)
        name = code.astext().removesuffix("()")
        if isinstance(code.parent, inside) or name not in pages:
            continue
        page, anchor = pages[name]
        if page == docname:
            continue
        address = f"{app.builder.get_relative_uri(docname, page)}#{anchor}"
        code.replace_self(
            nodes.reference("", "", code.deepcopy(), refuri=address, internal=True)
        )


def pages_of_names(env: BuildEnvironment) -> dict[str, tuple[str, str]]:
    """Return page and anchor of each public name, in full and in its short forms.

    The name ``jedi_sklearn.encoders.TorchEncoder.fit`` is also that with
    ``encoders.TorchEncoder.fit`` and ``TorchEncoder.fit``, but not ``fit``.
    """
    pages = {}
    for full_name, entry in env.domains.python_domain.objects.items():
        package, *modules, name = full_name.split(".")
        if package != PACKAGE or entry.objtype == "module":
            continue
        if entry.objtype in MEMBERS:
            name = f"{modules.pop()}.{name}"
        for short in (full_name, ".".join([*modules, name]), name):
            pages[short] = (entry.docname, entry.node_id)
    return pages


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the step."""
    app.connect("doctree-resolved", link_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
