"""What a fit depends on; used to recognise its checkpoint."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import clone

from ..embeddings import UnidentifiedError, fingerprint, sample_ids
from ..experts.expert import named_experts
from ..inputs.containers import take_rows
from ..inputs.read_y import Targets
from ..inputs.training_data import TrainingData
from ..utils.device import available_device
from .checkpoint import KeptFit, Trait, keep_fit
from .fit_state import FitInputs, FitState

# Where something is kept or shown, or by how many workers, changes no result; the rest
# has traits of its own.
NO_TRAITS = {
    "callbacks",
    "checkpoint",
    "checkpoint_epochs",
    "checkpoint_minutes",
    "device",
    "experts",
    "memory",
    "n_jobs",
    "verbose",
    "warm_start",
}
SHOWN_LENGTH = 80


@contextmanager
def kept_fit(
    params: Mapping[str, Any],
    given: FitInputs,
    targets: Targets,
    last: FitState | None,
    *,
    is_clone: bool,
) -> Iterator[KeptFit]:
    """Open the checkpoint of a fit, if there is to be one; see `traits_of`.

    Parameters
    ----------
    is_clone : bool
        A clone's fit is one of many, as are those that go on from one another.
    """
    if params["checkpoint"] is None:
        yield KeptFit(None)
        return
    traits = traits_of(params, given, targets, last)
    is_one_of_many = params["warm_start"] or is_clone
    with keep_fit(params["checkpoint"], traits, is_one_of_many=is_one_of_many) as kept:
        yield kept


def traits_of(
    params: Mapping[str, Any], given: FitInputs, targets: Targets, last: FitState | None
) -> dict[str, Trait]:
    """Return all on which the result of a fit depends, by names for messages.

    Parameters
    ----------
    params : mapping of str to object
        Of `JEDIClassifier`.
    given : FitInputs
    targets : Targets
        The labels as they are reported.
    last : FitState or None
        From which the fit goes on.

    Raises
    ------
    ValueError
        If something cannot be told apart from others of its kind.
    """
    traits = {
        name: _of_value(name, value)
        for name, value in params.items()
        if name not in NO_TRAITS
    }
    traits["device"] = _of_value("device", available_device(params["device"]))
    for number, callback in enumerate(params["callbacks"] or ()):
        traits[f"callbacks[{number}]"] = _of(f"callbacks[{number}]", _known(callback))
    for name, expert in named_experts(params["experts"] or ()):
        # A clone is what is fitted, and has lost what a frozen one keeps.
        known = clone(expert, safe=False)
        traits[f"expert {name!r}"] = _of(f"expert {name!r}", known)
    traits |= _of_data(given.data, "")
    for name, labels in targets.labels.items():
        reported = targets.reported(name, labels.classes).tolist()
        traits[f"labels of dataset {name!r}"] = _of("y", (reported, labels.codes))
    if given.held_out is not None:
        traits |= _of_data(given.held_out, "validation ")
        for name, labels in given.held_out.labels.items():
            known = (labels.classes.tolist(), labels.codes)
            traits[f"validation labels of dataset {name!r}"] = _of("y_val", known)
    if last is not None:
        weights = [np.asarray(a) for a in _leaves(list(last.weights))]
        traits["fit that it goes on from"] = _of("weights", weights)
    return traits


def _of_data(data: TrainingData, kind: str) -> dict[str, Trait]:
    traits = {}
    for table, rows in data.datasets.parts():
        name = f"dataset {table.name!r}"
        try:
            ids = sample_ids(take_rows(table.values, rows))
        except UnidentifiedError as error:
            raise _unidentified(f"the {kind}rows of {name}", error) from error
        traits[f"{kind}rows of {name}"] = _of("X", ids)
        weights = tuple(data.weights[table.name])
        traits[f"{kind}weights of {name}"] = _of("sample_weight", weights)
    return traits


def _of_value(name: str, value: Any) -> Trait:
    """Return the trait of a parameter; 1 is 1.0, and NumPy's str is str."""
    if isinstance(value, bool):
        plain: Any = value
    elif isinstance(value, Real):
        plain = float(value)
    elif isinstance(value, str):
        plain = str(value)
    else:
        return _of(name, value)._replace(shown=_shown(value))
    return Trait(repr(plain), repr(plain))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) < SHOWN_LENGTH and " at 0x" not in text else ""


def _of(name: str, value: Any) -> Trait:
    try:
        return Trait(fingerprint(value))
    except UnidentifiedError as error:
        raise _unidentified(name, error) from error


def _known(callback: Any) -> Any:
    """Return what was said of a callback, which changes as it is used."""
    callback = callback[-1] if isinstance(callback, tuple) else callback
    if isinstance(callback, type):
        return callback
    names = inspect.signature(type(callback)).parameters
    if all(hasattr(callback, name) for name in names):
        return type(callback), [getattr(callback, name) for name in names]
    return type(callback), callback.get_params(deep=False)


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return [leaf for part in value for leaf in _leaves(part)]
    return [value]


def _unidentified(what: str, error: UnidentifiedError) -> ValueError:
    return ValueError(
        f"With checkpoint a fit must be told apart from others, but {what} cannot be: "
        f"{error}. Set checkpoint=None, or give what can be pickled."
    )
