"""Pages of a built site as its checks see them."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

# What these say of an element is where the browser goes, or what it loads at once.
GOES = {"a": "href", "area": "href"}
LOADS = {"img": "src", "link": "href", "script": "src", "iframe": "src"}
# What an example printed, what Sphinx could not read, and pictures of an example.
PRINTED, BROKEN, PICTURE = "sphx-glr-script-out", "system-message", "sphx-glr-"


class Page(NamedTuple):
    """What the checks ask of a page.

    Attributes
    ----------
    anchors : set of str
        To which a link may lead.
    goes, loads : list of str
        Addresses of links, and of what is loaded with the page.
    pictures : list of str
        Addresses of the pictures that an example drew.
    printed : list of str
        Pieces of what an example printed.
    broken : list of str
        What could not be read.
    """

    anchors: set[str]
    goes: list[str]
    loads: list[str]
    pictures: list[str]
    printed: list[str]
    broken: list[str]


class Reader(HTMLParser):
    """Reads a page."""

    def __init__(self) -> None:
        super().__init__()
        self.page = Page(set(), [], [], [], [], [])
        # How many elements of div are open since that of what was printed.
        self._depth = 0

    def handle_starttag(
        self, tag: str, attributes: list[tuple[str, str | None]]
    ) -> None:
        values = {name: value or "" for name, value in attributes}
        classes = values.get("class", "")
        self.page.anchors.update(values[key] for key in ("id", "name") if key in values)
        if GOES.get(tag) in values:
            self.page.goes.append(values[GOES[tag]])
        if LOADS.get(tag) in values:
            self.page.loads.append(values[LOADS[tag]])
        if tag == "img" and PICTURE in classes:
            self.page.pictures.append(values["src"])
        if BROKEN in classes:
            self.page.broken.append(classes)
        if tag == "div" and (self._depth or PRINTED in classes):
            self._depth += 1

    def handle_endtag(self, tag: str) -> None:
        if tag == "div" and self._depth:
            self._depth -= 1

    def handle_data(self, data: str) -> None:
        if self._depth:
            self.page.printed.append(data)


def read_page(text: str) -> Page:
    """Return what the checks ask of a page."""
    reader = Reader()
    reader.feed(text)
    return reader.page


def read_site(folder: Path) -> dict[str, Page]:
    """Return the pages of a site by their paths."""
    paths = sorted(folder.rglob("*.html"))
    return {
        path.relative_to(folder).as_posix(): read_page(path.read_text(encoding="utf-8"))
        for path in paths
        # What the theme keeps beside its scripts is no page.
        if "_static" not in path.relative_to(folder).parts
    }


def dead_ends(pages: dict[str, Page], folder: Path) -> list[str]:
    """Return the addresses that lead nowhere, or out of the site to be loaded."""
    found = []
    for name, page in pages.items():
        found += [
            f"{name}: {address}"
            for address in dict.fromkeys(page.goes + page.loads)
            if not leads_somewhere(address, name, pages, folder)
        ]
        found += [
            f"{name}: {address} needs a network"
            for address in page.loads
            if urlsplit(address).netloc
        ]
    return found


def leads_somewhere(
    address: str, name: str, pages: dict[str, Page], folder: Path
) -> bool:
    """Say whether an address on a page leads to a file and an anchor in it."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return True
    target = name
    if parts.path:
        joined = (folder / PurePosixPath(name)).parent / unquote(parts.path)
        if not joined.resolve().is_relative_to(folder.resolve()):
            return False
        if not joined.is_file():
            return False
        target = joined.resolve().relative_to(folder.resolve()).as_posix()
    if not parts.fragment or target not in pages:
        return True
    return unquote(parts.fragment) in pages[target].anchors
