"""Whether what lies on disk is what was written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

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
