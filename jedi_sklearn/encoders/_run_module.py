"""Forward passes of torch modules that record the input of one layer."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
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
        If there is no submodule of this name.
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
        Name of the layer; see `TorchEncoder`.
    batch : tensor, or tuple, list or mapping of these

    Returns
    -------
    found : object
        First input of the layer; the module's output if the layer is "".
    output : object
        Output of the module.

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
    """Record the last input of a module, or of any module of a type, in this thread.

    The hooks are global: a hook on the module itself would affect other threads that
    run, copy or pickle it at the same time.
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
            # Some layers change their input in place; Linear does not.
            copied = not by_type and hasattr(args[0], "clone")
            inputs[:] = [args[0].clone() if copied else args[0]]

    def after(module: Any, args: Any, *kwargs_and_output: Any) -> None:
        # Only this kind of global hook receives keyword arguments.
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


def title_of(layer: str | None) -> str:
    """Describe the input of a layer, for messages."""
    if layer == "":
        return "What the module returns"
    return f"What enters {'the last Linear' if layer is None else f'layer {layer!r}'}"


def as_matrix(found: Any, layer: str | None, n_rows: int) -> torch.Tensor:
    """Check that a layer's input has one row per sample; squeeze axes of length 1.

    Parameters
    ----------
    found : object
        Input of the layer.
    layer : str or None
        Name of the layer, for messages.
    n_rows : int
        Number of samples.

    Returns
    -------
    matrix : tensor of shape (n_rows, n_features)

    Raises
    ------
    ValueError
        If it is not a tensor, or not of that shape, axes of length 1 aside.
    """
    import torch

    if not isinstance(found, torch.Tensor):
        raise ValueError(
            f"{title_of(layer)} is {type(found).__name__}, not a tensor; name a layer "
            "that takes the embedding."
        )
    shape = tuple(found.shape)
    while found.ndim > 2 and 1 in found.shape[1:]:
        found = found.squeeze(1 + list(found.shape[1:]).index(1))
    if found.ndim != 2:
        raise ValueError(
            f"{title_of(layer)} has shape {shape}; an embedding has shape (n_samples, "
            "n_features). Name a layer that comes after pooling."
        )
    if found.shape[0] != n_rows:
        raise ValueError(
            f"{title_of(layer)} has shape {shape} for a batch of {n_rows} samples; it "
            "must have one row for each."
        )
    return found


def part_on(device: torch.device, batch: Any, rows: range, n_rows: int) -> Any:
    """Return some rows of a batch on a device, float64 as float32.

    Parameters
    ----------
    device : torch.device
    batch : tensor, or tuple, list or mapping of these
        Values that are no tensor of length `n_rows` are kept whole.
    rows : range
    n_rows : int
        Number of rows of the batch.
    """
    import torch

    if isinstance(batch, Mapping):
        return {k: part_on(device, v, rows, n_rows) for k, v in batch.items()}
    if isinstance(batch, tuple | list):
        return [part_on(device, value, rows, n_rows) for value in batch]
    if not isinstance(batch, torch.Tensor):
        return batch
    # A whole batch stays as it is, as sparse tensors have no slices.
    if len(rows) < n_rows and batch.shape[:1] == (n_rows,):
        batch = batch[rows.start : rows.stop]
    dtype = torch.float32 if batch.dtype == torch.float64 else batch.dtype
    return batch.to(device, dtype)
