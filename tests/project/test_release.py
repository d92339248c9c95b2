"""What is released: one version everywhere, and what archives and citations hold."""

from __future__ import annotations

import configparser
import importlib
import re
from datetime import date
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from jedi_sklearn import __version__
from tools.check_dist import sdist_problems

ROOT = Path(__file__).resolve().parents[1]
DEVELOPMENT = Version(__version__).is_devrelease
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


@pytest.fixture(scope="module")
def citation() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml")
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


@pytest.fixture(scope="module")
def changelog() -> list[str]:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line.startswith("## ")]


@pytest.fixture(scope="module")
def noxfile() -> ModuleType:
    pytest.importorskip("nox")
    return importlib.import_module("noxfile")


def test_installed_version():
    assert version("jedi_sklearn") == __version__ == str(Version(__version__))


def test_models_of_this_version_are_kept():
    assert (ROOT / "tests" / "data" / "models" / __version__).is_dir()


def test_citation_has_what_the_format_requires(citation):
    assert citation["cff-version"] == "1.2.0"
    assert citation.keys() >= {"message", "title", "authors"}
    paper = citation["preferred-citation"]
    assert paper.keys() >= {"type", "title", "authors"}
    assert re.fullmatch(r"10\.\d{4,9}/\S+", paper["doi"])
    for author in [*citation["authors"], *paper["authors"]]:
        assert author.keys() in ({"name"}, {"given-names", "family-names"})


def test_citation_is_of_this_version(citation):
    metadata = setup()["metadata"]
    assert citation["version"] == __version__
    assert citation["license"] == metadata["license_expression"]
    assert citation["title"] == metadata["name"]
    if DEVELOPMENT:
        assert "date-released" not in citation
    else:
        assert isinstance(citation["date-released"], date)


def test_changelog_begins_with_this_version(changelog):
    if DEVELOPMENT:
        assert changelog[0] == "## [Unreleased]"
    else:
        assert changelog[0].startswith(f"## [{__version__}] - ")


def test_changelog_is_in_order(changelog):
    """Each release has a version and a day, and both fall from top to bottom."""
    releases = []
    for line in changelog[DEVELOPMENT:]:
        match = re.fullmatch(r"## \[(\S+)\] - (\d{4}-\d\d-\d\d)", line)
        assert match, line
        releases.append((Version(match[1]), date.fromisoformat(match[2])))
    assert releases == sorted(releases, reverse=True)


def test_changelog_has_the_kinds_of_its_format():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    for section in re.split(r"^## .*\n", text, flags=re.MULTILINE)[1:]:
        kinds = re.findall(r"^### (.*)$", section, re.MULTILINE)
        assert kinds
        assert len(kinds) == len(set(kinds))
        assert set(kinds) <= KINDS
        # Nothing but the kinds and their entries.
        lines = [line for line in section.splitlines() if line]
        assert all(re.match(r"### |- |  \S", line) for line in lines)


def test_site_reads_the_version():
    conf = (ROOT / "docs" / "conf.py").read_text(encoding="utf-8")
    assert "release = __version__" in conf


@pytest.mark.parametrize(
    ("members", "problems"),
    [
        (["p-1/a.py", "p-1/tests/b.npz", "p-1/PKG-INFO"], []),
        (["p-1/a.py", "p-1/tests/b.npz", "p-1/p.egg-info/SOURCES.txt"], []),
        (["p-1/a.py"], ["tests/b.npz is not in the sdist"]),
        (
            ["p-1/a.py", "p-1/tests/b.npz", "p-1/build/a.py"],
            ["build/a.py of the sdist is not of the repository"],
        ),
    ],
)
def test_sdist_holds_the_repository(members, problems):
    repository = [".gitignore", "a.py", "tests/b.npz"]
    assert sdist_problems(members, repository) == problems


def test_pythons_are_those_of_the_matrix(noxfile):
    prefix = "Programming Language :: Python :: 3."
    classifiers = setup()["metadata"]["classifiers"].split("\n")
    named = [c.removeprefix(prefix) for c in classifiers if c.startswith(prefix)]
    assert [f"3.{minor}" for minor in named] == noxfile.PYTHONS
    assert setup()["options"]["python_requires"] == f">={noxfile.PYTHONS[0]}"


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_each_dependency_has_one_lower_bound(noxfile, python):
    exact = [Requirement(line) for line in noxfile.lower_bounds(python)]
    names = [requirement.name for requirement in exact]
    assert len(names) == len(set(names))
    assert {"numpy", "pandas", "scikit-learn", "skorch", "torch"} < set(names)
    assert all(str(requirement.specifier).startswith("==") for requirement in exact)


def test_pins_are_not_below_the_lower_bounds(noxfile):
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    pins = dict(line.lower().split("==") for line in lines if "==" in line)
    for requirement in map(Requirement, noxfile.lower_bounds("3.11")):
        [bound] = requirement.specifier
        assert Version(pins[requirement.name]) >= Version(bound.version)
