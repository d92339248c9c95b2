"""Check the files of a store, and remove what killed writers left."""

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
    """Raise DamagedError if a shard or its manifest has changed."""
    shard = Shard(path)
    shard.check(np.arange(shard.shape[0]))


def problem_with(check: Callable[[], Any]) -> list[str]:
    """Return the message of what a check raises, a list of none or one."""
    try:
        check()
    except (DamagedError, OSError) as error:
        return [str(error)]
    return []


# Names of the locks of stores, collections and shards.
LOCK = r"(store|collection|\d{8,}-[0-9a-f]{16})\.lock"


def tidy(directory: Path) -> None:
    """Remove temporary files and locks that killed writers left below a directory.

    Files of others may lie there, too: only our own names are removed, and locks only
    if they are empty. What cannot be removed stays.
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
            pass  # leaving it removes the lock


def _size_of(path: Path) -> int:
    """Return the size of a file, 0 if it was removed meanwhile."""
    with suppress(OSError):
        return path.stat().st_size
    return 0
