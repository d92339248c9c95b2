"""Encoder of videos, and the expert of it and a network's head."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from torch import Tensor, nn

from .._torch_encoder import TorchEncoder
from .._torch_expert import head_of
from .reading._protocol import ViewProtocol


def expert_of(
    network: Any,
    classes: npt.ArrayLike | None,
    protocol: ViewProtocol,
    **encoder_params: Any,
) -> FrozenEstimator:
    """Make an expert from a network with weights; see `video_expert`.

    Parameters
    ----------
    network : VideoNetwork
        Changed in place: the outputs of its head are sorted by label.
    classes, protocol
        See `video_expert`.
    **encoder_params
        Other parameters of `VideoEncoder`, among them the dataset.
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
    encoder = VideoEncoder(ViewAverage(network, protocol), layer="", **encoder_params)
    return FrozenEstimator(Pipeline([("encoder", encoder), ("head", head)]))


class VideoEncoder(TorchEncoder):
    """Encoder of video files: features of a network, and its own probabilities.

    `video_expert` makes one.

    Parameters
    ----------
    module : torch.nn.Module
        Network with the average over views.
    layer, batch_size, device, autocast, n_workers, dataset : object
        See :class:`~jedi_sklearn.encoders.TorchEncoder`.

    See Also
    --------
    video_expert : Makes an encoder with the network's head.
    jedi_sklearn.encoders.TorchEncoder : Encoder from any torch module.

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
        """Return the mean features of all views of each video.

        Parameters
        ----------
        X : sequence of str or path, of length n_videos
            Paths of the video files.

        Returns
        -------
        features : ndarray of shape (n_videos, n_features), float32
            One row per video.

        Raises
        ------
        VideoError
            If a file is no video, or is damaged.
        """
        return self.features_and_probabilities(X)[0]

    def predict_proba(self, X: Any) -> npt.NDArray[np.float32]:
        """Return the network's own class probabilities.

        Parameters
        ----------
        X : sequence of str or path, of length n_videos
            See `transform`.

        Returns
        -------
        probabilities : ndarray of shape (n_videos, n_classes), float32
            Columns in the order of the sorted labels.
        """
        return self.features_and_probabilities(X)[1]

    def features_and_probabilities(
        self, X: Any
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return features and probabilities from a single run of the network.

        Parameters
        ----------
        X : sequence of str or path, of length n_videos
            See `transform`.

        Returns
        -------
        features : ndarray of shape (n_videos, n_features), float32
            Output of `transform`.
        probabilities : ndarray of shape (n_videos, n_classes), float32
            Output of `predict_proba`.
        """
        if isinstance(X, str | os.PathLike):
            raise ValueError(f"{os.fspath(X)!r} is one path; give a list of paths.")
        both = super().transform(X)
        views: Any = self.module
        n_features = views.network.head.in_features
        return both[:, :n_features], both[:, n_features:]


class ViewAverage(nn.Module):
    """Network averaged over several views of a video.

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
        """Return features and probabilities of videos, concatenated.

        Parameters
        ----------
        views : tensor of shape (n_videos, n_views, n_frames, height, width, 3), uint8

        Returns
        -------
        both : tensor of shape (n_videos, n_features + n_classes), float32
        """
        features_by_view = []
        for clips in views.unbind(1):  # one at a time, to save memory
            standardised = (clips.float() - self.mean) / self.std
            channels_first = standardised.movedim(-1, 1)
            features_by_view.append(self.network.features(channels_first).float())
        features = torch.stack(features_by_view, dim=1)
        scores = self.network.head(features).float()
        if self.average == "scores":
            probabilities = scores.mean(dim=1).softmax(dim=1)
        else:
            probabilities = scores.softmax(dim=2).mean(dim=1)
        return torch.cat([features.mean(dim=1), probabilities], dim=1)
