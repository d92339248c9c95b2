"""Means over seeds and differences of pairs, with 95 % intervals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import t

CONFIDENCE = 0.95
MEAN = "mean"


class Interval(NamedTuple):
    """A mean and half the width of its interval, NaN where there is one value."""

    mean: float
    half: float

    @property
    def low(self) -> float:
        """The lower end."""
        return self.mean - self.half

    def points(self) -> str:
        """Return it as a signed number of percentage points."""
        half = "" if np.isnan(self.half) else f" ± {100 * self.half:.1f}"
        return f"{100 * self.mean:+.1f}{half}"


def interval(values: npt.ArrayLike) -> Interval:
    """Return the mean of independent values with its interval by Student's t."""
    values = np.asarray(values, dtype=float)
    n = len(values)
    if n < 2:
        return Interval(float(values.mean()), np.nan)
    error = values.std(ddof=1) / np.sqrt(n)
    quantile = t.ppf((1 + CONFIDENCE) / 2, n - 1)
    return Interval(float(values.mean()), float(quantile * error))


def by_seed(frame: pd.DataFrame, regime: str, measure: str) -> pd.DataFrame:
    """Return a measure of one regime, a row a seed.

    Columns (contestant, model, dataset), with `mean` as one more dataset: the average
    over the datasets is taken before anything is taken over the seeds.
    """
    wide = frame[frame["regime"] == regime].pivot(
        index="seed", columns=["contestant", "model", "dataset"], values=measure
    )
    if wide.empty:
        return wide
    means = wide.T.groupby(level=["contestant", "model"], sort=False).mean().T
    means.columns = pd.MultiIndex.from_tuples(
        [(*key, MEAN) for key in means.columns], names=wide.columns.names
    )
    return pd.concat([wide, means], axis=1).sort_index(axis=1)


def difference(
    wide: pd.DataFrame, first: tuple[str, str], second: tuple[str, str]
) -> dict[str, Interval]:
    """Return first minus second for each dataset and their mean, paired by seed.

    Parameters
    ----------
    wide : DataFrame
        Of `by_seed`.
    first, second : tuple of str
        Contestant and model.
    """
    pairs = (wide[first] - wide[second]).dropna(how="any")
    if pairs.empty:
        return {}
    return {dataset: interval(pairs[dataset]) for dataset in pairs}
