"""From packets of a video file to decoded frames, by FFmpeg."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

Integers = npt.NDArray[np.int64]

# More threads for small pictures take longer, and in processes of a DataLoader, too.
LARGE_PICTURE = 1280 * 720
N_THREADS = 4
# Packets that are read and thrown away, rather than jumped over.
WORTH_A_JUMP = 250
# What these read are other files, and other machines, that a file names.
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
# FFmpeg makes pictures of letters.
TEXT = ("tty", "bin", "xbin", "idf", "adf")
NO_STAMP = np.iinfo(np.int64).min


class VideoError(ValueError):
    """A file is no video, or frames of it cannot be decoded.

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


class PacketIndex(NamedTuple):
    """The packets of a stream, in the order of the file.

    A packet is told by its ordinal: how many are before it in the file.
    """

    stamps: Integers  # when they are shown, in units of the stream
    targets: Integers | None  # what to jump to; None where jumps are not exact


@contextmanager
def opened(path: str) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and its video stream; what FFmpeg complains of is a VideoError."""
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
    try:
        # An absolute path is not taken for an address.
        with av.open(
            os.path.abspath(path),
            metadata_errors="replace",
            options={"format_whitelist": _formats(), "protocol_whitelist": "file"},
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


@cache
def _formats() -> str:
    """Return the formats that are read from one file."""
    import av

    return ",".join(sorted(av.formats_available - LISTS))


def _stream_of(container: InputContainer, path: str) -> VideoStream:
    """Return the default stream of pictures that move, or else the first one."""
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
    index: PacketIndex,
    runs: list[tuple[int, int]],
    needed: Container[int] | None = None,
) -> Iterator[tuple[int, VideoFrame]]:
    """Decode runs of packets, and give the frames that come out, with their packets.

    Parameters
    ----------
    container, stream : PyAV's
        Newly opened.
    index : PacketIndex
    runs : list of (int, int)
        Ordinals of first and last packets, rising.
    needed : container of int, optional
        Ordinals of packets without which the decoder may do: it leaves others out
        if they are marked as those of frames that no frame depends on.

    Yields
    ------
    ordinal : int
    frame : av.VideoFrame
    """
    context = stream.codec_context
    packets = _numbered(container, stream, index, 0)
    position = 0
    for begin, end in runs:
        if index.targets is not None and begin - position > WORTH_A_JUMP:
            container.seek(int(index.targets[begin]), stream=stream)
            packets = _numbered(container, stream, index, None)
        for position, packet in packets:
            if position < begin:
                continue
            packet.pts = position  # which the decoder hands on to the frame
            keep = needed is None or position == begin or position in needed
            context.skip_frame = "DEFAULT" if keep else "NONREF"
            yield from _frames(context, packet)
            if position >= end:
                break
        yield from _frames(context, None)
        context.flush_buffers()


def packets_of(container: InputContainer, stream: VideoStream) -> Iterator[Packet]:
    """Give the packets of a stream."""
    try:
        yield from (packet for packet in container.demux(stream) if packet.size)
    except IndexError:
        # PyAV does not know a stream that it meets in a damaged file, in the end.
        return


def _numbered(
    container: InputContainer,
    stream: VideoStream,
    index: PacketIndex,
    ordinal: int | None,
) -> Iterator[tuple[int, Packet]]:
    """Give packets with their ordinals; that of the first one may be unknown."""
    stamps = index.stamps.tolist()
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
    """Decode a packet, or what the decoder still has."""
    for frame in context.decode(packet):
        if frame.is_corrupt or frame.pts is None:
            raise VideoError("its data are damaged")
        yield frame.pts, frame
