"""The estimator: parameters, fit, predict and score; the work is done elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from joblib import Parallel
from sklearn.base import ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.extmath import softmax
from sklearn.utils.metaestimators import _BaseComposition
from sklearn.utils.validation import check_is_fitted, check_memory, validate_data

from ._distilled import Branch, DistilledClassifier
from ._experts import (
    Embedding,
    Expert,
    embed_datasets,
    embed_table,
    fit_encoders,
    fit_heads,
    linear_weights,
    read_experts,
    seed_experts,
)
from ._labels import Labels
from ._multidataset import MultiDataset, as_multidataset, is_row_wise
from ._targets import Targets, check_trainable, read_targets
from ._validation import check_parameters, draw_seeds

if TYPE_CHECKING:
    from .training import Trained, TrainingRows, Weights


class JEDIClassifier(ClassifierMixin, _BaseComposition):
    """DOC."""

    def __init__(
        self,
        experts: Sequence[tuple[str, Any]] | None = None,
        *,
        alpha: float = 1.0,
        beta: float = 1.0,
        gamma: float = 0.4,
        teacher_input: str = "adjusted",
        distill_from: str | Sequence[str] | None = "all",
        student_loss: str = "cross_entropy",
        teacher_loss: str = "hinge",
        distillation_loss: str = "cross_entropy",
        temperature: float = 1.0,
        adjustment_units: int = 256,
        adjustment_dropout: float = 0.75,
        units_per_class: float = 10,
        schedule: str = "joint",
        warmup_epochs: int = 0,
        max_epochs: int = 100,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        weight_decay: float = 3e-3,
        memory: Any = None,
        device: str = "auto",
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        warm_start: bool = False,
        verbose: int = 0,
        callbacks: Sequence[Any] | None = None,
    ) -> None:
        self.experts = experts
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma
        self.teacher_input = teacher_input
        self.distill_from = distill_from
        self.student_loss = student_loss
        self.teacher_loss = teacher_loss
        self.distillation_loss = distillation_loss
        self.temperature = temperature
        self.adjustment_units = adjustment_units
        self.adjustment_dropout = adjustment_dropout
        self.units_per_class = units_per_class
        self.schedule = schedule
        self.warmup_epochs = warmup_epochs
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.memory = memory
        self.device = device
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.callbacks = callbacks

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, those of the experts as ``name__parameter``.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include the experts and their parameters.

        Returns
        -------
        params : dict
        """
        return self._get_params("experts", deep=deep)

    def set_params(self, **params: Any) -> Self:
        """Set parameters, those of an expert as ``name__parameter``.

        Parameters
        ----------
        **params : dict

        Returns
        -------
        self : JEDIClassifier
        """
        self._set_params("experts", **params)
        return self

    def fit(self, X: Any, y: Any, *, X_val: Any = None, y_val: Any = None) -> Self:
        """Fit the experts that are not frozen, then train students and teachers.

        Parameters
        ----------
        X : mapping, MultiDataset, DataFrame or array-like
            Rows of the datasets; what each expert's encoder takes.
        y : mapping, MultiTarget or array-like of shape (n_samples,)
            Labels; -1 (integers), None or NaN mark unlabelled rows.
        X_val, y_val : same as X and y, optional
            Rows on which students and teachers are scored after every epoch, for
            ``history_`` alone: nothing is chosen by them.

        Returns
        -------
        self : JEDIClassifier

        Raises
        ------
        ValueError
            If a parameter is out of range, X and y do not match, or an expert
            cannot be fitted or cannot embed a dataset. The estimator is then as it
            was before.
        """
        from . import training  # torch is imported by fit, not before

        params = self.get_params(deep=False)
        check_parameters(params)
        training.available_device(self.device)
        datasets = as_multidataset(X, self._name_of_array())
        targets = read_targets(y, datasets)
        check_trainable(y, targets)
        experts = read_experts(self.experts, list(targets.labels), list(params))
        seed, *expert_seeds = draw_seeds(self.random_state, 1 + len(experts))
        experts = seed_experts(experts, expert_seeds)
        experts = fit_encoders(experts, datasets, targets.labels, self.n_jobs)
        embeddings = self._embed(experts, datasets)
        experts = fit_heads(experts, embeddings, targets.labels)
        validation = None
        if X_val is not None:
            validation = self._validation_rows(X_val, y_val, experts)
        trained = self._train(experts, embeddings, targets.labels, validation, seed)
        self._set_fitted(targets, experts, trained.weights)
        self.datasets_ = list(datasets)
        self.history_ = trained.history
        self.n_iter_ = len(trained.history)
        validate_data(self, X if is_row_wise(X) else datasets, skip_check_array=True)
        return self

    def predict(self, X: Any) -> Any:
        """Return each row's label by its dataset's student.

        Parameters
        ----------
        X : mapping, MultiDataset, DataFrame or array-like

        Returns
        -------
        labels : dict of str to ndarray, or ndarray of shape (n_samples,)
            For a mapping of datasets one array each, in the dataset's own labels;
            else one array over all rows, in the labels of ``classes_``.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If a dataset has no student, or its expert cannot embed the rows.
        """
        scores = self._student_scores(X)
        codes = {name: part.argmax(axis=1) for name, part in scores.items()}
        if not is_row_wise(X):
            return {name: self.students_[name].classes_[c] for name, c in codes.items()}
        datasets = as_multidataset(X, self._name_of_array())
        labels = np.empty(datasets.shape[0], dtype=self.classes_.dtype)
        for name, c in codes.items():
            labels[datasets.rows_of(name)] = self.classes_[self._columns[name][c]]
        return labels

    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each class by each row's student.

        Parameters
        ----------
        X : mapping, MultiDataset, DataFrame or array-like

        Returns
        -------
        probabilities : dict of str to ndarray, or ndarray, float64
            For a mapping of datasets one array of shape (n_samples, n_classes)
            each, with columns as in the student's ``classes_``; else one array of
            shape (n_samples, n_all_classes) with columns as in ``classes_`` and
            zeros outside the row's own dataset.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If a dataset has no student, or its expert cannot embed the rows.
        """
        scores = self._student_scores(X)
        probabilities = {name: softmax(part) for name, part in scores.items()}
        if not is_row_wise(X):
            return probabilities
        datasets = as_multidataset(X, self._name_of_array())
        table = np.zeros((datasets.shape[0], len(self.classes_)))
        for name, part in probabilities.items():
            table[np.ix_(datasets.rows_of(name), self._columns[name])] = part
        return table

    def score(self, X: Any, y: Any) -> float:
        """Return the mean over the datasets of the students' accuracies.

        Parameters
        ----------
        X : mapping, MultiDataset, DataFrame or array-like
        y : mapping, MultiTarget or array-like of shape (n_samples,)
            Unlabelled rows are left out.

        Returns
        -------
        score : float

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X and y do not match, or no row is labelled.
        """
        check_is_fitted(self)
        labels = read_targets(y, as_multidataset(X, self._name_of_array())).labels
        if not labels:
            raise ValueError("y has no labelled row; score needs at least one.")
        scores = self._student_scores(X)
        accuracies = []
        for name, part in labels.items():
            hits = scores[name].argmax(axis=1) == part.codes_in(
                self.students_[name].classes_
            )
            accuracies.append(hits[part.labelled].mean())
        return float(np.mean(accuracies))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _student_scores(self, X: Any) -> dict[str, npt.NDArray[np.float64]]:
        check_is_fitted(self)
        datasets = as_multidataset(X, self._name_of_array())
        if is_row_wise(X):
            validate_data(self, X, reset=False, skip_check_array=True)
        for name in datasets:
            if name not in self.students_:
                raise ValueError(
                    f"Dataset {name!r} has no student; there are students for "
                    f"{list(self.students_)}."
                )
        memory, parallel = check_memory(self.memory), Parallel(n_jobs=1)
        scores = {}
        for table, rows in datasets.parts():
            student = self.students_[table.name]
            embeddings = embed_table(student.branches, table, rows, memory, parallel)
            scores[table.name] = student.scores(embeddings)
        return scores

    def _name_of_array(self) -> str:
        """Name of the dataset of an X that does not say it."""
        if self.experts is not None and len(self.experts) == 1:
            return str(self.experts[0][0])
        return "dataset"

    def _embed(
        self, experts: Sequence[Expert], datasets: MultiDataset
    ) -> dict[str, list[Embedding]]:
        return embed_datasets(experts, datasets, check_memory(self.memory), self.n_jobs)

    def _validation_rows(
        self, X: Any, y: Any, experts: Sequence[Expert]
    ) -> TrainingRows:
        datasets = as_multidataset(X, self._name_of_array())
        labels = read_targets(y, datasets).labels
        return _training_rows(experts, self._embed(experts, datasets), labels)

    def _train(
        self,
        experts: Sequence[Expert],
        embeddings: dict[str, list[Embedding]],
        labels: dict[str, Labels],
        validation: TrainingRows | None,
        seed: int,
    ) -> Trained:
        from . import training

        heads = {e.name: linear_weights(e.head) for e in experts if e.name in labels}
        widths = [part.shape[1] for part in next(iter(embeddings.values()))]
        architecture = training.Architecture(
            widths=widths,
            tasks=training.make_tasks(
                heads, list(embeddings), [e.name for e in experts], widths
            ),
            adjustment_units=self.adjustment_units,
            adjustment_dropout=self.adjustment_dropout,
            units_per_class=self.units_per_class,
        )
        rows = _training_rows(experts, embeddings, labels)
        objective = training.Objective(
            alpha=self.alpha,
            beta=self.beta,
            gamma=self.gamma,
            student_loss=training.CLASSIFICATION_LOSSES[self.student_loss],
            teacher_loss=training.CLASSIFICATION_LOSSES[self.teacher_loss],
            distillation_loss=training.DISTILLATION_LOSSES[self.distillation_loss],
            temperature=self.temperature,
            weights=training.distillation_weights(rows.n_rows),
        )
        distils = self.gamma > 0 and self.distill_from is not None
        optimisation = training.Optimisation(
            distils=partial(training.joint, warmup_epochs=self.warmup_epochs)
            if distils
            else training.never,
            max_epochs=self.max_epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            seed=seed,
            device=self.device,
        )
        return training.train(
            rows,
            architecture,
            objective,
            optimisation,
            validation=validation,
            callbacks=self.callbacks or (),
            verbose=self.verbose,
        )

    def _set_fitted(
        self,
        targets: Targets,
        experts: Sequence[Expert],
        weights: Weights,
    ) -> None:
        """Set all fitted attributes; nothing here can fail halfway."""
        students = [e for e in experts if e.name in targets.labels]
        branches = [
            Branch(expert.name, expert.encoder, adjustment)
            for expert, adjustment in zip(experts, weights.adjustments, strict=True)
        ]
        by_name = {branch.name: branch for branch in branches}
        reported = {e.name: targets.reported(e.name, e.head.classes_) for e in students}
        self.classes_ = np.unique(np.concatenate(list(reported.values())))
        self._columns = {
            name: np.searchsorted(self.classes_, labels)
            for name, labels in reported.items()
        }
        self.experts_ = {e.name: e.estimator for e in experts}
        self.students_ = {
            e.name: DistilledClassifier([by_name[e.name]], head, e.head.classes_)
            for e, head in zip(students, weights.heads, strict=True)
        }
        self.teachers_ = {
            e.name: DistilledClassifier(branches, teacher, e.head.classes_)
            for e, teacher in zip(students, weights.teachers, strict=True)
        }


def _training_rows(
    experts: Sequence[Expert],
    embeddings: dict[str, list[Embedding]],
    labels: dict[str, Labels],
) -> TrainingRows:
    """Lay out the rows, with labels numbered as the students number them."""
    from . import training

    classes = {e.name: e.head.classes_ for e in experts if e.name in labels}
    codes = [
        labels[name].codes_in(classes[name]) if name in classes else None
        for name in embeddings
    ]
    return training.stack_rows(list(embeddings.values()), codes)
