"""Views of video files, as a network is tested on them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..._sample_batches import SampleDataset
from ._frames import centre_crop, resize, resize_short_side, three_crop
from ._protocol import ViewProtocol, check_protocol
from ._reader import VideoReader

_CROPS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "centre": centre_crop,
    "three": three_crop,
}


def read_views(path: str | os.PathLike[str], protocol: ViewProtocol) -> Tensor:
    """Read the views of a video.

    Parameters
    ----------
    path : str or path
        Path of a video file.
    protocol : ViewProtocol
        Number, size and place of the views.

    Returns
    -------
    views : tensor of shape (n_views, n_frames, crop_size, crop_size, 3), uint8
        Views in RGB. All clips of the first crop come first.

    Raises
    ------
    VideoError
        If the file is no video, or is damaged.
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
    """Makes datasets of video files, which are read one by one.

    Parameters
    ----------
    protocol : ViewProtocol
    """

    def __init__(self, protocol: ViewProtocol) -> None:
        self.protocol = protocol

    def __call__(self, paths: Any) -> SampleDataset:
        """Return a dataset of paths."""
        return SampleDataset(paths, self.load)

    def load(self, path: Any) -> Tensor:
        """Return the views of a video; see `read_views`."""
        if not isinstance(path, str | os.PathLike):
            raise ValueError(
                f"The sample {path!r} is of type {type(path).__name__}; the samples of "
                "a network of videos are paths of video files."
            )
        return read_views(path, self.protocol)
