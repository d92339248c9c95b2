"""A torch module run on a batch, and the output of one of its layers."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import get_ident
from typing import TYPE_CHECKING, Any

from ..utils.accepted import invalid

if TYPE_CHECKING:
    import torch


def find_layer(module: torch.nn.Module, layer: str) -> torch.nn.Module:
    """Return a submodule by its name.

    Raises
    ------
    ValueError
        If there is none of this name.
    """
    layers = dict(module.named_modules(remove_duplicate=False))
    if layer in layers:
        return layers[layer]
    names = [name for name in layers if name]
    close = difflib.get_close_matches(layer, names, n=5)
    ordered = [*close, *(name for name in names if name not in close)]
    listed = ", ".join(map(repr, ordered[:30]))
    more = f" and {len(names) - 30} more" if len(names) > 30 else ""
    accepted = f"None, '' and the names of the module's submodules: {listed}{more}"
    raise invalid("layer", layer, accepted)


def run_module(
    module: torch.nn.Module, layer: str | None, batch: Any
) -> tuple[Any, Any]:
    """Run a module on a batch.

    Parameters
    ----------
    module : torch.nn.Module
    layer : str or None
        See `TorchEncoder`.
    batch : tensor, or tuple, list or mapping of these

    Returns
    -------
    found : object
        The first input of the layer, or the output where the layer is "".
    output : object
        What the module returns.

    Raises
    ------
    ValueError
        If the layer did not run.
    """
    import torch

    if layer == "":
        output = _call(module, batch)
        return output, output
    wanted = None if layer is None else find_layer(module, layer)
    with _recorded(torch.nn.Linear if wanted is None else wanted) as inputs:
        output = _call(module, batch)
    if not inputs:
        what = "no Linear ran" if layer is None else f"layer {layer!r} did not run"
        raise ValueError(
            f"In the module {type(module).__name__} {what}; name a layer that does, or "
            "'' for what the module returns."
        )
    return inputs[0], output


def _call(module: torch.nn.Module, batch: Any) -> Any:
    if isinstance(batch, Mapping):
        return module(**batch)
    if isinstance(batch, tuple | list):
        return module(*batch)
    return module(batch)


@contextmanager
def _recorded(wanted: Any) -> Iterator[list[Any]]:
    """Record the last input of a module, or of all of a type, in this thread.

    The hooks are torch's global ones: a hook of the module would be seen by other
    threads, which may just be running, copying or pickling it.
    """
    from torch.nn.modules.module import (
        register_module_forward_hook,
        register_module_forward_pre_hook,
    )

    thread, by_type = get_ident(), isinstance(wanted, type)
    inputs: list[Any] = []

    def is_meant(module: Any) -> bool:
        if get_ident() != thread:
            return False
        return isinstance(module, wanted) if by_type else module is wanted

    def before(module: Any, args: Any) -> None:
        if args and is_meant(module):
            # Some layers change their input in place; a Linear does not.
            copied = not by_type and hasattr(args[0], "clone")
            inputs[:] = [args[0].clone() if copied else args[0]]

    def after(module: Any, args: Any, *kwargs_and_output: Any) -> None:
        # The only kind of global hook that is told of keywords.
        if not args and is_meant(module):
            inputs[:] = list(kwargs_and_output[0].values())[:1]

    handles = [
        register_module_forward_pre_hook(before),
        register_module_forward_hook(after, with_kwargs=True),
    ]
    try:
        yield inputs
    finally:
        for handle in handles:
            handle.remove()


def _title(layer: str | None) -> str:
    if layer == "":
        return "What the module returns"
    return f"What enters {'the last Linear' if layer is None else f'layer {layer!r}'}"


def as_matrix(found: Any, layer: str | None, n_rows: int) -> torch.Tensor:
    """Return what was found at a layer with one row of features for each sample.

    Parameters
    ----------
    found : object
    layer : str or None
        For messages.
    n_rows : int

    Returns
    -------
    matrix : tensor of shape (n_rows, n_features)

    Raises
    ------
    ValueError
        If it is no tensor, or not of that shape, axes of length 1 aside.
    """
    import torch

    if not isinstance(found, torch.Tensor):
        raise ValueError(
            f"{_title(layer)} is {type(found).__name__}, not a tensor; name a layer "
            "that takes the embedding."
        )
    shape = tuple(found.shape)
    while found.ndim > 2 and 1 in found.shape[1:]:
        found = found.squeeze(1 + list(found.shape[1:]).index(1))
    if found.ndim != 2:
        raise ValueError(
            f"{_title(layer)} has shape {shape}; an embedding has shape (n_samples, "
            "n_features). Name a layer that comes after pooling."
        )
    if found.shape[0] != n_rows:
        raise ValueError(
            f"{_title(layer)} has shape {shape} for a batch of {n_rows} samples; it "
            "must have one row for each."
        )
    return found


def _moved(batch: Any, device: torch.device) -> Any:
    import torch

    def moved(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        dtype = torch.float32 if value.dtype == torch.float64 else value.dtype
        return value.to(device, dtype)

    return _mapped(batch, moved)


def _take(batch: Any, rows: slice, n_rows: int) -> Any:
    import torch

    def taken(value: Any) -> Any:
        by_row = isinstance(value, torch.Tensor) and value.shape[:1] == (n_rows,)
        return value[rows] if by_row else value

    return _mapped(batch, taken)


def _mapped(batch: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(batch, Mapping):
        return {name: _mapped(value, change) for name, value in batch.items()}
    if isinstance(batch, tuple | list):
        return [_mapped(value, change) for value in batch]
    return change(batch)
