"""Finished cells on disk: a line of JSON each, a file for each regime and seed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd

Cell = dict[str, Any]


def path_of(folder: Path, regime: str, seed: int) -> Path:
    """Return the file of a group; one process at a time writes it."""
    return folder / f"{regime}-{seed}.jsonl"


def append(path: Path, cell: Cell) -> None:
    """Write a cell so that it is on disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torn = path.exists() and not path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="utf-8") as stream:
        # Whatever a crash left of a line must not swallow the next one.
        stream.write(("\n" if torn and path.stat().st_size else "") + json.dumps(cell))
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())


def read(path: Path) -> list[Cell]:
    """Return the whole cells of a file, the last one of each contestant."""
    if not path.exists():
        return []
    cells = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            cell = json.loads(line)
            cells[cell["contestant"]] = cell
        except (ValueError, KeyError, TypeError):
            continue  # a torn line
    return list(cells.values())


def read_all(folder: Path) -> list[Cell]:
    """Return the cells of all groups."""
    return [cell for path in sorted(folder.glob("*.jsonl")) for cell in read(path)]


def as_frame(cells: list[Cell]) -> pd.DataFrame:
    """Return one row for each cell, dataset and model.

    Columns regime, seed, contestant, seconds, dataset, model and the three measures.
    """
    keys = ("regime", "seed", "contestant", "seconds")
    return pd.DataFrame(
        [
            {key: cell[key] for key in keys} | row
            for cell in cells
            for row in cell["rows"]
        ]
    )
