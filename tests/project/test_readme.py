"""The README's Python blocks run, in order, as a reader would type them.

Two comments in the README steer the tests, each on the line before a block:

- ``<!-- output -->`` before a text block: it is what the Python block above it prints,
  compared as doctest would, with ``...`` for what may differ.
- ``<!-- slow: reason -->`` before a Python block: it takes too long to run here. It is
  compiled, and the names, attributes and parameters that it uses have to exist. The
  blocks after it cannot use what it would have computed, unless they are slow too.
"""

import ast
import builtins
import contextlib
import doctest
import inspect
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

README = Path(__file__).resolve().parents[1] / "README.md"

BLOCK = re.compile(
    r"(?:^<!--\s*(?P<mark>[a-z]+)\b:?\s*(?P<reason>[^\n]*?)\s*-->\n\s*)?"
    r"^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass
class Block:
    """One Python block, with the line that it starts on."""

    line: int
    source: str
    slow: str | None = None
    output: str | None = None

    def __str__(self) -> str:
        return f"{README.name}:{self.line}"


def read_blocks(text: str) -> list[Block]:
    """Return the Python blocks of a Markdown text."""
    blocks: list[Block] = []
    for match in BLOCK.finditer(text):
        mark, reason = match["mark"], match["reason"]
        wanted = {"slow": True, "output": False}.get(mark)
        is_python = match["language"] == "python"
        # A misspelt mark would run what is slow, or compare nothing.
        assert mark is None or wanted is is_python, f"<!-- {mark} --> is out of place"
        if is_python:
            line = text.count("\n", 0, match.start("text")) + 1
            slow = (reason or "slow") if mark == "slow" else None
            blocks.append(Block(line, match["text"], slow))
        elif mark == "output":
            assert blocks, "an output block belongs to the Python block before it"
            blocks[-1].output = match["text"]
    return blocks


def run_block(block: Block, namespace: dict[str, Any]) -> None:
    """Run a block and compare what it prints with its output block, if it has one."""
    # With empty lines above it, a traceback names the README's own lines.
    source = "\n" * (block.line - 1) + block.source
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source, str(README), "exec"), namespace)
    if block.output is not None:
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        same = doctest.OutputChecker().check_output(
            block.output, printed.getvalue(), flags
        )
        message = f"{block} prints\n{printed.getvalue()}\nand shows\n{block.output}"
        assert same, message


def check_names(source: str, namespace: dict[str, Any]) -> list[str]:
    """Return what a block uses that does not exist; nothing runs but its imports.

    `namespace` is what the blocks before it bind. It gets this block's imports and, for
    a variable that holds a new instance, the class; for any other variable, None.
    """
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    imports = [n for n in nodes if isinstance(n, ast.Import | ast.ImportFrom)]
    exec(compile(ast.Module(imports, []), "imports", "exec"), namespace)
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            namespace[node.id] = None
        if isinstance(node, ast.arg):
            namespace[node.arg] = None
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            namespace[node.name] = None
    for node in nodes:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            made = look_up(node.value.func, namespace)
            for target in node.targets:
                if inspect.isclass(made) and isinstance(target, ast.Name):
                    namespace[target.id] = made
    return [problem for node in nodes for problem in problems_of(node, namespace)]


def look_up(node: ast.AST, namespace: dict[str, Any]) -> Any:
    """Return the object that a dotted name stands for, None if that is not known."""
    if isinstance(node, ast.Name):
        return namespace.get(node.id, getattr(builtins, node.id, None))
    if isinstance(node, ast.Attribute):
        return getattr(look_up(node.value, namespace), node.attr, None)
    return None


def problems_of(node: ast.AST, namespace: dict[str, Any]) -> list[str]:
    """Return what one node of the syntax tree uses that does not exist."""
    if isinstance(node, ast.Name) and node.id not in {*namespace, *dir(builtins)}:
        return [f"{node.id} is not defined"]
    if isinstance(node, ast.Attribute) and not node.attr.endswith("_"):
        owner = look_up(node.value, namespace)
        # An instance also has its class's parameters, as scikit-learn's estimators do.
        parameters = (
            inspect.signature(owner).parameters if inspect.isclass(owner) else ()
        )
        known = hasattr(owner, node.attr) or node.attr in parameters
        if owner is not None and not known:
            return [f"{ast.unparse(node)} does not exist"]
    if isinstance(node, ast.Call) and look_up(node.func, namespace) is not None:
        words = {word.arg: None for word in node.keywords if word.arg}
        # Some builtins have no signature to look at.
        with contextlib.suppress(ValueError):
            try:
                inspect.signature(look_up(node.func, namespace)).bind_partial(**words)
            except TypeError as error:
                return [f"{ast.unparse(node.func)}: {error}"]
    return []


BLOCKS = read_blocks(README.read_text(encoding="utf-8") if README.exists() else "")


def test_blocks_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    quick = [block for block in BLOCKS if block.slow is None]
    assert quick, f"no Python block of {README} was run"

    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in quick:
        run_block(block, namespace)


@pytest.mark.parametrize("index", range(len(BLOCKS)), ids=lambda i: str(BLOCKS[i]))
def test_names_exist(index):
    namespace: dict[str, Any] = {}
    for block in BLOCKS[: index + 1]:
        problems = check_names(block.source, namespace)
    assert problems == []
    if block.slow is not None:
        pytest.skip(f"{block} is checked but not run: {block.slow}")


TEXT = """\
# Title
```python
import math
print("two", math.sqrt(4))
```
<!-- output -->
```text
two   2...
```
Then, in a shell:
```console
$ make test
```
<!-- slow: trains for a minute -->

```python
math.sqrt(2)
```
"""


def test_read_blocks__marks__kept():
    first, second = read_blocks(TEXT)
    assert (first.line, first.slow, first.output) == (3, None, "two   2...\n")
    assert (second.source, second.slow) == ("math.sqrt(2)\n", "trains for a minute")
    run_block(first, {})


@pytest.mark.parametrize(("right", "wrong"), [("slow:", "slwo:"), ("output", "slow")])
def test_read_blocks__misplaced_mark__fails(right, wrong):
    with pytest.raises(AssertionError, match=f"<!-- {wrong.strip(':')} --> is out"):
        read_blocks(TEXT.replace(right, wrong))


def test_run_block__other_output__fails():
    (block,) = read_blocks(TEXT.replace("2...", "3...").partition("Then")[0])
    with pytest.raises(AssertionError, match=r"README\.md:3 prints\s+two 2\.0\s"):
        run_block(block, {})


def test_run_block__error__names_the_line_of_the_readme():
    with pytest.raises(ZeroDivisionError) as info:
        run_block(Block(7, "x = 0\n1 / x\n"), {})
    assert info.traceback[-1].lineno + 1 == 8


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("svc = LinearSVC(C=1).fit(X, [i for i in y])\nprint(svc.coef_)", None),
        ("svc = LinearSVC()\nsvc.fit(X, y)\nsvc.C", None),
        ("def f(a):\n    return a.b\n\nf(c for c in X)", None),
        ("print(unheard)", "unheard is not defined"),
        ("svm.LinearSVX(C=1)", "svm.LinearSVX does not exist"),
        ("svc = LinearSVC()\nsvc.fitt(X, y)", "svc.fitt does not exist"),
        ("LinearSVC(c=1)", "LinearSVC: got an unexpected keyword argument 'c'"),
        ("X = y = 0\nsvc = svm.LinearSVC(kernel=0)", "unexpected keyword"),
    ],
)
def test_check_names__finds_what_does_not_exist(source, problem):
    namespace: dict[str, Any] = {}
    imports = "from sklearn import svm\nfrom sklearn.svm import LinearSVC\nX = y = 0"
    assert check_names(imports, namespace) == []
    problems = check_names(source, namespace)
    assert len(problems) == (problem is not None)
    assert problem is None or problem in problems[0]


def test_check_names__import_that_fails__raises():
    with pytest.raises(ImportError, match="LinearSVX"):
        check_names("from sklearn.svm import LinearSVX", {})


def test_check_names__syntax_error__raises():
    with pytest.raises(SyntaxError):
        check_names("clf.fit(", {})
