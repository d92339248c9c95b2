"""Experts from the checkpoints of video networks."""

from __future__ import annotations

import copy
import os
from typing import Any

import numpy.typing as npt
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from torch import nn

from ...utils.accepted import invalid
from .._torch_expert import head_of
from ._encoder import expert_of
from .networks._checkpoints import (
    HEAD,
    HEAD_BIAS,
    load_weights,
    n_classes_of,
    read_weights,
)
from .networks._resnet import TSM, TSN
from .networks._swin import VideoSwin
from .reading._protocol import ViewProtocol, check_protocol
from .reading._views import VideoViews

_NETWORKS = {"tsn-r50": TSN, "tsm-r50": TSM, "swin-b": VideoSwin}

#: Protocols of the paper's checkpoints, as far as is known: the paper states none.
PROTOCOLS = {
    "tsn-r50": ViewProtocol(
        n_frames=25, crop_size=256, short_side=256, crop="three", average="scores"
    ),
    "tsm-r50": ViewProtocol(n_frames=16, crop_size=224, short_side=256),
    "swin-b": ViewProtocol(
        n_frames=32, crop_size=224, n_clips=4, interval=2, short_side=224, crop="three"
    ),
}


def video_expert(
    network: str | nn.Module,
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    classes: npt.ArrayLike | None = None,
    protocol: ViewProtocol | None = None,
    batch_size: int = 1,
    device: str = "auto",
    autocast: str | None = None,
    n_workers: int = 0,
) -> FrozenEstimator:
    """Make an expert from a pretrained video network; its samples are paths.

    Parameters
    ----------
    network : {"tsn-r50", "tsm-r50", "swin-b"} or torch.nn.Module
        One of the paper's architectures (section 4.2), or any network that, like a
        `TSN`, has ``features(clips)`` and a linear ``head``. It is copied.
    checkpoint : str or path, optional
        File with weights, as published by MMAction2 0.x or 1.x, Video-Swin or
        mit-han-lab's TSM. Nothing in it is run. Required unless the network is a
        module, which may have its weights already.
    classes : array-like of shape (n_classes,), optional
        Labels in the order of the network's outputs; 0, 1, ... by default.
    protocol : ViewProtocol, optional
        Test protocol. By default that of the paper's architecture; required for a
        module.
    batch_size : int, default=1
        Number of videos per batch.
    device : str, default="auto"
        See :class:`~jedi_sklearn.encoders.TorchEncoder`.
    autocast : str or None, default=None
        See :class:`~jedi_sklearn.encoders.TorchEncoder`.
    n_workers : int, default=0
        Number of processes that read videos; 0 reads them in this process.

    Returns
    -------
    expert : FrozenEstimator
        Frozen Pipeline of a `VideoEncoder` and a
        :class:`~sklearn.linear_model.LogisticRegression`, which is the network's head
        on the mean features of all views. ``store.probabilities``, and `predict_proba`
        of the encoder, are the network's own, averaged as in its protocol: for
        "swin-b" a mean of softmaxes, which mean features cannot give.

    Raises
    ------
    ValueError
        If there is no such network, the checkpoint is unsafe, damaged or of another
        architecture, or there is not one label for each of its classes.

    See Also
    --------
    video_head : Head alone, for features that exist already.
    transformers_video_expert : Expert from a model of transformers.
    PROTOCOLS : Test protocols of the paper's networks.

    Notes
    -----
    Store the embeddings in an ``EmbeddingStore(path, shard_rows=64)`` or less: an
    interrupted extraction loses its last shard.

    Examples
    --------
    >>> import torch
    >>> from jedi_sklearn.encoders.video import TSN, ViewProtocol, video_expert
    >>> network = TSN(n_classes=2, depths=(1, 1, 1, 1), width=4)
    >>> protocol = ViewProtocol(n_frames=3, crop_size=32)
    >>> expert = video_expert(network, classes=["jump", "run"], protocol=protocol)
    >>> expert.predict(["clip.mp4"])  # doctest: +SKIP
    array(['jump'], dtype='<U4')
    >>> paper = video_expert("tsm-r50", checkpoint="tsm_hmdb51.pth")  # doctest: +SKIP
    """
    protocol = _protocol_of(network, protocol)
    return expert_of(
        _loaded(network, checkpoint),
        classes,
        protocol,
        dataset=VideoViews(protocol),
        batch_size=batch_size,
        device=device,
        autocast=autocast,
        n_workers=n_workers,
    )


def video_head(
    checkpoint: str | os.PathLike[str], classes: npt.ArrayLike | None = None
) -> LogisticRegression:
    """Return the head of a checkpoint alone, for features that exist already.

    Parameters
    ----------
    checkpoint : str or path
        See `video_expert`.
    classes : array-like of shape (n_classes,), optional
        See `video_expert`.

    Returns
    -------
    head : LogisticRegression
        Fitted head. Its probabilities are the softmax of the network's scores.

    Raises
    ------
    ValueError
        If the checkpoint is unsafe, damaged or without a head, or there is not one
        label for each of its classes.

    See Also
    --------
    video_expert : Expert with the whole network.
    read_mmaction_dump : Reads features or scores that MMAction2 has written.

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> from jedi_sklearn.encoders.video import TSN, video_head
    >>> path = tempfile.mkdtemp() + "/tsn.pth"
    >>> torch.save({"state_dict": TSN(3, depths=(1,), width=4).state_dict()}, path)
    >>> video_head(path, classes=["run", "jump", "walk"]).coef_.shape
    (3, 16)
    """
    weights = read_weights(checkpoint)
    n_classes = n_classes_of(weights, checkpoint)
    linear = nn.utils.skip_init(nn.Linear, weights[HEAD].shape[1], n_classes)
    with torch.no_grad():
        linear.weight.copy_(weights[HEAD])
        linear.bias.copy_(weights.get(HEAD_BIAS, torch.zeros(n_classes)))
    return head_of(linear, classes, HEAD.removesuffix(".weight"))[0]


def _protocol_of(network: Any, protocol: ViewProtocol | None) -> ViewProtocol:
    """Return the protocol of a network; check the protocol and the network."""
    if isinstance(network, str):
        is_known = network in _NETWORKS
    else:
        is_known = (
            isinstance(network, nn.Module)
            and hasattr(network, "features")
            and isinstance(getattr(network, "head", None), nn.Linear)
        )
    if not is_known:
        accepted = (
            f"{', '.join(map(repr, _NETWORKS))} and instances of torch.nn.Module with "
            "features(clips) and a head, which is a torch.nn.Linear"
        )
        raise invalid("network", network, accepted)
    if protocol is not None:
        check_protocol(protocol)
        return protocol
    if not isinstance(network, str):
        raise ValueError(
            f"The network {type(network).__name__} needs a protocol, as in "
            "video_expert(network, protocol=ViewProtocol(n_frames=8, crop_size=224))."
        )
    return PROTOCOLS[network]


def _loaded(
    network: str | nn.Module, checkpoint: str | os.PathLike[str] | None
) -> nn.Module:
    """Make or copy a network, and load the weights of a checkpoint, if any."""
    if checkpoint is None:
        if isinstance(network, str):
            raise ValueError(
                f"video_expert({network!r}) needs a checkpoint: the file that has the "
                "weights of its network."
            )
        return copy.deepcopy(network)
    weights = read_weights(checkpoint)
    if isinstance(network, str):
        # Initial weights are drawn from the global random state, which must not change.
        with torch.random.fork_rng(devices=[]):
            module: nn.Module = _NETWORKS[network](n_classes_of(weights, checkpoint))
    else:
        module = copy.deepcopy(network)
    load_weights(module, weights, checkpoint)
    return module
