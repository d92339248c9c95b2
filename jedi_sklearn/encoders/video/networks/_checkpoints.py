"""Weights of video networks from published checkpoints."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

HEAD, HEAD_BIAS = "cls_head.fc_cls.weight", "cls_head.fc_cls.bias"

# Replacements, applied in order, of key names by those of MMAction2 1.x: from data
# parallel training, mit-han-lab's temporal-shift-module and Video-Swin-Transformer.
_RENAMED = [
    (r"^module\.", ""),
    (r"^(new_fc|base_model\.fc)\.", "cls_head.fc_cls."),
    (r"^(base_model\..*)conv(\d)\.((net\.)?weight)$", r"\1conv\2.conv.\3"),
    (r"^(base_model\..*)bn(\d)\.", r"\1conv\2.bn."),
    (r"^(base_model\..*)downsample\.0\.", r"\1downsample.conv."),
    (r"^(base_model\..*)downsample\.1\.", r"\1downsample.bn."),
    (r"^base_model\.", "backbone."),
    (r"^backbone\.norm\.", "backbone.norm3."),
]

# Buffers that a file may lack, as every network makes its own.
_OWN = ("num_batches_tracked", "relative_position_index")


def read_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read the weights of a checkpoint, without running code that may be in it.

    Parameters
    ----------
    path : str or path
        File of MMAction2 0.x or 1.x, Video-Swin-Transformer or mit-han-lab's
        temporal-shift-module, or another with a ``state_dict``; or a file whose name
        ends with ``.safetensors``.

    Returns
    -------
    weights : dict of str to tensor
        Weights on the CPU, by their names in MMAction2 1.x.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If the file is no checkpoint, damaged, not safe to load, or a weight is not
        finite.
    ImportError
        If the file needs safetensors, which is not installed.

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> from pathlib import Path
    >>> from jedi_sklearn.encoders.video.networks._checkpoints import read_weights
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "tsm.pth")
    ...     torch.save({"state_dict": {"module.new_fc.bias": torch.zeros(2)}}, path)
    ...     read_weights(path)
    {'cls_head.fc_cls.bias': tensor([0., 0.])}
    """
    path = os.fspath(path)
    loaded = _loaded(path)
    found = loaded.get("state_dict", loaded) if isinstance(loaded, Mapping) else loaded
    if not isinstance(found, Mapping) or not found:
        raise ValueError(
            f"{path!r} is no checkpoint: it holds {_kind(found)} where weights by "
            "name, a state_dict, are expected."
        )
    weights: dict[str, Tensor] = {}
    for key, value in found.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise ValueError(
                f"{path!r} is no checkpoint: {key!r} is of type "
                f"{type(value).__name__}, where weights, tensors by name, are expected."
            )
        is_plain = (
            value.layout == torch.strided
            and value.device.type == "cpu"
            and not value.is_quantized
            and not value.is_complex()
            # A view may repeat numbers of a small storage without end.
            and value.nbytes <= value.untyped_storage().nbytes()
        )
        if not is_plain:
            raise ValueError(
                f"{path!r} cannot be used: its weight {key!r} is no plain tensor, with "
                "each of its numbers in the file."
            )
        if not torch.isfinite(value).all():
            raise ValueError(
                f"{path!r} cannot be used: its weight {key!r} has numbers that are "
                "infinite or not a number."
            )
        if _renamed(key) in weights:
            raise ValueError(
                f"{path!r} cannot be used: it has two weights {_renamed(key)!r}, one "
                f"of them as {key!r}."
            )
        weights[_renamed(key)] = value
    return weights


def n_classes_of(weights: Mapping[str, Tensor], path: str | os.PathLike[str]) -> int:
    """Return the number of classes of a checkpoint's head.

    Parameters
    ----------
    weights : mapping of str to tensor
        See `read_weights`.
    path : str or path
        File of the weights, for the message.

    Returns
    -------
    n_classes : int

    Raises
    ------
    ValueError
        If there is no head, or it is not linear.
    """
    if HEAD not in weights:
        raise ValueError(
            f"{os.fspath(path)!r} has no weights of a head, {HEAD!r}: it is of a "
            f"backbone alone, or of another network. It has {_listed(weights)}."
        )
    weight, bias = weights[HEAD], weights.get(HEAD_BIAS)
    if weight.ndim != 2 or (bias is not None and bias.shape != weight.shape[:1]):
        shapes = [tuple(w.shape) for w in (weight, bias) if w is not None]
        raise ValueError(
            f"{os.fspath(path)!r} has a head that is not linear: its weights are of "
            f"the shapes {' and '.join(map(str, shapes))}."
        )
    return len(weight)


def load_weights(
    network: nn.Module, weights: Mapping[str, Tensor], path: str | os.PathLike[str]
) -> None:
    """Load all weights into a network, which must have exactly these.

    Parameters
    ----------
    network : TSN, TSM or VideoSwin
        Changed in place, unless there is an error.
    weights : mapping of str to tensor
        See `read_weights`.
    path : str or path
        File of the weights, for the message.

    Raises
    ------
    ValueError
        If the weights are of another network, or of another number of classes.
    """
    path = os.fspath(path)
    own = network.state_dict()
    wanted, found = _architecture(own), _architecture(weights)
    if wanted != found and found is not None:
        raise ValueError(
            f"{path!r} is a checkpoint of {found}, and the network is "
            f"{wanted or type(network).__name__}."
        )
    weights = {**{key: own[key] for key in own if key.endswith(_OWN)}, **weights}
    missing = own.keys() - weights.keys()
    unexpected = weights.keys() - own.keys()
    if missing or unexpected:
        parts = [f"it lacks {_listed(missing)}"] if missing else []
        parts += [f"it has {_listed(unexpected)} besides"] if unexpected else []
        raise ValueError(f"{path!r} does not fit the network: {', and '.join(parts)}.")
    # If only the head differs, the number of classes does; another width would change
    # nearly all shapes.
    differing = [key for key in own if weights[key].shape != own[key].shape]
    if HEAD in own and set(differing) <= {HEAD, HEAD_BIAS}:
        expected, n_classes = len(own[HEAD]), len(weights[HEAD])
        if expected != n_classes:
            raise ValueError(
                f"{path!r} is a checkpoint of {n_classes} classes, and the network has "
                f"{expected}."
            )
    if differing:
        shapes = [
            f"{key} of shape {tuple(weights[key].shape)} instead of "
            f"{tuple(own[key].shape)}"
            for key in differing
        ]
        raise ValueError(f"{path!r} does not fit the network: it has {_few(shapes)}.")
    network.load_state_dict(weights)


def _loaded(path: str) -> Any:
    """Return the content of a checkpoint file."""
    with open(path, "rb"):
        pass  # From here on, all errors concern the content of the file.
    try:
        if path.endswith(".safetensors"):
            return _safetensors(path)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                size = sum(member.file_size for member in archive.infolist())
            # torch never compresses; a small file could unpack to any size.
            if size > os.path.getsize(path):
                raise ValueError(f"it would take {size} bytes")
        return torch.load(path, map_location="cpu", weights_only=True)
    except (ImportError, MemoryError):
        raise
    except Exception as error:
        unsafe = re.search(r"GLOBAL ([\w.]+)", str(error))
        if unsafe is None:
            raise ValueError(
                f"{path!r} is no checkpoint that torch can read, or it is damaged, as "
                "by a download that was cut off."
            ) from error
        kind = "a training checkpoint" if unsafe[1].startswith("mm") else "not safe"
        raise ValueError(
            f"{path!r} is {kind}: it holds {unsafe[1]}, and what loads that can run "
            "code. If you trust where it is from, keep its weights alone, "
            "torch.save({'state_dict': torch.load(path, weights_only=False)"
            "['state_dict']}, new_path), as MMAction2's publish_model.py does too."
        ) from error


def _safetensors(path: str) -> dict[str, Tensor]:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise ImportError(
            f"{path!r} needs safetensors: pip install safetensors"
        ) from error
    weights: dict[str, Tensor] = load_file(path)
    return weights


def _kind(found: Any) -> str:
    empty = found is None or isinstance(found, Mapping)
    return "nothing" if empty else f"an object of type {type(found).__name__}"


def _renamed(key: str) -> str:
    for pattern, replacement in _RENAMED:
        key = re.sub(pattern, replacement, key)
    return key


def _architecture(weights: Mapping[str, Tensor]) -> str | None:
    """Return the architecture that has weights of these names, if known."""
    if "backbone.patch_embed.proj.weight" in weights:
        return "VideoSwin"
    if "backbone.layer1.0.conv1.conv.net.weight" in weights:
        return "TSM"
    first = weights.get("backbone.layer1.0.conv1.conv.weight")
    if first is None:
        return None
    return "TSN" if first.ndim == 4 else "a ResNet of 3D convolutions"


def _listed(keys: Iterable[str]) -> str:
    return _few([repr(key) for key in sorted(keys)])


def _few(texts: list[str]) -> str:
    more = f" and {len(texts) - 3} more" if len(texts) > 3 else ""
    return ", ".join(texts[:3]) + more
