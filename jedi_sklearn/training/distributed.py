"""Training by several processes, each on its share of every batch.

All have the same rows, weights and shuffles; gradients are summed before each step, so
that all take the same step. The processes are those of torch.distributed, if the
program has started it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor


def n_processes() -> int:
    """Return the number of processes that train: 1 without torch.distributed."""
    return dist.get_world_size() if _together() else 1


def rank() -> int:
    """Return the number of this process, from 0."""
    return dist.get_rank() if _together() else 0


def add_up(tensors: Sequence[Tensor]) -> None:
    """Replace tensors of one dtype and device by their sums over the processes."""
    if not _together() or not tensors:
        return
    # One message for all tensors.
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    dist.all_reduce(flat)
    parts = flat.split([tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view_as(tensor))


def check_same(arrays: Sequence[npt.NDArray], device: str) -> None:
    """Raise ValueError if the processes do not start from the same numbers.

    All of them raise it, so that none waits for another.
    """
    if not _together():
        return
    sums = [np.abs(array).sum(dtype=np.float64) for array in arrays]
    mine = torch.tensor(sums, device=device)
    # Equal if the smallest is the largest, also for those who have it right.
    least, most = mine.clone(), mine.clone()
    dist.all_reduce(least, dist.ReduceOp.MIN)
    dist.all_reduce(most, dist.ReduceOp.MAX)
    if not torch.equal(least, most):
        raise ValueError(
            f"The {n_processes()} processes that torch.distributed has started do not "
            "begin with the same weights and rows. Give all of them the same data and "
            "experts, and an int as random_state."
        )


def _together() -> bool:
    return dist.is_available() and dist.is_initialized()
