"""From a video file to the views of it that a network is tested on."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ....utils.accepted import (
    Accepted,
    check_accepted,
    integer,
    invalid,
    number,
    one_of,
    unsuitable,
)
from ..._samples import by_position
from ._frames import centre_crop, resize, resize_short_side, three_crop
from ._reader import VideoReader
from ._sampling import Frames, sample_clips, sample_segments

_CROPS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "centre": centre_crop,
    "three": three_crop,
}


class ViewProtocol(NamedTuple):
    """How a network is tested: what it sees of a video, and how that is averaged.

    A view is one crop of one clip. ``protocol._replace(n_frames=8)`` changes a part.
    Every parameter is an attribute, too.

    Parameters
    ----------
    n_frames : int
        Number of frames in a view.
    crop_size : int
        Height and width of a view, in pixels.
    n_clips : int, default=1
        Number of clips in a video.
    interval : int or None, default=None
        Distance between two frames of a clip, in frames. None spreads the frames
        of the one clip over the video, in the middle of segments of equal length.
    rule : {"0.x", "1.x"}, default="0.x"
        Where clips start; see `sample_clips`.
    short_side : int or None, default=None
        Pixels of the shorter side that frames are resized to before they are
        cropped. None resizes them to the size of the crop, as they lose their
        proportion.
    crop : {"centre", "three"}, default="centre"
        See `centre_crop` and `three_crop`.
    interpolation : {"bilinear", "bicubic"}, default="bilinear"
        How frames are resized.
    antialias : bool, default=False
        Whether frames are smoothed before they get smaller.
    rounding : {"nearest", "down"}, default="nearest"
        See `resize_short_side`.
    mean, std : (float, float, float)
        Of red, green and blue, on the scale of 0 to 255. Frames are standardised
        with them; by default with those of ImageNet.
    average : {"scores", "probabilities"}, default="probabilities"
        Whether the probabilities of a video are the softmax of the mean of the
        views' scores, or the mean of the views' softmaxes.

    See Also
    --------
    video_expert : Tests a network in this way.
    read_views : Reads what such a network sees.

    Examples
    --------
    >>> from jedi_sklearn.encoders.video import ViewProtocol
    >>> ViewProtocol(n_frames=8, crop_size=112, short_side=128).n_views
    1
    """

    n_frames: int
    crop_size: int
    n_clips: int = 1
    interval: int | None = None
    rule: str = "0.x"
    short_side: int | None = None
    crop: str = "centre"
    interpolation: str = "bilinear"
    antialias: bool = False
    rounding: str = "nearest"
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    average: str = "probabilities"

    @property
    def n_views(self) -> int:
        """Number of views of a video."""
        return self.n_clips * (3 if self.crop == "three" else 1)

    def frames_of(self, n_frames: int) -> Frames:
        """Return which frames of a video the clips have.

        Parameters
        ----------
        n_frames : int
            Of the video.

        Returns
        -------
        frames : ndarray of int of shape (n_clips, n_frames)
            In ascending order within a clip, unless the video is too short for one.
        """
        if self.interval is None:
            return sample_segments(n_frames, self.n_frames)[None]
        return sample_clips(
            n_frames, self.n_clips, self.n_frames, self.interval, self.rule
        )

    def check(self) -> None:
        """Raise ValueError for the first attribute that is out of range."""
        for name, accepted in _ACCEPTED.items():
            check_accepted(f"protocol.{name}", getattr(self, name), accepted)
        if self.short_side is not None and self.short_side < self.crop_size:
            why = (
                f"Frames are resized to a shorter side of {self.short_side} pixels; "
                "valid values are integers up to that."
            )
            raise unsuitable("protocol.crop_size", int(self.crop_size), why)
        if self.interval is None and self.n_clips != 1:
            why = (
                "With interval=None one clip spans the whole video; valid values are 1."
            )
            raise unsuitable("protocol.n_clips", int(self.n_clips), why)


def check_protocol(protocol: Any) -> None:
    """Raise ValueError for what is no protocol, or one that is out of range."""
    if not isinstance(protocol, ViewProtocol):
        raise invalid("protocol", protocol, "instances of ViewProtocol")
    protocol.check()


def _or_none(accepted: Accepted) -> Accepted:
    return Accepted(
        lambda v: v is None or accepted.holds(v), f"{accepted.text}, and None"
    )


def _three(accepted: Accepted) -> Accepted:
    def hold(value: Any) -> bool:
        return (
            isinstance(value, tuple)
            and len(value) == 3
            and all(map(accepted.holds, value))
        )

    return Accepted(hold, f"tuples of three {accepted.text}")


_ACCEPTED = {
    "n_frames": integer(1),
    "crop_size": integer(1),
    "n_clips": integer(1),
    "interval": _or_none(integer(1)),
    "rule": one_of("0.x", "1.x"),
    "short_side": _or_none(integer(1)),
    "crop": one_of(*_CROPS),
    "interpolation": one_of("bilinear", "bicubic"),
    "antialias": one_of(True, False),
    "rounding": one_of("nearest", "down"),
    "mean": _three(number(0)),
    "std": _three(number(0, open_low=True)),
    "average": one_of("scores", "probabilities"),
}


def read_views(path: str | os.PathLike[str], protocol: ViewProtocol) -> Tensor:
    """Read what a network sees of a video.

    Parameters
    ----------
    path : str or path
        Of a video file.
    protocol : ViewProtocol
        What is seen of it.

    Returns
    -------
    views : tensor of shape (n_views, n_frames, crop_size, crop_size, 3), uint8
        RGB. The clips of the first crop come first.

    Raises
    ------
    VideoError
        If it is no video, or is damaged.
    ValueError
        If the protocol is out of range.

    See Also
    --------
    VideoReader : Reads single frames.

    Examples
    --------
    >>> import av, tempfile
    >>> import numpy as np
    >>> from jedi_sklearn.encoders.video import ViewProtocol, read_views
    >>> path = tempfile.mkdtemp() + "/clip.mp4"
    >>> with av.open(path, "w") as container:
    ...     stream = container.add_stream("mpeg4", rate=25)
    ...     stream.width, stream.height = 64, 48
    ...     frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), dtype=np.uint8))
    ...     container.mux([*stream.encode(frame), *stream.encode()])
    >>> read_views(path, ViewProtocol(n_frames=2, crop_size=32)).shape
    torch.Size([1, 2, 32, 32, 3])
    """
    check_protocol(protocol)
    reader = VideoReader(path)
    frames = torch.from_numpy(reader[protocol.frames_of(len(reader)).ravel()])
    how = protocol.interpolation, protocol.antialias
    if protocol.short_side is None:
        frames = resize(frames, (protocol.crop_size, protocol.crop_size), *how)
    else:
        frames = resize_short_side(frames, protocol.short_side, *how, protocol.rounding)
    crops = _CROPS[protocol.crop](frames, protocol.crop_size)
    return crops.reshape(-1, protocol.n_frames, *crops.shape[2:])


class VideoViews:
    """Makes a dataset of video files, which are read when it is their turn.

    Parameters
    ----------
    protocol : ViewProtocol
    """

    def __init__(self, protocol: ViewProtocol) -> None:
        self.protocol = protocol

    def __call__(self, paths: Any) -> _Videos:
        """Return the dataset of some paths."""
        return _Videos(paths, self.protocol)


class _Videos:
    def __init__(self, paths: Any, protocol: ViewProtocol) -> None:
        self.paths = by_position(paths)
        self.protocol = protocol

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> Tensor:
        path = self.paths[number]
        if not isinstance(path, str | os.PathLike):
            raise ValueError(
                f"The sample {path!r} is of type {type(path).__name__}; the samples of "
                "a network of videos are paths of video files."
            )
        return read_views(path, self.protocol)
