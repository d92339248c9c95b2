"""Number and names of features, of one table or of several with the same ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
from sklearn.utils.validation import validate_data

from ..utils.errors import named_errors
from .containers import column_names, is_mapping
from .multidataset import MultiDataset


def set_features(estimator: Any, X: Any, datasets: MultiDataset) -> None:
    """Set ``n_features_in_`` and, if all datasets share them, ``feature_names_in_``.

    Parameters
    ----------
    estimator : estimator
    X : mapping, MultiDataset, DataFrame or array-like
        Argument of fit.
    datasets : MultiDataset
        Same rows in one form.
    """
    alike = datasets if is_mapping(X) else X
    if is_mapping(X):
        tables = [table.values for table, _ in datasets.parts()]
        named = [column_names(values) for values in tables]
        if named[0] and all(names == named[0] for names in named):
            alike = tables[0]
    validate_data(estimator, alike, skip_check_array=True)


def check_features(estimator: Any, X: Any, datasets: MultiDataset) -> None:
    """Raise or warn, as scikit-learn does, where the features are not those of fit.

    Raises
    ------
    ValueError
        If names differ; for one table, also if their number does. With several
        datasets, experts check the number themselves.
    """
    if not is_mapping(X):
        validate_data(estimator, X, reset=False, skip_check_array=True)
    elif hasattr(estimator, "feature_names_in_"):
        for table, _ in datasets.parts():
            with named_errors(f"Dataset {table.name!r}"):
                validate_data(
                    estimator,
                    table.values,
                    reset=False,
                    skip_check_array=True,
                    ensure_2d=False,
                )


def common_names(transformers: Mapping[str, Any], input_features: Any) -> npt.NDArray:
    """Return the names of the output features, which all transformers must share.

    Raises
    ------
    ValueError
        If they differ.
    """
    (first, one), *others = transformers.items()
    names: npt.NDArray = one.get_feature_names_out(input_features)
    for name, other in others:
        own = other.get_feature_names_out(input_features)
        if list(own) != list(names):
            raise ValueError(
                f"The transformers of datasets {first!r} and {name!r} put out other "
                f"features, {list(names)} and {list(own)}; ask each by itself, as in "
                f"transformers_[{first!r}].get_feature_names_out()."
            )
    return names
