"""Experts of videos: a network, its checkpoint, and how it is tested."""

from __future__ import annotations

import copy
import os
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from torch import Tensor, nn

from ...utils.accepted import invalid
from .._torch_encoder import TorchEncoder
from .._torch_expert import head_of
from .networks._checkpoints import (
    HEAD,
    HEAD_BIAS,
    load_weights,
    n_classes_of,
    read_weights,
)
from .networks._resnet import TSM, TSN
from .networks._swin import VideoSwin
from .reading._views import VideoViews, ViewProtocol, check_protocol

_NETWORKS = {"tsn-r50": TSN, "tsm-r50": TSM, "swin-b": VideoSwin}

#: The protocols of the checkpoints that the paper used, as far as can be told: its text
#: names none.
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
    """Make an expert of a pretrained network of videos; its samples are paths.

    Parameters
    ----------
    network : {"tsn-r50", "tsm-r50", "swin-b"} or torch.nn.Module
        One of the paper's architectures (section 4.2), or any network that, like a
        `TSN`, has ``features(clips)`` and a linear ``head``. It is copied.
    checkpoint : str or path, optional
        File with the weights, of MMAction2 0.x or 1.x, Video-Swin or mit-han-lab's
        TSM, as they publish them. Nothing in it is run. Needed unless the network is
        a module, which may have its weights already.
    classes : array-like of shape (n_classes,), optional
        Labels in the order of the network's outputs; 0, 1, ... by default.
    protocol : ViewProtocol, optional
        What the network sees of a video. By default that of the paper's
        architecture; a module must be given one.
    batch_size : int, default=1
        Number of videos that go through the network at once.
    device : str, default="auto"
        See :class:`~jedi_sklearn.encoders.TorchEncoder`.
    autocast : str or None, default=None
        See :class:`~jedi_sklearn.encoders.TorchEncoder`.
    n_workers : int, default=0
        Number of processes that read videos; 0 reads them in this one.

    Returns
    -------
    expert : FrozenEstimator
        Of a Pipeline of a `VideoEncoder` and a
        :class:`~sklearn.linear_model.LogisticRegression`, which is the network's head
        on the mean features of all views. ``store.probabilities``, and `predict_proba`
        of the encoder, are the network's own, averaged as in its protocol: for
        "swin-b" that is a mean of softmaxes, which mean features cannot give.

    Raises
    ------
    ValueError
        If there is no such network, the checkpoint is unsafe, damaged or one of
        another architecture, or there is not one label for each of its classes.

    See Also
    --------
    video_head : The head alone, for features that were made before.
    transformers_video_expert : An expert of a model of transformers.
    PROTOCOLS : How the paper's networks are tested.

    Notes
    -----
    Keep what it makes in an ``EmbeddingStore(path, shard_rows=64)`` or less: an
    extraction that is interrupted loses the shard that it was at.

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
    module = _loaded(network, checkpoint)
    return expert_of(
        module,
        classes,
        protocol,
        batch_size=batch_size,
        device=device,
        autocast=autocast,
        n_workers=n_workers,
    )


def expert_of(
    network: Any,
    classes: npt.ArrayLike | None,
    protocol: ViewProtocol,
    **encoder_params: Any,
) -> FrozenEstimator:
    """Return a network that has its weights as an expert; see `video_expert`.

    Parameters
    ----------
    network : VideoNetwork
        Nobody else's: its head's outputs are put into the order of the sorted labels.
    classes, protocol
        See `video_expert`.
    **encoder_params
        Other parameters of `VideoEncoder`.
    """
    head, order = head_of(network.head, classes, "head")
    if network.head.out_features < 2:
        raise ValueError(
            "The network's head has 1 output; a network of videos needs one for each "
            "of two classes or more."
        )
    network = network.float().eval()
    with torch.no_grad():
        for parameter in network.head.parameters():
            parameter.copy_(parameter[torch.from_numpy(order).to(parameter.device)])
    encoder = VideoEncoder(
        ViewAverage(network, protocol),
        layer="",
        dataset=VideoViews(protocol),
        **encoder_params,
    )
    return FrozenEstimator(Pipeline([("encoder", encoder), ("head", head)]))


def video_head(
    checkpoint: str | os.PathLike[str], classes: npt.ArrayLike | None = None
) -> LogisticRegression:
    """Return the head of a checkpoint alone, for features that were made before.

    Parameters
    ----------
    checkpoint : str or path
        See `video_expert`.
    classes : array-like of shape (n_classes,), optional
        See `video_expert`.

    Returns
    -------
    head : LogisticRegression
        Fitted. Its probabilities are the softmax of the network's scores.

    Raises
    ------
    ValueError
        If the checkpoint is unsafe, damaged or without a head, or there is not one
        label for each of its classes.

    See Also
    --------
    video_expert : The whole network.
    read_mmaction_dump : Features or scores that MMAction2 has written.

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


class VideoEncoder(TorchEncoder):
    """What a network of videos makes of files: features, and its own probabilities.

    `video_expert` makes one.

    Parameters
    ----------
    module : torch.nn.Module
        The network and the average over views.
    layer, batch_size, device, autocast, n_workers, dataset : object
        See :class:`~jedi_sklearn.encoders.TorchEncoder`.

    See Also
    --------
    video_expert : Makes one, with the network's head.
    jedi_sklearn.encoders.TorchEncoder : The same for any module.

    Examples
    --------
    >>> from jedi_sklearn.encoders.video import TSN, ViewProtocol, video_expert
    >>> network = TSN(n_classes=2, depths=(1, 1, 1, 1), width=4)
    >>> protocol = ViewProtocol(n_frames=3, crop_size=32)
    >>> encoder = video_expert(network, protocol=protocol).estimator[0]
    >>> encoder.transform(["clip.mp4"])  # doctest: +SKIP
    >>> type(encoder).__name__
    'VideoEncoder'
    """

    def transform(self, X: Any) -> npt.NDArray[np.float32]:
        """Return the features of videos, the mean over all views.

        Parameters
        ----------
        X : sequence of str or path, of length n_videos
            Of the video files.

        Returns
        -------
        features : ndarray of shape (n_videos, n_features), float32
            One row a video.

        Raises
        ------
        VideoError
            If a file is no video, or is damaged.
        """
        return self.features_and_probabilities(X)[0]

    def predict_proba(self, X: Any) -> npt.NDArray[np.float32]:
        """Return the probabilities that the network itself gives videos.

        Parameters
        ----------
        X : sequence of str or path, of length n_videos
            See `transform`.

        Returns
        -------
        probabilities : ndarray of shape (n_videos, n_classes), float32
            In the order of the sorted labels.
        """
        return self.features_and_probabilities(X)[1]

    def features_and_probabilities(
        self, X: Any
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return what `transform` and `predict_proba` do, by one run of the network.

        Parameters
        ----------
        X : sequence of str or path, of length n_videos
            See `transform`.

        Returns
        -------
        features : ndarray of shape (n_videos, n_features), float32
            What `transform` returns.
        probabilities : ndarray of shape (n_videos, n_classes), float32
            What `predict_proba` returns.
        """
        if isinstance(X, str | os.PathLike):
            raise ValueError(f"{os.fspath(X)!r} is one path; give a list of paths.")
        both = super().transform(X)
        views: Any = self.module
        n_features = views.network.head.in_features
        return both[:, :n_features], both[:, n_features:]


class ViewAverage(nn.Module):
    """A network that sees several views of a video.

    Parameters
    ----------
    network : VideoNetwork
    protocol : ViewProtocol
    """

    def __init__(self, network: nn.Module, protocol: ViewProtocol) -> None:
        super().__init__()
        self.network: Any = network
        self.mean: Tensor
        self.std: Tensor
        self.average = protocol.average
        self.register_buffer("mean", torch.tensor(protocol.mean))
        self.register_buffer("std", torch.tensor(protocol.std))

    def forward(self, views: Tensor) -> Tensor:
        """Return features and probabilities of videos side by side.

        Parameters
        ----------
        views : tensor of shape (n_videos, n_views, n_frames, height, width, 3), uint8

        Returns
        -------
        both : tensor of shape (n_videos, n_features + n_classes), float32
        """
        # One view at a time: all of them may need more memory than there is.
        features = torch.stack(
            [self._features_of(clips) for clips in views.unbind(1)], dim=1
        )
        scores = self.network.head(features).float()
        if self.average == "scores":
            probabilities = scores.mean(dim=1).softmax(dim=1)
        else:
            probabilities = scores.softmax(dim=2).mean(dim=1)
        return torch.cat([features.mean(dim=1), probabilities], dim=1)

    def _features_of(self, clips: Tensor) -> Tensor:
        standardised = (clips.float() - self.mean) / self.std
        features: Tensor = self.network.features(standardised.movedim(-1, 1))
        return features.float()


def _protocol_of(
    network: str | nn.Module, protocol: ViewProtocol | None
) -> ViewProtocol:
    """Return the protocol, or raise ValueError for what is no network or protocol."""
    if not (network in _NETWORKS if isinstance(network, str) else _is_video(network)):
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


def _is_video(network: Any) -> bool:
    return (
        isinstance(network, nn.Module)
        and hasattr(network, "features")
        and isinstance(getattr(network, "head", None), nn.Linear)
    )


def _loaded(
    network: str | nn.Module, checkpoint: str | os.PathLike[str] | None
) -> nn.Module:
    """Return a network of the expert's own, with the weights of a checkpoint if any."""
    if checkpoint is None:
        if isinstance(network, str):
            raise ValueError(
                f"video_expert({network!r}) needs a checkpoint: the file that has the "
                "weights of its network."
            )
        return copy.deepcopy(network)
    weights = read_weights(checkpoint)
    if isinstance(network, str):
        # The first weights are random, and nobody's random state is to change.
        with torch.random.fork_rng(devices=[]):
            module: nn.Module = _NETWORKS[network](n_classes_of(weights, checkpoint))
    else:
        module = copy.deepcopy(network)
    load_weights(module, weights, checkpoint)
    return module
