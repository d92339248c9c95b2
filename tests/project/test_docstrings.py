"""Every public name explains itself: numpydoc's validation, and an example."""

import inspect
from importlib import import_module
from typing import Any

import pytest
from numpydoc.validate import validate
from public_api import public_modules

import jedi_sklearn

# What numpydoc asks for and this project does not.
NOT_ASKED = {
    "ES01": "one line says all that there is to say of a simple function",
    "RT02": "what is returned has a name, as scikit-learn gives it one",
}
# What is asked of a public name and not of each of its methods.
OF_NAMES_ALONE = {"EX01", "SA01"}


def public_names() -> list[str]:
    return [
        f"{module}.{name}"
        for module in public_modules()
        for name in import_module(module).__all__
        if callable(getattr(import_module(module), name))
    ]


def methods_of(name: str) -> list[str]:
    """Return a class's own public methods and properties."""
    found = look_up(name)
    if not inspect.isclass(found):
        return []
    return [
        f"{name}.{attribute}"
        for attribute, value in vars(found).items()
        if not attribute.startswith("_")
        and (inspect.isroutine(value) or isinstance(value, property))
    ]


def look_up(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(module), attribute)


def problems_of(name: str, not_asked: set[str]) -> list[str]:
    found = validate(name)["errors"]
    return [f"{name}: {code} {text}" for code, text in found if code not in not_asked]


def test_public_names_are_found():
    names = public_names()
    assert len(names) > 50
    assert {
        "jedi_sklearn.JEDIClassifier",
        "jedi_sklearn.embeddings.EmbeddingStore",
        "jedi_sklearn.encoders.video.video_expert",
        "jedi_sklearn.inspection.EvaluationDisplay",
    } <= set(names)
    assert "jedi_sklearn.JEDIClassifier.fit" in methods_of(
        "jedi_sklearn.JEDIClassifier"
    )


@pytest.mark.parametrize("name", public_names())
def test_docstring_is_whole(name):
    problems = problems_of(name, set(NOT_ASKED))
    for method in methods_of(name):
        problems += problems_of(method, {*NOT_ASKED, *OF_NAMES_ALONE})
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("name", public_names())
def test_example_runs__or_names_what_it_lacks(name):
    # Doctests run with all others; one that is skipped whole would prove nothing.
    lines = [line for line in look_up(name).__doc__.splitlines() if ">>> " in line]
    run = [line for line in lines if "# doctest: +SKIP" not in line]
    assert len(run) > 1, f"the example of {name} runs nothing"


@pytest.mark.parametrize(
    ("docstring", "code"),
    [
        ("Does.\n\n    Parameters\n    ----------\n    a : int\n    ", "PR07"),
        ("Does.", "PR01"),
        ("Does.", "EX01"),
    ],
)
def test_what_is_missing_is_found(docstring, code, monkeypatch):
    def public(a):
        pass

    public.__doc__ = docstring
    monkeypatch.setattr(jedi_sklearn, "public", public, raising=False)
    problems = problems_of("jedi_sklearn.public", set(NOT_ASKED))
    assert any(code in problem for problem in problems)
