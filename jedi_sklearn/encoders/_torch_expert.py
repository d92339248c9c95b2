"""A torch classifier as an expert: an encoder and a linear head."""

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
    """Make an expert of a trained torch classifier, its last linear layer the head.

    Parameters
    ----------
    module : torch.nn.Module
        It returns logits, or their softmax, log-softmax or sigmoid: as a tensor, as
        an attribute ``logits`` or as the value of a key "logits".
    classes : array-like of shape (n_classes,) or None, default=None
        Labels in the order of the module's outputs; None stands for 0, 1, ... A
        module of one output tells the second of two classes from the first.
    layer : str or None, default=None
        Name of the linear layer, as in ``module.named_modules()``; None stands for
        the last in that order.
    **encoder_params
        Other parameters of `TorchEncoder`, such as batch_size and device.

    Returns
    -------
    expert : FrozenEstimator
        Of a Pipeline of a `TorchEncoder` and a
        :class:`~sklearn.linear_model.LogisticRegression`. Its probabilities are the
        softmax of the module's logits, or the sigmoid of a single one.

    Raises
    ------
    ValueError
        If there is no linear layer, or not one label for each output. Whenever the
        expert predicts, if the module's output is not what the layer makes of the
        embedding.

    See Also
    --------
    TorchEncoder : Features alone, without a head.

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
    name = _last_linear(module) if layer is None else layer
    head, _ = head_of(find_layer(module, name), classes, name)
    # A module that is a Linear itself has no name.
    encoder = _CheckedEncoder(module, layer=name or None, **encoder_params)
    return FrozenEstimator(Pipeline([("encoder", encoder), ("head", head)]))


class _CheckedEncoder(TorchEncoder):
    """An encoder whose layer must make the module's output."""

    def _check_output(
        self, module: torch.nn.Module, embedding: torch.Tensor, output: Any
    ) -> None:
        import torch

        logits = find_layer(module, self.layer or "")(embedding)
        found = _scores(output)
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


def _scores(output: Any) -> Any:
    if isinstance(output, Mapping):
        return output.get("logits")
    return getattr(output, "logits", output)


def _close(found: torch.Tensor, expected: torch.Tensor) -> bool:
    """Say whether numbers are the same, up to the rounding of their type."""
    tolerance = 1e-4 if min(found.itemsize, expected.itemsize) >= 4 else 2e-2
    # Rows that are not finite are for others to refuse.
    found, expected = found.float().nan_to_num(), expected.float().nan_to_num()
    distance = (found - expected).abs().max()
    return bool(distance <= tolerance * expected.abs().max())


def _last_linear(module: torch.nn.Module) -> str:
    import torch

    names = [n for n, m in module.named_modules() if isinstance(m, torch.nn.Linear)]
    if not names:
        raise ValueError(
            f"The module {type(module).__name__} has no torch.nn.Linear that could be "
            "the head of an expert; use TorchEncoder for one without a head."
        )
    return names[-1]


def head_of(
    linear: torch.nn.Module, classes: npt.ArrayLike | None, name: str
) -> tuple[LogisticRegression, npt.NDArray[np.intp]]:
    """Return a linear layer as scikit-learn would have fitted it.

    Parameters
    ----------
    linear : torch.nn.Linear
    classes
        See `torch_expert`.
    name : str
        Of the layer, for messages.

    Returns
    -------
    head : LogisticRegression
    order : ndarray of int of shape (n_classes,)
        Which of the classes given are the first, second, ... of the sorted ones.

    Raises
    ------
    ValueError
        If it is no linear layer, or there is not one label for each output.
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
