"""Reading of frames by number."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._decoding import Integers, VideoError, decoded, opened
from ._frame_table import FrameTable, read_table

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

Frames = npt.NDArray[np.uint8]

__all__ = ["VideoError", "VideoReader"]


class VideoReader:
    """Frames of a video file, indexed by number.

    Frame ``i`` is the ``i``-th in display order; a variable frame rate affects only
    `timestamps`. Frames are upright (rotation and mirroring stored in the file are
    applied), have 8 bits per channel and no transparency.

    Parameters
    ----------
    path : str or path-like
        Path of a file in any container and codec that FFmpeg reads. Of several video
        streams, the default one is read, else the first; cover pictures are ignored.

    Attributes
    ----------
    path : str
    timestamps : ndarray of shape (n_frames,), float64
        Display time of each frame in seconds from the file's zero.

    Raises
    ------
    VideoError
        If the file is a folder, empty, no video or without frames, or an MP4 or MOV
        file that is shorter than its index; and from indexing, if a frame, or one that
        it depends on, cannot be decoded.
    FileNotFoundError
        If there is no such file.
    ImportError
        If PyAV is not installed: ``pip install "jedi_sklearn[video]"``.

    See Also
    --------
    read_views : Reads frames as the input of a network.

    Notes
    -----
    The file is read once, without decoding, to count its frames. If the container has
    no usable time stamps (H.264 in AVI, a raw stream) or does not begin with a
    decodable frame, the whole file is decoded to count them.

    Decoding starts at the key frame before a frame. Each decoded frame is identified
    by the packet that it came from, so that a frame dropped by the decoder is an error
    and never another frame. The file is closed between calls; a reader can be pickled
    and shared by threads and processes.

    A truncated file without an index in front (all but MP4 and MOV) counts as a
    shorter video. Damage is an error if FFmpeg notices it: mostly in H.264 and MPEG-4,
    seldom in VP8 and VP9.

    Frames are not resampled to square pixels, and may look squeezed.

    Examples
    --------
    >>> import av, tempfile
    >>> import numpy as np
    >>> from jedi_sklearn.encoders.video import VideoReader
    >>> path = tempfile.mkdtemp() + "/clip.mp4"
    >>> with av.open(path, "w") as container:
    ...     stream = container.add_stream("mpeg4", rate=25)
    ...     stream.width, stream.height = 64, 48
    ...     for grey in range(0, 200, 10):
    ...         array = np.full((48, 64, 3), grey, dtype=np.uint8)
    ...         frame = av.VideoFrame.from_ndarray(array)
    ...         container.mux(stream.encode(frame))
    ...     container.mux(stream.encode(None))
    >>> reader = VideoReader(path)
    >>> len(reader)
    20
    >>> reader[[0, 10, -1]].shape
    (3, 48, 64, 3)
    >>> reader[10].mean().round(-1)
    np.float64(100.0)
    >>> reader.timestamps[:3]
    array([0.  , 0.04, 0.08])
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._table = read_table(self.path)
        self.timestamps = self._table.seconds

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.timestamps)

    def __getitem__(self, indices: Any) -> Frames:
        """Return frames.

        Parameters
        ----------
        indices : int, slice or array-like of int
            Frame numbers in any order, with repetitions; negative ones count from the
            end.

        Returns
        -------
        frames : ndarray of uint8, shape (height, width, 3) or (..., height, width, 3)
            RGB, with the shape of ``indices`` in front.

        Raises
        ------
        IndexError
            If there is no such frame.
        TypeError
            If an index is not an integer.
        VideoError
            If a frame cannot be decoded.
        """
        numbers = self._numbers(indices)
        if numbers.size == 0:
            return self[:1][numbers]
        wanted, positions = np.unique(numbers, return_inverse=True)
        frames = self._read(wanted)
        if np.array_equal(wanted, numbers):
            return frames
        return frames[positions.reshape(numbers.shape)]

    def _numbers(self, indices: Any) -> Integers:
        """Convert indices to an array of non-negative frame numbers."""
        n = len(self)
        if isinstance(indices, slice):
            return np.arange(n)[indices]
        numbers = np.asarray(indices)
        if numbers.size == 0:
            return numbers.astype(np.int64)
        if not np.issubdtype(numbers.dtype, np.integer):
            raise TypeError(
                f"frames of a VideoReader are indexed by integers, slices and arrays "
                f"of integers, not by {numbers.dtype}"
            )
        out_of_range = (numbers < -n) | (numbers >= n)
        if out_of_range.any():
            raise IndexError(
                f"{self.path} has no frame {numbers[out_of_range].flat[0]}: there are "
                f"{n}"
            )
        return np.where(numbers < 0, numbers + n, numbers).astype(np.int64)

    def _read(self, numbers: Integers) -> Frames:
        """Return frames by numbers that are unique and ascending.

        The first pass starts at key frames and skips frames on which no other depends.
        Frames that it misses are decoded in a second pass, from the file's beginning.
        """
        table = self._table
        packets = table.packets[numbers].tolist()
        rows = dict(zip(packets, range(len(packets)), strict=True))
        frames: Frames | None = None
        cause: VideoError | None = None
        for runs, hurry in ((table.runs(numbers), True), ([(0, max(packets))], False)):
            try:
                for packet, picture in _pictures(self.path, table, runs, rows, hurry):
                    if frames is None:
                        frames = np.empty((len(rows), *picture.shape), dtype=np.uint8)
                    frames[rows.pop(packet)] = picture
            except VideoError as error:
                cause = error
            if frames is not None and not rows:
                return frames
        number = numbers[min(rows.values())]
        raise VideoError(
            f"frame {number} of {self.path} cannot be decoded: "
            f"{cause or 'the decoder gives none'}"
        ) from cause


def _pictures(
    path: str,
    table: FrameTable,
    runs: list[tuple[int, int]],
    wanted: Container[int],
    hurry: bool,
) -> Iterator[tuple[int, Frames]]:
    """Decode runs of packets; yield the pictures of the wanted packets."""
    from av.video.reformatter import VideoReformatter

    reformatter = VideoReformatter()
    begins = {begin for begin, _ in runs if begin > 0}
    needed = wanted if hurry else None
    numbers = table.frames.tolist()
    number = -1
    with opened(path) as (container, stream):
        size = stream.width, stream.height
        for packet, frame in decoded(container, stream, table.stored, runs, needed):
            if numbers[packet] <= number:
                raise VideoError("its frames are not in the order of their time stamps")
            if packet in begins and not frame.key_frame:
                raise VideoError("what the file calls a key frame is none")
            number = numbers[packet]
            if packet in wanted:
                picture = reformatter.reformat(frame, *size, "rgb24", threads=1)
                yield packet, _upright(picture.to_ndarray(), frame)


def _upright(picture: npt.NDArray[Any], frame: VideoFrame) -> Frames:
    """Rotate and mirror a picture by the display matrix of its frame.

    The matrix maps a point (x, y) of the picture to (a x + c y, b x + d y).
    """
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return picture
    a, b, _, c, d = np.frombuffer(bytes(matrix), dtype=np.int32)[:5].tolist()
    if abs(b) > abs(a):
        picture, a, d = picture.swapaxes(0, 1), c, b
    return picture[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
