"""What killed writers left in a store."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from ..utils.files import alone, left_by_killed

# Names of locks: of a store, of a collection, and of a shard.
LOCK = r"(store|collection|\d{8,}-[0-9a-f]{16})\.lock"


def tidy(directory: Path) -> None:
    """Remove what killed writers left anywhere below a directory, where that can be.

    Others may keep files there, too: only what has the names that are given here, and
    of locks only empty ones, is removed.
    """
    for leftover, written in left_by_killed(directory.rglob(".*.tmp")):
        # A file is written under the lock of its name.
        with suppress(OSError), alone(written.with_suffix(".lock"), wait=False) as ours:
            if ours:
                leftover.unlink()
    for lock in directory.rglob("*.lock"):
        if not re.fullmatch(LOCK, lock.name) or lock.is_symlink() or _size_of(lock):
            continue
        with suppress(OSError), alone(lock, wait=False):
            pass  # which removes it


def _size_of(path: Path) -> int:
    """Return the size of a file, 0 if it is gone meanwhile."""
    with suppress(OSError):
        return path.stat().st_size
    return 0
