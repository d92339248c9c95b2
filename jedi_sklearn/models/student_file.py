"""Files of students and teachers: weights as safetensors, and a JSON card."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .._version import __version__
from ..experts.expert import unwrapped
from ..utils.files import write_whole
from ..utils.manifests import dump_manifest, load_manifest
from .optional_dependencies import needed
from .stored_encoders import encoder_from_bytes, encoder_to_bytes
from .weights import Adjustment, Branch, Linear, Parts

if TYPE_CHECKING:
    from collections.abc import Iterator

# Raise it when older versions cannot read the files any more.
FORMAT = 1

SUFFIX = ".safetensors"

NEEDED = "Files of students need safetensors"


@dataclass(frozen=True)
class _Described:
    """Description of an expert on a card.

    `width` counts the features of the embedding, `units` the hidden units of the
    adjustment. `encoder` is the repr of the encoder, on one line.
    """

    name: str
    width: int
    units: int
    encoder_class: str
    encoder: str
    stored: bool


@dataclass(frozen=True)
class _Card:
    """Card of a student; `checksum` is that of the safetensors file."""

    classes: npt.NDArray
    experts: list[_Described]
    checksum: str


def write_student(path: Path, parts: Parts) -> list[str]:
    """Write a student or a teacher.

    Parameters
    ----------
    path : Path
        Ends in ".safetensors"; the card has the suffix ".json" instead.
    parts : Parts

    Returns
    -------
    missing : list of str
        Names of the experts whose encoders are not in the file.

    Raises
    ------
    ImportError
        If safetensors or skops is not installed.
    OSError
        If a file cannot be written.
    ValueError
        If the path has another suffix, or JSON has no type for the classes.
    """
    card_path = _card_path(path)
    classes = _classes_as_json(parts.classes)
    tensors = _tensors(parts)
    experts = []
    for number, branch in enumerate(parts.branches):
        stored = encoder_to_bytes(branch.encoder)
        if stored is not None:
            tensors[f"encoders.{number}"] = np.frombuffer(stored, np.uint8)
        experts.append(_described(branch, stored is not None))
    with needed(NEEDED):
        from safetensors import numpy as safetensors
    content = safetensors.save(tensors)
    card = {
        "jedi_sklearn": __version__,
        "sha256": sha256(content).hexdigest(),
        "classes": classes,
        "experts": [asdict(expert) for expert in experts],
    }
    if card_path.exists():
        _read_card(card_path)  # raises if the file is no card, hence not ours
    write_whole(path, [content])
    # The card comes last: if this is interrupted, the old card has another checksum.
    write_whole(card_path, [dump_manifest(card, FORMAT, indent=2)])
    return [expert.name for expert in experts if not expert.stored]


def read_student(path: Path, encoder: Any = None) -> Parts:
    """Read the files that `write_student` wrote; no code in them is run.

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
        or of another class than in training.
    """
    card_path = _card_path(path)
    card = _read_card(card_path)
    tensors = _read_tensors(path, card)
    given = _given_encoders(encoder, card, path)
    branches = []
    for number, expert in enumerate(card.experts):
        stored = tensors.get(f"encoders.{number}")
        own = _read_encoder(given.get(expert.name), stored, expert, path)
        down = _linear(tensors, f"branches.{number}.down")
        up = _linear(tensors, f"branches.{number}.up")
        branches.append(Branch(expert.name, own, Adjustment(down, up)))
    return Parts(branches, _linear(tensors, "linear"), card.classes)


def _card_path(path: Path) -> Path:
    if path.suffix != SUFFIX:
        raise ValueError(
            f"A student's file has a name that ends in {SUFFIX!r}, got {str(path)!r}."
        )
    return path.with_suffix(".json")


# --------------------------------------------------------------------------------------
# Weights.
# --------------------------------------------------------------------------------------


def _tensors(parts: Parts) -> dict[str, npt.NDArray]:
    linears = {"linear": parts.linear}
    for number, branch in enumerate(parts.branches):
        linears[f"branches.{number}.down"] = branch.adjustment.down
        linears[f"branches.{number}.up"] = branch.adjustment.up
    return {
        # safetensors writes the memory as it is, whatever the strides.
        f"{name}.{part}": np.ascontiguousarray(array)
        for name, linear in linears.items()
        for part, array in linear._asdict().items()
    }


def _linear(tensors: Mapping[str, npt.NDArray], name: str) -> Linear:
    return Linear(tensors[f"{name}.coef"], tensors[f"{name}.intercept"])


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
    with needed(NEEDED):
        from safetensors import numpy as safetensors
    with _named(f"{str(path)!r} is no safetensors file"):
        tensors = dict(safetensors.load(content))
    sizes = {"linear": (len(card.classes), sum(e.width for e in card.experts))}
    for number, expert in enumerate(card.experts):
        sizes[f"branches.{number}.down"] = (expert.units, expert.width)
        sizes[f"branches.{number}.up"] = (expert.width, expert.units)
    expected: dict[str, tuple[int, ...]] = {}
    for name, size in sizes.items():
        expected |= {f"{name}.coef": size, f"{name}.intercept": size[:1]}
    shapes = {n: a.shape for n, a in tensors.items() if not n.startswith("encoders.")}
    stored = {f"encoders.{i}" for i, e in enumerate(card.experts) if e.stored}
    if shapes != expected or stored != tensors.keys() - shapes.keys():
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
    """Name the file in errors about its content, and make them ValueErrors."""
    try:
        yield
    except ImportError:
        raise
    except Exception as error:
        # The ways in which a file can be damaged or foreign cannot be listed.
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


def _given_encoders(encoder: Any, card: _Card, path: Path) -> dict[str, Any]:
    """Return the caller's encoders by expert; raise ValueError if one is missing."""
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


def _read_encoder(given: Any, stored: Any, expert: _Described, path: Path) -> Any:
    """Return the encoder given or else stored, after a check of its class."""
    encoder = given
    if encoder is None:
        with _named(
            f"The encoder of expert {expert.name!r} in {str(path)!r}, "
            f"{expert.encoder}, cannot be read; it can be given as "
            "load_student(..., encoder=...)"
        ):
            encoder = encoder_from_bytes(stored.tobytes())
    found = _class_name(encoder)
    # The module of a class may differ between versions and programs.
    names = {name.rpartition(".")[2] for name in (found, expert.encoder_class)}
    if len(names) > 1 or not hasattr(encoder, "transform"):
        raise ValueError(
            f"The encoder for expert {expert.name!r} of {str(path)!r} is of the class "
            f"{found}; the one that it was trained with is {expert.encoder_class}: "
            f"{expert.encoder}."
        )
    return encoder
