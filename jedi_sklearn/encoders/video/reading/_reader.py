"""Reading frames of a video file by their number."""

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
    """The frames of a video file, by their number.

    Frame ``i`` is the one that is shown ``i``-th, at whatever time: a variable frame
    rate changes `timestamps` alone. Frames are upright (the rotation or mirroring that
    a phone notes in a file is done), of 8 bits a channel, and without transparency.

    Parameters
    ----------
    path : str or path-like
        Of a file in any container and codec that FFmpeg reads. Of several video
        streams, the default one is taken, else the first; cover pictures are none.

    Attributes
    ----------
    path : str
    timestamps : ndarray of shape (n_frames,), float64
        Seconds from the file's zero to when each frame is shown.

    Raises
    ------
    VideoError
        When the file is a folder, empty, no video, without frames, or an MP4 or MOV
        file in which there are fewer frames than it says; and from indexing, when a
        frame that is asked for, or one that it depends on, cannot be decoded.
    FileNotFoundError
        When there is no such file.
    ImportError
        Without PyAV, ``pip install "jedi_sklearn[video]"``.

    See Also
    --------
    read_views : Frames as a network sees them.

    Notes
    -----
    The file is read once, without decoding, to count its frames. Where the container
    holds no usable time stamps (H.264 in AVI, a raw stream) or does not begin with a
    frame that can be decoded, counting decodes all of it.

    A frame is decoded from the key frame before it on. Each decoded frame is told by
    the packet that it came from, so that a frame which the decoder drops is an error
    and never another frame. The file is closed between calls; a reader can be pickled
    and shared by threads and processes.

    Of a truncated file without an index in front (all but MP4 and MOV), what is there
    is the video. Damage is an error as far as FFmpeg notices it, which is not always:
    H.264 and MPEG-4 tell mostly, VP8 and VP9 seldom.

    Pixels keep their number: where they are no squares, frames look squeezed.

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
            In any order, with repetitions; negative ones count from the end.

        Returns
        -------
        frames : ndarray of uint8, shape (height, width, 3) or (..., height, width, 3)
            Red, green and blue, with the shape of ``indices`` in front.

        Raises
        ------
        IndexError
            When there is no such frame.
        TypeError
            When an index is no integer.
        VideoError
            When a frame cannot be decoded.
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
        """Return indices as an array of frame numbers from 0 on."""
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
        """Return frames of different numbers, which rise.

        What does not come out when decoding begins at key frames, and leaves out
        what nothing depends on, is decoded again with all that is before it.
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
    """Decode runs, and give the pictures of packets that are wanted."""
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
    """Turn and mirror a picture as the display matrix of its frame says.

    The matrix takes a point (x, y) of the picture to (a x + c y, b x + d y).
    """
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return picture
    a, b, _, c, d = np.frombuffer(bytes(matrix), dtype=np.int32)[:5].tolist()
    if abs(b) > abs(a):
        picture, a, d = picture.swapaxes(0, 1), c, b
    return picture[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
