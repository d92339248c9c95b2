"""Test protocols of video networks."""

from __future__ import annotations

from typing import Any, NamedTuple

from ....utils.accepted import (
    Accepted,
    check_accepted,
    integer,
    invalid,
    number,
    one_of,
    unsuitable,
)
from ._sampling import Frames, sample_clips, sample_segments


class ViewProtocol(NamedTuple):
    """Test protocol of a network: the views of a video, and their average.

    A view is one crop of one clip. Every parameter is also an attribute;
    ``protocol._replace(n_frames=8)`` returns a changed copy.

    Parameters
    ----------
    n_frames : int
        Number of frames in a view.
    crop_size : int
        Height and width of a view, in pixels.
    n_clips : int, default=1
        Number of clips in a video.
    interval : int or None, default=None
        Distance between two frames of a clip, in frames. None spreads the frames of a
        single clip over the video, in the middle of segments of equal length.
    rule : {"0.x", "1.x"}, default="0.x"
        Start of the clips; see `sample_clips`.
    short_side : int or None, default=None
        Length in pixels to which the shorter side of frames is resized before they
        are cropped. None resizes frames to the size of the crop, whatever their
        aspect ratio.
    crop : {"centre", "three"}, default="centre"
        Number and place of the crops; see `centre_crop` and `three_crop`.
    interpolation : {"bilinear", "bicubic"}, default="bilinear"
        Interpolation between pixels.
    antialias : bool, default=False
        Whether frames are smoothed before they are made smaller.
    rounding : {"nearest", "down"}, default="nearest"
        Rounding of the longer side; see `resize_short_side`.
    mean, std : (float, float, float)
        Mean and standard deviation of red, green and blue on the scale of 0 to 255, to
        standardise frames; by default those of ImageNet.
    average : {"scores", "probabilities"}, default="probabilities"
        Average over views: the softmax of their mean scores, or the mean of their
        softmaxes.

    See Also
    --------
    video_expert : Makes an expert that is tested in this way.
    read_views : Reads the views of a video.

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
        """Return the numbers of the frames in each clip.

        Parameters
        ----------
        n_frames : int
            Number of frames of the video.

        Returns
        -------
        frames : ndarray of int of shape (n_clips, n_frames)
            Frame numbers, ascending within a clip unless the video is shorter.
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
            raise unsuitable("protocol.crop_size", self.crop_size, why)
        if self.interval is None and self.n_clips != 1:
            why = (
                "With interval=None one clip spans the whole video; valid values are 1."
            )
            raise unsuitable("protocol.n_clips", self.n_clips, why)


def check_protocol(protocol: Any) -> None:
    """Raise ValueError for any other object, and for attributes out of range."""
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
    "crop": one_of("centre", "three"),
    "interpolation": one_of("bilinear", "bicubic"),
    "antialias": one_of(True, False),
    "rounding": one_of("nearest", "down"),
    "mean": _three(number(0)),
    "std": _three(number(0, open_low=True)),
    "average": one_of("scores", "probabilities"),
}
