"""Dropout masks from 16-bit numbers, four of which torch draws in the time of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor

# Number of different 16-bit numbers; the smallest is -LEVELS / 2.
LEVELS = 2**16
# Number of 64-bit words from which on seeding another generator pays on a CPU.
MANY_WORDS = 2**14


@dataclass(frozen=True)
class Dropout:
    """Rates of dropout, and the source of its masks.

    Attributes
    ----------
    adjustment : float
        Dropout rate of the adjustments' outputs.
    units_per_class : float
        The k of Eq. (4), which gives the rate of each teacher's input.
    generator : torch.Generator
        Generator on the device of the network.
    """

    adjustment: float
    units_per_class: float
    generator: torch.Generator

    def drop(self, change: Tensor) -> Tensor:
        """Return the adjustments' outputs under dropout, (n_rows, n_features)."""
        if self.adjustment == 0.0:
            return change
        drawn = draw(change.shape, self.generator)
        return change * mask_of(drawn, self.adjustment, change.dtype)

    def teacher_masks(
        self, rates: Sequence[float], own: Sequence[slice], n_inputs: int
    ) -> TeacherMasks:
        """Draw masks for some rows of each teacher's input.

        Parameters
        ----------
        rates : sequence of float
            Dropout rate of each teacher.
        own : sequence of slice
            Rows of each teacher.
        n_inputs : int
            Number of inputs of a teacher.
        """
        if not any(rates):
            return TeacherMasks(rates)
        # One kernel draws for all teachers; their numbers are views of it.
        lengths = [rows.stop - rows.start for rows in own]
        drawn = draw((sum(lengths), n_inputs), self.generator).split(lengths)
        return TeacherMasks(rates, drawn, [rows.start for rows in own])

    def shared_masks(
        self, rates: Sequence[float], n_rows: int, n_inputs: int
    ) -> TeacherMasks:
        """Draw masks for all rows of a batch, once for all teachers.

        The masks of two teachers depend on each other, which does no harm: each term
        of Eq. (1) sees those of one teacher alone.
        """
        if not any(rates):
            return TeacherMasks(rates)
        drawn = draw((n_rows, n_inputs), self.generator)
        return TeacherMasks(rates, [drawn] * len(rates), [0] * len(rates))


@dataclass(frozen=True)
class TeacherMasks:
    """Dropout masks of the teachers' inputs in one step.

    They are kept as the numbers drawn, and made for the rows of a product right
    before it: teachers may share numbers at different rates.

    Attributes
    ----------
    rates : sequence of float
        Dropout rate of each teacher.
    drawn : sequence of Tensor of shape (n, n_inputs), int16
        Numbers of each teacher, see `draw`; empty where all rates are 0.
    starts : sequence of int
        Row of the batch that each teacher's first numbers are for.
    """

    rates: Sequence[float]
    drawn: Sequence[Tensor] = ()
    starts: Sequence[int] = ()

    def of(self, teacher: int, rows: slice, dtype: torch.dtype) -> Tensor | None:
        """Return the mask of some rows of a teacher's input, None where all is kept."""
        rate = self.rates[teacher]
        if rate == 0.0:
            return None
        start = self.starts[teacher]
        drawn = self.drawn[teacher][rows.start - start : rows.stop - start]
        return mask_of(drawn, rate, dtype)


def teacher_dropout(n_classes: int, n_features: int, units_per_class: float) -> float:
    """Return the dropout rate of a teacher's input, Eq. (4) of the paper.

    On average `units_per_class` inputs (the paper's k) remain for each class, Eq. (5).

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
        # NumPy's fastest generator takes half the time of torch's, once it is seeded.
        seed = torch.randint(2**63 - 1, (), generator=generator)
        words = torch.from_numpy(np.random.SFC64(int(seed)).random_raw(n_words))
    else:
        words = torch.empty(n_words, dtype=torch.int64, device=generator.device)
        words.random_(-(2**63), None, generator=generator)
    return words.view(torch.int16)[: prod(shape)].view(shape)


def mask_of(drawn: Tensor, rate: float, dtype: torch.dtype) -> Tensor:
    """Return the factors of dropout: 0 where a number is dropped, else the scale.

    From the same numbers, a higher rate keeps a subset of what a lower one keeps. The
    rate is met to half a level, and what is kept is scaled by the rate that was met.

    Parameters
    ----------
    drawn : Tensor of int16
        See `draw`.
    rate : float
        From 0 to below 1.
    dtype : torch.dtype
        Dtype of the mask.
    """
    # One level at least, so that the scale is finite.
    n_levels = max(1, round((1.0 - rate) * LEVELS))
    mask = torch.empty(drawn.shape, dtype=dtype, device=drawn.device)
    # Compares straight into the mask, which saves a cast of booleans.
    torch.ge(drawn, LEVELS // 2 - n_levels, out=mask)
    return mask.mul_(LEVELS / n_levels)
