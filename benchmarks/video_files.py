"""Video files for benchmarks and tests; each frame shows its own number."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

Frames = npt.NDArray[np.uint8]

N_BITS = 10
TIME_BASE = Fraction(1, 1000)


def barcode_frames(
    n_frames: int, height: int = 48, width: int = 80, first: int = 0
) -> Frames:
    """Return RGB frames with their number drawn as bars, the highest bit to the left.

    Above and below the bars, whose upper and lower ends are a quarter of the height
    away from the borders, a pattern moves, so that there is motion to encode.
    """
    numbers = np.arange(first, first + n_frames)
    bits = (numbers[:, None] >> np.arange(N_BITS)[::-1]) & 1
    bar_of = np.arange(width) * N_BITS // width
    rows, columns = np.mgrid[:height, :width]
    waves = np.sin((rows + columns)[None] / 7 + numbers[:, None, None] / 5)
    frames = np.repeat((120 + 100 * waves)[..., None], 3, axis=3).astype(np.uint8)
    frames[..., 2] //= 2  # not grey
    bars = slice(height // 4, height - height // 4)
    frames[:, bars] = (255 * bits[:, bar_of]).astype(np.uint8)[:, None, :, None]
    return frames


def read_barcode(frame: Frames) -> int:
    """Return the number drawn into an RGB frame."""
    height, width = frame.shape[:2]
    middle = frame[height * 3 // 8 : height * 5 // 8].mean(axis=(0, 2))
    centres = ((np.arange(N_BITS) + 0.5) * width / N_BITS).astype(int)
    bits = middle[centres] > 127
    return int(bits @ (1 << np.arange(N_BITS)[::-1]))


def write_video(  # noqa: PLR0913 - an encoder has that many settings
    path: Path,
    frames: Frames,
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    times: Sequence[int] | None = None,
    rate: int = 25,
    rotation: int | None = None,
    options: Mapping[str, str] | None = None,
    container_options: Mapping[str, str] | None = None,
    source: str = "rgb24",
    **attributes: Any,
) -> Path:
    """Encode frames into a file, whose container its suffix tells.

    Parameters
    ----------
    path : Path
    frames : ndarray of uint8
        As PyAV's ``from_ndarray`` takes those of the format ``source``.
    codec, pix_fmt : str
        Of an encoder.
    times : sequence of int or None
        When each frame is shown, in milliseconds; None stands for a constant rate.
    rate : int
        Frames a second.
    rotation : int or None
        By how many degrees players shall turn the frames anticlockwise.
    options, container_options : mapping or None
        Of the encoder and of the container.
    source : str
        Pixel format of ``frames``.
    **attributes
        Of the encoder, such as ``gop_size=10`` or ``max_b_frames=2``.
    """
    with av.open(path, "w", options=dict(container_options or {})) as container:
        stream = add_stream(container, codec, pix_fmt, frames, rate, options)
        for name, value in attributes.items():
            setattr(stream.codec_context, name, value)
        if times is not None:
            stream.codec_context.time_base = TIME_BASE
        if rotation is not None:
            stream.set_display_rotation(rotation)
        encode(container, stream, frames, times, source)
    return path


def add_stream(
    container: Any,
    codec: str,
    pix_fmt: str,
    frames: Frames,
    rate: int = 25,
    options: Mapping[str, str] | None = None,
) -> Any:
    """Add a stream for frames of this size."""
    stream = container.add_stream(codec, rate=rate, options=dict(options or {}))
    stream.height, stream.width = frames.shape[1:3]
    stream.pix_fmt = pix_fmt
    return stream


def encode(
    container: Any,
    stream: Any,
    frames: Frames,
    times: Sequence[int] | None = None,
    source: str = "rgb24",
) -> None:
    """Encode frames into a stream of a container that is open."""
    for number, array in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(array), format=source)
        if times is not None:
            frame.pts, frame.time_base = int(times[number]), TIME_BASE
        else:
            frame.pts, frame.time_base = number, Fraction(1) / stream.codec_context.rate
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def write_sound(path: Path, seconds: float = 0.5) -> Path:
    """Write a file in which there is sound, but no picture."""
    with av.open(path, "w") as container:
        stream = container.add_stream("aac", rate=16000)
        samples = np.zeros((1, int(16000 * seconds)), dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def atoms(data: bytes, begin: int = 0) -> dict[str, tuple[int, int]]:
    """Return where the boxes of an MP4 file at one level begin and end."""
    found = {}
    while begin + 8 <= len(data):
        size, kind = struct.unpack(">I4s", data[begin : begin + 8])
        if size < 8:
            break
        found[kind.decode("latin1")] = (begin, min(begin + size, len(data)))
        begin += size
    return found
