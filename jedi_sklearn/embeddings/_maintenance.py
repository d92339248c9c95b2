"""Whether what lies on disk is what was written."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..utils.files import exclusive_lock, left_by_killed
from ._manifests import DamagedError
from ._shards import Shard


def check_shard(path: Path) -> None:
    """Raise DamagedError if a bit of a shard or of its manifest has changed."""
    shard = Shard(path)
    shard.check(np.arange(shard.shape[0]))


def problem_with(check: Callable[[], Any]) -> list[str]:
    """Return what a check raises, as a list of none or one."""
    try:
        check()
    except (DamagedError, OSError) as error:
        return [str(error)]
    return []


# Names of locks: of a store, of a collection, and of a shard.
LOCK = r"(store|collection|\d{8,}-[0-9a-f]{16})\.lock"


def tidy(directory: Path) -> None:
    """Remove what killed writers left anywhere below a directory, where that can be.

    Others may keep files there, too: only what has the names that are given here, and
    of locks only empty ones, is removed.
    """
    for leftover, written in left_by_killed(directory.rglob(".*.tmp")):
        # A file is written under the lock of its name.
        with (
            suppress(OSError),
            exclusive_lock(written.with_suffix(".lock"), wait=False) as ours,
        ):
            if ours:
                leftover.unlink()
    for lock in directory.rglob("*.lock"):
        if not re.fullmatch(LOCK, lock.name) or lock.is_symlink() or _size_of(lock):
            continue
        with suppress(OSError), exclusive_lock(lock, wait=False):
            pass  # which removes it


def _size_of(path: Path) -> int:
    """Return the size of a file, 0 if it is gone meanwhile."""
    with suppress(OSError):
        return path.stat().st_size
    return 0
