"""Which frames of a video a network is tested on.

The rules are those of MMAction2 (Apache-2.0), 0.x and 1.x.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ....utils.accepted import check_accepted, integer, invalid

Frames = npt.NDArray[np.int64]


def sample_segments(n_frames: int, n_segments: int) -> Frames:
    """Return the frame in the middle of each of some segments of equal length.

    Parameters
    ----------
    n_frames : int
        Of the video.
    n_segments : int
        Number of segments, and of frames.

    Returns
    -------
    frames : ndarray of int of shape (n_segments,)
        In ascending order. A video of fewer frames than segments has frames that
        are there several times.

    Raises
    ------
    ValueError
        If a number is less than 1.

    See Also
    --------
    sample_clips : Frames that are close to one another.

    Examples
    --------
    >>> from jedi_sklearn.encoders.video import sample_segments
    >>> sample_segments(100, 4)
    array([12, 37, 62, 87])
    """
    _check(n_frames=n_frames, n_segments=n_segments)
    middles = (np.arange(n_segments) + 0.5) * n_frames / n_segments
    return middles.astype(np.int64)


def sample_clips(
    n_frames: int, n_clips: int, clip_length: int, interval: int, rule: str = "0.x"
) -> Frames:
    """Return the frames of clips that are spread over a video.

    Parameters
    ----------
    n_frames : int
        Of the video.
    n_clips : int
        Number of clips.
    clip_length : int
        Number of frames in a clip.
    interval : int
        Distance between two frames of a clip, in frames; 1 for neighbours.
    rule : {"0.x", "1.x"}, default="0.x"
        Where clips start: the versions of MMAction2 differ. With "0.x" a clip is in
        the middle of its part of the video, with "1.x" the first one starts where
        the video does and the last one ends where it ends.

    Returns
    -------
    frames : ndarray of int of shape (n_clips, clip_length)
        In a video that is shorter than a clip, frames after the last one are those
        from the first one on.

    Raises
    ------
    ValueError
        If a number is less than 1, or there is no such rule.

    See Also
    --------
    sample_segments : One frame from each part of a video.
    ViewProtocol : Has these parameters.

    Examples
    --------
    >>> from jedi_sklearn.encoders.video import sample_clips
    >>> sample_clips(100, n_clips=2, clip_length=4, interval=8)
    array([[17, 25, 33, 41],
           [51, 59, 67, 75]])
    >>> sample_clips(100, n_clips=2, clip_length=4, interval=8, rule="1.x")
    array([[ 0,  8, 16, 24],
           [75, 83, 91, 99]])
    """
    _check(
        n_frames=n_frames, n_clips=n_clips, clip_length=clip_length, interval=interval
    )
    if rule not in _STARTS:
        raise invalid("rule", rule, ", ".join(map(repr, _STARTS)))
    starts = _STARTS[rule](n_frames, n_clips, clip_length, interval)
    return (starts[:, None] + np.arange(clip_length) * interval) % n_frames


def _starts_of_0x(
    n_frames: int, n_clips: int, clip_length: int, interval: int
) -> Frames:
    span = clip_length * interval
    if n_frames < span:
        return np.zeros(n_clips, dtype=np.int64)
    distance = (n_frames - span + 1) / n_clips
    return (np.arange(n_clips) * distance + distance / 2).astype(np.int64)


def _starts_of_1x(
    n_frames: int, n_clips: int, clip_length: int, interval: int
) -> Frames:
    if clip_length == 1:  # Clips of one frame are the middles of segments.
        return sample_segments(n_frames, n_clips)
    last = max(n_frames - ((clip_length - 1) * interval + 1), 0)
    if n_clips == 1:
        return np.array([last // 2])
    return np.linspace(0, last, n_clips).round().astype(np.int64)


_STARTS = {"0.x": _starts_of_0x, "1.x": _starts_of_1x}


def _check(**numbers: int) -> None:
    """Raise ValueError for the first number that is none of 1 or more."""
    for name, value in numbers.items():
        check_accepted(name, value, integer(1))
