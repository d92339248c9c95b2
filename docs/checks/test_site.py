"""The built site: links lead somewhere, nothing needs a network, no name is missing."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
from pages import dead_ends, read_page, read_site
from public_api import public_modules

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "build" / "docs"
# Of the package's own names, those that are on every page or in another module's part.
ELSEWHERE = {"__version__", "evaluate"}


@pytest.fixture(scope="module")
def pages():
    return read_site(SITE)


def test_the_site_is_there(pages):
    assert {"index.html", "getting_started.html", "api/index.html"} <= set(pages)
    assert len(pages) > 80


def test_links_lead_somewhere_and_nothing_needs_a_network(pages):
    assert dead_ends(pages, SITE) == []


def test_no_part_of_a_page_is_broken(pages):
    assert [name for name, page in pages.items() if page.broken] == []


@pytest.mark.parametrize("module", public_modules())
def test_every_public_name_has_a_page(pages, module):
    names = set(importlib.import_module(module).__all__)
    names -= ELSEWHERE if module == "jedi_sklearn" else set()
    missing = {f"api/generated/{module}.{name}.html" for name in names} - set(pages)
    assert missing == set()


def test_the_map_of_the_paper_is_whole():
    text = (ROOT / "docs" / "paper_map.md").read_text(encoding="utf-8")
    sections = set(re.findall(r"^#+ (?:Sections? )?([\d. and]+)(?=[ :])", text, re.M))
    expected = "1 and 2, 3, 3.1, 3.2, 3.3, 4, 4.1, 4.2, 4.3, 4.4, 4.5, 5, 6"
    assert {section.strip() for section in sections} == set(expected.split(", "))
    for kind, last in {"Equation ({})": 5, "Table {}": 3, "Figure {}": 3}.items():
        for number in range(1, last + 1):
            assert kind.format(number) in text
    assert "5.1 " in text
    assert "5.2 " in text


def test_formulas_are_shown():
    text = (SITE / "user_guide" / "method.html").read_text(encoding="utf-8")
    assert text.count("<math") > 20
    assert "$" not in re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert "\\tag" not in text


def test_the_picture_of_the_arrows_has_the_rooms():
    text = (SITE / "extending.html").read_text(encoding="utf-8")
    assert {"classifier", "training", "embeddings"} <= set(
        re.findall(r"<text[^>]*>(\w+)</text>", text)
    )


# What the checks find on small sites.


def write_site(folder: Path, **bodies: str) -> list[str]:
    """Write pages and return what is found on them."""
    (folder / "below").mkdir()
    for name, body in bodies.items():
        path = folder / f"{name.replace('__', '/')}.html"
        path.write_text(f"<html><body>{body}</body></html>", encoding="utf-8")
    return dead_ends(read_site(folder), folder)


@pytest.mark.parametrize(
    "body",
    [
        '<a href="nowhere.html">x</a>',
        '<a href="below/b.html#nowhere">x</a>',
        '<a href="#nowhere">x</a>',
        '<a href="below">x</a>',
        '<a href="../outside.html">x</a>',
        '<img src="nowhere.png">',
        '<script src="https://example.org/x.js"></script>',
        '<link rel="stylesheet" href="//example.org/x.css">',
    ],
)
def test_dead_ends__found(tmp_path, body):
    (tmp_path / "outside.html").write_text("")
    (tmp_path / "site").mkdir()
    found = write_site(tmp_path / "site", a=body, below__b='<p id="here">')
    assert len(found) == 1


def test_dead_ends__live_ones__none(tmp_path):
    links = '<a href="below/b.html#h%C3%A9re">x</a><a href="#top">x</a><p id="top">'
    outside = '<a href="https://example.org/#x">x</a><a href="mailto:a@b.c">x</a>'
    back = '<p id="hére"><a href="../a.html?q=1">x</a><p><a href="">x</a>'
    assert write_site(tmp_path, a=links + outside, below__b=back) == []


def test_read_page__what_an_example_shows():
    page = read_page(
        '<p>before<div class="sphx-glr-script-out"><p>Out:<pre>1 &lt; 2\n3</pre></div>'
        '<p>after<img class="sphx-glr-single-img" src="x.png"><img src="y.png">'
    )
    assert "".join(page.printed) == "Out:1 < 2\n3"
    assert page.pictures == ["x.png"]
    assert page.broken == []
    assert read_page('<div class="system-message"><p>x</div>').broken != []
