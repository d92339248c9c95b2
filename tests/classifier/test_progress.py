"""What shows how far something is: bars on standard error, and the log."""

from __future__ import annotations

import ast
import logging
import re
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

import jedi_sklearn
from jedi_sklearn import JEDIClassifier
from jedi_sklearn.utils.progress import progress_bar

PACKAGE = Path(jedi_sklearn.__file__).parent
X = {name: np.random.default_rng(0).normal(size=(12, 3)) for name in "ab"}
Y = {"a": np.arange(12) % 2, "b": np.arange(12) % 3}


def model(**params: Any) -> JEDIClassifier:
    small = {"max_epochs": 2, "adjustment_units": 2, "random_state": 0, "device": "cpu"}
    frozen = FrozenEstimator(PCA(2).fit(X["b"]))
    experts = [("a", StandardScaler()), ("b", frozen)]
    return JEDIClassifier(**{"experts": experts} | small | params)


# Bars


def test_bar__rate_time_left_and_what_was_done_before(capsys):
    with progress_bar(4, "rows", verbose=1, done=1) as bar:
        bar.update(3)
    out, err = capsys.readouterr()
    assert out == ""
    assert "1/4" in err
    assert re.search(r"100%\|.*\| 4/4 \[\d\d:\d\d<\d\d:\d\d, .* rows/s\]\n$", err)


@pytest.mark.parametrize(("total", "verbose"), [(4, 0), (0, 1)])
def test_bar__nothing_to_show__silent(capsys, total, verbose):
    with progress_bar(total, "rows", verbose=verbose) as bar:
        bar.update(total)
    assert capsys.readouterr() == ("", "")


def test_bar__nothing_to_show__waits_for_no_other():
    """A forked process that was killed may hold tqdm's lock."""
    fit = threading.Thread(target=model().fit, args=(X, Y), daemon=True)
    with tqdm.get_lock():
        fit.start()
        fit.join(10)
        assert not fit.is_alive()


def test_fit__standard_error_absent_or_closed__no_matter(monkeypatch, tmp_path):
    for stream in (None, (tmp_path / "closed").open("w")):
        if stream is not None:
            stream.close()
        monkeypatch.setattr(sys, "stderr", stream)
        assert model(verbose=1).fit(X, Y).n_iter_ == 2


def test_fit__verbose__same_bits(capsys):
    shown, silent = (model(verbose=v).fit(X, Y).predict_proba(X) for v in (1, 0))
    assert "2/2" in capsys.readouterr().err
    assert all(np.array_equal(shown[name], silent[name]) for name in shown)


# The log


def logged(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    """Return what was logged at a level, without numbers of seconds and bytes."""
    texts = [r.getMessage() for r in caplog.records if r.levelno == level]
    return [re.sub(r"[\d.e+-]+ (s\.|bytes)", "# \\1", text) for text in texts]


def test_log__what_takes_time(caplog, tmp_path):
    with caplog.at_level(logging.INFO, "jedi_sklearn"):
        model(checkpoint=tmp_path).fit(X, Y)
    kept = [f"Wrote {tmp_path / name}.pickle, # bytes." for name in ("seeds", "result")]
    assert logged(caplog, logging.INFO) == [
        kept[0],
        "Fitting expert 'a' took # s.",
        "Embedding 24 rows by 2 experts took # s.",
        "Fitting heads of the experts ['a', 'b'] took # s.",
        f"Wrote {tmp_path / 'experts'}.pickle, # bytes.",
        "Training phase 1 of 1 took # s.",
        kept[1],
    ]
    caplog.clear()
    with caplog.at_level(logging.INFO, "jedi_sklearn"):
        model(checkpoint=tmp_path).fit(X, Y)
    assert f"Going on from {tmp_path / 'result'}.pickle." in logged(
        caplog, logging.INFO
    )


def test_log__details_for_debugging(caplog, tmp_path):
    with caplog.at_level(logging.DEBUG, "jedi_sklearn"):
        model(memory=tmp_path).fit(X, Y)
    details = logged(caplog, logging.DEBUG)
    assert "Fitting expert 'a' ..." in details
    assert len([text for text in details if text.startswith("Epoch ")]) == 2
    assert "Embedding 12 samples took # s." in logged(caplog, logging.INFO)
    assert {r.name.split(".")[0] for r in caplog.records} == {"jedi_sklearn"}
    assert "jedi_sklearn.training.callbacks.progress" in {
        r.name for r in caplog.records
    }


def test_log__nothing_is_shown_unless_asked_for(capsys):
    handlers = logging.getLogger("jedi_sklearn").handlers
    assert any(isinstance(handler, logging.NullHandler) for handler in handlers)
    model().fit(X, Y).predict(X)
    assert capsys.readouterr() == ("", "")


# No other way out


def written(tree: ast.AST) -> list[str]:
    """Return what writes to standard output or error."""
    nodes = list(ast.walk(tree))
    prints = [
        "print"
        for node in nodes
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "print"
    ]
    streams = [ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)]
    return prints + [
        text
        for text in streams
        if text in ("sys.stdout", "sys.stderr", "sys.stdout.write", "sys.stderr.write")
    ]


def test_written__finds_all_ways():
    source = "print(1)\nsys.stderr.write('x')\ndef f():\n    print(2, file=sys.stdout)"
    assert set(written(ast.parse(source))) == {
        *("print", "sys.stderr", "sys.stderr.write", "sys.stdout"),
    }


def test_nothing_is_printed_but_by_the_command_line():
    writing = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if written(ast.parse(path.read_text("utf-8")))
    }
    assert writing == {"utils/progress.py", "embeddings/__main__.py"}
