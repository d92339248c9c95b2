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

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "jedi_sklearn"
PAGE = ROOT / "docs" / "errors.md"

ROW = re.compile(r"^\| `(?P<code>.+?)` \| (?P<ticks>`+) ?(?P<error>.+?) ?(?P=ticks) \|")

# The page has all errors of the other modules. A folder stands for all in it.
NOT_ON_THE_PAGE = {
    "datasets": "says which values are valid",
    "embeddings/__main__": "speaks on the command line",
    "embeddings/_extraction": "needs a strange encoder",
    "embeddings/_manifests": "needs a file of a newer version, or a link",
    "embeddings/_shards": "needs a damaged file",
    "encoders/_hugging_face": "needs models of the transformers library",
    "encoders/_onnx": "needs a module that loads samples",
    "encoders/video": "docs/video.md says what may go wrong",
    "inputs/feature_names": "needs a transformer of several datasets",
    "inspection": "says what a display is made of",
    "models/versioned_state": "needs a file of a newer version",
    "utils/manifests": "needs a damaged file",
}
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


KINDS = {"ValueError", "TypeError", "kind", "UnidentifiedError"}
# Functions that make such an error, the last argument being a part of its message.
BUILDERS = {"invalid", "unsuitable"}


def messages_of(module: str) -> list[str]:
    """Return of each message of a module that is raised its longest fixed part."""
    tree = ast.parse((PACKAGE / f"{module}.py").read_text())
    raised = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise)]
    parts = []
    for call in raised:
        if isinstance(call, ast.Call) and call.args and _name(call) in KINDS | BUILDERS:
            message = call.args[0 if _name(call) in KINDS else -1]
            parts += [
                longest_text(text) for text in [message, *assigned(message, tree)]
            ]
    return [part for part in parts if part]


def assigned(message: ast.expr, tree: ast.Module) -> list[ast.expr]:
    """Return what a module assigns to the variable that holds a message."""
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(message, ast.Name)
        and isinstance(node, ast.Assign)
        and [message.id] == [ast.unparse(target) for target in node.targets]
    ]


def longest_text(message: ast.expr) -> str:
    fixed = [
        node.value
        for node in ast.walk(message)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    pieces = [piece for text in fixed for piece in text.split("...")]
    return " ".join(max(pieces, key=len, default="").split())


def _name(call: ast.Call) -> str:
    return getattr(call.func, "id", "")


def is_below(module: str, room: str) -> bool:
    return f"{module}/".startswith(f"{room}/")


MODULES = [
    str(path.relative_to(PACKAGE).with_suffix("")) for path in PACKAGE.rglob("*.py")
]
COVERED = [
    module
    for module in sorted(MODULES)
    if messages_of(module)
    and not any(is_below(module, room) for room in NOT_ON_THE_PAGE)
]


def test_modules_that_raise_are_found():
    assert len(COVERED) > 30
    assert {"classifier/jedi_classifier", "embeddings/_store", "metrics"} <= {*COVERED}


@pytest.mark.parametrize("room", NOT_ON_THE_PAGE)
def test_no_room_is_left_out_in_vain(room):
    assert any(messages_of(module) for module in MODULES if is_below(module, room))


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
