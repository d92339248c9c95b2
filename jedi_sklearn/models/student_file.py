"""Students and teachers in files that are no pickles: safetensors and a card."""

from __future__ import annotations

import copy
import operator
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from zipfile import ZIP_DEFLATED

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from .._version import __version__
from ..experts.expert import unwrapped
from ..utils.files import write_whole
from ..utils.manifests import dump_manifest, load_manifest
from .weights import Adjustment, Branch, Linear

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

# To be raised when an older version could not read what this one writes.
FORMAT = 1

SUFFIX = ".safetensors"

# What of this package skops may make of a file, besides what it trusts of scikit-learn,
# SciPy and NumPy by itself. Names, not a prefix: a name that begins with this package's
# is also that of whatever its modules import.
OWN_ENCODERS = ("jedi_sklearn.encoders._mlp.MLPEncoder",)

_NEEDED = 'Files of students need {}: pip install "jedi_sklearn[export]"'


class Parts(NamedTuple):
    """What a `DistilledClassifier` is made of."""

    branches: Sequence[Branch]
    linear: Linear
    classes: npt.NDArray


class _Described(NamedTuple):
    """What a card says of an expert."""

    name: str
    width: int
    units: int
    encoder_class: str
    encoder: str
    stored: bool


class _Card(NamedTuple):
    classes: npt.NDArray
    experts: list[_Described]
    checksum: str


def write_student(path: Path, parts: Parts) -> list[str]:
    """Write a student or a teacher.

    Parameters
    ----------
    path : Path
        Ends in ".safetensors"; the card stands beside it and ends in ".json".
    parts : Parts

    Returns
    -------
    missing : list of str
        The experts whose encoder is not in the file.

    Raises
    ------
    ImportError
        If safetensors or skops is not installed.
    OSError
        If a file cannot be written.
    ValueError
        If the path ends otherwise, or the classes are of a kind that JSON has not.
    """
    card_path = _card_path(path)
    classes = _classes_as_json(parts.classes)
    tensors = _tensors(parts)
    experts = []
    for number, branch in enumerate(parts.branches):
        stored = _encoder_bytes(branch.encoder)
        if stored is not None:
            tensors[f"encoders.{number}"] = np.frombuffer(stored, np.uint8)
        experts.append(_described(branch, stored is not None))
    content = _safetensors().save(tensors)
    card = {
        "jedi_sklearn": __version__,
        "sha256": sha256(content).hexdigest(),
        "classes": classes,
        "experts": [expert._asdict() for expert in experts],
    }
    if card_path.exists():
        _read_card(card_path)  # or it is no card, and of somebody else
    write_whole(path, [content])
    # The card comes last: it is true of the other file, or says that it is not.
    write_whole(card_path, [dump_manifest(card, FORMAT, indent=2)])
    return [expert.name for expert in experts if not expert.stored]


def read_student(path: Path, encoder: Any = None) -> Parts:
    """Read what `write_student` wrote; nothing in the files is run.

    Parameters
    ----------
    path : Path
    encoder : transformer or mapping of str to transformer, optional
        See :func:`jedi_sklearn.load_student`.

    Raises
    ------
    FileNotFoundError
        If one of the two files is missing.
    ImportError
        If safetensors or skops is needed and not installed.
    ValueError
        If a file is damaged, foreign or of a newer version, or an encoder is missing
        or not that of the expert.
    """
    card_path = _card_path(path)
    card = _read_card(card_path)
    tensors = _read_tensors(path, card)
    given = _given_encoders(encoder, card, path)
    branches = []
    for number, expert in enumerate(card.experts):
        own = given.get(expert.name)
        if own is None:
            own = _stored_encoder(tensors[f"encoders.{number}"], expert, path)
        _check_encoder(own, expert, path)
        names = [f"branches.{number}.{part}" for part in ("down", "up")]
        adjustment = Adjustment(*(_linear(tensors, name) for name in names))
        branches.append(Branch(expert.name, own, adjustment))
    return Parts(branches, _linear(tensors, "linear"), card.classes)


def _card_path(path: Path) -> Path:
    if path.suffix != SUFFIX:
        raise ValueError(
            f"A student's file has a name that ends in {SUFFIX!r}, got {str(path)!r}."
        )
    return path.with_suffix(".json")


def _safetensors() -> ModuleType:
    try:
        from safetensors import numpy as safetensors
    except ImportError as error:
        raise ImportError(_NEEDED.format("safetensors")) from error
    return safetensors


def _skops() -> ModuleType:
    try:
        from skops import io as skops
    except ImportError as error:
        raise ImportError(_NEEDED.format("skops")) from error
    return skops


# --------------------------------------------------------------------------------------
# Weights.
# --------------------------------------------------------------------------------------


def _tensors(parts: Parts) -> dict[str, npt.NDArray]:
    linears = {"linear": parts.linear}
    for number, branch in enumerate(parts.branches):
        linears[f"branches.{number}.down"] = branch.adjustment.down
        linears[f"branches.{number}.up"] = branch.adjustment.up
    return {
        # Else the numbers would be written in the order of the memory.
        f"{name}.{part}": np.ascontiguousarray(array)
        for name, linear in linears.items()
        for part, array in linear._asdict().items()
    }


def _linear(tensors: Mapping[str, npt.NDArray], name: str) -> Linear:
    return Linear(tensors[f"{name}.coef"], tensors[f"{name}.intercept"])


def _shapes(card: _Card) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the weights by what the card says."""
    n_classes, width = len(card.classes), sum(e.width for e in card.experts)
    shapes = {"linear.coef": (n_classes, width), "linear.intercept": (n_classes,)}
    for number, expert in enumerate(card.experts):
        name, (n_features, n_units) = f"branches.{number}", expert[1:3]
        shapes[f"{name}.down.coef"] = (n_units, n_features)
        shapes[f"{name}.down.intercept"] = (n_units,)
        shapes[f"{name}.up.coef"] = (n_features, n_units)
        shapes[f"{name}.up.intercept"] = (n_features,)
    return shapes


def _read_tensors(path: Path, card: _Card) -> dict[str, npt.NDArray]:
    if not path.exists():
        raise FileNotFoundError(
            f"There is no {str(path)!r}, the weights of the card beside it."
        )
    content = path.read_bytes()
    if sha256(content).hexdigest() != card.checksum:
        raise ValueError(
            f"{str(path)!r} is damaged, or not the file that the card beside it is "
            "of: its checksum is another. Copy both files again, or export again."
        )
    safetensors = _safetensors()
    with _named(f"{str(path)!r} is no safetensors file"):
        tensors = dict(safetensors.load(content))
    weights = {n: a.shape for n, a in tensors.items() if not n.startswith("encoders.")}
    stored = {f"encoders.{i}" for i, e in enumerate(card.experts) if e.stored}
    if weights != _shapes(card) or stored != tensors.keys() - weights.keys():
        raise ValueError(
            f"{str(path)!r} is not the file that the card beside it is of: it has "
            "other tensors."
        )
    return tensors


# --------------------------------------------------------------------------------------
# The card.
# --------------------------------------------------------------------------------------


def _classes_as_json(classes: npt.NDArray) -> dict[str, Any]:
    values = [getattr(value, "item", lambda v=value: v)() for value in classes]
    if not all(isinstance(value, str | bool | int | float) for value in values):
        raise ValueError(
            f"Classes of dtype {classes.dtype} cannot be exported; they must be str, "
            "int, float or bool."
        )
    return {"dtype": classes.dtype.str, "values": values}


def _read_classes(written: Mapping[str, Any]) -> npt.NDArray:
    dtype = np.dtype(written["dtype"])
    if dtype.kind not in "OUbiuf":
        raise ValueError(f"classes of dtype {dtype}")
    classes = np.empty(len(written["values"]), dtype)
    classes[:] = written["values"]
    if classes.tolist() != written["values"] or len(np.unique(classes)) < len(classes):
        raise ValueError(f"classes {written['values']} of dtype {dtype}")
    return classes


def _read_card(path: Path) -> _Card:
    if not path.exists():
        raise FileNotFoundError(
            f"There is no {str(path)!r}, the card that is written beside the weights; "
            "both files belong together."
        )
    with _named(f"{str(path)!r} is damaged, or no card of a student"):
        card, number = load_manifest(path.read_bytes())
        version = str(card["jedi_sklearn"])
    if number > FORMAT:
        raise ValueError(
            f"{str(path)!r} was written by jedi_sklearn {version}, which is newer than "
            f"this one, {__version__}, and writes files that this one cannot read. "
            "Install that version or a later one."
        )
    with _named(f"{str(path)!r} is damaged, or no card of a student"):
        experts = [_read_expert(**expert) for expert in card["experts"]]
        return _Card(_read_classes(card["classes"]), experts, str(card["sha256"]))


def _read_expert(width: int, units: int, **others: Any) -> _Described:
    n_features, n_units = operator.index(width), operator.index(units)
    return _Described(width=n_features, units=n_units, **others)


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Say of which file it is that its content makes no sense."""
    try:
        yield
    except ImportError:
        raise
    except Exception as error:
        # What there may be in a file that someone else wrote is beyond listing.
        raise ValueError(f"{what} ({type(error).__name__}: {error}).") from error


# --------------------------------------------------------------------------------------
# Encoders.
# --------------------------------------------------------------------------------------


def _class_name(encoder: Any) -> str:
    cls = type(unwrapped(encoder))
    return f"{cls.__module__}.{cls.__qualname__}"


def _described(branch: Branch, stored: bool) -> _Described:
    return _Described(
        name=branch.name,
        width=branch.width,
        units=len(branch.adjustment.down.intercept),
        encoder_class=_class_name(branch.encoder),
        encoder=" ".join(repr(branch.encoder).split()),
        stored=stored,
    )


def _encoder_bytes(encoder: Any) -> bytes | None:
    """Return what skops makes of an encoder, None where reading it takes more trust."""
    skops = _skops()
    try:
        # Most of a small encoder is text about it.
        content: bytes = skops.dumps(
            _in_memory(encoder), compression=ZIP_DEFLATED, compresslevel=1
        )
        untrusted = skops.get_untrusted_types(data=content)
        if set(untrusted) <= set(OWN_ENCODERS):
            skops.loads(content, trusted=untrusted)
            return content
    except Exception:
        # What skops cannot write, or not read again, fails in as many ways as there
        # are objects.
        return None
    return None


def _in_memory(encoder: Any) -> Any:
    """Return an encoder without maps of files, which skops writes and cannot read."""
    mapped = {id(array): np.array(array) for array in _maps_in(encoder)}
    return copy.deepcopy(encoder, memo=mapped) if mapped else encoder


def _maps_in(thing: Any) -> Iterator[np.memmap]:
    if isinstance(thing, np.memmap):
        yield thing
    parts: Any = ()
    if isinstance(thing, Mapping):
        parts = thing.values()
    elif isinstance(thing, list | tuple):
        parts = thing
    elif isinstance(thing, BaseEstimator):
        parts = vars(thing).values()
    for part in parts:
        yield from _maps_in(part)


def _stored_encoder(content: npt.NDArray, expert: _Described, path: Path) -> Any:
    skops = _skops()
    with _named(
        f"The encoder of expert {expert.name!r} in {str(path)!r}, {expert.encoder}, "
        "cannot be read; it can be given as load_student(..., encoder=...)"
    ):
        return skops.loads(content.tobytes(), trusted=list(OWN_ENCODERS))


def _given_encoders(encoder: Any, card: _Card, path: Path) -> dict[str, Any]:
    """Return the encoders that the caller gives by expert, all that are needed."""
    names = [expert.name for expert in card.experts]
    if encoder is not None and not isinstance(encoder, Mapping):
        if len(names) > 1:
            raise ValueError(
                f"{str(path)!r} has several experts, {names}; encoder must be a dict "
                f"of these names, got {encoder!r}."
            )
        encoder = {names[0]: encoder}
    given = {n: e for n, e in (encoder or {}).items() if e is not None}
    unknown = [name for name in given if name not in names]
    if unknown:
        raise ValueError(
            f"encoder has the experts {unknown}, of which {str(path)!r} knows nothing; "
            f"it has {names}."
        )
    missing = [e for e in card.experts if not e.stored and e.name not in given]
    if missing:
        listed = "; ".join(f"{e.name!r}: {e.encoder}" for e in missing)
        raise ValueError(
            f"{str(path)!r} holds no encoder of these experts: {listed}. Give them as "
            "load_student(..., encoder=...), a dict of these names where there are "
            "several."
        )
    return given


def _check_encoder(encoder: Any, expert: _Described, path: Path) -> None:
    found = _class_name(encoder)
    # In another version or program a class may be found in another module.
    names = {name.rpartition(".")[2] for name in (found, expert.encoder_class)}
    if len(names) > 1 or not hasattr(encoder, "transform"):
        raise ValueError(
            f"The encoder for expert {expert.name!r} of {str(path)!r} is of the class "
            f"{found}; the one that it was trained with is {expert.encoder_class}: "
            f"{expert.encoder}."
        )
