"""What the audit of dependencies says of what pip-audit says."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tools import audit
from tools.audit import Accepted, Verdict, judge, read_accepted, summary

TODAY = date(2030, 5, 1)
KNOWN = Accepted("some.Package", "CVE-2030-1", "never opened", date(2030, 6, 1))
FINDING = {
    "id": "PYSEC-2030-7",
    "aliases": ["CVE-2030-1"],
    "fix_versions": ["1.2"],
    "description": "",
}
CLEAN = {"name": "good", "version": "1.0", "vulns": []}
BAD = {"name": "some-package", "version": "1.1", "vulns": [FINDING]}
SKIPPED = {"name": "some-package", "skip_reason": "Dependency not found on PyPI"}


def report(*packages: dict[str, Any]) -> dict[str, Any]:
    return {"dependencies": list(packages), "fixes": []}


def test_nothing_found():
    assert judge(report(CLEAN), [], TODAY) == Verdict([], [])


def test_a_finding_fails():
    verdict = judge(report(CLEAN, BAD), [], TODAY)
    [problem] = verdict.problems
    assert problem == "some-package 1.1 has PYSEC-2030-7, which 1.2 mends"


@pytest.mark.parametrize("id_", ["PYSEC-2030-7", "CVE-2030-1"])
def test_an_accepted_finding_does_not_fail(id_):
    """By any of its names, and of a package however it is written."""
    assert judge(report(BAD), [KNOWN._replace(id=id_)], TODAY).problems == []


def test_an_accepted_finding_of_another_package_fails():
    verdict = judge(report(BAD, CLEAN), [KNOWN._replace(package="good")], TODAY)
    assert len(verdict.problems) == 2  # found, and accepted where it is not


def test_an_expired_entry_fails_from_the_next_day_on():
    assert not judge(report(BAD), [KNOWN], date(2030, 6, 1)).problems
    [problem] = judge(report(BAD), [KNOWN], date(2030, 6, 2)).problems
    assert "was accepted until 2030-06-01" in problem


def test_an_entry_for_nothing_fails():
    mended = {**BAD, "vulns": []}
    [problem] = judge(report(mended), [KNOWN], TODAY).problems
    assert "no such finding any more" in problem


def test_an_entry_for_what_was_not_audited_stays():
    """Without a network nobody knows whether it is needed still; its day counts."""
    assert judge(report(SKIPPED), [KNOWN], TODAY) == Verdict([], ["some-package"])
    assert judge(report(SKIPPED), [KNOWN], date(2031, 1, 1)).problems


def test_what_was_not_audited_is_counted_and_said_in_capitals():
    lines = summary(judge(report(SKIPPED), [], TODAY), 1, ["pypi: no answer"])
    assert lines[0].startswith("NOT AUDITED: 1 of 1 packages, NONE of them")
    assert lines[1:] == ["    pypi: no answer", "0 of 1 packages were audited"]
    lines = summary(judge(report(SKIPPED, CLEAN), [], TODAY), 2, [])
    assert lines[0].startswith("NOT AUDITED: 1 of 2 packages, these were not")
    assert lines[1:] == ["    some-package", "1 of 2 packages were audited"]
    lines = summary(judge(report(CLEAN), [], TODAY), 1, [])
    assert lines == ["1 of 1 packages were audited"]


ENTRY = """
[[finding]]
package = "some.Package"
id = "CVE-2030-1"
reason = "never opened"
expires = 2030-06-01
"""


def test_entries_are_read():
    assert read_accepted(ENTRY) == [KNOWN]
    assert read_accepted("# none\n") == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('reason = "never opened"\n', ""),
        ('"never opened"', '" "'),
        ("2030-06-01", '"2030-06-01"'),
        ('id = "CVE-2030-1"', "id = 3"),
        ("reason", "because"),
    ],
)
def test_entries_without_a_reason_or_a_day_are_refused(old, new):
    with pytest.raises(ValueError, match="finding 1"):
        read_accepted(ENTRY.replace(old, new))


def test_the_entries_of_this_repository_are_read():
    assert isinstance(read_accepted(audit.ACCEPTED.read_text("utf-8")), list)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """Return a list of what pip-audit says next; the file has two packages."""
    said: list[Any] = []

    def run(command: list[str], **kwargs: Any) -> Any:
        code, out, error = said.pop(0)
        if code is None:
            raise subprocess.TimeoutExpired(command, kwargs["timeout"])
        return subprocess.CompletedProcess(command, code, out, error)

    monkeypatch.setattr(audit.subprocess, "run", run)
    monkeypatch.setattr(audit, "ACCEPTED", tmp_path / "accepted.toml")
    (tmp_path / "accepted.toml").touch()
    (tmp_path / "constraints.txt").write_text("# all\ngood==1.0\nsome-package==1.1\n")
    return said


def test_a_finding_is_the_status(answers, tmp_path, capsys):
    answers.append((1, json.dumps(report(CLEAN, BAD)), "Found 1 known vulnerability"))
    assert audit.audit_dependencies(tmp_path / "constraints.txt") == 1
    assert capsys.readouterr().out.startswith("FOUND: some-package 1.1 has PYSEC")


def test_services_are_asked_in_turn(answers, tmp_path, capsys):
    unknown = {"name": "good", "skip_reason": "Dependency not found"}
    answers.append((0, json.dumps(report(unknown, SKIPPED)), ""))
    answers.append((0, json.dumps(report(CLEAN, {**BAD, "vulns": []})), ""))
    assert audit.audit_dependencies(tmp_path / "constraints.txt") == 0
    assert capsys.readouterr().out == "2 of 2 packages were audited\n"


def test_without_a_network_nothing_is_audited_and_nothing_fails(
    answers, tmp_path, capsys
):
    answers.append((1, "", "ERROR: Failed to resolve 'pypi.org'"))
    answers.append((None, "", ""))
    assert audit.audit_dependencies(tmp_path / "constraints.txt") == 0
    said = capsys.readouterr().out
    assert said.startswith("NOT AUDITED: 2 of 2 packages, NONE of them")
    assert "Failed to resolve" in said
    assert "osv did not answer" in said


def test_another_failure_is_one(answers, tmp_path):
    answers.append((1, "", "ERROR: invalid requirements input: constraints.txt"))
    with pytest.raises(RuntimeError, match="invalid requirements"):
        audit.audit_dependencies(tmp_path / "constraints.txt")


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("import pickle\n", 1, "B403"),
        ("import pickle  # nosec B403 - of errors alone\n", 0, ""),
        ("import pickle  # nosec B301 - of errors alone\n", 1, "B403"),
        ("import json  # nosec B403 - of errors alone\n", 1, "finds nothing"),
        ("import pickle  # nosec B403\n", 1, "must be: # nosec B000 - the reason"),
        ("import pickle  # nosec\n", 1, "must be: # nosec B000 - the reason"),
        ("x = = 1\n", 1, "syntax error"),
        ("assert 1\n", 0, ""),
    ],
)
def test_code(tmp_path, monkeypatch, capsys, code, status, said):
    """Bandit finds what it should, and what is marked without need."""
    (tmp_path / "jedi_sklearn").mkdir()
    (tmp_path / "jedi_sklearn" / "x.py").write_text(code)
    own = audit.ROOT / "pyproject.toml"
    (tmp_path / "pyproject.toml").write_text(own.read_text("utf-8"))
    monkeypatch.setattr(audit, "ROOT", tmp_path)
    assert audit.audit_code() == status
    assert said in capsys.readouterr().out


def test_as_a_command():
    command = [sys.executable, str(audit.ROOT / "tools" / "audit.py"), "nothing"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "audit.py dependencies" in done.stdout
