"""What is refused, and in which words: the name, the value and what is accepted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from jedi_sklearn import JEDIClassifier, MultiDataset, evaluate, stack_datasets
from jedi_sklearn.model_selection import MultiDatasetKFold
from jedi_sklearn.preprocessing import PerDataset


class WidthOfRows(TransformerMixin, BaseEstimator):
    """Embeds rows in as many features as they have values."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return np.asarray(X)

    def __sklearn_is_fitted__(self):
        return True


def rows(n_rows: int = 20, width: int = 4, **changed: Any) -> np.ndarray:
    X = np.random.default_rng(0).normal(size=(n_rows, width))
    for value in changed.values():
        X[7, 2] = value
    return X


X_DICT = {"a": rows(20), "b": rows(12)}
Y_DICT = {"a": np.arange(20) % 3, "b": np.array(["x", "y"] * 6)}
EXPERTS = [
    (name, make_pipeline(StandardScaler(), LogisticRegression())) for name in "ab"
]


def make_classifier(**parameters: Any) -> JEDIClassifier:
    defaults = {"max_epochs": 1, "adjustment_units": 4, "random_state": 0}
    return JEDIClassifier(**{"experts": EXPERTS, **defaults, **parameters})


def with_expert(expert: Any, name: str = "a") -> list[tuple[str, Any]]:
    return [*(pair for pair in EXPERTS if pair[0] != name), (name, expert)]


class Case(NamedTuple):
    """A call of fit that has to fail."""

    id: str
    message: str
    X: Any = X_DICT
    y: Any = Y_DICT
    parameters: Mapping[str, Any] = MappingProxyType({})
    error: type[Exception] = ValueError
    further: Mapping[str, Any] = MappingProxyType({})  # arguments of fit


def of_fit(id: str, message: str, **given: Any) -> Case:
    return Case(id, message, **given)


def of_parameter(name: str, value: Any, accepted: str) -> Case:
    message = re.escape(f"{name}={value!r}")
    return Case(
        f"{name}={value!r}", rf"(?s){message}.*{accepted}", parameters={name: value}
    )


NOT_A_NUMBER = [-0.5, float("nan"), float("inf"), "1", None, True, [1.0]]
PARAMETERS = [
    *(
        of_parameter(name, value, r"numbers in \[0, 1e\+18\)")
        for name in ("alpha", "beta", "gamma", "weight_decay")
        for value in NOT_A_NUMBER
    ),
    *(
        of_parameter(name, value, r"numbers in \(0, 1e\+18\)")
        for name in ("temperature", "units_per_class", "learning_rate")
        for value in [0, *NOT_A_NUMBER]
    ),
    *(
        of_parameter("adjustment_dropout", value, r"numbers in \[0, 1\)")
        for value in [-0.1, 1, 1.0, "0.5", None]
    ),
    *(
        of_parameter("labelled_share", value, r"numbers in \[0, 1\)")
        for value in [-0.1, 1, 1.0, float("nan"), "0.5", None, False]
    ),
    *(
        of_parameter("validation_fraction", value, r"numbers in \(0, 1\)")
        for value in [0, 0.0, -0.1, 1, 1.0, float("nan"), "0.1", None, True]
    ),
    *(
        of_parameter(name, value, "integers of 1 or more")
        for name in ("adjustment_units", "batch_size", "n_rounds", "n_iter_no_change")
        for value in [0, -1, 2.5, 8.0, "8", None, True]
    ),
    *(
        of_parameter(name, value, "integers of 0 or more")
        for name in ("warmup_epochs", "max_epochs")
        for value in [-1, 2.5, "8", None, False]
    ),
    *(
        of_parameter(
            name,
            value,
            "'cross_entropy', 'hinge', 'one_vs_rest_hinge', 'squared_hinge', "
            "and callables",
        )
        for name in ("student_loss", "teacher_loss")
        for value in ["mse", "kl", None, 3]
    ),
    *(
        of_parameter(
            "distillation_loss", value, "'cross_entropy', 'kl', 'mse', and callables"
        )
        for value in ["hinge", "squared_hinge", None, 3]
    ),
    *(
        of_parameter("schedule", value, "'joint', 'alternating'")
        for value in ["random", None, 3]
    ),
    *(
        of_parameter(
            "teacher_input",
            value,
            r"'adjusted', 'base', 'predictions', 'adjusted\+predictions'",
        )
        for value in ["raw", "predictions+adjusted", None, 3]
    ),
    *(
        of_parameter("teacher_start", value, "'expert', 'random'")
        for value in ["experts", None, 0]
    ),
    *(
        of_parameter("class_weight", value, "None, 'balanced' and mappings")
        for value in ["balance", 3, [1.0, 2.0], True]
    ),
    *(of_parameter("distill_from", v, "'all', 'own'") for v in ["others", 3, [], [1]]),
    *(
        of_parameter("target_temperature", value, r"numbers in \(0, 1e\+18\), and None")
        for value in [0, -1.0, float("nan"), "1", True]
    ),
    of_fit("distill_from a stranger", "'c'", parameters={"distill_from": ["c"]}),
    *(
        of_parameter(name, value, "True, False")
        for name in (
            "warm_start",
            "standardize",
            "target_dropout",
            "target_gradient",
            "restart_rounds",
            "early_stopping",
            "keep_expert",
        )
        for value in ["yes", None, 1]
    ),
    *(of_parameter("device", value, "'auto'.*'cpu'") for value in ["tpu", "cuda:99"]),
    *(
        of_parameter("precision", value, "'auto', 'float32', 'bfloat16'")
        for value in ["float16", "bf16", None, 16]
    ),
    *(of_parameter("random_state", value, "integers in") for value in [-1, 2**32]),
    of_fit("random_state", "'seed'", parameters={"random_state": "seed"}),
    of_fit(
        "flat y for a dict",
        r"mapping of the datasets \['a', 'b'\].*same names",
        y=np.concatenate([Y_DICT["a"], Y_DICT["b"]]),
    ),
    of_fit("memory", "memory.*5", parameters={"memory": 5}),
    of_fit("n_jobs", "n_jobs", parameters={"n_jobs": 0}),
]

DATA = [
    of_fit(
        "dataset in y that is not in X",
        r"'c'.*not in X.*\['a', 'b'\]",
        y={**Y_DICT, "c": [0, 1]},
    ),
    of_fit(
        "more labels than rows",
        r"'a' has 20 rows in X but 21 labels in y.*one label for each row",
        y={**Y_DICT, "a": np.arange(21) % 3},
    ),
    of_fit(
        "fewer labels than rows",
        r"'b' has 12 rows in X but 1 labels",
        y={**Y_DICT, "b": ["x"]},
    ),
    of_fit(
        "labels of an array of rows",
        r"20 rows.*19 labels",
        X=rows(20),
        y=np.arange(19) % 2,
        parameters={"experts": None},
    ),
    of_fit(
        "stacked rows of other datasets",
        "of other datasets than those of X",
        X=stack_datasets(X_DICT, Y_DICT)[0],
        y=stack_datasets(X_DICT, Y_DICT)[1][::-1],
    ),
    of_fit("no y", "requires y", y=None),
    of_fit("labels in two columns", r"'a'.*\(20, 2\)", y={"a": np.eye(20)[:, :2]}),
    of_fit("dataset without labels", "'b' has no labels.*-1, None or NaN",
           y={**Y_DICT, "b": [None] * 12}),
    of_fit("dataset without labels, numbers", "'a' has no labels",
           y={**Y_DICT, "a": np.full(20, -1)}),
    of_fit("no label at all", "no label", y={}),
    of_fit(
        "no label at all in a stacked y",
        "no label",
        X=MultiDataset(X_DICT),
        y=np.array(["a"] * 20 + ["b"] * 12),
    ),
    of_fit("dataset of one class", "'a' has only one class, 3; .*two or more",
           y={**Y_DICT, "a": [3] * 20}),
    of_fit("dataset of one class and unlabelled rows", "'b' has only one class, 'x'",
           y={**Y_DICT, "b": ["x"] * 6 + [None] * 6}),
    of_fit("targets of a regression", "continuous.*'a'",
           y={**Y_DICT, "a": np.linspace(0, 1, 20)}),
    of_fit("infinite label", "infinity.*'a'",
           y={**Y_DICT, "a": np.array([0.0, np.inf] * 10)}),
    of_fit("labels of two kinds", "'a' mix str and numbers",
           y={**Y_DICT, "a": ["x", 1] * 10}),
    *(
        of_fit(
            f"{value} in the rows of {name!r}",
            f"(?=.*dataset '{name}')(?=.*(NaN|infinity))",
            X={**X_DICT, name: rows(len(X_DICT[name]), at=value)},
        )
        for name in "ab"
        for value in (np.nan, np.inf)
    ),
    of_fit("NaN in an array", "NaN", X=rows(at=np.nan), y=Y_DICT["a"],
           parameters={"experts": None}),
    of_fit("NaN in a DataFrame", "'dataset'.*NaN", X=pd.DataFrame(rows(at=np.nan)),
           y=Y_DICT["a"], parameters={"experts": None}),
    of_fit("NaN in an embedding", "'a' returned NaN or infinity.*'a'.*row 7.*finite",
           X={**X_DICT, "a": rows(at=np.nan)},
           parameters={"experts": with_expert(FunctionTransformer())}),
    of_fit("infinite embedding", "'b' returned NaN or infinity.*'a'.*row 7.*finite",
           X={**X_DICT, "a": rows(at=1e30)},
           parameters={
               "experts": with_expert(FunctionTransformer(np.square), "b")
           }),
    of_fit("no dataset", "empty; at least one", X={}, y={}),
    of_fit("dataset without rows", "'a' has no rows", X={**X_DICT, "a": rows(0)}),
    of_fit("dataset that is a number", "'a'.*indexable by row.*float",
           X={**X_DICT, "a": 3.5}, error=TypeError),
    of_fit("dataset that is a file name", "'a'.*indexable by row.*str",
           X={**X_DICT, "a": "rows.npy"}, error=TypeError),
    of_fit("sparse rows that cannot be selected", "'a'.*coo.*tocsr",
           X={**X_DICT, "a": sparse.coo_array(rows())}, error=TypeError),
    of_fit("dataset named by a number", "must be str, got 1", X={1: rows()},
           error=TypeError),
    of_fit("dataset with a slash", r"'a/b' contains '/'", X={"a/b": rows()}),
    of_fit(
        "column names of two types",
        r"Feature names.*\['int', 'str'\].*astype\(str\)",
        X=pd.DataFrame(rows(), columns=[0, 1, 2, "x"]),
        y=Y_DICT["a"],
        parameters={"experts": [("a", WidthOfRows())]},
        error=TypeError,
    ),
]  # fmt: skip

EXPERT_CASES = [
    of_fit("expert that has no data",
           r"'c' has to be fitted on dataset 'c'.*\['a', 'b'\].*FrozenEstimator",
           parameters={"experts": [*EXPERTS, ("c", PCA(2))]}),
    of_fit("dataset that has no expert", r"'b' is labelled but has no expert.*\['a'\]",
           parameters={"experts": EXPERTS[:1]}),
    of_fit("no experts", "'a' is labelled but has no expert",
           parameters={"experts": []}),
    of_fit("two experts of one name", "2 experts of name 'a'.*unique",
           parameters={"experts": [*EXPERTS, EXPERTS[0]]}),
    of_fit("expert named as a parameter", "'alpha'.*not that of a parameter",
           parameters={"experts": [*EXPERTS, ("alpha", PCA(2))]}),
    of_fit("expert with a double underscore", "'c__d'.*without '__'",
           parameters={"experts": [*EXPERTS, ("c__d", PCA(2))]}),
    of_fit("expert named by a number", "Invalid expert name 3.*str",
           parameters={"experts": [*EXPERTS, (3, PCA(2))]}),
    of_fit("expert that is no estimator", "'a' is 'PCA'; it must be a transformer",
           parameters={"experts": with_expert("PCA")}),
    of_fit("expert that is a class", "'a' is .*PCA.*must be",
           parameters={"experts": with_expert(PCA)}),
    *(
        of_fit(f"experts={experts!r}", r"list of \(name, estimator\)",
               parameters={"experts": experts}, error=TypeError)
        for experts in (5, "ab", ["a", "b"], {"a": PCA(2)}, [("a",)])
    ),
    of_fit("expert that is not linear", "'a' ends in GaussianNB.*linear classifier",
           parameters={"experts": with_expert(make_pipeline(PCA(2), GaussianNB()))}),
    of_fit(
        "expert whose weights are of pairs of classes",
        "'a' ends in SVC.*linear classifier",
        parameters={"experts": with_expert(SVC(kernel="linear"))},
    ),
    of_fit("frozen expert that is not fitted", "'a' is frozen but not fitted",
           parameters={"experts": with_expert(FrozenEstimator(PCA(2)))}),
    of_fit(
        "frozen expert that does not know a label",
        r"'b' has the label 'y'.*knows \['w', 'x'\]",
        parameters={
            "experts": with_expert(
                FrozenEstimator(
                    make_pipeline(PCA(2), LogisticRegression()).fit(
                        X_DICT["b"], ["w", "x"] * 6
                    )
                ),
                "b",
            )
        },
    ),
    of_fit(
        "head of another width than its encoder",
        "'a' ends in .*takes 4 features.*returned 2",
        parameters={
            "experts": with_expert(
                Pipeline(
                    [
                        ("encoder", PCA(2)),
                        (
                            "head",
                            FrozenEstimator(
                                LogisticRegression().fit(X_DICT["a"], Y_DICT["a"])
                            ),
                        ),
                    ]
                )
            )
        },
    ),
    of_fit("expert that fails to fit", "'a' could not be fitted on dataset 'a'.*1000",
           parameters={"experts": with_expert(PCA(1000))}),
    of_fit(
        "expert that cannot embed another dataset",
        "'b' cannot embed the rows of dataset 'a'.*4 features.*expecting 3",
        X={**X_DICT, "b": rows(12, width=3)},
    ),
    of_fit(
        "expert that embeds datasets in several widths",
        "'a' returned 3 features for dataset 'b' but 4 for dataset 'a'.*one width",
        X={**X_DICT, "b": rows(12, width=3)},
        parameters={"experts": [("a", WidthOfRows()), ("b", FunctionTransformer())]},
    ),
    of_fit(
        "embedding that is no matrix",
        r"'a' returned an embedding of shape \(20, 4, 1\).*'a'.*\(20, n_features\)",
        parameters={
            "experts": with_expert(FunctionTransformer(lambda X: X[:, :, None]))
        },
    ),
    of_fit(
        "embedding of fewer rows",
        r"'a' returned an embedding of shape \(19, 4\).*\(20, n_features\)",
        parameters={"experts": with_expert(FunctionTransformer(lambda X: X[1:]))},
    ),
    of_fit(
        "embedding that is not numeric",
        "'a' cannot embed the rows of dataset 'a'.*'p'",
        X={**X_DICT, "a": ["p"] * 20},
        parameters={"experts": with_expert(FunctionTransformer())},
    ),
]  # fmt: skip


def raises(*given: Any) -> Any:
    raise RuntimeError("no such loss")


def mean_of_all(scores: Any, *given: Any) -> Any:
    return scores.mean()


def one_a_class(scores: Any, *given: Any) -> Any:
    return scores.mean(dim=0)


def nothing(*given: Any) -> Any:
    return None


def without_temperature(scores: Any, targets: Any) -> Any:
    return (scores - targets).square().sum(dim=1)


LOSSES = [
    *(
        of_fit(f"{loss.__name__} as {name}", rf"{name}=<function.*{message}",
               parameters={name: loss})
        for name in ("student_loss", "teacher_loss", "distillation_loss")
        for loss, message in [
            (raises, r"failed on scores of shape \(2, 3\): no such loss"),
            (mean_of_all, r"returned shape \(\).*\(2, 3\).*one value for each row"),
            (one_a_class, r"returned shape \(3,\).*one value for each row.*\(2,\)"),
            (nothing, "returned None.*one value for each row"),
        ]
    ),
    of_fit("distillation_loss that takes no temperature",
           "distillation_loss=.*failed.*takes 2 positional arguments but 3",
           parameters={"distillation_loss": without_temperature}),
    of_fit("distillation_loss as student_loss", "student_loss=.*failed.*argument",
           parameters={"student_loss": lambda scores, targets, temperature: scores}),
]  # fmt: skip


def of_weights(id: str, message: str, weights: Any, **given: Any) -> Case:
    return of_fit(
        f"sample_weight, {id}", message, further={"sample_weight": weights}, **given
    )


def of_class_weight(id: str, message: str, class_weight: Any, **given: Any) -> Case:
    parameters = {"class_weight": class_weight, **given.pop("parameters", {})}
    return of_fit(f"class_weight, {id}", message, parameters=parameters, **given)


def twenty(value: Any) -> np.ndarray:
    weights = np.ones(20)
    weights[7] = value
    return weights


STACKED = stack_datasets(X_DICT, Y_DICT)
WEIGHTS = [
    of_weights("too few", r"'a' has 20 rows in X.*shape \(19,\).*one weight for each",
               {"a": np.ones(19)}),
    of_weights("too many", r"'b' has 12 rows in X.*shape \(13,\)", {"b": [1] * 13}),
    of_weights("column", r"'a' has 20 rows.*shape \(20, 1\)", {"a": np.ones((20, 1))}),
    of_weights("number for a dataset", r"'a' has 20 rows.*shape \(\)", {"a": 2.0}),
    of_weights("None for a dataset", "'a' is not numeric", {"a": None}),
    of_weights("negative", r"'a' has -0.5 in row 7.*0 or more", {"a": twenty(-0.5)}),
    of_weights("NaN", r"'a' has nan in row 7.*finite", {"a": twenty(np.nan)}),
    of_weights("infinite", r"'a' has inf in row 7.*finite", {"a": twenty(np.inf)}),
    of_weights("text", "sample_weight of dataset 'b' is not numeric",
               {"b": ["much"] * 12}),
    of_weights("unknown dataset", r"sample_weight.*'c'.*not in X.*\['a', 'b'\]",
               {"c": [1.0, 1.0]}),
    of_weights("all zero", "labelled rows of dataset 'b' have sample_weight zero",
               {"b": np.zeros(12)}),
    of_weights("all labelled rows zero",
               "labelled rows of dataset 'a' have sample_weight zero",
               {"a": np.repeat([0.0, 1.0], 10)},
               y={**Y_DICT, "a": np.where(np.arange(20) < 10, np.arange(20) % 3, -1)}),
    of_weights("all zero without labels",
               "All rows of dataset 'u' have sample_weight zero",
               {"u": np.zeros(5)}, X={**X_DICT, "u": rows(5)}),
    of_weights("flat for a dict",
               r"\['a', 'b'\].*sample_weight is not one.*mapping of the same names",
               np.ones(32)),
    of_weights("number for a dict", r"\['a', 'b'\].*sample_weight is not one", 1.0),
    of_weights("too few for stacked rows", r"32 rows.*shape \(31,\)", np.ones(31),
               X=STACKED[0], y=STACKED[1]),
    of_weights("negative for stacked rows", r"'a and b' has -1.0 in row 3",
               np.where(np.arange(32) == 3, -1.0, 1.0), X=STACKED[0], y=STACKED[1]),
    of_weights("too few for an array", r"20 rows.*shape \(19,\)", [1] * 19,
               X=rows(), y=Y_DICT["a"], parameters={"experts": None}),
    of_class_weight("unknown dataset", r"class_weight=\{'c'.*labelled.*\['a', 'b'\]",
                    {"c": "balanced"}),
    of_class_weight("dataset without labels", r"class_weight=.*\['a', 'b'\]",
                    {"u": "balanced"}, X={**X_DICT, "u": rows(5)}),
    of_class_weight("flat for two datasets", r"class_weight=\{0: 2.0\}.*\['a', 'b'\]",
                    {0: 2.0}),
    of_class_weight("another word", r"class_weight=.*'equal'.*'balanced'",
                    {"a": "equal"}),
    of_class_weight("unknown label", r"for 7, .*no label of.*'a'.*\[0, 1, 2\]",
                    {"a": {7: 1.0}}),
    of_class_weight("unknown label, flat", r"for 'q', .*'dataset'.*\[0, 1, 2\]",
                    {"q": 1.0}, X=X_DICT["a"], y=Y_DICT["a"],
                    parameters={"experts": None}),
    *(
        of_class_weight(f"{value}", f"class_weight of dataset 'b' has {value} for 'y'",
                        {"b": {"y": value}})
        for value in (-1.0, np.nan, np.inf)
    ),
    of_class_weight("all zero", "zero for all labels of dataset 'b'",
                    {"b": {"x": 0, "y": 0}}),
]  # fmt: skip


def of_validation(id: str, message: str, X_val: Any, y_val: Any, **given: Any) -> Case:
    return of_fit(
        f"X_val, {id}", message, further={"X_val": X_val, "y_val": y_val}, **given
    )


EARLY = MappingProxyType({"early_stopping": True, "keep_expert": True})
VALIDATION = [
    of_validation("without y_val", "must be given together", X_DICT, None),
    of_validation("y_val alone", "must be given together", None, Y_DICT),
    of_validation("unknown dataset", r"X_val.*'c', which is not in X.*\['a', 'b'\]",
                  {"c": rows()}, {"c": Y_DICT["a"]}),
    of_validation("array for several datasets", r"X_val.*'dataset'.*\['a', 'b'\]",
                  rows(), Y_DICT["a"]),
    of_validation("no label", r"y_val has no label.*\['a', 'b'\]", X_DICT,
                  {"a": [-1] * 20, "b": [None] * 12}),
    of_validation("no label of a dataset with a student",
                  r"y_val has no label of a dataset that has a student.*\['a', 'b'\]",
                  {"u": rows(5)}, {"u": [0, 1, 0, 1, 0]}, X={**X_DICT, "u": rows(5)}),
    of_validation("fewer labels than rows", "'a' has 20 rows.*19 labels", X_DICT,
                  {"a": [0] * 19}),
    of_validation("labels of a stranger", r"'c'.*not in X.*\['a', 'b'\]", X_DICT,
                  {"c": [0]}),
    of_validation("no dataset", "empty; at least one", {}, {}),
    of_validation("NaN", "'a'.*NaN", {"a": rows(at=np.nan)}, {"a": Y_DICT["a"]}),
    of_validation("rows of another width", "'a' cannot embed.*'a'.*3 features.*4",
                  {"a": rows(width=3)}, {"a": Y_DICT["a"]}),
    *(
        of_fit(f"too few rows to hold out, {name}",
               r"'a' has 20 labelled rows of 3 classes.*fraction=0.02.*X_val and y_val",
               parameters={name: True, "validation_fraction": 0.02})
        for name in ("early_stopping", "keep_expert")
    ),
    of_fit("one labelled row of each class",
           "'b' has 2 labelled rows of 2 classes.*X_val and y_val",
           y={**Y_DICT, "b": ["x", "y"] + [None] * 10}, parameters=EARLY),
]  # fmt: skip


def labels_of_a(*values: Any) -> Mapping[str, Any]:
    labels = np.empty(20, dtype=object)
    labels[:] = [values[row % len(values)] for row in range(20)]
    return {**Y_DICT, "a": labels}


# What hypothesis has found, see tests/fuzz.
FOUND = [
    of_fit("class", "'a' must be indexable by row", X={**X_DICT, "a": np.ndarray},
           error=TypeError),
    of_fit("memoryview", "'a' must be indexable by row.*memoryview",
           X={**X_DICT, "a": memoryview(rows())}, error=TypeError),
    of_fit("datasets in a dataset", "'a' must be indexable by row.*MultiDataset",
           X={**X_DICT, "a": MultiDataset(X_DICT)}, error=TypeError),
    of_fit("masked array", "'a' is a masked array.*filled",
           X={**X_DICT, "a": np.ma.masked_equal(rows(), 0)}, error=TypeError),
    of_fit("rows without values", r"'a' has 0 feature\(s\) \(shape=\(20, 0\)\)",
           X={**X_DICT, "a": rows(width=0)}),
    *(
        of_fit(f"dataset named {name!r}", f"{name!a}.*one letter".replace("\\", r"\\"),
               X={name: rows()})
        for name in ("", "\udc80", "a\0")
    ),
    *(
        of_fit(f"index of levels {names}", rf"levels \[{first}.*named 'dataset'",
               X=pd.concat({n: pd.DataFrame(X_DICT[n]) for n in "ab"}, names=names))
        for names, first in [(None, "None"), (["dataset", "dataset"], "'dataset'")]
    ),
    of_fit("columns of one name", "columns of X have the name 'p' more than once",
           X=pd.DataFrame(rows(width=2), columns=["p", "p"]), y=Y_DICT["a"]),
    of_fit("X of no kind", "X cannot be read as one table.*scalar", X=3.5),
    of_fit("X that is a set", "X cannot be read as one table", X={1, 2}),
    *(
        of_fit(f"labels of type {kind}", f"Unknown label type: {kind} .*'a'",
               y=labels_of_a(*values))
        for kind, values in [
            ("list", ([1], [2])),
            ("set", ({1}, {2})),
            ("tuple", ((1, 2), (3, 4))),
            ("complex", (1j, 2j)),
            ("object_", (2**63, 2**64)),
            ("bytes", ("x", b"x")),
        ]
    ),
    of_fit("label that ends with NUL", "label of dataset 'a' ends with NUL",
           y=labels_of_a("x", "x\0", "y")),
    of_fit("huge int in an array", "X cannot be read.*too large to convert",
           X=np.full((20, 2), 10**400, dtype=object), y=Y_DICT["a"]),
    of_fit("labels that are dates", "Unknown label type: datetime64.*'a'",
           y={**Y_DICT, "a": np.array(["2020", "2021"] * 10, "M8[D]")}),
    of_fit("labels of several sizes", "'a' are lists of several sizes",
           y={**Y_DICT, "a": [np.ones((1, 2)), np.ones((1, 3))] * 10}),
    *(
        of_fit(f"label {value}", "too large for a label.*'a'", y=labels_of_a(0, value))
        for value in (1e300, np.float32(1e30), -np.inf)
    ),
    of_fit("labels in a set", r"'a' have shape \(\)", y={**Y_DICT, "a": {0, 1}}),
    *(
        of_weights(f"{value} in row 7", f"'a' has {value} in row 7.*between 1e-12",
                   {"a": twenty(value)})
        for value in (2e13, 5e-324)
    ),
    *(
        of_weights(name, "'a' is not one number for each row", {"a": weights})
        for name, weights in [
            ("ragged", [[1], [1, 2]] * 10), ("huge int", [10**400] * 20)
        ]
    ),
    of_class_weight("huge int", "class_weight of dataset 'b' has 1000.*'y'.*1e-12",
                    {"b": {"y": 10**400}}),
    of_fit("complex embedding", "'a' cannot embed.*'a'.*real numbers, got complex128",
           X={**X_DICT, "a": rows() * 1j},
           parameters={"experts": with_expert(FunctionTransformer())}),
    of_fit("durations as embedding", r"'a' cannot embed.*real numbers, got timedelta64",
           X={**X_DICT, "a": np.ones((20, 4), "m8[s]")},
           parameters={"experts": with_expert(FunctionTransformer())}),
    of_fit("large embedding", r"'a' returned 1e\+30 for .* dataset 'a' \(row 7\)",
           X={**X_DICT, "a": rows(at=1e30)},
           parameters={"experts": with_expert(FunctionTransformer())}),
    of_fit(
        "embedding without features",
        r"'a' returned an embedding of shape \(20, 0\)",
        parameters={"experts": with_expert(FunctionTransformer(lambda X: X[:, :0]))},
    ),
    *(
        of_fit(f"expert whose code raises {error}", f"'a' cannot embed.*'a': {error}: ",
               parameters={"experts": with_expert(FunctionTransformer(fails))})
        for error, fails in [
            ("AttributeError", lambda X: X.lower()),
            ("IndexError", lambda X: X[100]),
            ("KeyError", lambda X: {}["p"]),
            ("ZeroDivisionError", lambda X: 1 / 0),
            ("StopIteration", lambda X: next(iter(()))),
        ]
    ),
]  # fmt: skip

FURTHER = [
    of_class_weight("numbers for datasets", "class_weight.*5.0.*'balanced'",
                    {"a": 5.0, "b": 1.0}),
    of_class_weight("list for a dataset", "class_weight.*'balanced'",
                    {"a": [1.0, 2.0, 1.0]}),
    of_class_weight("text", "class_weight of dataset 'b' has 'much' for 'y'",
                    {"b": {"y": "much"}}),
    of_class_weight("None", "class_weight of dataset 'b' has None for 'y'",
                    {"b": {"y": None}}),
    of_weights("one class left", "'b' has only one class, 'x'",
               {"b": [1.0, 0.0] * 6}),
    of_weights("one class left, bare encoder", "'b' has only one class, 'x'",
               {"b": [1.0, 0.0] * 6},
               parameters={"experts": with_expert(StandardScaler(), "b")}),
    of_weights("numbers as text", "'b' is not numeric", {"b": ["1"] * 12}),
    of_validation("embedding of another width",
                  "'a'.*3 features.*4",
                  {"a": rows(width=3), "b": rows(12, width=3)}, Y_DICT,
                  parameters={"experts": [(n, WidthOfRows()) for n in "ab"]}),
]  # fmt: skip

CASES = [
    *(*PARAMETERS, *DATA, *EXPERT_CASES, *LOSSES, *WEIGHTS, *VALIDATION, *FURTHER),
    *FOUND,
]


@pytest.fixture
def no_training(monkeypatch):
    """Fails where a training starts."""
    from jedi_sklearn.classifier import fit

    def start(*args: Any, **kwargs: Any) -> None:
        pytest.fail("training has started")

    monkeypatch.setattr(fit, "train", start)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
@pytest.mark.usefixtures("no_training")
def test_fit_refuses_before_it_trains_and_sets_nothing(case):
    clf = make_classifier(**case.parameters)
    before = dict(vars(clf))
    with pytest.raises(case.error, match=f"(?s){case.message}"):
        clf.fit(case.X, case.y, **case.further)
    assert list(vars(clf)) == list(before)
    assert all(vars(clf)[name] is value for name, value in before.items())


@pytest.mark.parametrize("case", CASES[::4], ids=lambda case: case.id)
def test_a_refit_that_fails_leaves_the_last_fit(case):
    clf = make_classifier().fit(X_DICT, Y_DICT)
    clf.set_params(memory=None, device="cpu")
    for name, value in case.parameters.items():
        # set_params itself would look into experts.
        setattr(clf, name, value)
    before = dict(vars(clf))
    scores = clf.students_["a"].decision_function(X_DICT["a"])
    with pytest.raises(case.error, match=f"(?s){case.message}"):
        clf.fit(case.X, case.y, **case.further)
    assert list(vars(clf)) == list(before)
    assert all(vars(clf)[name] is value for name, value in before.items())
    after = clf.students_["a"].decision_function(X_DICT["a"])
    np.testing.assert_array_equal(after, scores)


# After fit


@pytest.fixture(scope="module")
def fitted() -> JEDIClassifier:
    experts = [(name, WidthOfRows()) for name in "ab"]
    return make_classifier(experts=experts).fit(X_DICT, Y_DICT)


CALLS: dict[str, Callable[[JEDIClassifier, Any], Any]] = {
    "predict": lambda clf, X: clf.predict(X),
    "predict_proba": lambda clf, X: clf.predict_proba(X),
    "score": lambda clf, X: clf.score(
        X, {name: Y_DICT["a"][: len(X[name])] for name in X}
    ),
    "evaluate": lambda clf, X: evaluate(
        clf, X, {name: Y_DICT["a"][: len(X[name])] for name in X}
    ),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
class TestAfterFit:
    def test_not_fitted(self, call):
        with pytest.raises(
            NotFittedError, match=r"JEDIClassifier.*not fitted yet.*fit"
        ):
            call(make_classifier(), X_DICT)

    def test_unknown_dataset(self, call, fitted):
        with pytest.raises(ValueError, match=r"'c' has no student.*\['a', 'b'\]"):
            call(fitted, {"a": X_DICT["a"], "c": X_DICT["a"]})

    def test_rows_that_do_not_say_whose_they_are(self, call, fitted):
        with pytest.raises(ValueError, match=r"\['a', 'b'\].*\{'a': X\}"):
            call(fitted, pd.DataFrame(X_DICT["a"], columns=list("pqrs")))

    def test_expert_that_returns_another_width(self, call, fitted):
        with pytest.raises(ValueError, match=r"(?s)'a'.* 3 features.*4"):
            call(fitted, {"a": X_DICT["a"][:, :3]})

    @pytest.mark.parametrize("value", [np.nan, -np.inf])
    def test_values_that_are_not_finite(self, call, fitted, value):
        with pytest.raises(
            ValueError, match=r"'a' .*(NaN or infinity.*row 7|contains)"
        ):
            call(fitted, {"a": rows(at=value)})

    def test_no_dataset(self, call, fitted):
        with pytest.raises(ValueError, match="empty; at least one"):
            call(fitted, {})


@pytest.mark.parametrize("call", [JEDIClassifier.score, evaluate])
def test_nothing_to_score(call, fitted):
    with pytest.raises(ValueError, match="no labelled row"):
        call(fitted, X_DICT, {"a": [-1] * 20})
    with pytest.raises(ValueError, match=r"'c'.*not in X.*\['a', 'b'\]"):
        call(fitted, X_DICT, {"c": [0, 1]})
    with pytest.raises(ValueError, match="'a' has 20 rows in X but 3 labels"):
        call(fitted, X_DICT, {"a": [0, 1, 2]})


def test_array_of_another_width():
    clf = make_classifier(experts=None).fit(X_DICT["a"], Y_DICT["a"])
    with pytest.raises(ValueError, match=r"3 features.*expecting 4"):
        clf.predict(X_DICT["a"][:, :3])


def test_rows_in_need_of_a_dataset():
    frame = pd.DataFrame(rows(3), index=pd.Index(["a", None, "b"], name="dataset"))
    with pytest.raises(ValueError, match="'dataset' of X has missing values"):
        make_classifier().fit(frame, [0, 1, 0])


def test_series_of_labels_in_another_order():
    index = pd.Index(["a"] * 20 + ["b"] * 12, name="dataset")
    X = pd.DataFrame(np.vstack(list(X_DICT.values())), index)
    y = pd.Series(np.arange(32) % 2, index)
    with pytest.raises(ValueError, match=r"'dataset' of y differs.*sort both"):
        make_classifier().fit(X, y[::-1])


def test_frozen_expert_that_is_not_linear__is_refused_before_anything_is_embedded():
    def embed(X: Any) -> Any:
        raise AssertionError("it was embedded")

    head = FrozenEstimator(GaussianNB().fit(X_DICT["a"], Y_DICT["a"]))
    expert = make_pipeline(FunctionTransformer(embed), head)
    with pytest.raises(ValueError, match=r"'a' ends in .*GaussianNB.*no coef_"):
        make_classifier(experts=with_expert(expert)).fit(X_DICT, Y_DICT)


def test_evaluate__labels_that_no_model_knows__are_never_right(fitted):
    table = evaluate(fitted, X_DICT, {"a": [7] * 20, "b": Y_DICT["b"]})
    assert (table.loc["a", ["accuracy", "top_5_accuracy"]] == 0).all(axis=None)
    assert table.loc["a", "mean_average_precision"].isna().all()
    assert table.loc["b"].notna().all(axis=None)


def test_masked_labels__are_of_unlabelled_rows():
    masked = np.ma.masked_equal(Y_DICT["a"], 2)
    clf = make_classifier().fit(X_DICT, {**Y_DICT, "a": masked})
    assert clf.students_["a"].classes_.tolist() == [0, 1]


def test_classes_nearly_as_many_as_rows__are_no_reason_to_warn():
    X, y = rows(30), np.arange(30) % 16
    clf = make_classifier(experts=[("a", StandardScaler())]).fit({"a": X}, {"a": y})
    assert len(clf.students_["a"].classes_) == 16


# The tools


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: PerDataset(StandardScaler()).transform(X_DICT),
            NotFittedError,
            "not fitted",
        ),
        (
            lambda: (
                PerDataset(StandardScaler()).fit(X_DICT).transform({"c": X_DICT["a"]})
            ),
            ValueError,
            r"'c' was not in fit.*\['a', 'b'\]",
        ),
        (
            lambda: PerDataset(PCA(1000)).fit(X_DICT),
            ValueError,
            "(?s)PCA.*1000.*failed on dataset 'a'",
        ),
        (
            lambda: PerDataset(StandardScaler()).fit(X_DICT, {"c": [1]}),
            ValueError,
            "'c'.*not in X",
        ),
        (
            lambda: list(
                MultiDatasetKFold(3).split(
                    MultiDataset(X_DICT), ["a"] * 20 + ["b"] * 12
                )
            ),
            ValueError,
            "no label at all",
        ),
        (
            lambda: list(MultiDatasetKFold(1).split(*stack_datasets(X_DICT, Y_DICT))),
            ValueError,
            "n_splits=1",
        ),
        (
            lambda: list(MultiDatasetKFold(2).split(X_DICT, Y_DICT)),
            TypeError,
            r"\['a', 'b'\].*no common order; stack_datasets",
        ),
        *(
            (
                lambda n=n: list(MultiDatasetKFold(n).split(*STACKED)),
                ValueError,
                re.escape(f"n_splits={n!r}. Valid values are integers of 2 or more"),
            )
            for n in (None, 2.5, "2", True)
        ),
        (
            lambda: list(MultiDatasetKFold(9).split(*stack_datasets(X_DICT, Y_DICT))),
            ValueError,
            "n_splits=9",
        ),
    ],
    ids=[
        "transform before fit",
        "dataset that was not in fit",
        "transformer that fails",
        "labels of no dataset",
        "nothing to split",
        "one fold",
        "a mapping",
        *("None", "half a fold", "a text", "True"),
        "more folds than rows",
    ],
)
def test_tools(call, error, message):
    with pytest.raises(error, match=message):
        call()
