"""From embedded datasets to training and validation rows.

Labels become the class numbers of the students, and datasets their positions in the
training.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..embeddings._embed_datasets import missing_rows
from ..exceptions import LeftOutWarning, SeenRowsWarning
from ..experts.embed import Embedding, check_width
from ..experts.expert import Expert, is_frozen
from ..inputs.labels import UNKNOWN
from ..inputs.row_weights import RowWeights
from ..inputs.training_data import TrainingData
from ..models.weights import linear_weights
from ..training.callbacks.validation import Validation
from ..training.data.rows import TrainingRows, stack_rows
from .fit_state import FitInputs


def without_missing(
    data: TrainingData, embeddings: dict[str, list[Embedding]]
) -> tuple[TrainingData, dict[str, list[Embedding]]]:
    """Leave out the rows that an expert could not embed, with a warning.

    Parameters
    ----------
    data : TrainingData
    embeddings : dict of str to list of ndarray or StoredRows
        Of the datasets of `data` by each expert.

    Raises
    ------
    ValueError
        If a dataset is left without rows, or one with labels without labelled rows.
    """
    missing = {name: missing_rows(parts) for name, parts in embeddings.items()}
    counts = {name: int(rows.sum()) for name, rows in missing.items() if rows.any()}
    if not counts:
        return data, embeddings
    warnings.warn(
        f"Rows that could not be embedded are left out: {counts}.",
        LeftOutWarning,
        stacklevel=4,
    )
    there = {name: ~rows for name, rows in missing.items()}
    left = {
        name: [embedding[there[name]] for embedding in parts]
        for name, parts in embeddings.items()
    }
    return data.only(there, "could not be embedded"), left


def training_rows(
    experts: Sequence[Expert],
    embeddings: dict[str, list[Embedding]],
    data: TrainingData,
    datasets: Sequence[str],
) -> TrainingRows:
    """Lay out the rows, with labels numbered as the students number them.

    Parameters
    ----------
    experts : sequence of Expert
    embeddings : dict of str to list of ndarray or StoredRows
        Of the datasets of `data` by each expert.
    data : TrainingData
    datasets : sequence of str
        Names of all datasets of the training. One without rows here keeps its
        position all the same.
    """
    classes = {e.name: e.head.classes_ for e in experts if e.name in data.labels}
    nothing = [part[:0] for part in next(iter(embeddings.values()))]
    no_weights = RowWeights(np.ones(0), np.ones(0))
    codes: list[npt.NDArray[np.int64] | None] = []
    for name in datasets:
        if name not in classes:
            codes.append(None)
            continue
        own = data.labels[name].codes_in(classes[name])
        # A label that the student does not know gets a number that it never predicts.
        codes.append(np.where(own == UNKNOWN, len(classes[name]), own))
    return stack_rows(
        [embeddings.get(name, nothing) for name in datasets],
        codes,
        [data.weights.get(name, no_weights) for name in datasets],
    )


def validation_of(
    experts: Sequence[Expert],
    embeddings: dict[str, list[Embedding]],
    held_out: TrainingData,
    inputs: FitInputs,
    widths: Sequence[int],
) -> Validation:
    """Lay out rows that are not trained on, as `training_rows` does.

    Parameters
    ----------
    experts, embeddings, held_out
        See `training_rows`.
    inputs : FitInputs
        Says which datasets there are, and which have a student.
    widths : sequence of int
        Widths of the embeddings in training.

    Raises
    ------
    ValueError
        If an expert returned embeddings of another width.
    """
    for expert, embedding, width in zip(
        experts, next(iter(embeddings.values())), widths, strict=True
    ):
        check_width(expert.name, embedding.shape[1], width)
    rows = training_rows(experts, embeddings, held_out, inputs.datasets)
    accuracies = dict.fromkeys(inputs.labelled, float("nan"))
    for number, expert in enumerate(experts):
        if expert.name in held_out.labels:
            labels = held_out.labels[expert.name]
            embedding = np.asarray(embeddings[expert.name][number])
            scores = linear_weights(expert.head)(embedding)
            hits = scores.argmax(axis=1) == labels.codes_in(expert.head.classes_)
            accuracies[expert.name] = float(hits[labels.labelled].mean())
    return Validation(rows, list(accuracies.values()))


def warn_of_frozen_heads(experts: Sequence[Expert], labelled: Sequence[str]) -> None:
    """Warn where an expert may have been trained on the rows of the inner split."""
    frozen = [e.name for e in experts if e.name in labelled and is_frozen(e.head)]
    if frozen:
        warnings.warn(
            f"The experts {frozen} were trained before fit and may have seen the rows "
            "that early_stopping and keep_expert hold out, on which they then look "
            "better than they are; give rows that they have not seen as X_val, y_val.",
            SeenRowsWarning,
            stacklevel=3,
        )
