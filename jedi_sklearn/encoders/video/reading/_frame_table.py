"""Table of the frames of a video file, and where their decoding starts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from ._decoding import (
    NO_STAMP,
    Integers,
    Packets,
    VideoError,
    decoded,
    opened,
    packets_of,
)

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

# Formats in which seeking a time stamp finds its packet; others are read throughout.
EXACT_JUMPS = ("mov", "matroska")
# Codecs that may store frames in any order, whatever their kinds.
ANY_ORDER = ("h264", "hevc", "vvc")
# Gap in packets up to which runs are merged: draining the decoder costs more.
SMALL_GAP = 4
# Bit in the first byte of a VP8 packet that marks a shown frame.
VP8_SHOWN = 1 << 4
MPEG4_PICTURE = b"\0\0\1\xb6"


class FrameTable(NamedTuple):
    """Frames of a stream in display order, and their packets."""

    stored: Packets
    packets: Integers  # packet of each frame
    frames: Integers  # frame of each packet, or -1
    keys: Integers  # packets at which the decoding of later frames can start
    seconds: npt.NDArray[np.float64]  # display time of each frame

    def runs(self, numbers: Integers) -> list[tuple[int, int]]:
        """Return the runs of packets to decode for some frames.

        Parameters
        ----------
        numbers : ndarray of shape (n,), int64
            Numbers of the frames.

        Returns
        -------
        runs : list of (int, int)
            First and last packet of each run, ascending and without overlap.
        """
        packets = self.packets[numbers]
        # A frame that is stored after a key frame, but shown before it, may depend on
        # frames before the key frame.
        stored = np.searchsorted(self.keys, packets, "right")
        shown = np.searchsorted(self.frames[self.keys[1:]], numbers, "right") + 1
        starts = self.keys[np.minimum(stored, shown) - 1]
        order = np.argsort(packets)
        ends, starts = packets[order], starts[order]
        starts = np.minimum.accumulate(starts[::-1])[::-1]
        apart = np.flatnonzero(starts[1:] - ends[:-1] > SMALL_GAP)
        first, last = np.append(0, apart + 1), np.append(apart, len(ends) - 1)
        return list(zip(starts[first].tolist(), ends[last].tolist(), strict=True))


def read_table(path: str) -> FrameTable:
    """Read all packets of a file; decode them only if the frames need it."""
    with opened(path) as (container, stream):
        stored = _read_packets(container, stream, path)
        is_timed = _is_timed(container, stream, stored)
        is_exact = _is_one_of(container, EXACT_JUMPS)
        time_base, rate = stream.time_base, stream.guessed_rate
    if not is_timed or not is_exact:
        stored = replace(stored, targets=None)
    if is_timed:
        packets = np.flatnonzero(stored.is_shown)
        packets = packets[np.argsort(stored.stamps[packets])]
    else:
        packets = _decoded_order(path, stored)
    if not len(packets):
        raise VideoError(f"{path} has a video stream, but no frame in it")
    stamps = np.sort(stored.stamps[packets])
    if stamps[0] == NO_STAMP or (np.diff(stamps) == 0).any() or time_base is None:
        seconds = np.arange(len(packets), dtype=np.float64) / float(rate or 25)
    else:
        seconds = stamps.astype(np.float64) * float(time_base)
    frames = np.full(len(stored.stamps), -1)
    frames[packets] = np.arange(len(packets))
    keys = np.flatnonzero(stored.is_key & (frames > 0))
    if (np.diff(frames[keys]) < 0).any():  # Not in display order: no use for decoding.
        keys = keys[:0]
    # The first packet is a start in any case.
    keys = np.append(0, keys[keys > 0])
    return FrameTable(stored, packets, frames, keys, seconds)


def _read_packets(container: InputContainer, stream: VideoStream, path: str) -> Packets:
    """Read all packets of a stream; refuse files with none, or fewer than indexed."""
    codec = stream.codec_context.name
    rows = [_row(packet, codec) for packet in packets_of(container, stream)]
    if not rows:
        raise VideoError(f"{path} has a video stream, but no frame in it")
    n_listed = len(stream.index_entries)
    if _is_one_of(container, ("mov",)) and n_listed > len(rows):
        raise VideoError(
            f"{path} is truncated: its index lists {n_listed} frames, but only "
            f"{len(rows)} are in the file"
        )
    stamps, targets, is_key, is_shown = np.array(rows, dtype=np.int64).T
    return Packets(stamps, targets, is_key.astype(bool), is_shown.astype(bool))


def _row(packet: Packet, codec: str) -> tuple[int, int, bool, bool]:
    """Return an entry of `Packets`."""
    stamp, target = packet.pts, packet.dts
    if stamp is None:
        stamp = NO_STAMP
    elif codec == "mpeg4" and bytes(packet).count(MPEG4_PICTURE) > 1:
        # DivX packs two frames into a packet with the stamp of one, and puts an empty
        # frame into the next packet.
        stamp = NO_STAMP
    # Packets outside an MP4 file's edit list are decoded, but not shown.
    is_shown = not packet.is_discard
    if codec == "vp8":
        is_shown = is_shown and bool(bytes(packet)[0] & VP8_SHOWN)
    return stamp, stamp if target is None else target, packet.is_keyframe, is_shown


def _is_timed(container: InputContainer, stream: VideoStream, packets: Packets) -> bool:
    """Tell whether stamps give the display order, and all frames can be decoded."""
    stamps = packets.stamps
    if (stamps == NO_STAMP).any() or len(np.unique(stamps)) < len(stamps):
        return False
    # AVI stores no stamps; FFmpeg infers them from the kinds of frames.
    if _is_one_of(container, ("avi",)) and stream.codec_context.name in ANY_ORDER:
        return False
    # Frames before the first key frame may or may not be decodable.
    shown = stamps[packets.is_shown]
    return bool(packets.is_key[0]) and not (shown < shown[:1]).any()


def _decoded_order(path: str, packets: Packets) -> Integers:
    """Return the packets of frames in the order of the decoder's output."""
    everything = [(0, len(packets.stamps) - 1)]
    try:
        with opened(path) as (container, stream):
            frames = decoded(container, stream, packets, everything)
            return np.array([packet for packet, _ in frames], dtype=np.int64)
    except VideoError as error:
        raise VideoError(f"frames of {path} cannot be counted: {error}") from error


def _is_one_of(container: InputContainer, formats: tuple[str, ...]) -> bool:
    return any(name in container.format.name.split(",") for name in formats)
