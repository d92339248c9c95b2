"""Sampling of frames for tests, by the rules of MMAction2 (Apache-2.0)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ....utils.accepted import check_accepted, integer, invalid

Frames = npt.NDArray[np.int64]


def sample_segments(n_frames: int, n_segments: int) -> Frames:
    """Return the middle frames of segments of equal length.

    Parameters
    ----------
    n_frames : int
        Number of frames of the video.
    n_segments : int
        Number of segments, and so of frames returned.

    Returns
    -------
    frames : ndarray of int of shape (n_segments,)
        Frame numbers in ascending order; some repeat if the video has fewer frames than
        segments.

    Raises
    ------
    ValueError
        If a number is less than 1.

    See Also
    --------
    sample_clips : Samples clips of neighbouring frames.

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
        Number of frames of the video.
    n_clips : int
        Number of clips.
    clip_length : int
        Number of frames in a clip.
    interval : int
        Distance between two frames of a clip, in frames; 1 for neighbours.
    rule : {"0.x", "1.x"}, default="0.x"
        Version of MMAction2 whose rule decides where clips start. With "0.x" each clip
        is in the middle of its part of the video; with "1.x" the first one starts and
        the last one ends with the video.

    Returns
    -------
    frames : ndarray of int of shape (n_clips, clip_length)
        Frame numbers. In a video that is shorter than a clip, they continue with the
        first frame after the last.

    Raises
    ------
    ValueError
        If a number is less than 1, or there is no such rule.

    See Also
    --------
    sample_segments : Samples one frame from each part of a video.
    ViewProtocol : Test protocol with these parameters.

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
    # Latest start of a clip that fits into the video.
    last = max(n_frames - ((clip_length - 1) * interval + 1), 0)
    if rule == "0.x":
        # A distance of 0, and so only starts at 0, if the video is shorter than a clip.
        distance = max(n_frames - clip_length * interval + 1, 0) / n_clips
        starts = (np.arange(n_clips) * distance + distance / 2).astype(np.int64)
    elif rule != "1.x":
        raise invalid("rule", rule, "'0.x', '1.x'")
    elif clip_length == 1:
        starts = sample_segments(n_frames, n_clips)
    elif n_clips == 1:
        starts = np.array([last // 2])
    else:
        starts = np.linspace(0, last, n_clips).round().astype(np.int64)
    return (starts[:, None] + np.arange(clip_length) * interval) % n_frames


def _check(**numbers: int) -> None:
    """Raise ValueError for the first value that is not an integer of 1 or more."""
    for name, value in numbers.items():
        check_accepted(name, value, integer(1))
