"""Every warning of the package has a class of its own, by which it can be filtered."""

from __future__ import annotations

import ast
import pickle
from pathlib import Path

import pytest
from sklearn.exceptions import ConvergenceWarning

from jedi_sklearn import exceptions
from jedi_sklearn.exceptions import JEDIWarning

PACKAGE = Path(exceptions.__file__).parent
CLASSES = [getattr(exceptions, name) for name in exceptions.__all__]


def warned(source: str) -> list[str]:
    """Return the category of each call of warnings.warn, as it is written."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [
        ast.unparse(call.args[1]) if len(call.args) > 1 else ast.unparse(call.args[0])
        for call in calls
        if ast.unparse(call.func) in ("warn", "warnings.warn", "warnings.warn_explicit")
    ]


def test_a_category_is_found():
    assert warned("warnings.warn('x', UserWarning, stacklevel=2)") == ["UserWarning"]
    assert warned("warnings.warn('x')") == ["'x'"]


def test_every_warning_has_a_class_of_the_package():
    found = {
        category
        for path in PACKAGE.rglob("*.py")
        for category in warned(path.read_text("utf-8"))
    }
    # What ends a training is made where it ends, and warned of at the end of fit.
    assert found - {"state.problem"} <= set(exceptions.__all__)
    assert len(found) > 5


def test_what_is_made_to_be_warned_of_is_of_the_package():
    tree = ast.parse((PACKAGE / "training" / "phases.py").read_text("utf-8"))
    made = {
        ast.unparse(node.func)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Warning")
    }
    assert made == {"DivergenceWarning", "InterruptionWarning"}


@pytest.mark.parametrize("category", CLASSES)
def test_filters_of_before_still_hold(category):
    assert issubclass(category, JEDIWarning)
    assert issubclass(category, UserWarning)
    warning = pickle.loads(pickle.dumps(category("what")))
    assert (type(warning), str(warning)) == (category, "what")


def test_divergence_is_of_scikit_learns_kind():
    assert issubclass(exceptions.DivergenceWarning, ConvergenceWarning)
