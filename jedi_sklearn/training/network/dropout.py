"""Dropout from numbers of 16 bits, four of which torch draws in the time of one."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

# So many different numbers of 16 bits there are; the first is -LEVELS / 2.
LEVELS = 2**16
# Four numbers each, from which on seeding another generator pays on a CPU.
MANY_WORDS = 2**14


class Dropout(NamedTuple):
    """Rates of dropout, and the source of its masks.

    Attributes
    ----------
    adjustment : float
        On what the adjustments add.
    units_per_class : float
        The k of Eq. (4), which gives the rate of each teacher's input.
    generator : torch.Generator
        On the device of the network.
    """

    adjustment: float
    units_per_class: float
    generator: torch.Generator


def teacher_dropout(n_classes: int, n_features: int, units_per_class: float) -> float:
    """Return the dropout rate of a teacher's input, Eq. (4) of the paper.

    So many inputs remain that there are `units_per_class` (the paper's k) for each
    class on average, Eq. (5).

    Examples
    --------
    >>> round(teacher_dropout(51, 7168, units_per_class=10), 4)
    0.9289
    >>> teacher_dropout(10, 64, units_per_class=10)
    0.0
    """
    return max(0.0, 1.0 - units_per_class * n_classes / n_features)


def draw(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Return numbers that are uniform over 16 bits, of shape `shape`, int16.

    The global random state, from which torch's own dropout draws, is left alone.
    """
    if not prod(shape):
        return torch.empty(shape, dtype=torch.int16, device=generator.device)
    n_words = -(-prod(shape) // 4)
    if generator.device.type == "cpu" and n_words >= MANY_WORDS:
        # By NumPy's fastest generator, in half the time of torch's once it is seeded.
        seed = torch.randint(2**63 - 1, (), generator=generator)
        words = torch.from_numpy(np.random.SFC64(int(seed)).random_raw(n_words))
    else:
        words = torch.empty(n_words, dtype=torch.int64, device=generator.device)
        words.random_(-(2**63), None, generator=generator)
    return words.view(torch.int16)[: prod(shape)].view(shape)


def mask_of(drawn: Tensor, rate: float, dtype: torch.dtype) -> Tensor:
    """Return the factors of dropout: 0 where a number is dropped, else the scale.

    Of one draw a higher rate keeps some of what a lower one keeps. A rate is met to
    half a level, and what is kept is scaled by the rate that was met.

    Parameters
    ----------
    drawn : Tensor of int16
        See `draw`.
    rate : float
        From 0 to below 1.
    dtype : torch.dtype
        Of the mask.
    """
    n_levels = max(1, round((1.0 - rate) * LEVELS))
    mask = torch.empty(drawn.shape, dtype=dtype, device=drawn.device)
    torch.ge(drawn, LEVELS // 2 - n_levels, out=mask)
    return mask.mul_(LEVELS / n_levels)
