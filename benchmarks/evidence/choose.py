"""How good each kind of encoder is on held-out training rows of each dataset.

What experts.KINDS was chosen by: ``python -m benchmarks.evidence.choose``.
"""

from __future__ import annotations

import pandas as pd

from .data import HELD_OUT, Arrays, glyphs
from .experts import KINDS, make_encoders, make_expert
from .regimes import is_known, known_codes, known_labels
from .rows import split_rows


def held_out_accuracies(X: Arrays, y: Arrays, regime: str, seed: int) -> pd.DataFrame:
    """Fit an expert of each kind on part of the training rows, score it on the rest.

    Parameters
    ----------
    X, y : dict of str to ndarray
        Training images with all their labels.
    regime : {"all", "tenth"}
        How many labels of the rows that are fitted on are known.
    seed : int

    Returns
    -------
    table : DataFrame
        Accuracies, index the datasets, columns the kinds.
    """
    table = pd.DataFrame(index=list(X), columns=list(make_encoders(seed)), dtype=float)
    for name, images in X.items():
        codes = known_codes(y[name])[1]
        rows, held_out = split_rows(codes, HELD_OUT, seed)
        labels = known_labels(regime, {name: codes[rows]}, seed, extra="")[name]
        known = rows[is_known(labels)]
        for kind, encoder in make_encoders(seed).items():
            expert = make_expert(encoder).fit(images[known], codes[known])
            table.loc[name, kind] = expert.score(images[held_out], codes[held_out])
    return table


if __name__ == "__main__":
    data = glyphs()
    for regime in ("all", "tenth"):
        tables = [
            held_out_accuracies(data.X_train, data.y_train, regime, seed)
            for seed in range(3)
        ]
        print(f"{regime}, mean of 3 seeds; chosen: {KINDS}")
        print((sum(tables) / len(tables)).round(3), flush=True)
