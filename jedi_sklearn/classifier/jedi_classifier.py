"""The estimator: parameters, fit, predict and score; the work is done elsewhere."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.extmath import softmax
from sklearn.utils.metaestimators import _BaseComposition
from sklearn.utils.validation import check_is_fitted

from ..embeddings._as_store import as_store
from ..embeddings._embed_datasets import embed_parts, missing_rows
from ..experts.embed import Embedding
from ..experts.expert import split_expert, take_sparse
from ..inputs.checks import check_has_student, check_same_students
from ..inputs.feature_names import check_features, set_features
from ..inputs.multidataset import MultiDataset, Part, is_row_wise
from ..inputs.read_x import as_students_rows, check_further
from ..inputs.read_y import (
    Targets,
    check_classes,
    check_kinds,
    check_trainable,
    read_targets,
)
from ..inputs.training_data import (
    TrainingData,
    read_sample_weights,
    read_training_data,
    read_validation,
)
from ..models.distilled_classifier import DistilledClassifier
from ..models.versioned_state import VersionedState
from ..models.weights import Branch
from ..utils.device import available_device
from ..utils.fit_task import CallbackSupportMixin, begin_fit, with_callbacks
from .diagram import classifier_block
from .fit_identity import kept_fit
from .fit_state import FitInputs, FitState
from .parameters import WITHOUT_INFLUENCE, check_parameters, check_sources


class JEDIClassifier(
    VersionedState, ClassifierMixin, CallbackSupportMixin, _BaseComposition
):
    r"""Better classifiers for several datasets by joint expert distillation.

    There are n datasets, each with its own labels, and n experts, each an encoder
    with a linear head that was trained on its own dataset. The encoders stay as
    they are; every one embeds the rows of every dataset once. For each dataset a
    student (its expert's embedding, adjusted by a small residual network, and its
    head) and a teacher (a linear classifier on the adjusted embeddings of all
    experts) are trained together, supervised by the labelled rows of their own
    dataset, the student also by its teacher's soft predictions for the rows of all
    datasets, labelled or not. For a row x of dataset i with label y the loss is
    Eq. (1) of the paper [1]_,

    .. math::

        \alpha L_{cls}(M_i(x), y) + \beta L_{cls}(E_i(x), y)
        + \gamma \sum_j w_{ij} L_{kd}(M_j(x), E_j(x)),

    with students M, teachers E and the weights of Eq. (2); an unlabelled row has
    the third term alone.

    Parameters
    ----------
    experts : list of (str, estimator) or None, default=None
        The name of an expert is that of its dataset; one whose name is no labelled
        dataset only lends its features to the teachers. An estimator is a Pipeline
        of an encoder and a linear classifier, or a transformer, whose head is then
        a logistic regression fitted on its dataset's labelled rows. Precomputed
        embeddings are an expert too, as a selector of columns such as
        ``make_column_transformer(("passthrough", slice(0, 64)))``. Inside a
        :class:`~sklearn.frozen.FrozenEstimator` an expert is used as it is, else a
        clone is fitted on its dataset. An encoder that learns nothing, such as a
        :class:`~jedi_sklearn.encoders.TorchEncoder`, is frozen in any case. None
        stands for an :class:`~jedi_sklearn.encoders.MLPEncoder` for each labelled
        dataset.
    alpha : float, default=1.0
        Weight of the students' classification loss.
    beta : float, default=1.0
        Weight of the teachers' classification loss.
    gamma : float, default=0.4
        Weight of the distillation.
    teacher_input : str, default="adjusted"
        Input of the teachers (section 5.1): "adjusted" or "base", the embeddings
        after or before their adjustment; "predictions", the scores of all students;
        or "adjusted+predictions".
    teacher_start : {"expert", "random"}, default="expert"
        Initial weights of a teacher: those of its expert's head, with which it then
        agrees before the first step, or random ones, as in the paper; see Notes.
    distill_from : {"all", "own"}, list of str or None, default="all"
        Datasets on whose rows students learn from their teachers (section 5.2):
        all, each student's own, those that are named, or none.
    student_loss, teacher_loss : str or callable
        Classification losses, default of both "cross_entropy"; the paper has for
        teachers "hinge", that of Crammer and Singer; see Notes. "one_vs_rest_hinge"
        and "squared_hinge" are sums over the classes of the binary hinge and of its
        square. A callable takes scores of shape (n_rows, n_classes) and class numbers
        of shape (n_rows,), both tensors, and returns one value a row.
    distillation_loss : str or callable, default="cross_entropy"
        Between the softened predictions of teacher and student "cross_entropy" or
        "kl", between their logits "mse". A callable takes scores of students and of
        teachers, of shape (n_rows, n_classes), and the temperature, and returns one
        value a row.
    temperature : float, default=1.0
        Temperature of the softened predictions in the distillation.
    target_temperature : float or None, default=0.3
        Temperature of the teachers' predictions. Below `temperature` it makes them
        sharper. None is `temperature`, as in the paper; see Notes.
    target_dropout : bool, default=False
        Whether the targets of students are computed under dropout, in the joint
        schedule; see Notes.
    target_gradient : bool, default=False
        Whether the distillation also moves teachers towards students, in the joint
        schedule; see Notes.
    class_weight : mapping, "balanced" or None, default=None
        Weights of labelled rows by their labels, in the two classification losses
        and in the fit of heads that take weights. "balanced" gives all classes of
        a dataset the same sum. A mapping of datasets to "balanced", None or a
        mapping of labels to weights is for some; with one dataset, a mapping of its
        labels.
    adjustment_units : int, default=256
        Width of the adjustment's hidden layer (Fig. 2).
    adjustment_dropout : float, default=0.75
        Dropout on what the adjustment adds.
    units_per_class : float, default=10
        The k of Eq. (4): so many of a teacher's inputs remain under dropout for
        each class.
    standardize : bool, default=True
        Whether training works on standardised embeddings, so that one learning rate
        suits embeddings of any scale. It is folded exactly into the weights: a
        student takes embeddings as its expert makes them. The paper does not; see
        Notes.
    schedule : {"joint", "alternating"}, default="joint"
        Order of the training (section 3.1): students and teachers together, or rounds
        in which teachers are trained with the students fixed, then students with
        the teachers and their targets fixed.
    n_rounds : int, default=5
        Number of rounds of the alternating schedule, which share `max_epochs`. One
        round is the usual distillation in two stages.
    restart_rounds : bool, default=False
        Whether each turn of the alternating schedule trains from the initial weights
        instead of the last ones.
    warmup_epochs : int, default=0
        Epochs of the joint schedule before the distillation begins. The paper has
        25, for teachers that start at random; here they start from their experts'
        heads.
    max_epochs : int, default=100
        Passes over the rows of all datasets. The paper has 500.
    batch_size : int, default=128
        Rows in a step. The paper does not say.
    labelled_share : float, default=0.5
        Lowest share of labelled rows in a batch, on average. If fewer of all rows are
        labelled, every batch gets further labelled rows; see Notes.
    learning_rate : float or "auto", default="auto"
        Learning rate of AdamW. "auto" is 4e-3 for up to 500 features in total, and
        falls with the square of their number for more: 2e-5 for the paper's 7168. The
        paper has 1e-5; see Notes.
    learning_rate_decay : {"cosine", "constant"}, default="cosine"
        Course of the learning rate over the epochs: a half cosine down to zero, or
        constant, as in the paper; see Notes.
    weight_decay : float, default=0.1
        Weight decay of AdamW. The paper has 3e-3; see Notes.
    early_stopping : bool, default=False
        Whether to keep the weights of the epoch with the best mean accuracy of the
        students on validation rows: ``X_val``, or else an inner split of what fit is
        given, on which then neither experts nor students are trained.
    n_iter_no_change : int, default=10
        Number of epochs without improvement after which early stopping ends the
        training.
    keep_expert : bool, default=False
        Whether a student that is no better than its expert on validation rows, taken
        as for early stopping, becomes that expert. A frozen expert that has seen
        these rows looks better than it is: give others as ``X_val``.
    validation_fraction : float, default=0.1
        Share of each dataset's labelled rows in the inner split.
    memory : str, Path, EmbeddingStore, joblib.Memory or None, default=None
        Storage of the embeddings by frozen experts, for all processes and sessions:
        an :class:`~jedi_sklearn.embeddings.EmbeddingStore`, or the directory of one.
        Training reads from it what does not fit into memory.
        Within a process, a frozen expert embeds the rows of a :class:`MultiDataset`
        once in any case; a search with ``n_jobs`` needs memory for the same.
    checkpoint : str, Path or None, default=None
        Directory in which fit saves its progress: fitted experts, and everything that
        the rest of the training depends on. Called again with the same data and
        parameters, fit resumes there and ends, on a CPU, in the same bits as an
        undisturbed one; the result of a finished fit is read. Other data or
        parameters are refused. A clone, as in a search, and with `warm_start` every
        fit, has a directory of its own in there, so that a repeated search has its
        finished fits at once. The files are pickles: name a directory to which only
        you can write.
    checkpoint_epochs : int or None, default=None
        Number of epochs after which the training is written down.
    checkpoint_minutes : float, default=5
        Minutes after which it is, on a CPU also in the middle of an epoch; 0 is every
        batch.
    device : str, default="auto"
        A device of torch; "auto" is CUDA where there is one, else the CPU.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Precision of the embeddings in training and of the matrix products; weights,
        losses and predictions are float32 in any case. "auto" is bfloat16 for experts
        with 1024 features in total or more, on hardware that multiplies it faster.
    n_jobs : int or None, default=None
        Number of experts that are fitted or run at once, as in joblib; threads,
        unless :func:`joblib.parallel_backend` says otherwise.
    random_state : int, RandomState instance or None, default=None
        Seed of everything random: initial weights, shuffles, dropout, and every
        ``random_state`` of the experts that is None. The global random states are
        never used; None draws a seed from the operating system.
    warm_start : bool, default=False
        Whether fit goes on from the students and teachers of the last fit, whose
        experts are kept, instead of starting anew.
    verbose : int, default=0
        1 shows a progress bar on standard error, and one while `memory` is filled. The
        logger ``"jedi_sklearn"`` says what takes how long in any case.
    callbacks : list of skorch callbacks or None, default=None
        Run by the training loop, after those that the parameters above ask for: a
        scheduler of the learning rate goes with ``learning_rate_decay="constant"``.
        Those of scikit-learn, from 1.9 on, are set by ``set_callbacks``: fit tells them
        of encoders, heads and epochs.

    Attributes
    ----------
    classes_ : ndarray of shape (n_all_classes,)
        All labels as they stand in a stacked y, ``"dataset/label"`` where y was a
        mapping, sorted.
    datasets_ : list of str
        Names of the datasets in fit, sorted.
    experts_ : dict of str to estimator
        The experts, fitted.
    kept_experts_ : list of str
        Names of the datasets whose student is its expert, see `keep_expert`.
    students_, teachers_ : dict of str to DistilledClassifier
        For each labelled dataset a classifier that stands alone, with weights in
        NumPy.
    history_ : DataFrame
        One row an epoch, columns (quantity, dataset): loss, student_loss,
        teacher_loss, distillation_loss, student_accuracy, teacher_accuracy and,
        where fit had validation rows, val_expert_accuracy, val_student_accuracy and
        val_teacher_accuracy. Those of training are taken as the epoch went, under
        dropout.
    n_iter_ : int
        Number of epochs.
    n_features_in_ : int
        Number of values in a row, 1 where rows differ in size.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Where X was a DataFrame with names of type str, or all datasets were such
        DataFrames of the same columns.

    See Also
    --------
    stack_datasets : Datasets and labels as a pair for scikit-learn's tools.
    jedi_sklearn.metrics.evaluate : Table of experts, students and teachers.

    Notes
    -----
    Where the paper is silent: distillation targets are taken without dropout and
    without gradient, both parameters; the loss of a batch is the mean over its rows;
    the hinge is that of :func:`sklearn.metrics.hinge_loss`.

    Defaults depart from the paper's values, which
    :data:`~jedi_sklearn.PAPER_PARAMS` restores, where a quarter of the training rows
    of :func:`~jedi_sklearn.datasets.load_glyphs`, held out, said so. The paper
    trained on 60 times as many rows, and so for 60 times as many steps. What each
    departure gains on test rows, in points of accuracy with a tenth of the labels
    and 50 epochs, mean over four datasets and ten seeds (three for 500 epochs):

    ==============================  ========  ========
    instead of the default          students  teachers
    ==============================  ========  ========
    target_dropout=True                 -0.0      -0.1
    target_gradient=True                +2.0      +0.5
    teacher_start="random"              +0.2      +0.5
    teacher_loss="hinge"                +0.3      +0.6
    target_temperature=None             +0.0      +0.5
    standardize=False                   +0.7      +0.8
    labelled_share=0.0                  +0.5      +0.6
    warmup_epochs=25                    +0.5      +0.5
    max_epochs=500                      -0.7      -1.5
    learning_rate=1e-5                  +6.2      +6.4
    learning_rate_decay="constant"      +0.4      +0.9
    weight_decay=3e-3                   +0.2      +0.6
    PAPER_PARAMS                        +8.4     +12.8
    ==============================  ========  ========

    With all labels differences are smaller. ``docs/evidence.md`` has the intervals,
    what was tried, and where the method loses.

    Results are the same to the bit for one random_state, one number of threads and one
    precision; another number of threads sums in another order.

    Where a program has started several processes of :mod:`torch.distributed`, of which
    each calls fit with the same data and the same int as `random_state`, they train
    together, each on its share of every batch, and come to the same result;
    ``docs/performance.md`` has an example.

    References
    ----------
    .. [1] L. Bicsi, B. Alexe, R. T. Ionescu and M. Leordeanu, "JEDI: Joint Expert
       Distillation in a Semi-Supervised Multi-Dataset Student-Teacher Scenario for
       Video Action Recognition", ICCV Workshops, 2023.

    Examples
    --------
    >>> from sklearn.model_selection import train_test_split
    >>> from jedi_sklearn import JEDIClassifier
    >>> from jedi_sklearn.datasets import make_expert_embeddings
    >>> from sklearn.compose import make_column_transformer
    >>> X, y = make_expert_embeddings(n_samples=200, n_features=16, random_state=0)
    >>> experts = [
    ...     (name, make_column_transformer(("passthrough", slice(16 * i, 16 * i + 16))))
    ...     for i, name in enumerate(X)
    ... ]
    >>> clf = JEDIClassifier(experts, max_epochs=20, random_state=0).fit(X, y)
    >>> sorted(clf.students_)
    ['dataset_0', 'dataset_1', 'dataset_2']
    >>> clf.predict({"dataset_1": X["dataset_1"][:3]})["dataset_1"].shape
    (3,)
    """

    # Set by fit; `after_training` computes them.
    classes_: npt.NDArray
    datasets_: list[str]
    experts_: dict[str, Any]
    kept_experts_: list[str]
    students_: dict[str, DistilledClassifier]
    teachers_: dict[str, DistilledClassifier]
    history_: pd.DataFrame
    n_iter_: int
    _columns: dict[str, npt.NDArray[np.intp]]
    _state: FitState

    def __init__(  # noqa: PLR0913, PLR0915 - the parameters of the method
        self,
        experts: Sequence[tuple[str, Any]] | None = None,
        *,
        alpha: float = 1.0,
        beta: float = 1.0,
        gamma: float = 0.4,
        teacher_input: str = "adjusted",
        teacher_start: str = "expert",
        distill_from: str | Sequence[str] | None = "all",
        student_loss: str | Callable[..., Any] = "cross_entropy",
        teacher_loss: str | Callable[..., Any] = "cross_entropy",
        distillation_loss: str | Callable[..., Any] = "cross_entropy",
        temperature: float = 1.0,
        target_temperature: float | None = 0.3,
        target_dropout: bool = False,
        target_gradient: bool = False,
        class_weight: str | Mapping[Any, Any] | None = None,
        adjustment_units: int = 256,
        adjustment_dropout: float = 0.75,
        units_per_class: float = 10,
        standardize: bool = True,
        schedule: str = "joint",
        n_rounds: int = 5,
        restart_rounds: bool = False,
        warmup_epochs: int = 0,
        max_epochs: int = 100,
        batch_size: int = 128,
        labelled_share: float = 0.5,
        learning_rate: float | str = "auto",
        learning_rate_decay: str = "cosine",
        weight_decay: float = 0.1,
        early_stopping: bool = False,
        n_iter_no_change: int = 10,
        keep_expert: bool = False,
        validation_fraction: float = 0.1,
        memory: Any = None,
        checkpoint: Any = None,
        checkpoint_epochs: int | None = None,
        checkpoint_minutes: float = 5.0,
        device: str = "auto",
        precision: str = "auto",
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
        self.teacher_start = teacher_start
        self.distill_from = distill_from
        self.student_loss = student_loss
        self.teacher_loss = teacher_loss
        self.distillation_loss = distillation_loss
        self.temperature = temperature
        self.target_temperature = target_temperature
        self.target_dropout = target_dropout
        self.target_gradient = target_gradient
        self.class_weight = class_weight
        self.adjustment_units = adjustment_units
        self.adjustment_dropout = adjustment_dropout
        self.units_per_class = units_per_class
        self.standardize = standardize
        self.schedule = schedule
        self.n_rounds = n_rounds
        self.restart_rounds = restart_rounds
        self.warmup_epochs = warmup_epochs
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.labelled_share = labelled_share
        self.learning_rate = learning_rate
        self.learning_rate_decay = learning_rate_decay
        self.weight_decay = weight_decay
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.keep_expert = keep_expert
        self.validation_fraction = validation_fraction
        self.memory = memory
        self.checkpoint = checkpoint
        self.checkpoint_epochs = checkpoint_epochs
        self.checkpoint_minutes = checkpoint_minutes
        self.device = device
        self.precision = precision
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
        params : dict of str to object
            Their values by name.
        """
        return self._get_params("experts", deep=deep)

    def set_params(self, **params: Any) -> Self:
        """Set parameters, those of an expert as ``name__parameter``.

        Parameters
        ----------
        **params : dict
            Values by name, as `get_params` gives them.

        Returns
        -------
        self : JEDIClassifier
            The estimator itself.
        """
        self._set_params("experts", **params)
        return self

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
    ) -> Self:
        """Fit the experts that are not frozen, then train students and teachers.

        Parameters
        ----------
        X : mapping, MultiDataset, DataFrame or array-like
            Rows of the datasets; what each expert's encoder takes.
        y : mapping, MultiTarget or array-like of shape (n_samples,)
            Labels; -1 (integers), None or NaN mark unlabelled rows.
        sample_weight : mapping or array-like of shape (n_samples,), optional
            Weight of each row in all terms of the loss, in its dataset's size in
            Eq. (2), and in the fit of heads that take weights, whatever these
            request in metadata routing. A dataset that a mapping
            leaves out has weights of 1.
        X_val, y_val : same as X and y, optional
            Rows on which students and teachers are scored after every epoch, for
            ``history_``. With ``early_stopping`` or ``keep_expert`` they are those
            by which these choose; else nothing is chosen by them.

        Returns
        -------
        self : JEDIClassifier
            The estimator itself.

        Raises
        ------
        ValueError
            If a parameter is out of range, X and y do not match, or an expert
            cannot be fitted or cannot embed a dataset. The estimator is then as it
            was before.
        """
        _warn(self._fit(X, y, sample_weight, X_val, y_val))
        return self

    @with_callbacks
    def _fit(
        self, X: Any, y: Any, sample_weight: Any, X_val: Any, y_val: Any
    ) -> FitState:
        from . import fit as steps

        self._check_parameters()
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val must be given together; one is None.")
        data, targets = self._read(X, y, sample_weight)
        check_trainable(y, data.labels)
        check_sources(self.distill_from, list(data.datasets))
        held_out = None
        if X_val is not None:
            held_out = read_validation(X_val, y_val, self._name_of_array(), data)
        inputs = FitInputs(data, held_out, list(data.datasets), list(data.labels))
        resume_from = None
        if self.warm_start and hasattr(self, "students_"):
            check_same_students(inputs.labelled, list(self.students_))
            resume_from = self._state.on_other_rows()
        params = self.get_params(deep=False)

        def attributes(state: FitState) -> dict[str, Any]:
            # Computed on a copy: callbacks are told of them before there are any.
            fitted = copy(self)
            fitted._set_fitted(X, inputs, targets, state)
            return dict(vars(fitted))

        task = begin_fit(self, X, y, sample_weight, attributes, steps.N_PARTS)
        if self.checkpoint is not None:
            steps.check_one_process()
        is_clone = getattr(self, "_is_clone", False)
        with kept_fit(params, inputs, targets, resume_from, is_clone=is_clone) as kept:
            state = steps.run_fit(params, inputs, resume_from, kept, task)
        self._set_fitted(X, inputs, targets, state)
        task.end(lambda: state)
        return state

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> Self:
        """Train for one epoch on further rows of datasets that are known.

        The experts stay as they are, and so do the datasets, the classes and the
        scaling of the embeddings; the sizes of the datasets in Eq. (2) are those of all
        rows so far. The alternating schedule has an epoch for the teachers and one for
        the students. Nothing is held out, and no checkpoint written. The first call
        fits the experts, on the rows that it is given.

        Parameters
        ----------
        X : mapping, MultiDataset, DataFrame or array-like
            Rows of some of the datasets.
        y : mapping, MultiTarget or array-like of shape (n_samples,)
            Labels, as in `fit`; a dataset without any serves the distillation.
        classes : mapping of str to array-like, or array-like, optional
            All labels that are to come, which the first call must have seen then.
        sample_weight : mapping or array-like of shape (n_samples,), optional
            As in `fit`.

        Returns
        -------
        self : JEDIClassifier
            The estimator itself.

        Raises
        ------
        ValueError
            If a dataset or a label is not known, or anything that `fit` raises for.
        """
        from . import fit as steps
        from .after_training import model_attributes

        self._check_parameters()
        known = self._known_labels()
        data, targets = self._read(X, y, sample_weight, known)
        n_before = getattr(self, "n_iter_", 0)
        params = steps.one_epoch(self.get_params(deep=False), n_before)
        if not known:
            check_trainable(y, data.labels)
            check_sources(self.distill_from, list(data.datasets))
            check_classes(classes, targets, targets.classes)
            inputs = FitInputs(data, None, list(data.datasets), list(data.labels))
            state = steps.run_fit(params, inputs)
            self._set_fitted(X, inputs, targets, state)
        else:
            check_further(X, data.datasets, self.datasets_)
            check_sources(self.distill_from, self.datasets_)
            check_classes(classes, targets, known)
            check_features(self, X, data.datasets)
            inputs = FitInputs(data, None, self.datasets_, list(self.students_))
            state = steps.run_fit(params, inputs, resume_from=self._state)
            self.__dict__.update(model_attributes(state))
        _warn(state)
        return self

    def predict(self, X: Any) -> Any:
        """Return each row's label by its dataset's student.

        Parameters
        ----------
        X : mapping, MultiDataset, DataFrame or array-like
            Rows of datasets that have a student.

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
        datasets, scores = self._whole_scores(X)
        codes = {name: part.argmax(axis=1) for name, part in scores.items()}
        if not is_row_wise(X):
            return {name: self.students_[name].classes_[c] for name, c in codes.items()}
        labels = np.empty(datasets.shape[0], dtype=self.classes_.dtype)
        for name, c in codes.items():
            labels[datasets.rows_of(name)] = self.classes_[self._columns[name][c]]
        return labels

    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each class by each row's student.

        Parameters
        ----------
        X : mapping, MultiDataset, DataFrame or array-like
            Rows of datasets that have a student.

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
        datasets, scores = self._whole_scores(X)
        probabilities = {name: softmax(part) for name, part in scores.items()}
        if not is_row_wise(X):
            return probabilities
        table = np.zeros((datasets.shape[0], len(self.classes_)))
        for name, part in probabilities.items():
            table[np.ix_(datasets.rows_of(name), self._columns[name])] = part
        return table

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the mean over the datasets of the students' accuracies.

        Parameters
        ----------
        X : mapping, MultiDataset, DataFrame or array-like
            Rows of datasets that have a student.
        y : mapping, MultiTarget or array-like of shape (n_samples,)
            Unlabelled rows are left out.
        sample_weight : mapping or array-like of shape (n_samples,), optional
            Weight of each row in its dataset's accuracy.

        Returns
        -------
        score : float
            From 0 to 1.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X and y do not match, or no row is labelled.
        """
        check_is_fitted(self)
        check_kinds(X, y)
        datasets = as_students_rows(X, list(self.students_))
        labels = read_targets(y, datasets, self._known_labels()).labels
        if not labels:
            raise ValueError("y has no labelled row; score needs at least one.")
        check_kinds(X, sample_weight, "sample_weight")
        weights = read_sample_weights(sample_weight, datasets)
        if len(labels) < len(datasets):
            # A dataset without labels need not have a student.
            X = datasets[np.isin(datasets.groups, list(labels))]
        _, scores = self._student_scores(X)
        accuracies = []
        for name, part in labels.items():
            codes = part.codes_in(self.students_[name].classes_)
            hits = scores[name].argmax(axis=1) == codes
            # What could not be embedded counts as little as what has no label.
            known = part.labelled & ~np.isnan(scores[name][:, 0])
            if not known.any():
                raise ValueError(
                    f"No labelled row of dataset {name!r} could be embedded; score "
                    "needs at least one."
                )
            accuracies.append(np.average(hits[known], weights=weights[name][known]))
        return float(np.mean(accuracies))

    def model_card(self, X: Any = None, y: Any = None) -> Any:
        """Return a card that says what the fitted classifier is, for others to read.

        It has the datasets, the experts, the parameters, the curves of the training,
        how to load the model and, with X and y, scores and pictures of them. What only
        its author can know is marked "[More Information Needed]".

        Parameters
        ----------
        X : mapping, MultiDataset, DataFrame or array-like, optional
            Rows to evaluate the students on, best those that no fit has seen.
        y : mapping, MultiTarget or array-like of shape (n_samples,), optional
            Their labels.

        Returns
        -------
        card : skops.card.Card
            ``card.add`` fills its sections in, ``card.metadata`` is the dict of the
            YAML that a model hub reads, ``card.save("README.md")`` writes it, with the
            pictures beside it.

        Raises
        ------
        ImportError
            If skops or matplotlib, extras ``export`` and ``plot``, is not installed.
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If only one of X and y is given, or :func:`jedi_sklearn.metrics.evaluate`
            does not accept them.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from jedi_sklearn import JEDIClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> clf = JEDIClassifier(max_epochs=5, random_state=0).fit(X, y)
        >>> card = clf.model_card()
        >>> card.metadata["license"] = "cc0-1.0"
        >>> card.render().splitlines()[3]
        'license: "cc0-1.0"'
        """
        from ..inspection._model_card import write_card

        left_out = {"experts", *WITHOUT_INFLUENCE}  # experts have a table of their own
        params = self.get_params(deep=False).items()
        shown = {name: value for name, value in params if name not in left_out}
        return write_card(self, shown, X, y)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        given = [] if self.experts is None else self.experts
        tags.input_tags.sparse = take_sparse(split_expert(*e).encoder for e in given)
        return tags

    def _sk_visual_block_(self) -> Any:
        return classifier_block(self)

    def _student_scores(
        self, X: Any
    ) -> tuple[MultiDataset, dict[str, npt.NDArray[np.float64]]]:
        """Return X as it was read and each dataset's scores by its student.

        Those of a row that could not be embedded are NaN.
        """
        check_is_fitted(self)
        datasets = as_students_rows(X, list(self.students_))
        check_features(self, X, datasets)
        for name in datasets:
            check_has_student(name, list(self.students_))
        store = as_store(self.memory)
        scores = {}
        for table, rows in datasets.parts():
            student = self.students_[table.name]
            embeddings, there = self._embed(student.branches, (table, rows), store)
            scores[table.name] = np.full((len(rows), len(student.classes_)), np.nan)
            scores[table.name][there] = student.scores([e[there] for e in embeddings])
        return datasets, scores

    def _embed(
        self, branches: Sequence[Branch], part: Part, store: Any = None
    ) -> tuple[list[Embedding], npt.NDArray[np.bool_]]:
        """Return rows of a dataset as experts embed them, and which could be.

        Parameters
        ----------
        branches : sequence of Branch
        part : (Table, ndarray of int)
        store : EmbeddingStore, optional
            The one of `memory`, for those who have opened it already.
        """
        store = store or as_store(self.memory)
        (embeddings,) = embed_parts(branches, [part], store)
        return embeddings, ~missing_rows(embeddings)

    def _whole_scores(
        self, X: Any
    ) -> tuple[MultiDataset, dict[str, npt.NDArray[np.float64]]]:
        """Return what `_student_scores` does, where every row has its scores."""
        datasets, scores = self._student_scores(X)
        for name, part in scores.items():
            missing = np.flatnonzero(np.isnan(part[:, 0]))
            if len(missing):
                raise ValueError(
                    f"{len(missing)} rows of dataset {name!r} could not be embedded "
                    f"(first: row {missing[0]}), as {self.memory} says; leave them out."
                )
        return datasets, scores

    def _name_of_array(self) -> str:
        """Name of the dataset of an X that does not say it."""
        try:
            ((name, _),) = self.experts  # type: ignore[misc]
        except (TypeError, ValueError):
            return "dataset"
        return str(name)

    def _check_parameters(self) -> None:
        """Raise before anything is done for what cannot be done."""
        from .fit import check_losses

        params = self.get_params(deep=False)
        check_parameters(params)
        available_device(self.device)
        check_losses(params)
        as_store(self.memory)

    def _read(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        known: Mapping[str, npt.NDArray] | None = None,
    ) -> tuple[TrainingData, Targets]:
        return read_training_data(
            X, y, self._name_of_array(), sample_weight, self.class_weight, known
        )

    def _known_labels(self) -> dict[str, npt.NDArray]:
        """Return the labels of each student, none before fit."""
        students = getattr(self, "students_", {})
        return {name: student.classes_ for name, student in students.items()}

    def __sklearn_clone__(self) -> Self:
        copy = super().__sklearn_clone__()
        # A clone's fit is one of many, each of which has its own checkpoint.
        copy._is_clone = True
        return copy

    def _set_fitted(
        self, X: Any, inputs: FitInputs, targets: Targets, state: FitState
    ) -> None:
        """Set all fitted attributes; nothing here can fail halfway."""
        from .after_training import fitted_attributes

        self.__dict__.update(fitted_attributes(state, targets))
        set_features(self, X, inputs.data.datasets)


def _warn(state: FitState) -> None:
    """Say where a fit ended before its time, when nothing can fail any more."""
    if state.problem is not None:
        warnings.warn(state.problem, stacklevel=3)
