"""Files of numbers, read without running what may be in them."""

from __future__ import annotations

import io
import json
import math
import pickle  # nosec B403 - its Unpickler is made to know a few names alone
import re
import struct
from collections import OrderedDict
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

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
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            # A key may be hashed, and a mapping merged, more often than any file is
            # long: of nested aliases, each doubles the work.
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode) or key.tag.endswith(":merge"):
                    raise ValueError("it has keys that are no texts")
            return super().construct_mapping(node, deep)

    def name_of(loader: Any, name: str, node: Any) -> Any:
        # All that these make is as long as what they are made of.
        return _global(name if name.startswith("numpy.") else f"{name} in YAML")

    def call(loader: Any, name: str, node: Any) -> Any:
        function = name_of(loader, name, node)
        if isinstance(node, yaml.SequenceNode):
            return function(*loader.construct_sequence(node, deep=True))
        parts = loader.construct_mapping(node, deep=True)
        return _build(function(*parts["args"]), parts["state"])

    python = "tag:yaml.org,2002:python/"
    Loader.add_multi_constructor(f"{python}object/apply:", call)
    Loader.add_multi_constructor(f"{python}name:", name_of)
    Loader.add_constructor(
        f"{python}tuple", lambda loader, node: tuple(loader.construct_sequence(node))
    )
    return yaml.load(data, Loader)


MAX_DIMENSIONS = 8

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
        raise pickle.UnpicklingError("it asks for another codec than latin1")
    return text.encode("latin-1")


def _ordered() -> OrderedDict[Any, Any]:
    """Stands for collections.OrderedDict, which comes empty and is filled."""
    return OrderedDict()


def _size(lengths: tuple[int, ...]) -> tuple[int, ...]:
    """Stands for torch.Size."""
    return lengths


def _storage(data: bytes) -> npt.NDArray[Any]:
    """Stands for torch's own function, which runs what is in the bytes.

    They are three pickles about the file, one of a storage that is a persistent id,
    one of a list with its key, and then the numbers.
    """
    stream = io.BytesIO(data)
    for _ in range(3):
        _Unpickler(stream).load()
    code, bits = _StorageUnpickler(stream).load()
    _Unpickler(stream).load()
    (length,) = struct.unpack("<q", stream.read(8))
    numbers = np.frombuffer(stream.read(), code)
    if numbers.dtype.kind not in "iuf":
        raise pickle.UnpicklingError(f"it has a tensor of torch.{numbers.dtype}")
    if len(numbers) != length:
        raise pickle.UnpicklingError(
            f"a storage of {length} has {len(numbers)} numbers"
        )
    if bits:  # NumPy has no bfloat16, which is the upper half of a float32.
        return (numbers.astype(np.uint32) << bits).view(np.float32)
    return numbers


def _tensor(
    storage: npt.NDArray[Any],
    offset: int,
    size: tuple[int, ...],
    stride: tuple[int, ...],
    *_: Any,
) -> npt.NDArray[Any]:
    if 0 in size:
        return storage[:0]
    numbers = [*size, *stride, offset]
    # Strides of 0 would make much out of nothing, and others reach other memory.
    if (
        not all(type(n) is int and 0 <= n <= len(storage) for n in numbers)
        or len(size) > MAX_DIMENSIONS
        or math.prod(size) > len(storage)
        or offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
        >= len(storage)
    ):
        raise pickle.UnpicklingError("it has a tensor that its numbers do not fill")
    strides = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, strides)


_GLOBALS: dict[str, Any] = {
    "_codecs.encode": _encode,
    "collections.OrderedDict": _ordered,
    "numpy.dtype": _Dtype,
    "numpy.ndarray": PlainArray,
    "torch.Size": _size,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch.storage._load_from_bytes": _storage,
    # Of a storage: in NumPy's words, and by how many bits its numbers are short.
    "torch.FloatStorage": ("<f4", 0),
    "torch.DoubleStorage": ("<f8", 0),
    "torch.HalfStorage": ("<f2", 0),
    "torch.BFloat16Storage": ("<u2", 16),
    "torch.ByteStorage": ("<u1", 0),
    "torch.CharStorage": ("<i1", 0),
    "torch.ShortStorage": ("<i2", 0),
    "torch.IntStorage": ("<i4", 0),
    "torch.LongStorage": ("<i8", 0),
    "torch.BoolStorage": ("?", 0),
    "torch.ComplexFloatStorage": ("<c8", 0),
    "torch.ComplexDoubleStorage": ("<c16", 0),
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


# Other ways to call, and sets.
_REFUSED = (
    pickle.INST
    + pickle.OBJ
    + pickle.NEWOBJ
    + pickle.NEWOBJ_EX
    + pickle.EXT1
    + pickle.EXT2
    + pickle.EXT4
    + pickle.EMPTY_SET
    + pickle.ADDITEMS
    + pickle.FROZENSET
)


class _Unpickler(pickle._Unpickler):
    """One that knows _GLOBALS alone, and the few instructions that dumps have.

    The one in Python, since the one in C takes as much memory as a file of ten bytes
    tells it to.
    """

    stack: list[Any]

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream)
        # A file can have the same long text made into bytes as often as it likes.
        self.bytes_left = 8 * stream.getbuffer().nbytes

    def find_class(self, module: str, name: str) -> Any:
        return _global(f"{module}.{name}")

    def load_reduce(self) -> None:
        arguments = self.stack.pop()
        made = self.stack[-1] = self.stack[-1](*arguments)
        self.bytes_left -= made.nbytes if isinstance(made, np.ndarray) else 0
        self.bytes_left -= len(made) if isinstance(made, bytes) else 0
        if self.bytes_left < 0:
            raise pickle.UnpicklingError("it makes far more bytes than it has")

    def load_build(self) -> None:
        state = self.stack.pop()
        _build(self.stack[-1], state)

    def load_bytearray8(self) -> None:
        (size,) = struct.unpack("<Q", self.read(8))  # type: ignore[attr-defined]
        self.append(bytearray(self.read(size)))  # type: ignore[attr-defined]

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        _set_items(self.stack[-1], [key, value])

    def load_setitems(self) -> None:
        items = self.pop_mark()  # type: ignore[attr-defined]
        _set_items(self.stack[-1], items)

    def load_dict(self) -> None:
        items = self.pop_mark()  # type: ignore[attr-defined]
        made: dict[Any, Any] = {}
        _set_items(made, items)
        self.append(made)  # type: ignore[attr-defined]

    def load_other(self) -> None:
        raise pickle.UnpicklingError("it has an instruction that no dump needs")

    dispatch: ClassVar[dict[int, Any]] = {
        **pickle._Unpickler.dispatch,
        **dict.fromkeys(_REFUSED, load_other),
        pickle.REDUCE[0]: load_reduce,
        pickle.BUILD[0]: load_build,
        pickle.BYTEARRAY8[0]: load_bytearray8,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.DICT[0]: load_dict,
    }


def _set_items(made: Any, items: list[Any]) -> None:
    """Put keys and values, one after the other, into a dict.

    To hash nested tuples takes a time that a short file can make endless.
    """
    keys = items[::2]
    if not isinstance(made, dict) or not all(type(key) in (str, int) for key in keys):
        raise pickle.UnpicklingError("it has keys that are no texts")
    made.update(zip(keys, items[1::2], strict=True))


class _StorageUnpickler(_Unpickler):
    """One for which a storage is its persistent id."""

    def persistent_load(self, pid: Any) -> Any:
        """Return of which numbers a storage is: its code, and missing bits."""
        return pid[1]
