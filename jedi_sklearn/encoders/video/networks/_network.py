"""Base class of video networks: a linear head on one vector per clip."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn


class VideoNetwork(nn.Module):
    """Network with one feature vector per clip, and a linear head for class scores.

    Parameters
    ----------
    n_features : int
        Length of the feature vector.
    n_classes : int
        Number of classes.
    dropout : float
        Dropout rate of the features in training.

    Attributes
    ----------
    n_features : int
        Length of the feature vector.
    head : torch.nn.Linear
        Layer from features to class scores.

    See Also
    --------
    TSN, TSM, VideoSwin : Networks of this kind.
    video_expert : Makes an expert from a network.

    Examples
    --------
    >>> import torch
    >>> from jedi_sklearn.encoders.video import TSN, VideoNetwork
    >>> network = TSN(n_classes=2, depths=(1, 1, 1, 1), width=4).eval()
    >>> isinstance(network, VideoNetwork)
    True
    >>> clips = torch.zeros(3, 3, 2, 32, 32)
    >>> network.features(clips).shape, network(clips).shape
    (torch.Size([3, 128]), torch.Size([3, 2]))
    """

    def __init__(self, n_features: int, n_classes: int, dropout: float) -> None:
        super().__init__()
        self.n_features = n_features
        self.dropout = nn.Dropout(dropout)
        self.cls_head = nn.ModuleDict({"fc_cls": nn.Linear(n_features, n_classes)})

    @property
    def head(self) -> nn.Linear:
        """Layer from features to class scores."""
        return cast(nn.Linear, self.cls_head["fc_cls"])

    def features(self, clips: Tensor) -> Tensor:
        """Return the input of the head.

        Parameters
        ----------
        clips : tensor of shape (n_clips, 3, n_frames, height, width), float32
            Normalised RGB.

        Returns
        -------
        features : tensor of shape (n_clips, n_features), float32
            One vector per clip.

        Raises
        ------
        ValueError
            If the clips are of another shape, or empty.
        """
        if clips.ndim != 5 or clips.shape[1] != 3 or 0 in clips.shape:
            raise ValueError(
                f"clips has shape {tuple(clips.shape)}; it must be (n_clips, 3, "
                "n_frames, height, width), with one clip and one frame or more."
            )
        return self._features(clips)

    def forward(self, clips: Tensor) -> Tensor:
        """Return the scores of the classes, before the softmax.

        Parameters
        ----------
        clips : tensor of shape (n_clips, 3, n_frames, height, width), float32
            See `features`.

        Returns
        -------
        scores : tensor of shape (n_clips, n_classes), float32
            One row per clip.
        """
        scores: Tensor = self.head(self.dropout(self.features(clips)))
        return scores

    def _features(self, clips: Tensor) -> Tensor:
        raise NotImplementedError
