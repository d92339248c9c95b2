"""Says how many cases were made, and fails where the nightly form made too few."""

from __future__ import annotations

from typing import Any

import pytest
from budget import N_CASES, PROFILE


def cases_of(config: pytest.Config) -> dict[str, int]:
    """Return how many cases each driver made."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    stats = {} if reporter is None else reporter.stats
    reports = [*stats.get("passed", []), *stats.get("failed", [])]
    return {
        report.nodeid.rpartition("::")[2]: made
        for report in reports
        for name, made in report.user_properties
        if name == "cases"
    }


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    # A worker of pytest-xdist reports to another process.
    is_whole = session.config.pluginmanager.hasplugin("terminalreporter")
    if is_whole and _too_few(cases_of(session.config)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _too_few(made: dict[str, int]) -> bool:
    return PROFILE == "fuzz" and sum(made.values()) < N_CASES[PROFILE]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    made = cases_of(config)
    if made:
        parts = ", ".join(f"{name} {n}" for name, n in made.items())
        terminalreporter.write_line(f"{sum(made.values())} generated cases: {parts}")
    if _too_few(made):
        terminalreporter.write_line(f"These are fewer than {N_CASES[PROFILE]}.")
