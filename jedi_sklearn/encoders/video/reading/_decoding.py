"""Decoding of packets of a video file to frames, by FFmpeg."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

Integers = npt.NDArray[np.int64]

# Threads slow down the decoding of smaller pictures, also in workers of a DataLoader.
LARGE_PICTURE = 1280 * 720
N_THREADS = 4
# Gap in packets from which seeking is faster than reading on.
WORTH_A_JUMP = 250
# Formats that read other files, or other machines, named in the file.
LISTS = {
    "alias_pix",
    "brender_pix",
    "concat",
    "dash",
    "hls",
    "image2",
    "imf",
    "lavfi",
    "rtp",
    "rtsp",
    "sap",
    "sdp",
    "vobsub",
}
# Texts, which FFmpeg renders as pictures.
TEXT = ("tty", "bin", "xbin", "idf", "adf")
NO_STAMP = np.iinfo(np.int64).min


class VideoError(ValueError):
    """Error for a file that is no video, or whose frames cannot be decoded.

    The message names the file and the cause.

    See Also
    --------
    VideoReader : Raises it.

    Examples
    --------
    >>> import tempfile
    >>> from jedi_sklearn.encoders.video import VideoError, VideoReader
    >>> path = tempfile.mkdtemp() + "/clip.mp4"
    >>> open(path, "w").close()
    >>> try:
    ...     VideoReader(path)
    ... except VideoError as error:
    ...     print("empty" in str(error))
    True
    """


@dataclass(frozen=True)
class Packets:
    """Packets of a stream in the order of the file, with one entry each.

    The ordinal of a packet is the number of packets before it in the file.
    """

    stamps: Integers  # display times, in units of the stream; NO_STAMP if unknown
    targets: Integers | None  # time stamps to seek; None if seeking is not exact
    is_key: npt.NDArray[np.bool_]
    is_shown: npt.NDArray[np.bool_]


@contextmanager
def opened(path: str) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and its video stream; errors of FFmpeg become VideoErrors."""
    try:
        import av
    except ImportError as error:
        raise ImportError(
            'VideoReader needs PyAV: pip install "jedi_sklearn[video]"'
        ) from error
    if os.path.isdir(path):
        raise VideoError(f"{path} is a folder, not a video file")
    if os.stat(path).st_size == 0:
        raise VideoError(f"{path} is empty, so it is no video")
    formats = ",".join(sorted(av.formats_available - LISTS))
    try:
        # FFmpeg could take a relative path for a URL.
        with av.open(
            os.path.abspath(path),
            metadata_errors="replace",
            options={"format_whitelist": formats, "protocol_whitelist": "file"},
        ) as container:
            stream = _stream_of(container, path)
            is_large = stream.width * stream.height >= LARGE_PICTURE
            context = stream.codec_context
            context.thread_type = "AUTO"
            context.thread_count = (
                min(N_THREADS, os.cpu_count() or 1) if is_large else 1
            )
            yield container, stream
    except av.ArgumentError as error:
        raise VideoError(
            f"{path} cannot be read as a video: it is in no format of videos, or it is "
            "a list of other files, which are not opened"
        ) from error
    except av.FFmpegError as error:
        raise VideoError(
            f"{path} cannot be read as a video: {error.strerror}"
        ) from error


def _stream_of(container: InputContainer, path: str) -> VideoStream:
    """Return the default video stream, or else the first; ignore still pictures."""
    from av.stream import Disposition

    stills = Disposition.attached_pic | Disposition.timed_thumbnails
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & stills and stream.codec_context is not None
    ]
    if container.format.name in TEXT:
        raise VideoError(f"{path} is a text, not a video")
    if not streams:
        kinds = ", ".join(sorted({stream.type for stream in container.streams}))
        raise VideoError(
            f"{path} has no video stream that can be decoded; what is in it: "
            f"{kinds or 'nothing'}"
        )
    by_default = [s for s in streams if s.disposition & Disposition.default]
    return (by_default or streams)[0]


def decoded(
    container: InputContainer,
    stream: VideoStream,
    packets: Packets,
    runs: list[tuple[int, int]],
    needed: Container[int] | None = None,
) -> Iterator[tuple[int, VideoFrame]]:
    """Decode runs of packets; yield frames with the ordinals of their packets.

    Parameters
    ----------
    container, stream : PyAV's
        Newly opened file and stream.
    packets : Packets
        Packets of the stream, as read before.
    runs : list of (int, int)
        Ordinals of the first and last packet of each run, ascending.
    needed : container of int, optional
        Ordinals of packets that must be decoded. The decoder skips others if no frame
        depends on theirs. By default all are decoded.

    Yields
    ------
    ordinal : int
    frame : av.VideoFrame
    """
    context = stream.codec_context
    numbered = _numbered(container, stream, packets, 0)
    position = 0
    for begin, end in runs:
        if packets.targets is not None and begin - position > WORTH_A_JUMP:
            container.seek(int(packets.targets[begin]), stream=stream)
            numbered = _numbered(container, stream, packets, None)
        for position, packet in numbered:
            if position < begin:
                continue
            packet.pts = position  # The decoder copies it to the frame.
            keep = needed is None or position == begin or position in needed
            context.skip_frame = "DEFAULT" if keep else "NONREF"
            yield from _frames(context, packet)
            if position >= end:
                break
        yield from _frames(context, None)
        context.flush_buffers()


def packets_of(container: InputContainer, stream: VideoStream) -> Iterator[Packet]:
    """Yield the packets of a stream that are not empty."""
    try:
        yield from (packet for packet in container.demux(stream) if packet.size)
    except IndexError:
        # A damaged file ends with packets of a stream that PyAV does not know.
        return


def _numbered(
    container: InputContainer,
    stream: VideoStream,
    packets: Packets,
    ordinal: int | None,
) -> Iterator[tuple[int, Packet]]:
    """Yield packets with their ordinals.

    If the ordinal of the first is None, as after seeking, it is found by time stamp.
    """
    stamps = packets.stamps.tolist()
    for packet in packets_of(container, stream):
        if ordinal is None:
            ordinal = stamps.index(packet.pts)
        if stamps[ordinal] not in (NO_STAMP, packet.pts):
            raise VideoError("the file has changed since it was opened")
        yield ordinal, packet
        ordinal += 1


def _frames(
    context: VideoCodecContext, packet: Packet | None
) -> Iterator[tuple[int, VideoFrame]]:
    """Decode a packet, or drain the decoder if it is None."""
    for frame in context.decode(packet):
        if frame.is_corrupt or frame.pts is None:
            raise VideoError("its data are damaged")
        yield frame.pts, frame
