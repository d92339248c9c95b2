"""TSN and TSM: a ResNet over single frames, without and with temporal shift.

Own implementation with the architecture and key names of MMAction2 (Apache-2.0) and
mit-han-lab's temporal-shift-module (MIT).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ....utils.accepted import invalid
from ._network import VideoNetwork

# Number of images per batch of the ResNet in evaluation.
_N_IMAGES = 32


class _FrameNetwork(VideoNetwork):
    """ResNet over the frames of clips, with the mean over frames as features."""

    def __init__(
        self,
        n_classes: int,
        depths: Sequence[int],
        width: int,
        dropout: float,
        shift_div: int | None,
    ) -> None:
        super().__init__(4 * width * 2 ** (len(depths) - 1), n_classes, dropout)
        self.shift_div = shift_div
        self.backbone = _ResNet(depths, width, shift_div)

    def _features(self, clips: Tensor) -> Tensor:
        n_frames = clips.shape[2]
        images = clips.transpose(1, 2).flatten(0, 1)
        # In training, batch normalization needs all images at once. In evaluation they
        # are independent, except for the frames of a clip that are shifted.
        together = 1 if self.shift_div is None else n_frames
        size = max(_N_IMAGES // together, 1) * together
        parts = [images] if self.training else images.split(size)
        pooled = [self.backbone(part, n_frames).mean(dim=(2, 3)) for part in parts]
        return torch.cat(pooled).unflatten(0, (-1, n_frames)).mean(dim=1)


class TSN(_FrameNetwork):
    """Temporal segment network: a ResNet with the mean over all frames.

    Parameters
    ----------
    n_classes : int
        Number of classes.
    depths : sequence of int, default=(3, 4, 6, 3)
        Number of bottleneck blocks of each stage; these are ResNet-50's.
    width : int, default=64
        Number of channels after the first convolution. The features are
        ``4 * width * 2 ** (len(depths) - 1)``, of ResNet-50 2048.
    dropout : float, default=0.0
        Dropout rate of the features in training.

    Attributes
    ----------
    n_features : int
        Length of the feature vector of a clip.
    head : torch.nn.Linear
        Layer from features to class scores.

    See Also
    --------
    TSM : Uses the order of frames, too.
    video_expert : Makes an expert from a network.

    Notes
    -----
    The keys of ``state_dict()`` are those of MMAction2's recognizer.

    Examples
    --------
    >>> import torch
    >>> from jedi_sklearn.encoders.video import TSN
    >>> network = TSN(5, depths=(1, 1, 1, 1), width=8).eval()
    >>> clips = torch.zeros(2, 3, 4, 32, 32)  # two clips of four frames
    >>> network.features(clips).shape
    torch.Size([2, 256])
    >>> network(clips).shape
    torch.Size([2, 5])
    """

    def __init__(
        self,
        n_classes: int,
        *,
        depths: Sequence[int] = (3, 4, 6, 3),
        width: int = 64,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(n_classes, depths, width, dropout, shift_div=None)


class TSM(_FrameNetwork):
    """Temporal shift module: a ResNet whose blocks also use adjacent frames.

    Before the first convolution of each block, some channels are taken from the next
    frame and as many from the previous one, with zeros beyond the ends of the clip.

    Parameters
    ----------
    n_classes : int
        Number of classes.
    depths : sequence of int, default=(3, 4, 6, 3)
        Number of bottleneck blocks of each stage; these are ResNet-50's.
    width : int, default=64
        Number of channels after the first convolution.
    shift_div : int, default=8
        Inverse of the share of channels shifted in either direction.
    dropout : float, default=0.0
        Dropout rate of the features in training.

    Attributes
    ----------
    n_features : int
        Length of the feature vector of a clip.
    head : torch.nn.Linear
        Layer from features to class scores.

    Raises
    ------
    ValueError
        If `shift_div` is below 2.

    See Also
    --------
    TSN : Network without shifts.
    video_expert : Makes an expert from a network.

    Notes
    -----
    MMAction2 averages the scores of all frames, which equal the scores of their mean
    features. The keys of ``state_dict()`` are those of its recognizer.

    Examples
    --------
    >>> import torch
    >>> from jedi_sklearn.encoders.video import TSM
    >>> network = TSM(5, depths=(1, 1, 1, 1), width=8).eval()
    >>> network(torch.zeros(2, 3, 4, 32, 32)).shape  # two clips of four frames
    torch.Size([2, 5])
    """

    def __init__(
        self,
        n_classes: int,
        *,
        depths: Sequence[int] = (3, 4, 6, 3),
        width: int = 64,
        shift_div: int = 8,
        dropout: float = 0.0,
    ) -> None:
        if shift_div < 2:
            raise invalid("shift_div", shift_div, "integers of 2 or more")
        super().__init__(n_classes, depths, width, dropout, shift_div)


def temporal_shift(images: Tensor, n_frames: int, shift_div: int) -> Tensor:
    """Move some channels of frames to adjacent frames within a clip.

    Parameters
    ----------
    images : tensor of shape (n_clips * n_frames, n_channels, height, width)
    n_frames : int
    shift_div : int
        The first ``n_channels // shift_div`` channels are taken from the next frame, as
        many after them from the previous one.

    Returns
    -------
    shifted : tensor like images
    """
    frames = images.unflatten(0, (-1, n_frames))
    n_shifted = images.shape[1] // shift_div
    sizes = [n_shifted, n_shifted, images.shape[1] - 2 * n_shifted]
    back, ahead, still = frames.split(sizes, dim=2)
    back = F.pad(back[:, 1:], (0, 0, 0, 0, 0, 0, 0, 1))
    ahead = F.pad(ahead[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0))
    return torch.cat([back, ahead, still], dim=2).flatten(0, 1)


class _ResNet(nn.Module):
    """ResNet over images: bottleneck blocks in stages of decreasing resolution."""

    def __init__(
        self, depths: Sequence[int], width: int, shift_div: int | None
    ) -> None:
        super().__init__()
        self.conv1 = _conv_norm(3, width, 7, stride=2)
        self.stages = [f"layer{i + 1}" for i in range(len(depths))]
        n_in = width
        for i, depth in enumerate(depths):
            blocks = []
            for j in range(depth):
                stride = 2 if i > 0 and j == 0 else 1
                blocks.append(_Bottleneck(n_in, width * 2**i, stride, shift_div))
                n_in = 4 * width * 2**i
            self.add_module(self.stages[i], nn.ModuleList(blocks))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(
                    module.weight, mode="fan_out", nonlinearity="relu"
                )

    def forward(self, images: Tensor, n_frames: int) -> Tensor:
        x = F.max_pool2d(F.relu_(self.conv1(images)), 3, stride=2, padding=1)
        for stage in self.stages:
            for block in self.get_submodule(stage).children():
                x = block(x, n_frames)
        return x


class _Bottleneck(nn.Module):
    """Three convolutions with a shortcut, and a temporal shift before the first."""

    def __init__(
        self, n_in: int, width: int, stride: int, shift_div: int | None
    ) -> None:
        super().__init__()
        self.shift_div = shift_div
        self.conv1 = _conv_norm(n_in, width, 1)
        if shift_div is not None:
            # Checkpoints name the convolution after a shift "net".
            net = self.conv1.get_submodule("conv")
            self.conv1.conv = nn.Sequential(OrderedDict(net=net))
        self.conv2 = _conv_norm(width, width, 3, stride)
        self.conv3 = _conv_norm(width, 4 * width, 1)
        if stride > 1 or n_in != 4 * width:
            self.downsample = _conv_norm(n_in, 4 * width, 1, stride)
        else:
            self.downsample = nn.Sequential()

    def forward(self, images: Tensor, n_frames: int) -> Tensor:
        x = images
        if self.shift_div is not None:
            x = temporal_shift(x, n_frames, self.shift_div)
        x = F.relu_(self.conv1(x))
        x = F.relu_(self.conv2(x))
        x = self.conv3(x)
        return F.relu_(x + self.downsample(images))


def _conv_norm(n_in: int, n_out: int, size: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(n_in, n_out, size, stride, padding=size // 2, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, bn=nn.BatchNorm2d(n_out)))
