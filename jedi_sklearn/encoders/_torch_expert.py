"""Experts from torch classifiers: an encoder and a linear head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from ..utils.accepted import unsuitable
from ._run_module import find_layer
from ._torch_encoder import TorchEncoder

if TYPE_CHECKING:
    import torch


def torch_expert(
    module: torch.nn.Module,
    classes: npt.ArrayLike | None = None,
    *,
    layer: str | None = None,
    **encoder_params: Any,
) -> FrozenEstimator:
    """Make an expert from a trained torch classifier, with its last layer as the head.

    Parameters
    ----------
    module : torch.nn.Module
        Classifier that returns logits, or their softmax, log-softmax or sigmoid: as a
        tensor, in an attribute ``logits`` or under a key "logits".
    classes : array-like of shape (n_classes,) or None, default=None
        Labels in the order of the module's outputs; None stands for 0, 1, ... A
        single output is the logit of the second of two classes.
    layer : str or None, default=None
        Name of the linear layer, as in ``module.named_modules()``; None stands for
        the last one in that order.
    **encoder_params
        Other parameters of `TorchEncoder`, such as batch_size and device.

    Returns
    -------
    expert : FrozenEstimator
        Frozen Pipeline of a `TorchEncoder` and a
        :class:`~sklearn.linear_model.LogisticRegression`. Its probabilities are the
        softmax of the module's logits, or the sigmoid of a single one.

    Raises
    ------
    ValueError
        If there is no linear layer, or not one label for each output. Also when the
        expert predicts, if the module's output is not the layer's output.

    See Also
    --------
    TorchEncoder : Encoder without a head.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from jedi_sklearn.encoders import torch_expert
    >>> module = torch.nn.Sequential(
    ...     torch.nn.Linear(5, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)
    ... )
    >>> expert = torch_expert(module, classes=["cat", "dog", "eel"])
    >>> X = np.random.default_rng(0).normal(size=(4, 5))
    >>> expert.predict_proba(X).shape
    (4, 3)
    """
    import torch

    if layer is None:
        named = module.named_modules()
        linear = [name for name, part in named if isinstance(part, torch.nn.Linear)]
        if not linear:
            raise ValueError(
                f"The module {type(module).__name__} has no torch.nn.Linear that could "
                "be the head of an expert; use TorchEncoder for one without a head."
            )
        layer = linear[-1]
    head, _ = head_of(find_layer(module, layer), classes, layer)
    # A module that is a Linear itself has no name.
    encoder = _CheckedEncoder(module, layer=layer or None, **encoder_params)
    return FrozenEstimator(Pipeline([("encoder", encoder), ("head", head)]))


class _CheckedEncoder(TorchEncoder):
    """Encoder that checks that its layer makes the module's output."""

    def _check_output(
        self, module: torch.nn.Module, embedding: torch.Tensor, output: Any
    ) -> None:
        import torch

        logits = find_layer(module, self.layer or "")(embedding)
        if isinstance(output, Mapping):
            found = output.get("logits")
        else:
            found = getattr(output, "logits", output)
        if isinstance(found, torch.Tensor) and found.numel() == logits.numel():
            found = found.reshape(logits.shape)  # One output often comes squeezed.
            made = [logits, logits.sigmoid()]
            if logits.shape[1] > 1:
                made += [logits.softmax(dim=1), logits.log_softmax(dim=1)]
            if any(_close(found, scores) for scores in made):
                return
        raise ValueError(
            f"The module {type(module).__name__} does not return what its layer "
            f"{self.layer!r} makes of the embedding, nor the softmax, log-softmax or "
            "sigmoid of that; name the linear layer that makes the module's logits, "
            "as in torch_expert(module, layer=...)."
        )


def _close(found: torch.Tensor, expected: torch.Tensor) -> bool:
    """Tell whether scores are equal up to the rounding of their type."""
    tolerance = 1e-4 if min(found.itemsize, expected.itemsize) >= 4 else 2e-2
    # Rows that are not finite are refused elsewhere.
    found, expected = found.float().nan_to_num(), expected.float().nan_to_num()
    distance = (found - expected).abs().max()
    return bool(distance <= tolerance * expected.abs().max())


def head_of(
    linear: torch.nn.Module, classes: npt.ArrayLike | None, name: str
) -> tuple[LogisticRegression, npt.NDArray[np.intp]]:
    """Convert a linear layer to a fitted LogisticRegression.

    Parameters
    ----------
    linear : torch.nn.Linear
    classes
        See `torch_expert`.
    name : str
        Name of the layer, for messages.

    Returns
    -------
    head : LogisticRegression
    order : ndarray of int of shape (n_classes,)
        Indices that sort the given classes.

    Raises
    ------
    ValueError
        If it is not a linear layer, or there is not one label for each output.
    """
    import torch

    if not isinstance(linear, torch.nn.Linear):
        kind = type(linear).__name__
        why = f"It is {kind}; valid values are names of a torch.nn.Linear."
        raise unsuitable("layer", name, why)
    weights = linear.weight.detach().cpu().double().numpy()
    bias = np.zeros(len(weights))
    if linear.bias is not None:
        bias = linear.bias.detach().cpu().double().numpy()
    if len(weights) == 1:  # The logit of the second class; that of the first is 0.
        weights, bias = np.vstack([0 * weights, weights]), np.append(0, bias)
    n_classes = len(weights)
    labels = np.asarray(np.arange(n_classes) if classes is None else classes)
    if labels.dtype.kind == "f" and np.isnan(labels).any():
        raise ValueError(f"classes has a label NaN, {labels.tolist()!r}.")
    try:
        known, order = np.unique(labels, return_index=True)
    except TypeError as error:  # They cannot be sorted.
        raise ValueError(
            f"classes has labels of several types, {labels.tolist()!r}; give all of "
            "them as str or all as numbers."
        ) from error
    if labels.ndim != 1 or len(labels) != n_classes or len(known) != n_classes:
        raise ValueError(
            f"classes has {labels.size} labels, of which {len(known)} are different, "
            f"but layer {name!r} tells {n_classes} classes apart; give one label for "
            "each, in the order of the module's outputs."
        )
    weights, bias = weights[order], bias[order]
    if n_classes == 2:  # scikit-learn keeps one row, the difference.
        weights, bias = np.diff(weights, axis=0), np.diff(bias)
    head = LogisticRegression()
    head.classes_, head.n_features_in_ = known, weights.shape[1]
    head.coef_, head.intercept_ = weights, bias
    return head, order
