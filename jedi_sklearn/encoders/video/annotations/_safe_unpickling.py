"""Reading of pickle, JSON and YAML files of numbers without running code."""

from __future__ import annotations

import io
import json
import math
import pickle  # nosec B403 - its Unpickler is restricted to a few names
import re
import struct
from collections import OrderedDict
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt


def load_plain(path: Path) -> Any:
    """Return the content of a file: plain objects and arrays of numbers only."""
    data = path.read_bytes()
    suffix = path.suffix.lower()
    formats = {".json": json.loads, ".yaml": _load_yaml, ".yml": _load_yaml}
    read: Any = formats.get(suffix)
    try:
        return _Unpickler(io.BytesIO(data)).load() if read is None else read(data)
    except ImportError as error:
        raise ImportError(f"To read {path}: {error}") from error
    # A damaged file can raise any error.
    except Exception as error:
        kind = suffix.strip(".") if read else "pickle"
        raise ValueError(
            f"{path} is no {kind} that MMAction2 wrote, or it is damaged: "
            f"{str(error) or 'it ends too early'} ({type(error).__name__})."
        ) from error


def _load_yaml(data: bytes) -> Any:
    """Read YAML, including arrays that are written as Python objects."""
    try:
        yaml = import_module("yaml")
    except ImportError:
        raise ImportError("YAML needs PyYAML: pip install pyyaml") from None

    # A class of its own, as constructors are registered on the class.
    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            # Nested aliases can double the work of hashing keys and merging mappings
            # with each level, far beyond the length of the file.
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode) or key.tag.endswith(":merge"):
                    raise ValueError("it has keys that are no texts")
            return super().construct_mapping(node, deep)

    def name_of(loader: Any, name: str, node: Any) -> Any:
        # Their output is no longer than their input.
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

# Replacements for the few functions and classes that the files name. Those of NumPy and
# torch would trust sizes and strides in the file, and so access foreign memory.


class _Dtype:
    """Replacement for numpy.dtype."""

    def __init__(self, code: str, *flags: bool) -> None:
        if not re.fullmatch("[iuf][1248]", code):
            raise pickle.UnpicklingError(f"it has an array of {code}, not of numbers")
        self.dtype = np.dtype(code)

    def build(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class PlainArray:
    """Replacement for numpy.ndarray, which is made empty and filled by its state."""

    values: npt.NDArray[Any] = np.empty(0)

    def build(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, data = state
        self.values = _from_buffer(data, dtype, shape, "F" if fortran else "C")


def _from_buffer(
    data: bytes, dtype: _Dtype, shape: tuple[int, ...], order: Any
) -> npt.NDArray[Any]:
    return np.frombuffer(data, dtype.dtype).reshape(shape, order=order)


def _scalar(dtype: _Dtype, data: bytes) -> Any:
    return np.frombuffer(data, dtype.dtype)[0]


def _encode(text: str, encoding: str) -> bytes:
    """Replace codecs.encode, which makes bytes in pickles of protocol 2."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError("it asks for another codec than latin1")
    return text.encode("latin-1")


def _ordered() -> OrderedDict[Any, Any]:
    """Replace collections.OrderedDict, which is made empty and filled later.

    Arguments are refused, as they could have keys of any type.
    """
    return OrderedDict()


def _storage(data: bytes) -> npt.NDArray[Any]:
    """Replace torch's own function, which runs code in the data.

    The data are three pickles about the file, one of a storage as a persistent id, one
    of a list with its key, and then the numbers.
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
    if bits:  # bfloat16, unknown to NumPy, is the upper half of a float32.
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
    # Strides of 0 could repeat a number without end; others could leave the storage.
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
    "torch.Size": lambda lengths: lengths,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch.storage._load_from_bytes": _storage,
    # Types of storages: NumPy's code, and bits missing from each number.
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
for _core in ("numpy.core", "numpy._core"):  # before and since NumPy 2
    _GLOBALS[f"{_core}.multiarray._reconstruct"] = lambda *_: PlainArray()
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
    """Set the state of a replacement object, and of no other, unlike pickle."""
    if not isinstance(made, _Dtype | PlainArray):
        raise pickle.UnpicklingError(f"it changes a {type(made).__name__}")
    made.build(state)
    return made


# Instructions for other ways of calling, and for sets.
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
    """Unpickler restricted to _GLOBALS and the few instructions of dumps.

    It derives from the one in Python: that in C allocates any amount of memory that a
    file of ten bytes asks for.
    """

    stack: list[Any]

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream)
        # A file can encode the same long text any number of times.
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
    """Put alternating keys and values into a dict.

    Keys are str or int: a short file could make the hashing of nested tuples endless.
    """
    keys = items[::2]
    if not isinstance(made, dict) or not all(type(key) in (str, int) for key in keys):
        raise pickle.UnpicklingError("it has keys that are no texts")
    made.update(zip(keys, items[1::2], strict=True))


class _StorageUnpickler(_Unpickler):
    """Unpickler that replaces a storage by its persistent id."""

    def persistent_load(self, pid: Any) -> Any:
        """Return the type of a storage, as in _GLOBALS."""
        return pid[1]
