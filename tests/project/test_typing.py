"""The public names under mypy --strict, as a program sees them that installed them."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from public_api import public_modules

import jedi_sklearn

pytest.importorskip("mypy")

CONSUMER = Path(__file__).with_name("consumer.py")
CONFIG = """
[mypy]
strict = true
[mypy-sklearn.*]
ignore_missing_imports = true
"""


@pytest.fixture(scope="module")
def check(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[str]]:
    """Return a function that says what mypy --strict says of a program.

    The package lies apart from it, as in site-packages, of which mypy reports nothing
    but takes the types, if there is a py.typed.
    """
    path = tmp_path_factory.mktemp("consumer")
    own = Path(jedi_sklearn.__file__).parent
    ignored = shutil.ignore_patterns("__pycache__", "*.npz")
    shutil.copytree(own, path / "site" / "jedi_sklearn", ignore=ignored)
    (path / "mypy.ini").write_text(CONFIG)

    def said(program: str) -> list[str]:
        (path / "program.py").write_text(program)
        command = [sys.executable, "-m", "mypy", "program.py", "--no-error-summary"]
        done = subprocess.run(
            [*command, "--config-file", "mypy.ini", "--cache-dir", "cache"],
            cwd=path,
            env=os.environ | {"PYTHONPATH": str(path / "site")},
            capture_output=True,
            text=True,
        )
        assert not done.stderr
        return done.stdout.splitlines()

    return said


REVEALED = {
    "JEDIClassifier().fit({}, {})": "JEDIClassifier",
    "JEDIClassifier().partial_fit({}, {})": "JEDIClassifier",
    "JEDIClassifier().set_params()": "JEDIClassifier",
    "JEDIClassifier().score({}, {})": "float",
    "JEDIClassifier().students_['a']": "DistilledClassifier",
    "JEDIClassifier().teachers_['a'].predict_proba([])": "ndarray[.*float64",
    "JEDIClassifier().students_['a'].decision_function([])": "ndarray[.*float64",
    "JEDIClassifier().students_['a'].coef_": "ndarray[.*float",
    "JEDIClassifier().students_['a'].export('x')": "list[str]",
    "JEDIClassifier().history_": "DataFrame",
    "JEDIClassifier().datasets_": "list[str]",
    "JEDIClassifier().n_iter_": "int",
    "load_student('x')": "DistilledClassifier",
    "evaluate(None, {}, {})": "DataFrame",
    "stack_datasets({}, {})": "tuple[MultiDataset, MultiTarget]",
    "stack_datasets({}, {})[0].groups": "ndarray[.*str",
    "EmbeddingStore('x').features('a', [])": "StoredRows",
    "EmbeddingStore('x').features('a', []).take([])": "ndarray[.*floating",
    "EmbeddingStore('x').info()": "DataFrame",
    "MultiDatasetKFold().get_n_splits()": "int",
    "PerDataset(None).fit({})": "PerDataset",
    "MLPEncoder().fit([], [])": "MLPEncoder",
    "MLPEncoder().fit([], []).transform([])": "ndarray[.*floating",
    "VideoReader('x')[0]": "ndarray[.*unsignedinteger",
    "VideoReader('x').timestamps": "ndarray[.*float",
    "read_mmaction_dump('x')": "DataFrame",
    "load_glyphs()": "tuple[dict[str,.*dict[str,",
}
IMPORTS = """\
from jedi_sklearn import (
    JEDIClassifier, MultiDataset, evaluate, load_student, stack_datasets)
from jedi_sklearn.datasets import load_glyphs
from jedi_sklearn.embeddings import EmbeddingStore
from jedi_sklearn.encoders import MLPEncoder
from jedi_sklearn.encoders.video import VideoReader, ViewProtocol, read_mmaction_dump
from jedi_sklearn.model_selection import MultiDatasetKFold
from jedi_sklearn.preprocessing import PerDataset
"""
WRONG = {
    "JEDIClassifier(alpa=1.0)": "call-arg",
    "JEDIClassifier(alpha='much')": "arg-type",
    "JEDIClassifier(distill_from=3)": "arg-type",
    "JEDIClassifier([], 1.0)": "misc|call-arg",
    "JEDIClassifier().fit({})": "call-arg",
    "JEDIClassifier().students_['a'].predict()": "call-arg",
    "JEDIClassifier().students_[0]": "index",
    "len(JEDIClassifier().n_iter_)": "arg-type",
    "EmbeddingStore(3)": "arg-type",
    "EmbeddingStore('x').verify(True)": "misc|call-arg",
    "evaluate({}, {})": "call-arg",
    "evaluate(None, {}, {}).no_such_method()": "operator|attr-defined",
    "stack_datasets()": "call-arg",
    "load_student(3)": "arg-type",
    "ViewProtocol(8, crop_size='x')": "arg-type",
    "VideoReader(3)": "arg-type",
    "load_glyphs(3)": "arg-type",
    "MultiDatasetKFold(n_splits='x')": "arg-type",
}


@pytest.mark.slow
def test_a_program_with_every_public_name_has_no_errors(check):
    assert check(CONSUMER.read_text("utf-8")) == []


@pytest.mark.slow
def test_results_have_types(check):
    lines = [f"reveal_type({call})" for call in REVEALED]
    found = check(IMPORTS + "\n".join(lines))
    types = re.findall(r'Revealed type is "(.*)"', "\n".join(found))
    for call, revealed, wanted in zip(REVEALED, types, REVEALED.values(), strict=True):
        plain = re.sub(r"[a-z_]+\.(?=[\w.])", "", revealed)
        pattern = re.escape(wanted).replace(r"\.\*", ".*")
        assert re.match(pattern, plain), f"{call} is {revealed}"


@pytest.mark.slow
def test_wrong_uses_are_reported(check):
    found = check(IMPORTS + "\n".join(WRONG))
    start = IMPORTS.count("\n") + 1
    errors: dict[int, str] = {}
    for line in found:
        match = re.match(r"program\.py:(\d+): error: .*\[([\w-]+)\]", line)
        if match:
            errors.setdefault(int(match[1]), match[2])
    for number, (use, code) in enumerate(WRONG.items(), start=start):
        assert re.fullmatch(code, errors.get(number, "no error")), (use, found)


def test_the_program_has_every_public_name():
    text = CONSUMER.read_text("utf-8")
    for module in map(importlib.import_module, public_modules()):
        for name in module.__all__:
            assert re.search(rf"\b{name}\b", text), f"{module.__name__}.{name}"


def public() -> list[tuple[str, Any]]:
    """Return public functions, and public methods of public classes."""
    found = []
    for module in map(importlib.import_module, public_modules()):
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isfunction(thing):
                found.append((name, thing))
            elif inspect.isclass(thing):
                found += [
                    (f"{name}.{key}", method)
                    for key, method in vars(thing).items()
                    if inspect.isfunction(method)
                    and (not key.startswith("_") or key == "__init__")
                ]
    return found


@pytest.mark.parametrize(("name", "function"), public())
def test_public_functions_are_annotated(name, function):
    if function.__code__.co_filename.startswith("<"):
        return  # made by dataclass and NamedTuple
    signature = inspect.signature(function)
    for parameter in list(signature.parameters.values()):
        if parameter.name not in ("self", "cls"):
            assert parameter.annotation is not inspect.Parameter.empty, parameter
    assert signature.return_annotation is not inspect.Signature.empty
