"""What a fit depends on; used to recognise its checkpoint."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Real
from typing import Any

from sklearn.base import clone

from ..embeddings._fingerprints import UnidentifiedError, fingerprint, sample_ids
from ..experts.expert import named_experts
from ..inputs.containers import take_rows
from ..inputs.read_y import Targets
from ..inputs.training_data import TrainingData
from ..utils.device import available_device
from .checkpoint import FitDigest, KeptFit, keep_fit
from .fit_state import FitInputs, FitState
from .parameters import WITHOUT_INFLUENCE

# These have digests of their own, or, as warm_start, take part in another way.
APART = {"callbacks", "device", "experts", "warm_start"}
SHOWN_LENGTH = 80


@contextmanager
def kept_fit(
    params: Mapping[str, Any],
    inputs: FitInputs,
    targets: Targets,
    resume_from: FitState | None,
    *,
    is_clone: bool,
) -> Iterator[KeptFit]:
    """Open the checkpoint of a fit, if there is to be one; see `digests_of`.

    Parameters
    ----------
    is_clone : bool
        A clone's fit is one of many, as are those that go on from one another.
    """
    if params["checkpoint"] is None:
        yield KeptFit(None)
        return
    digests = digests_of(params, inputs, targets, resume_from)
    is_one_of_many = params["warm_start"] or is_clone
    with keep_fit(params["checkpoint"], digests, is_one_of_many=is_one_of_many) as kept:
        yield kept


def digests_of(
    params: Mapping[str, Any],
    inputs: FitInputs,
    targets: Targets,
    resume_from: FitState | None,
) -> dict[str, FitDigest]:
    """Return a digest of everything that the result of a fit depends on.

    The names are for messages.

    Parameters
    ----------
    params : mapping of str to object
        Of `JEDIClassifier`.
    inputs : FitInputs
    targets : Targets
        The labels as they are reported.
    resume_from : FitState or None
        State that the fit continues.

    Raises
    ------
    ValueError
        If something cannot be told apart from others of its kind.
    """
    digests = {
        name: _digest_of_value(name, value)
        for name, value in params.items()
        if name not in WITHOUT_INFLUENCE | APART
    }
    digests["device"] = _digest_of_value("device", available_device(params["device"]))
    for number, callback in enumerate(params["callbacks"] or ()):
        digests[f"callbacks[{number}]"] = _digest(
            f"callbacks[{number}]", _as_given(callback)
        )
    for name, expert in named_experts(params["experts"] or ()):
        # A clone is what is fitted, and has lost what a frozen one keeps.
        known = clone(expert, safe=False)
        digests[f"expert {name!r}"] = _digest(f"expert {name!r}", known)
    digests |= _digests_of_data(inputs.data, "")
    for name, labels in targets.labels.items():
        reported = targets.reported(name, labels.classes).tolist()
        digests[f"labels of dataset {name!r}"] = _digest("y", (reported, labels.codes))
    if inputs.held_out is not None:
        digests |= _digests_of_data(inputs.held_out, "validation ")
        for name, labels in inputs.held_out.labels.items():
            known = (labels.classes.tolist(), labels.codes)
            digests[f"validation labels of dataset {name!r}"] = _digest("y_val", known)
    if resume_from is not None:
        weights = resume_from.weights.arrays()
        digests["fit that it goes on from"] = _digest("weights", weights)
    return digests


def _digests_of_data(data: TrainingData, kind: str) -> dict[str, FitDigest]:
    digests = {}
    for table, rows in data.datasets.parts():
        name = f"dataset {table.name!r}"
        try:
            ids = sample_ids(take_rows(table.values, rows))
        except UnidentifiedError as error:
            raise _unidentified(f"the {kind}rows of {name}", error) from error
        digests[f"{kind}rows of {name}"] = _digest("X", ids)
        weights = tuple(data.weights[table.name])
        digests[f"{kind}weights of {name}"] = _digest("sample_weight", weights)
    return digests


def _digest_of_value(name: str, value: Any) -> FitDigest:
    """Return the digest of a parameter; 1 is 1.0, and NumPy's str is str."""
    if isinstance(value, bool):
        plain: Any = value
    elif isinstance(value, Real):
        plain = float(value)
    elif isinstance(value, str):
        plain = str(value)
    else:
        text = repr(value)
        is_readable = len(text) < SHOWN_LENGTH and " at 0x" not in text
        return _digest(name, value)._replace(shown=text if is_readable else "")
    return FitDigest(repr(plain), repr(plain))


def _digest(name: str, value: Any) -> FitDigest:
    try:
        return FitDigest(fingerprint(value))
    except UnidentifiedError as error:
        raise _unidentified(name, error) from error


def _as_given(callback: Any) -> Any:
    """Return class and parameters of a callback, whose attributes change in use."""
    callback = callback[-1] if isinstance(callback, tuple) else callback
    if isinstance(callback, type):
        return callback
    names = inspect.signature(type(callback)).parameters
    if all(hasattr(callback, name) for name in names):
        return type(callback), [getattr(callback, name) for name in names]
    return type(callback), callback.get_params(deep=False)


def _unidentified(what: str, error: UnidentifiedError) -> ValueError:
    return ValueError(
        f"With checkpoint a fit must be told apart from others, but {what} cannot be: "
        f"{error}. Set checkpoint=None, or give what can be pickled."
    )
