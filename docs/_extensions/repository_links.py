"""Links to files beside docs/, which lead on a forge to the file and here to a page.

In Markdown such a link is a relative path, as in ``[plain](../benchmarks/plain.py)``.
An example of the gallery and a document that is part of this site have a page; any
other file gets one, with its text in colours.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

logger = logging.getLogger(__name__)

PAGES = {
    "README.md": "index",
    "CHANGELOG.md": "changelog",
    "CONTRIBUTING.md": "contributing",
    "SECURITY.md": "security",
    "examples": "auto_examples/index",
}
LEXERS = {".py": "python", ".cff": "yaml", ".md": "markdown", ".toml": "toml"}


def find_links(app: Sphinx, document: nodes.document) -> None:
    """Note which files a page links to, before Sphinx takes them for something else."""
    pages = Path(app.srcdir)
    for link in list(document.findall(is_of_markdown)):
        path = path_of(link, pages / posixpath.dirname(app.env.docname))
        if path.is_relative_to(pages):
            continue
        if path.exists():
            path = path.relative_to(pages.parent)
            target = nodes.reference("", "", *link.children, internal=True)
            target["repository"] = str(path)
            link.replace_self(target)
        else:
            logger.warning("there is no file %s", path, location=link)


def is_of_markdown(node: nodes.Node) -> bool:
    """Say whether a node is what MyST makes of a link with a path."""
    kinds = (addnodes.download_reference, addnodes.pending_xref)
    return isinstance(node, kinds) and node.get("reftype") == "myst"


def path_of(link: nodes.Element, folder: Path) -> Path:
    """Return the path that a link in a page of a folder leads to."""
    path = link["reftarget"].partition("#")[0]
    # Of what looks like a page MyST has left out the suffix.
    suffix = ".md" if link["refdomain"] == "doc" else ""
    return Path(os.path.normpath(folder / f"{path}{suffix}"))


def resolve_links(app: Sphinx, document: nodes.document, docname: str) -> None:
    """Turn paths into addresses of pages."""
    for link in document.findall(nodes.reference):
        if "repository" in link:
            page = page_of(app.env, link["repository"])
            link["refuri"] = app.builder.get_relative_uri(docname, page)


def page_of(env: BuildEnvironment, path: str) -> str:
    """Return the page of a file of the repository."""
    example = posixpath.splitext(f"auto_{path}")[0]
    if example in env.found_docs:
        return example
    return PAGES.get(path, f"source/{path}")


def source_pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Make a page of every file that is linked to and has none."""
    for path in sorted(linked_files(app)):
        text = (Path(app.srcdir).parent / path).read_text(encoding="utf-8")
        lexer = LEXERS.get(posixpath.splitext(path)[1], "text")
        code = app.builder.highlighter.highlight_block(text, lexer)
        body = f"<h1><code>{escape(path)}</code></h1>\n{code}"
        yield f"source/{path}", {"title": path, "body": body}, "page.html"


def linked_files(app: Sphinx) -> set[str]:
    """Return the paths that pages link to and that have no page yet."""
    paths = {
        link["repository"]
        for docname in app.env.found_docs
        for link in app.env.get_doctree(docname).findall(nodes.reference)
        if "repository" in link
    }
    return {path for path in paths if page_of(app.env, path) == f"source/{path}"}


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the steps."""
    # Before Sphinx's own collector of downloads, whose priority is 500.
    app.connect("doctree-read", find_links, priority=400)
    app.connect("doctree-resolved", resolve_links)
    app.connect("html-collect-pages", source_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
