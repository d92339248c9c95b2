"""Files of numbers, read without running what may be in them."""

from __future__ import annotations

import io
import json
import math
import pickle
import re
import struct
from collections import OrderedDict
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def load_plain(path: Path) -> Any:
    """Return what a file holds, made of plain objects and arrays of numbers alone."""
    data = path.read_bytes()
    suffix = path.suffix.lower()
    formats = {".json": json.loads, ".yaml": _load_yaml, ".yml": _load_yaml}
    read: Any = formats.get(suffix)
    try:
        return _Unpickler(io.BytesIO(data)).load() if read is None else read(data)
    except ImportError as error:
        raise ImportError(f"To read {path}: {error}") from error
    # A damaged file fails wherever the damage is, with any error.
    except Exception as error:
        kind = suffix.strip(".") if read else "pickle"
        raise ValueError(
            f"{path} is no {kind} that MMAction2 wrote, or it is damaged: "
            f"{str(error) or 'it ends too early'} ({type(error).__name__})."
        ) from error


def _load_yaml(data: bytes) -> Any:
    """Read YAML, with arrays written as Python objects."""
    try:
        yaml = import_module("yaml")
    except ImportError:
        raise ImportError("YAML needs PyYAML: pip install pyyaml") from None

    # A class of its own, since constructors are kept in the class.
    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        pass

    def call(loader: Any, name: str, node: Any) -> Any:
        if isinstance(node, yaml.SequenceNode):
            return _global(name)(*loader.construct_sequence(node, deep=True))
        parts = loader.construct_mapping(node, deep=True)
        return _build(_global(name)(*parts["args"]), parts["state"])

    python = "tag:yaml.org,2002:python/"
    Loader.add_multi_constructor(f"{python}object/apply:", call)
    Loader.add_multi_constructor(f"{python}name:", lambda _, name, node: _global(name))
    Loader.add_constructor(
        f"{python}tuple", lambda loader, node: tuple(loader.construct_sequence(node))
    )
    return yaml.load(data, Loader)


# What follows stands for the few functions and classes that the files name. NumPy's
# and torch's own would trust the numbers in the file, with which they reach memory.


class _Dtype:
    """Stands for numpy.dtype."""

    def __init__(self, code: str, *flags: bool) -> None:
        if not re.fullmatch("[iuf][1248]", code):
            raise pickle.UnpicklingError(f"it has an array of {code}, not of numbers")
        self.dtype = np.dtype(code)

    def build(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class PlainArray:
    """Stands for numpy.ndarray, which comes empty and is filled by its state."""

    values: npt.NDArray[Any] = np.empty(0)

    def build(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, data = state
        self.values = _from_buffer(data, dtype, shape, "F" if fortran else "C")


def _from_buffer(
    data: bytes, dtype: _Dtype, shape: tuple[int, ...], order: Any
) -> npt.NDArray[Any]:
    return np.frombuffer(data, dtype.dtype).reshape(shape, order=order)


def _empty_array(*_: Any) -> PlainArray:
    return PlainArray()


def _scalar(dtype: _Dtype, data: bytes) -> Any:
    return np.frombuffer(data, dtype.dtype)[0]


def _encode(text: str, encoding: str) -> bytes:
    """Stands for codecs.encode, by which bytes come in pickles of protocol 2."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"it asks for the codec {encoding!r}")
    return text.encode("latin-1")


def _storage(data: bytes) -> Any:
    """Stands for torch's own function, which runs what is in the bytes."""
    import torch

    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def _tensor(
    storage: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> npt.NDArray[np.float64]:
    import torch

    flat = torch.empty(0, dtype=storage.dtype).set_(storage)
    if math.prod(size) > len(flat):  # Strides of 0 would make much out of nothing.
        raise pickle.UnpicklingError(f"a tensor of {size} has {len(flat)} numbers")
    if flat.is_complex() or flat.dtype == torch.bool:
        raise pickle.UnpicklingError(f"it has a tensor of {flat.dtype}")
    return flat.as_strided(size, stride, offset).double().numpy()


_GLOBALS: dict[str, Any] = {
    "_codecs.encode": _encode,
    "collections.OrderedDict": OrderedDict,
    "numpy.dtype": _Dtype,
    "numpy.ndarray": PlainArray,
    "torch.Size": tuple,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch.storage._load_from_bytes": _storage,
}
for _core in ("numpy.core", "numpy._core"):  # Before and since NumPy 2.
    _GLOBALS[f"{_core}.multiarray._reconstruct"] = _empty_array
    _GLOBALS[f"{_core}.multiarray.scalar"] = _scalar
    _GLOBALS[f"{_core}.numeric._frombuffer"] = _from_buffer


def _global(name: str) -> Any:
    if name not in _GLOBALS:
        raise pickle.UnpicklingError(
            f"it asks for {name}, which no dump needs and which may run anything, so "
            "it was not read any further"
        )
    return _GLOBALS[name]


def _build(made: Any, state: Any) -> Any:
    """Fill a new object: not any one, as pickle does, nor classes and functions."""
    if not isinstance(made, _Dtype | PlainArray):
        raise pickle.UnpicklingError(f"it changes a {type(made).__name__}")
    made.build(state)
    return made


class _Unpickler(pickle._Unpickler):
    """One that knows _GLOBALS alone.

    The one in Python, since the one in C takes as much memory as a file of ten bytes
    tells it to.
    """

    def find_class(self, module: str, name: str) -> Any:
        return _global(f"{module}.{name}")

    def get_extension(self, code: int) -> None:
        raise pickle.UnpicklingError(f"it asks for the extension {code}")

    def load_build(self) -> None:
        state = self.stack.pop()  # type: ignore[attr-defined]
        _build(self.stack[-1], state)  # type: ignore[attr-defined]

    def load_bytearray8(self) -> None:
        (size,) = struct.unpack("<Q", self.read(8))  # type: ignore[attr-defined]
        self.append(bytearray(self.read(size)))  # type: ignore[attr-defined]

    dispatch = pickle._Unpickler.dispatch | {  # type: ignore[assignment]
        pickle.BUILD[0]: load_build,
        pickle.BYTEARRAY8[0]: load_bytearray8,
    }
