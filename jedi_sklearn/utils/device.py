"""Devices of torch."""

from __future__ import annotations

import os
from functools import cache, partial
from typing import Any

from .accepted import invalid


def available_device(device: Any) -> str:
    """Return a device, with "auto" resolved.

    Raises
    ------
    ValueError
        If torch does not know the device or cannot reach it.
    """
    import torch

    _limit_forks_to_one_thread()
    if isinstance(device, str) and device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=torch.device(device))
        torch.Generator(device)
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:
        accepted = (
            f"'auto' and the devices of this machine's torch, such as 'cpu' ({error})"
        )
        raise invalid("device", device, accepted) from error
    return device


@cache
def _limit_forks_to_one_thread() -> None:
    """Have forked processes compute in one thread, from the first call on.

    The threads of torch do not survive a fork, and the child would wait for them
    forever.
    """
    import torch

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=partial(torch.set_num_threads, 1))
