"""Any torch module as a frozen encoder."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.metaestimators import available_if

from ..exceptions import BatchSizeWarning
from ..utils.accepted import Accepted, check_accepted, integer, one_of
from ..utils.device import available_device
from ._run_module import _moved, _take, _title, as_matrix, find_layer, run_module
from ._sample_batches import load_batches

if TYPE_CHECKING:
    import torch

# Threads that share an encoder share its copy on the device, too.
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
    """Any ``torch.nn.Module`` as a frozen transformer: what it computes, by row.

    Nothing is trained: `transform` runs the module in evaluation mode, without
    gradients, and returns what enters its last linear layer, or any other layer.

    Parameters
    ----------
    module : torch.nn.Module
        It stays on its device and is put into evaluation mode.
    layer : str or None, default=None
        Whose input the embedding is: the name of a submodule, as in
        ``module.named_modules()``; None stands for the last ``torch.nn.Linear``
        that runs. With "", the embedding is what the module itself returns.
    batch_size : int, default=64
        Number of rows that go through the module at once. Where the memory of the
        device is too small for it, half as many go on, with a warning.
    device : str, default="auto"
        Where the module runs, like "cpu" or "cuda:1". "auto" is the module's own
        device if that is not the CPU, else CUDA where there is one. A module that
        lives elsewhere is copied there. The copy is made again when the module's
        weights have changed, other than through ``.data``.
    autocast : {None, "bfloat16", "float16"}, default=None
        Type of the numbers that ``torch.autocast`` computes with: faster on most
        GPUs, and less exact.
    n_workers : int, default=0
        Number of processes that load samples; 0 loads them in this one. Arrays and
        tensors need no loading.
    dataset : callable or None, default=None
        Takes the samples, such as a list of paths, and returns a map-style
        ``torch.utils.data.Dataset`` of the same length, which loads them a batch at
        a time. Batches are put together by ``default_collate``, or by the
        ``collate_fn`` of the dataset where it has one. A class or function of a
        module, so that it can be pickled.

    See Also
    --------
    torch_expert : A classifier, with its last layer as the head.
    from_pretrained : A model of the transformers library.

    Notes
    -----
    A tensor goes through the module as ``module(batch)``, a tuple or a list as
    ``module(*batch)``, a mapping as ``module(**batch)``. Numbers of float64 become
    float32; other types stay.

    Several threads may share an encoder. A pickle of it holds the weights on the
    CPU, so that it loads where there is no GPU; the classes of the module must be
    importable there.

    The layers inside a ``torch.nn.TransformerEncoderLayer`` may not run one by one,
    as torch fuses them.

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
            An array, a sparse matrix, a tensor or a DataFrame, whose rows are the
            samples; or a list of samples: of lists of numbers, of arrays or
            tensors of one shape, or of tuples or dicts of these. With a `dataset`,
            whatever it takes.

        Returns
        -------
        embedding : ndarray of shape (n_samples, n_features), float32
            What enters the layer, one row a sample.

        Raises
        ------
        ValueError
            If a parameter is out of range, there are no samples, the layer is
            unknown or does not run, or what enters it has not one row of features
            for each sample.
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
                    f"{_title(self.layer)} has {rows.shape[1]} features for sample "
                    f"{done} but {embedding.shape[1]} for sample 0; an embedding must "
                    "have one width."
                )
            embedding[done : done + len(rows)] = rows
            done += len(rows)
        assert embedding is not None
        return embedding

    @available_if(_names_linear)
    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray:
        """Return names of the features, where `layer` names a linear layer.

        There is no such method where it does not: how many features there are then
        shows when the module runs.

        Parameters
        ----------
        input_features : object
            Ignored.

        Returns
        -------
        names : ndarray of str of shape (n_features_out,)
            The name of the class with a number, such as "torchencoder0".
        """
        layer: Any = find_layer(self.module, self.layer or "")
        name = type(self).__name__.lower()
        return np.array([f"{name}{i}" for i in range(layer.in_features)], dtype=object)

    def fingerprint(self) -> Any:
        """Return all that decides what the encoder makes of a row.

        An ``EmbeddingStore`` knows encoders by it. How many rows go at once, where
        and by how many processes is left out, so that embeddings serve on every
        machine.

        Returns
        -------
        fingerprint : object
            What can be pickled and hashed by content.
        """
        return self.module.eval(), self.layer, self.autocast, self.dataset

    def check_ready(self) -> torch.device:
        """Say where the module will run.

        Returns
        -------
        device : torch.device
            Where `transform` would run it.

        Raises
        ------
        ValueError
            If a parameter is out of range, the layer is unknown, or there is no such
            device: what would fail for every sample.
        """
        self._check_parameters()
        device = _device_for(self.module, self.device)
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
        """Return the module, or a copy of it where it lives on another device."""
        tensors = _tensors(self.module)
        if all(tensor.device == device for tensor in tensors):
            return self.module
        # A tensor counts how often it was changed, unless it was made for inference.
        versions = [None if t.is_inference() else t._version for t in tensors]
        with _COPYING:
            kept = getattr(self, "_copied", None)
            if (
                kept is None
                or kept.original is not self.module
                or kept.device != device
                or kept.versions != versions
                or any(a is not b for a, b in zip(kept.tensors, tensors, strict=True))
            ):
                module = copy.deepcopy(self.module).to(device)
                kept = _Copied(self.module, device, tensors, versions, module)
                self._copied = kept
            return kept.module

    def _embedded(
        self, module: torch.nn.Module, device: torch.device, X: Any, n_samples: int
    ) -> Iterator[npt.NDArray[np.float32]]:
        """Yield the embeddings of all samples in order, a part at a time."""
        batches = load_batches(
            X, n_samples, self.batch_size, self.dataset, self.n_workers
        )
        size, first = self.batch_size, True
        for batch, n_rows in batches:
            start = 0
            while start < n_rows:
                n_part = min(size, n_rows - start)
                part = batch
                if n_part < n_rows:
                    part = _take(batch, slice(start, start + n_part), n_rows)
                rows = self._try_part(module, device, part, n_part, first)
                if rows is None:
                    size = _halved(n_part)
                    continue
                yield rows
                start, first = start + n_part, False

    def _try_part(
        self,
        module: torch.nn.Module,
        device: torch.device,
        part: Any,
        n_rows: int,
        first: bool,
    ) -> npt.NDArray[np.float32] | None:
        """Return the embedding of a few rows, None where they need too much memory."""
        import torch

        dtype = None if self.autocast is None else getattr(torch, self.autocast)
        autocast = torch.autocast(device.type, dtype, enabled=dtype is not None)
        try:
            with torch.no_grad(), autocast:
                found, output = run_module(module, self.layer, _moved(part, device))
                embedding = as_matrix(found, self.layer, n_rows)
                if first:
                    self._check_output(module, embedding, output)
            return embedding.float().cpu().numpy()
        except torch.cuda.OutOfMemoryError as error:
            if n_rows == 1:
                raise MemoryError(
                    f"The memory of device {str(device)!r} is too small for a batch of "
                    "one sample."
                ) from error
            return None

    def _check_output(
        self, module: torch.nn.Module, embedding: torch.Tensor, output: Any
    ) -> None:
        """Raise ValueError where the first embedding of a transform is not right."""

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


class _Copied(NamedTuple):
    """A copy of a module on another device, and what it was made of."""

    original: torch.nn.Module
    device: torch.device
    tensors: list[torch.Tensor]
    versions: list[int | None]
    module: torch.nn.Module


def _tensors(module: torch.nn.Module) -> list[torch.Tensor]:
    return [*module.parameters(), *module.buffers()]


def _device_for(module: torch.nn.Module, device: str) -> torch.device:
    import torch

    elsewhere = [t.device for t in _tensors(module) if t.device.type != "cpu"]
    if device == "auto" and elsewhere:
        return elsewhere[0]
    # "cuda" becomes "cuda:0", as tensors call it.
    return torch.empty(0, device=available_device(device)).device


def _halved(n_rows: int) -> int:
    import torch

    if torch.cuda.is_available():
        # What is cached in pieces too small may be enough as a whole.
        torch.cuda.empty_cache()
    warnings.warn(
        f"The memory of the device is too small for a batch of {n_rows} samples; going "
        f"on with batch_size={n_rows // 2} instead of {n_rows}.",
        BatchSizeWarning,
        stacklevel=2,
    )
    return n_rows // 2
