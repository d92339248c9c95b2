"""Configuration of a training: how the objective is minimised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .network.weights import TeacherInput
from .schedules import Phase


@dataclass(frozen=True)
class TrainingConfig:
    """How the objective is minimised.

    Attributes
    ----------
    phases : sequence of Phase
        Who is trained, and for how many epochs.
    teacher_input : TeacherInput
        Input of the teachers, and how the students' targets are computed.
    batch_size : int
    labelled_share : float
        Lowest share of labelled rows in a batch; see `Batches`.
    learning_rate : float or "auto"
        Of AdamW; "auto" depends on the number of features, see `learning_rate_for`.
    weight_decay : float
        Of AdamW.
    decay : {"cosine", "constant"}
        Course of the learning rate over the epochs of a phase.
    adjustment_units : int
        Width of the hidden layer of adjustments that start anew.
    adjustment_dropout : float
        Dropout of the adjustments.
    units_per_class : float
        The k of Eq. (4), which gives the dropout of the teachers' inputs.
    standardize : bool
        Whether features are standardised for the training.
    patience : int or None
        Number of epochs without improvement on the validation rows that ends a phase,
        of which the best weights are kept; None trains all epochs and keeps the last.
    seed : int
        Of first weights, shuffles and dropout masks.
    device : str
        A device of torch, or "auto": CUDA where there is one, else the CPU.
    precision : {"auto", "float32", "bfloat16"}
        Of the features and of the matrix products; weights are float32. See
        `dtype_of`.
    """

    phases: Sequence[Phase]
    teacher_input: TeacherInput
    batch_size: int
    labelled_share: float
    learning_rate: float | str
    weight_decay: float
    decay: str
    adjustment_units: int
    adjustment_dropout: float
    units_per_class: float
    standardize: bool
    patience: int | None
    seed: int
    device: str
    precision: str
