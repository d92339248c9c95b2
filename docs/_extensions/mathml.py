r"""Equations as MathML, which browsers show by themselves: no script and no network.

The converter is that of docutils, which Sphinx does not offer by name. A formula's
number is that of its ``\tag``.
"""

from __future__ import annotations

import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)


TAG = re.compile(r"\\tag\{(.+?)\}")


def write_inline(translator: HTML5Translator, node: nodes.math) -> None:
    """Write a formula within a line."""
    translator.body.append(as_mathml(node, node.astext(), is_block=False))
    raise nodes.SkipNode


def write_block(translator: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula on lines of its own, and its number behind it."""
    formula, tag = TAG.sub("", node.astext()), TAG.search(node.astext())
    translator.body.append(translator.starttag(node, "div", CLASS="math"))
    translator.body.append(as_mathml(node, formula, is_block=True))
    if tag is not None:
        translator.body.append(f'<span class="eqno">({tag[1]})</span>')
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def as_mathml(node: nodes.Element, formula: str, *, is_block: bool) -> str:
    """Return a formula in LaTeX as MathML; what cannot be converted is a warning."""
    try:
        return tex2mathml(formula.strip(), as_block=is_block)
    except MathError as error:
        logger.warning("%s: %s", error, formula, location=node)
        return ""


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the renderer, which conf.py selects."""
    app.add_html_math_renderer("mathml", (write_inline, None), (write_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
