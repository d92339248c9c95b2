"""Which frames a video file has, and from where on they are to be decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from ._decoding import (
    NO_STAMP,
    Integers,
    PacketIndex,
    VideoError,
    decoded,
    opened,
    packets_of,
)

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

# In these, a jump to a time stamp ends at the packet; in others, all packets are read.
EXACT_JUMPS = ("mov", "matroska")
# Codecs in which frames may be stored in any order, whatever kinds of frames they are.
ANY_ORDER = ("h264", "hevc", "vvc")
# Runs with a gap of fewer packets are one: emptying the decoder costs more.
SMALL_GAP = 4
# Of a VP8 packet's first byte; a packet without it has no frame that is shown.
VP8_SHOWN = 1 << 4
MPEG4_PICTURE = b"\0\0\1\xb6"


class FrameTable(NamedTuple):
    """The frames of a stream, in the order of showing, and how to come by them."""

    stored: PacketIndex
    packets: Integers  # of the frames
    frames: Integers  # of the packets, or -1
    keys: Integers  # packets from which on what is shown later can be decoded
    seconds: npt.NDArray[np.float64]  # when frames are shown

    def runs(self, numbers: Integers) -> list[tuple[int, int]]:
        """Return first and last packets of what to decode for some frames.

        Parameters
        ----------
        numbers : ndarray of shape (n,), int64
            Of the frames.

        Returns
        -------
        runs : list of (int, int)
            They rise, and do not overlap.
        """
        packets = self.packets[numbers]
        # A frame that is in the file after a key frame, but shown before it, may
        # depend on what is before the key frame.
        stored = np.searchsorted(self.keys, packets, "right")
        shown = np.searchsorted(self.frames[self.keys[1:]], numbers, "right") + 1
        starts = self.keys[np.minimum(stored, shown) - 1]
        order = np.argsort(packets)
        ends, starts = packets[order], starts[order]
        starts = np.minimum.accumulate(starts[::-1])[::-1]
        apart = np.flatnonzero(starts[1:] - ends[:-1] > SMALL_GAP)
        first, last = np.append(0, apart + 1), np.append(apart, len(ends) - 1)
        return list(zip(starts[first].tolist(), ends[last].tolist(), strict=True))


class _Notes(NamedTuple):
    """What is kept of packets, an entry each."""

    stamps: Integers
    targets: Integers
    is_key: npt.NDArray[np.bool_]
    is_shown: npt.NDArray[np.bool_]


def read_table(path: str) -> FrameTable:
    """Read all packets of a file, and decode it only where that is not enough."""
    with opened(path) as (container, stream):
        notes = _note(container, stream)
        _check_complete(container, stream, len(notes.stamps), path)
        is_timed = _is_timed(container, stream, notes)
        jumps = is_timed and _is_one_of(container, EXACT_JUMPS)
        time_base, rate = stream.time_base, stream.guessed_rate
    index = PacketIndex(notes.stamps, notes.targets if jumps else None)
    if is_timed:
        packets = np.flatnonzero(notes.is_shown)
        packets = packets[np.argsort(notes.stamps[packets])]
    else:
        packets = _decoded_order(path, index)
    if not len(packets):
        raise VideoError(f"{path} has a video stream, but no frame in it")
    stamps = np.sort(notes.stamps[packets])
    if stamps[0] == NO_STAMP or (np.diff(stamps) == 0).any() or time_base is None:
        seconds = np.arange(len(packets), dtype=np.float64) / float(rate or 25)
    else:
        seconds = stamps.astype(np.float64) * float(time_base)
    frames = np.full(len(notes.stamps), -1)
    frames[packets] = np.arange(len(packets))
    return FrameTable(index, packets, frames, _keys(notes.is_key, frames), seconds)


def _note(container: InputContainer, stream: VideoStream) -> _Notes:
    """Read all packets of a stream."""
    codec = stream.codec_context.name
    rows = [_row(packet, codec) for packet in packets_of(container, stream)]
    columns = np.array(rows, dtype=np.int64).reshape(-1, len(_Notes._fields)).T
    stamps, targets, is_key, is_shown = columns
    return _Notes(stamps, targets, is_key.astype(bool), is_shown.astype(bool))


def _row(packet: Packet, codec: str) -> tuple[int, int, bool, bool]:
    """Return what is noted of a packet."""
    stamp, target = packet.pts, packet.dts
    if stamp is None:
        stamp = NO_STAMP
    elif codec == "mpeg4" and bytes(packet).count(MPEG4_PICTURE) > 1:
        # DivX puts two frames into a packet, with the stamp of one, and a void frame
        # into the next.
        stamp = NO_STAMP
    # The edit list of an MP4 file has packets decoded, but not shown.
    is_shown = not packet.is_discard
    if codec == "vp8":
        is_shown = is_shown and bool(bytes(packet)[0] & VP8_SHOWN)
    return stamp, stamp if target is None else target, packet.is_keyframe, is_shown


def _check_complete(
    container: InputContainer, stream: VideoStream, n_packets: int, path: str
) -> None:
    """Refuse a file with nothing in it, or with less than its index lists."""
    if not n_packets:
        raise VideoError(f"{path} has a video stream, but no frame in it")
    n_listed = len(stream.index_entries)
    if _is_one_of(container, ("mov",)) and n_listed > n_packets:
        raise VideoError(
            f"{path} is truncated: its index lists {n_listed} frames, but only "
            f"{n_packets} are in the file"
        )


def _is_timed(container: InputContainer, stream: VideoStream, notes: _Notes) -> bool:
    """Tell whether stamps tell the order of showing, and all frames can be decoded."""
    stamps = notes.stamps
    if (stamps == NO_STAMP).any() or len(np.unique(stamps)) < len(stamps):
        return False
    # AVI stores none: FFmpeg reckons them from what kinds of frames there are.
    if _is_one_of(container, ("avi",)) and stream.codec_context.name in ANY_ORDER:
        return False
    # What is before the first key frame may or may not be decodable.
    shown = stamps[notes.is_shown]
    return bool(notes.is_key[0]) and not (shown < shown[:1]).any()


def _decoded_order(path: str, index: PacketIndex) -> Integers:
    """Return the packets of the frames that the decoder gives."""
    everything = [(0, len(index.stamps) - 1)]
    try:
        with opened(path) as (container, stream):
            frames = decoded(container, stream, index, everything)
            return np.array([packet for packet, _ in frames], dtype=np.int64)
    except VideoError as error:
        raise VideoError(f"frames of {path} cannot be counted: {error}") from error


def _keys(is_key: npt.NDArray[np.bool_], frames: Integers) -> Integers:
    """Return where decoding can begin: key frames, and the beginning in any case."""
    keys = np.flatnonzero(is_key & (frames > 0))
    if (np.diff(frames[keys]) < 0).any():
        keys = keys[:0]
    return np.append(0, keys[keys > 0])


def _is_one_of(container: InputContainer, formats: tuple[str, ...]) -> bool:
    return any(name in container.format.name.split(",") for name in formats)
