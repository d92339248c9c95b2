"""The README's Python blocks run, in order, as a reader would type them."""

from typing import Any

import pytest
from markdown_blocks import README, Block, check_names, read_blocks, run_block

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
