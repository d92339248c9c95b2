"""Which terms of the loss are trained in which epoch (section 3.1)."""

from __future__ import annotations


def joint(epoch: int, warmup_epochs: int) -> bool:
    """Return whether students learn from teachers in an epoch.

    The paper's schedule: everything is trained in every epoch, but for the
    distillation, which waits until the teachers have had `warmup_epochs`.

    Parameters
    ----------
    epoch : int
        Number of the epoch, the first being 1.
    warmup_epochs : int

    Examples
    --------
    >>> [joint(epoch, warmup_epochs=2) for epoch in (1, 2, 3)]
    [False, False, True]
    """
    return epoch > warmup_epochs


def never(epoch: int) -> bool:
    """Return False: no student learns from a teacher in any epoch."""
    return False
