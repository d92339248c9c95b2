"""Frozen encoder from any torch module."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.metaestimators import available_if

from ..exceptions import BatchSizeWarning
from ..utils.accepted import Accepted, check_accepted, integer, one_of
from ..utils.device import available_device
from ._run_module import as_matrix, find_layer, part_on, run_module, title_of
from ._sample_batches import load_batches

if TYPE_CHECKING:
    import torch

# Threads that share an encoder also share its copy on the device.
_COPYING = Lock()

_ACCEPTED = {
    "layer": Accepted(lambda v: v is None or isinstance(v, str), "names and None"),
    "batch_size": integer(1),
    "autocast": one_of(None, "bfloat16", "float16"),
    "n_workers": integer(0),
    "dataset": Accepted(lambda v: v is None or callable(v), "callables and None"),
}


def _names_linear(encoder: TorchEncoder) -> bool:
    import torch

    found = dict(encoder.module.named_modules()).get(encoder.layer or "")
    return bool(encoder.layer) and isinstance(found, torch.nn.Linear)


class TorchEncoder(TransformerMixin, BaseEstimator):
    """Frozen transformer that runs any ``torch.nn.Module``.

    Nothing is trained: `transform` runs the module in evaluation mode, without
    gradients, and returns the input of its last linear layer, or of any other layer.

    Parameters
    ----------
    module : torch.nn.Module
        Module to run. It stays on its device and is set to evaluation mode.
    layer : str or None, default=None
        Layer whose input is the embedding: the name of a submodule, as in
        ``module.named_modules()``; None for the last ``torch.nn.Linear`` that runs.
        With "", the embedding is the output of the module.
    batch_size : int, default=64
        Number of rows per batch. If the memory of the device is too small, it is
        halved with a warning.
    device : str, default="auto"
        Device of the computation, such as "cpu" or "cuda:1". "auto" is the module's
        own device if that is not the CPU, else CUDA if available. A module on another
        device is copied, and copied again when its weights have changed, other than
        through ``.data``.
    autocast : {None, "bfloat16", "float16"}, default=None
        Precision for ``torch.autocast``: faster on most GPUs, and less exact.
    n_workers : int, default=0
        Number of processes that load samples; 0 loads them in this process. Arrays
        and tensors need no loading.
    dataset : callable or None, default=None
        Function of the samples, such as a list of paths, that returns a map-style
        ``torch.utils.data.Dataset`` of the same length. Batches are collated by the
        dataset's ``collate_fn`` if it has one, else by ``default_collate``. To be
        pickled, it must be importable.

    See Also
    --------
    torch_expert : Expert from a classifier, with its last layer as the head.
    from_pretrained : Encoder from a model of the transformers library.

    Notes
    -----
    A tensor is passed as ``module(batch)``, a tuple or a list as ``module(*batch)``, a
    mapping as ``module(**batch)``. float64 becomes float32; other types are kept.

    Threads may share an encoder. Its pickle holds the weights on the CPU, so that it
    can be loaded without a GPU; the classes of the module must be importable there.

    torch may fuse the layers inside a ``torch.nn.TransformerEncoderLayer``, which do
    not run one by one then.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from jedi_sklearn.encoders import TorchEncoder
    >>> module = torch.nn.Sequential(
    ...     torch.nn.Conv2d(1, 4, kernel_size=3),
    ...     torch.nn.AdaptiveAvgPool2d(1),
    ...     torch.nn.Flatten(),
    ...     torch.nn.Linear(4, 10),
    ... )
    >>> images = np.random.default_rng(0).normal(size=(5, 1, 8, 8))
    >>> TorchEncoder(module).transform(images).shape  # what enters the Linear
    (5, 4)
    >>> TorchEncoder(module, layer="").transform(images).shape
    (5, 10)
    """

    def __init__(
        self,
        module: torch.nn.Module,
        *,
        layer: str | None = None,
        batch_size: int = 64,
        device: str = "auto",
        autocast: str | None = None,
        n_workers: int = 0,
        dataset: Callable[[Any], Any] | None = None,
    ) -> None:
        self.module = module
        self.layer = layer
        self.batch_size = batch_size
        self.device = device
        self.autocast = autocast
        self.n_workers = n_workers
        self.dataset = dataset

    def fit(self, X: Any = None, y: Any = None) -> Self:
        """Do nothing: the module is trained already.

        Parameters
        ----------
        X, y : object
            Ignored.

        Returns
        -------
        self : TorchEncoder
            The encoder itself.
        """
        return self

    def transform(self, X: Any) -> npt.NDArray[np.float32]:
        """Run the module.

        Parameters
        ----------
        X : row-indexable of length n_samples
            Array, sparse matrix, tensor or DataFrame with one row per sample; or a
            list of samples: lists of numbers, arrays or tensors of one shape, or
            tuples or dicts of these. With a `dataset`, anything that it takes.

        Returns
        -------
        embedding : ndarray of shape (n_samples, n_features), float32
            Input of the layer, one row per sample.

        Raises
        ------
        ValueError
            If a parameter is out of range, there are no samples, the layer is
            unknown or does not run, or its input is not one row of features per
            sample.
        MemoryError
            If the memory of the device is too small for a single sample.
        """
        device = self.check_ready()
        module = self._module_on(device).eval()
        n_samples = X.shape[0] if hasattr(X, "shape") else len(X)
        if n_samples == 0:
            raise ValueError(
                f"Found array with 0 sample(s) (shape={getattr(X, 'shape', (0,))}) "
                f"while a minimum of 1 is required by {type(self).__name__}."
            )
        done, embedding = 0, None
        for rows in self._embedded(module, device, X, n_samples):
            if embedding is None:
                embedding = np.empty((n_samples, rows.shape[1]), dtype=np.float32)
            if rows.shape[1] != embedding.shape[1]:
                raise ValueError(
                    f"{title_of(self.layer)} has {rows.shape[1]} features for sample "
                    f"{done} but {embedding.shape[1]} for sample 0; an embedding must "
                    "have one width."
                )
            embedding[done : done + len(rows)] = rows
            done += len(rows)
        assert embedding is not None
        return embedding

    @available_if(_names_linear)
    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray:
        """Return names of the features, if `layer` names a linear layer.

        Otherwise there is no such method, as the number of features is unknown until
        the module runs.

        Parameters
        ----------
        input_features : object
            Ignored.

        Returns
        -------
        names : ndarray of str of shape (n_features_out,)
            Lower-case name of the class with a number, such as "torchencoder0".
        """
        layer: Any = find_layer(self.module, self.layer or "")
        name = type(self).__name__.lower()
        return np.array([f"{name}{i}" for i in range(layer.in_features)], dtype=object)

    def fingerprint(self) -> Any:
        """Return everything that affects the embedding of a row.

        An ``EmbeddingStore`` identifies encoders by it. Batch size, device and number
        of processes are left out, so that embeddings can be used on any machine.

        Returns
        -------
        fingerprint : object
            Object that can be pickled and hashed by content.
        """
        return self.module.eval(), self.layer, self.autocast, self.dataset

    def check_ready(self) -> torch.device:
        """Check the parameters and return the device of the computation.

        Returns
        -------
        device : torch.device
            Device on which `transform` runs the module.

        Raises
        ------
        ValueError
            If a parameter is out of range, or the layer or the device is unknown:
            causes that would fail for every sample.
        """
        import torch

        self._check_parameters()
        elsewhere = [t.device for t in _tensors(self.module) if t.device.type != "cpu"]
        if self.device == "auto" and elsewhere:
            device = elsewhere[0]
        else:
            # A tensor's device has an index: "cuda:0" for "cuda".
            device = torch.empty(0, device=available_device(self.device)).device
        if self.autocast == "float16" and device.type == "cpu":
            raise ValueError(
                "Invalid parameter value: autocast='float16' on a CPU, where it is "
                "about a hundred times slower. Valid values there are 'bfloat16' and "
                "None."
            )
        return device

    def _check_parameters(self) -> None:
        import torch

        is_module = Accepted(
            lambda v: isinstance(v, torch.nn.Module), "instances of torch.nn.Module"
        )
        for name, accepted in {"module": is_module, **_ACCEPTED}.items():
            check_accepted(name, getattr(self, name), accepted)
        find_layer(self.module, self.layer or "")

    def _module_on(self, device: torch.device) -> torch.nn.Module:
        """Return the module if it is on the device, else a copy of it there."""
        if all(tensor.device == device for tensor in _tensors(self.module)):
            return self.module
        with _COPYING:
            copied: _Copied | None = getattr(self, "_copied", None)
            if copied is None or not copied.is_of(self.module, device):
                copied = self._copied = _Copied.make(self.module, device)
            return copied.module

    def _embedded(
        self, module: torch.nn.Module, device: torch.device, X: Any, n_samples: int
    ) -> Iterator[npt.NDArray[np.float32]]:
        """Yield the embeddings of all samples in order, a part at a time."""
        import torch

        batches = load_batches(
            X, n_samples, self.batch_size, self.dataset, self.n_workers
        )
        size, first = self.batch_size, True
        for batch, n_rows in batches:
            start = 0
            while start < n_rows:
                n_part = min(size, n_rows - start)
                part = range(start, start + n_part)
                found = self._try_part(module, device, batch, part, n_rows, first)
                if found is not None:
                    yield found
                    start, first = start + n_part, False
                    continue
                size = n_part // 2
                if torch.cuda.is_available():
                    # Memory that is cached in small pieces may suffice as a whole.
                    torch.cuda.empty_cache()
                warnings.warn(
                    "The memory of the device is too small for a batch of "
                    f"{n_part} samples; going on with batch_size={size} instead of "
                    f"{n_part}.",
                    BatchSizeWarning,
                    stacklevel=2,
                )

    def _try_part(
        self,
        module: torch.nn.Module,
        device: torch.device,
        batch: Any,
        rows: range,
        n_rows: int,
        first: bool,
    ) -> npt.NDArray[np.float32] | None:
        """Return the embedding of some rows, or None if they need too much memory.

        None instead of an error, as the traceback would keep the tensors alive.
        """
        import torch

        dtype = None if self.autocast is None else getattr(torch, self.autocast)
        autocast = torch.autocast(device.type, dtype, enabled=dtype is not None)
        try:
            with torch.no_grad(), autocast:
                found, output = run_module(
                    module, self.layer, part_on(device, batch, rows, n_rows)
                )
                embedding = as_matrix(found, self.layer, len(rows))
                if first:
                    self._check_output(module, embedding, output)
            return embedding.float().cpu().numpy()
        except torch.cuda.OutOfMemoryError as error:
            if len(rows) == 1:
                raise MemoryError(
                    f"The memory of device {str(device)!r} is too small for a batch of "
                    "one sample."
                ) from error
            return None

    def _check_output(
        self, module: torch.nn.Module, embedding: torch.Tensor, output: Any
    ) -> None:
        """Raise ValueError if the first embedding is wrong; a hook for subclasses."""

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state.pop("_copied", None)
        if any(tensor.device.type != "cpu" for tensor in _tensors(self.module)):
            state["module"] = copy.deepcopy(self.module).cpu()
        return state

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.sparse = True
        tags.input_tags.three_d_array = True
        return tags


@dataclass(frozen=True)
class _Copied:
    """Copy of a module on another device, with the state of the original."""

    original: torch.nn.Module
    tensors: list[torch.Tensor]
    versions: list[int | None]
    device: torch.device
    module: torch.nn.Module

    @classmethod
    def make(cls, module: torch.nn.Module, device: torch.device) -> Self:
        """Copy a module to a device."""
        tensors = _tensors(module)
        # Taken before the copy, so that a change during it is seen afterwards.
        versions = _versions(tensors)
        copied = copy.deepcopy(module).to(device)
        return cls(module, tensors, versions, device, copied)

    def is_of(self, module: torch.nn.Module, device: torch.device) -> bool:
        """Tell whether it is a copy of a module, unchanged since, on a device."""
        tensors = _tensors(module)
        return (
            self.original is module
            and self.device == device
            and self.versions == _versions(tensors)
            and all(a is b for a, b in zip(self.tensors, tensors, strict=True))
        )


def _tensors(module: torch.nn.Module) -> list[torch.Tensor]:
    return [*module.parameters(), *module.buffers()]


def _versions(tensors: list[torch.Tensor]) -> list[int | None]:
    """Return how often each tensor was changed; inference tensors do not count it."""
    return [None if t.is_inference() else t._version for t in tensors]
