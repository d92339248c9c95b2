"""Every row of docs/errors.md is run, and raises what it says.

A row has a piece of code, which runs after the page's first block of Python, and what
this raises: kind and message, with ``...`` for a part that may differ. Where the
package refuses something in words that no row shows, a test fails, too.
"""

from __future__ import annotations

import ast
import re
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from jedi_sklearn.exceptions import JEDIWarning

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "errors.md"

ROW = re.compile(r"^\| `(?P<code>.+?)` \| (?P<ticks>`+) ?(?P<error>.+?) ?(?P=ticks) \|")

# Modules all of whose errors the page has.
COVERED = [
    *("_checkpoint", "_classifier", "_device", "_embed", "_embedding", "_expert"),
    *(
        "_experts",
        "_labels",
        "_multidataset",
        "_row_weights",
        "_scores",
        "_targets",
        "_training_data",
    ),
    *("_validation", "metrics", "model_selection", "preprocessing"),
    *("embeddings/_makers", "embeddings/_memory", "embeddings/_rows"),
    *("embeddings/_store", "encoders/_torch_encoder", "encoders/_torch_expert"),
    *("_fitting", "_onnx", "_student_files", "_traits"),
    *("training/losses", "training/phases"),
]
# But for these, by a part of their message, each with its reason.
LEFT_OUT = {
    "Install a newer one, or name": "needs a directory of a newer version",
    "or give experts that can be when they are fitted": "needs a strange encoder",
    "ONNX has labels of int64": "needs labels beyond that",
    "writes files that this one cannot": "needs a file of a newer version",
    "must be str, int, float or bool": "fit refuses such labels before",
    "classes of dtype": "is part of the message on a damaged card",
    "it has other tensors": "needs weights that were made to fit another card",
    "does not return the embedding": "needs a converter of skl2onnx that is wrong",
    "processes that": "needs several processes",
    " lies below, a file": "is shown for a file itself",
    "cannot be an array without a copy": "of NumPy's own protocol",
    "an embedding must have one width": "needs a module of no one width",
    "did not run; name": "needs a module that leaves a layer out",
}


class Row(NamedTuple):
    """A piece of code and what it raises."""

    code: str
    kind: str
    message: str


def read_page(text: str) -> tuple[str, list[Row]]:
    """Return the block that all rows share, and the rows."""
    shared = re.search(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert shared is not None
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    rows = []
    for line in lines:
        found = ROW.match(line)
        assert found is not None, f"is no row: {line}"
        kind, message = found["error"].split(": ", maxsplit=1)
        cells = (found["code"], kind, message)
        rows.append(Row(*(cell.replace(r"\|", "|") for cell in cells)))
    return shared[1], rows


SHARED, ROWS = read_page(PAGE.read_text())


@pytest.fixture(scope="module")
def namespace() -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(SHARED, str(PAGE), "exec"), names)
    return names


def error_of(row: Row, namespace: dict[str, Any]) -> Exception:
    """Return what the code of a row raises."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - compared by the caller
        exec(compile(row.code, str(PAGE), "exec"), dict(namespace))
    return caught.value


def holds(row: Row, error: Exception) -> bool:
    """Say whether an error is that of a row, kind and message."""
    pattern = ".*".join(map(re.escape, row.message.split("...")))
    text = " ".join(str(error).split())
    same_kind = type(error).__name__ == row.kind
    return same_kind and re.fullmatch(pattern, text) is not None


def test_the_page_has_rows_and_shows_each_once():
    assert len(ROWS) > 100
    assert len({row.code for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.code[:60])
def test_row(row, namespace, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        # A row of an error may have to pass a warning on its way.
        is_warning = row.kind.endswith("Warning")
        warnings.simplefilter("error" if is_warning else "ignore", JEDIWarning)
        error = error_of(row, namespace)
    assert holds(row, error), f"{type(error).__name__}: {error}"


@pytest.mark.parametrize(
    "error",
    [
        ValueError("Dataset 'a' has 3 rows."),
        ValueError("Dataset 'b' has 2 rows"),
        TypeError("Dataset 'b' has 3 rows."),
    ],
)
def test_another_error_is_not_that_of_a_row(error):
    row = Row("", "ValueError", "Dataset 'b' has ... rows.")
    assert holds(row, ValueError("Dataset 'b' has 3\n rows."))
    assert not holds(row, error)


def test_what_is_no_row_is_refused():
    with pytest.raises(AssertionError, match="is no row"):
        read_page("```python\n1\n```\n| `clf.fit(X)` | ValueError: without ticks |")


def messages_of(module: str) -> list[str]:
    """Return of each message of a module that is raised its longest fixed part."""
    tree = ast.parse((ROOT / "jedi_sklearn" / f"{module}.py").read_text())
    raised = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise)]
    parts = []
    for call in raised:
        if isinstance(call, ast.Call) and call.args and _name(call) in KINDS:
            fixed = [
                node.value
                for node in ast.walk(call.args[0])
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            ]
            pieces = [piece for text in fixed for piece in text.split("...")]
            parts.append(" ".join(max(pieces, key=len, default="").split()))
    return [part for part in parts if part]


KINDS = {"ValueError", "TypeError", "kind", "UnidentifiedError"}


def _name(call: ast.Call) -> str:
    return getattr(call.func, "id", "")


@pytest.mark.parametrize("module", COVERED)
def test_no_message_is_missing_on_the_page(module):
    shown = [row.message.split("...") for row in ROWS]
    for part in messages_of(module):
        if any(known in part for known in LEFT_OUT):
            continue
        assert any(
            part in text or (text.strip() and text.strip() in part)
            for texts in shown
            for text in texts
            if len(text) > 12
        ), part
