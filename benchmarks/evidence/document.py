"""Puts the tables between the markers of a Markdown file, or prints them."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from . import store, tables
from .study import Plan
from .targets import target_table
from .variants import (
    MAIN,
    NO_DISTILLATION,
    PAPER,
    SCHEDULES,
    TEACHER_INPUTS,
    WITHOUT_EXTRA,
    deviations,
    sources,
)

Blocks = dict[str, str]


def report(folder: Path, plan: Plan, command: str, document: Path | None) -> None:
    """Print the tables of the results that fit the plan, and write them to a file."""
    cells = plan.finished(folder)
    n_missing = plan.n_wanted() - len(cells)
    if n_missing:
        print(f"{n_missing} of {plan.n_wanted()} results are missing.")
    blocks = make_blocks(cells, plan, command)
    if document is None:
        for name, block in blocks.items():
            print(f"\n{name}\n\n{block}")
    else:
        write_document(document, blocks)


def make_blocks(cells: list[store.Cell], plan: Plan, command: str) -> Blocks:
    """Return the tables by the names of their markers."""
    frame = store.as_frame(cells)
    blocks = {"run": provenance(cells, command)}
    if frame.empty:
        return blocks
    has_main = set(frame.loc[frame["contestant"] == MAIN, "regime"])
    for regime in [r for r in plan.regimes if r in has_main]:
        blocks |= regime_blocks(frame, regime, plan.extra)
    if "tenth" in has_main:
        blocks["targets"] = target_table(frame)
    return blocks


def regime_blocks(frame: pd.DataFrame, regime: str, extra: str) -> Blocks:
    """Return the tables of a regime."""
    blocks = {
        f"{regime}-table-2": tables.table_2(frame, regime),
        f"{regime}-gains": tables.gains(frame, regime),
        f"{regime}-baselines": tables.baselines(frame, regime),
    }
    if regime != "tenth":
        names = [NO_DISTILLATION, WITHOUT_EXTRA, MAIN]
        blocks[f"{regime}-sources"] = tables.variant_table(frame, regime, names)
        return blocks
    groups = {
        "teacher-inputs": list(TEACHER_INPUTS),
        "sources": list(sources(extra)),
        "schedules": list(SCHEDULES),
        "deviations": [MAIN, *deviations(), PAPER],
    }
    for name, names in groups.items():
        left_out = extra if name == "sources" else None
        blocks[f"tenth-{name}"] = tables.variant_table(frame, regime, names, left_out)
    return blocks


def provenance(cells: list[store.Cell], command: str) -> str:
    """Return the command, the versions and the seeds that results came from."""
    seeds = sorted({cell["seed"] for cell in cells})
    versions = sorted({cell["versions"] for cell in cells})
    regimes = sorted({cell["regime"] for cell in cells})
    return (
        f"`{command}`: {len(cells)} results, regimes {', '.join(regimes)}, seeds "
        f"{', '.join(map(str, seeds))}, with {'; '.join(versions)}."
    )


def write_document(path: Path, blocks: Blocks) -> None:
    """Replace what stands between the markers of each block and nothing else.

    A marker without a block, of a table that was not run, is left as it is.

    Raises
    ------
    ValueError
        If a block has no pair of markers ``<!-- begin NAME -->`` and
        ``<!-- end NAME -->`` in the file. It is then as it was before.
    """
    text = path.read_text(encoding="utf-8")
    missing = []
    for name, block in blocks.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        whole = f"{begin}\n\n{block}\n\n{end}"
        text, n_found = pattern.subn(lambda _, whole=whole: whole, text)
        if not n_found:
            missing.append(name)
    if missing:
        raise ValueError(f"{path} has no markers for {', '.join(missing)}.")
    path.write_text(text, encoding="utf-8")
