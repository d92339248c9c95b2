r"""Look for known holes: in the code by bandit, in what CI installs by pip-audit.

    python tools/audit.py code
    python tools/audit.py dependencies

A finding fails the audit. One in the code that is none is marked in its line, as in
``# nosec B301 - reason``. One in a dependency that does not concern this package, or
that has no remedy yet, goes into ``tools/accepted_findings.toml``, with a reason and
the day on which it is looked at again:

    [[finding]]
    package = "pillow"
    id = "PYSEC-2099-1"
    reason = "only in files of a format that is never opened"
    expires = 2099-06-30

Where no service of advisories can be reached nothing is audited, which is said in
capitals, and is no failure: the tests have to pass without a network.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
ACCEPTED = ROOT / "tools" / "accepted_findings.toml"
SERVICES = ("pypi", "osv")
SECONDS = 25  # for each service
NO_NETWORK = re.compile(
    r"connect|timed out|timeout|resolve|unreachable|network|proxy|ssl|certificate"
    r"|\b(403|404|429|5\d\d)\b",
    re.IGNORECASE,
)
NOSEC = re.compile(r"# nosec (B\d{3}(?:,B\d{3})*) - \w.{7,}")


class Accepted(NamedTuple):
    """A finding that is known, and why it does not fail the audit until when."""

    package: str
    id: str
    reason: str
    expires: date


class Verdict(NamedTuple):
    """Problems that fail the audit, and packages without information."""

    problems: list[str]
    unaudited: list[str]


def read_accepted(text: str) -> list[Accepted]:
    """Read findings that are accepted; raise ValueError if a field is wrong."""
    entries = tomllib.loads(text).get("finding", [])
    for number, entry in enumerate(entries, start=1):
        kinds = {"package": str, "id": str, "reason": str, "expires": date}
        if set(entry) != set(kinds):
            raise ValueError(f"finding {number} must have {', '.join(kinds)}")
        for name, kind in kinds.items():
            if not isinstance(entry[name], kind) or not str(entry[name]).strip():
                raise ValueError(f"finding {number}: {name} is {entry[name]!r}")
    return [Accepted(**entry) for entry in entries]


def judge(
    report: Mapping[str, Any], accepted: Iterable[Accepted], today: date
) -> Verdict:
    """Judge what pip-audit says.

    Parameters
    ----------
    report : mapping
        Its JSON.
    accepted : iterable of Accepted
    today : date
    """
    accepted = list(accepted)
    problems, unaudited, audited, used = [], [], set(), set()
    for package in report["dependencies"]:
        name = _normalised(package["name"])
        if "skip_reason" in package:
            unaudited.append(package["name"])
            continue
        audited.add(name)
        for finding in package["vulns"]:
            known = {finding["id"], *finding.get("aliases", [])}
            matching = {
                entry
                for entry in accepted
                if _normalised(entry.package) == name and entry.id in known
            }
            used |= matching
            if not matching:
                versions = ", ".join(finding.get("fix_versions", [])) or "no version"
                problems.append(
                    f"{package['name']} {package['version']} has {finding['id']}, "
                    f"which {versions} mends"
                )
    for entry in accepted:
        if entry.expires < today:
            problems.append(
                f"{entry.id} of {entry.package} was accepted until {entry.expires}"
            )
        elif entry not in used and _normalised(entry.package) in audited:
            problems.append(
                f"{entry.id} of {entry.package} is accepted, but there is no such "
                "finding any more"
            )
    return Verdict(problems, unaudited)


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def ask(service: str, requirements: Path) -> dict[str, Any] | str:
    """Return pip-audit's report, or why there is none; raise what is no such reason."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(requirements)]
    command += ["--no-deps", "--disable-pip", "--progress-spinner", "off"]
    command += ["--format", "json", "--vulnerability-service", service]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"{service} did not answer in {SECONDS} s"
    try:
        return dict(json.loads(done.stdout))
    except ValueError:
        said = done.stderr.strip().splitlines() or ["nothing"]
        if NO_NETWORK.search(done.stderr):
            return f"{service}: {said[-1]}"
        raise RuntimeError(f"pip-audit failed:\n{done.stderr}") from None


def audit_dependencies(requirements: Path = ROOT / "constraints.txt") -> int:
    """Say what is known of the packages that CI installs."""
    lines = requirements.read_text(encoding="utf-8").splitlines()
    names = [line.partition("==")[0] for line in lines if "==" in line]
    report: dict[str, Any] = {
        "dependencies": [{"name": name, "skip_reason": "not asked"} for name in names]
    }
    reasons = []
    for service in SERVICES:
        answer = ask(service, requirements)
        if isinstance(answer, str):
            reasons.append(answer)
            continue
        report = answer
        skipped = [p["skip_reason"] for p in answer["dependencies"] if len(p) == 2]
        reasons += skipped[:1]
        if len(skipped) < len(answer["dependencies"]):
            break
    accepted = read_accepted(ACCEPTED.read_text(encoding="utf-8"))
    verdict = judge(report, accepted, date.today())
    for line in summary(verdict, len(report["dependencies"]), reasons):
        print(line)
    return int(bool(verdict.problems))


def summary(verdict: Verdict, n_packages: int, reasons: Sequence[str]) -> list[str]:
    """Return what is to be read in the output of CI."""
    lines = [f"FOUND: {problem}" for problem in verdict.problems]
    n_unaudited = len(verdict.unaudited)
    if n_unaudited:
        which = "NONE of them was" if n_unaudited == n_packages else "these were not"
        lines += [
            f"NOT AUDITED: {n_unaudited} of {n_packages} packages, {which} known to an "
            "advisory service that answered.",
            *(f"    {reason:.200}" for reason in reasons),
        ]
        if n_unaudited < n_packages:
            lines.append(f"    {', '.join(verdict.unaudited)}")
    n_audited = n_packages - n_unaudited
    lines.append(f"{n_audited} of {n_packages} packages were audited")
    return lines


def markers_in(file: Path) -> dict[int, set[str]]:
    """Return the checks that are marked as wrong in each line of a source file."""
    markers: dict[int, set[str]] = {}
    with tokenize.open(file) as source:
        for token in tokenize.generate_tokens(source.readline):
            if token.type == tokenize.COMMENT and "nosec" in token.string:
                found = NOSEC.search(token.string)
                ids = re.findall(r"B\d+", found[1]) if found else []
                markers[token.start[0]] = set(ids)
    return markers


def judge_code(
    findings: Iterable[Mapping[str, Any]], markers: Mapping[str, dict[int, set[str]]]
) -> list[str]:
    """Return findings that are not marked, and marks that have no finding or reason.

    Parameters
    ----------
    findings : iterable of mapping
        The results in bandit's JSON, made without regard to what is marked.
    markers : mapping of str to dict of int to set of str
        For each file, see `markers_in`.
    """
    problems, used = [], set()
    for finding in findings:
        name, check = finding["filename"], finding["test_id"]
        marked = [
            (name, line, check)
            for line in finding["line_range"]
            if check in markers.get(name, {}).get(line, set())
        ]
        used.update(marked)
        if not marked:
            place = f"{name}:{finding['line_number']}"
            problems.append(f"{place} {check} {finding['issue_text']}")
    for name, of_file in markers.items():
        for line, checks in of_file.items():
            if not checks:
                problems.append(f"{name}:{line} must be: # nosec B000 - the reason")
            problems += [
                f"{name}:{line} {check} is marked, but bandit finds nothing"
                for check in sorted(checks)
                if (name, line, check) not in used
            ]
    return problems


def audit_code() -> int:
    """Run bandit on the package."""
    command = [sys.executable, "-m", "bandit", "--recursive", "jedi_sklearn"]
    command += ["--configfile", "pyproject.toml", "--format", "json", "--quiet"]
    command += ["--ignore-nosec", "--exit-zero"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    report = json.loads(done.stdout)
    files = {str(p.relative_to(ROOT)): p for p in ROOT.glob("jedi_sklearn/**/*.py")}
    markers = {name: markers_in(path) for name, path in files.items()}
    problems = judge_code(report["results"], markers)
    problems += [f"{e['filename']} {e['reason']}" for e in report["errors"]]
    for problem in sorted(problems):
        print(f"FOUND: {problem}")
    return int(bool(problems))


def main(arguments: Sequence[str]) -> int:
    """Audit what is named; return the status with which the process is to exit."""
    audits = {"code": audit_code, "dependencies": audit_dependencies}
    if len(arguments) != 1 or arguments[0] not in audits:
        print(__doc__)
        return 2
    return audits[arguments[0]]()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
