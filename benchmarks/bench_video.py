"""Time to read the middle frames of 8 segments of a clip, in several containers.

    python -m benchmarks.bench_video            # a minute
    python -m benchmarks.bench_video --json video.json

Prints how many milliseconds VideoReader takes to open a file, count its frames and
read 8 of them, and of decord, torchcodec and OpenCV, where they are installed, how
many and how many times as long ours takes. The clips are made with barcodes in their
frames; a contestant that returns other frames than were asked for is not faster, but
wrong: how many it has wrong, in the same clips, is printed next to its time.
"""

from __future__ import annotations

import importlib
import statistics
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jedi_sklearn.encoders.video import VideoReader, sample_segments

from .rounds import in_turn, median_ratio, parser_of, start
from .video_files import barcode_frames, read_barcode, write_video

Frames = npt.NDArray[np.uint8]
Read = Callable[[str, int], Frames]

OURS = "VideoReader"
N_SEGMENTS = 8
# Name of the clip: how it is written.
CLIPS: dict[str, dict[str, Any]] = {
    "h264.mp4": {"gop_size": 250},
    "h264, gop 24.mp4": {"gop_size": 24},
    "h264.mkv": {"gop_size": 250},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime"}},
    "mpeg4.avi": {"codec": "mpeg4", "gop_size": 250, "bit_rate": 800_000},
    "mpeg4, b.avi": {"codec": "mpeg4", "max_b_frames": 2, "bit_rate": 800_000},
    "h264.ts": {"gop_size": 250},
}


def middles(n_frames: int) -> list[int]:
    """Return the frame in the middle of each segment."""
    return sample_segments(n_frames, N_SEGMENTS).tolist()


def read_ours(path: str, n_threads: int) -> Frames:
    reader = VideoReader(path)
    return reader[middles(len(reader))]


def read_decord(path: str, n_threads: int) -> Frames:
    import decord

    reader = decord.VideoReader(path, num_threads=n_threads)
    return reader.get_batch(middles(len(reader))).asnumpy()


def read_torchcodec(path: str, n_threads: int) -> Frames:
    from torchcodec.decoders import VideoDecoder

    reader = VideoDecoder(path, dimension_order="NHWC", num_ffmpeg_threads=n_threads)
    return reader.get_frames_at(middles(len(reader))).data.numpy()


def read_opencv(path: str, n_threads: int) -> Frames:
    import cv2

    reader = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, n_threads])
    frames = []
    for number in middles(int(reader.get(cv2.CAP_PROP_FRAME_COUNT))):
        reader.set(cv2.CAP_PROP_POS_FRAMES, number)
        frames.append(cv2.cvtColor(reader.read()[1], cv2.COLOR_BGR2RGB))
    return np.stack(frames)


# Readers by the module that they need.
OTHERS: dict[str, Read] = {
    "decord": read_decord,
    "torchcodec": read_torchcodec,
    "cv2": read_opencv,
}


def others() -> dict[str, Read]:
    """Return the contestants that are installed, and say which are not."""
    found = {}
    for name, read in OTHERS.items():
        try:
            importlib.import_module(name)
        except (ImportError, OSError, RuntimeError):
            print(f"{name} cannot be imported: it is left out")
        else:
            found[name] = read
    return found


def make_frames(n_frames: int, height: int, width: int) -> Frames:
    """Return barcodes over a texture that moves, which takes work to decode."""
    frames = barcode_frames(n_frames, height, width)
    grain = np.random.default_rng(0).normal(size=(height, width // 4 + n_frames))
    texture = (128 + 40 * grain.repeat(4, axis=1)).clip(0, 255).astype(np.uint8)
    border = np.r_[: height // 4, height - height // 4 : height]
    for number, frame in enumerate(frames):
        frame[border] = texture[border, 2 * number : 2 * number + width, None]
    return frames


def n_wrong(read: Read, path: str, n_frames: int) -> int:
    """Return how many of the frames are not those that were asked for."""
    try:
        codes = [read_barcode(frame) for frame in read(path, 1)]
    except Exception as error:  # of another's library
        print(f"{read.__name__} of {Path(path).name}: {type(error).__name__}")
        return len(middles(n_frames))
    wanted = middles(n_frames)
    return len(wanted) - sum(a == b for a, b in zip(wanted, codes, strict=False))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and print what it found."""
    parser = parser_of("bench_video", __doc__)
    parser.add_argument("--frames", type=int, default=240, help="of a clip")
    parser.add_argument("--size", type=int, nargs=2, default=(240, 320))
    asked, report = start(parser, arguments)
    contestants = {OURS: read_ours, **others()}
    ratios: dict[str, list[float]] = {name: [] for name in contestants}
    with tempfile.TemporaryDirectory() as folder:
        frames = make_frames(asked.frames, *asked.size)
        for name, how in CLIPS.items():
            path = str(write_video(Path(folder) / name, frames, **how))
            wrong = {
                contestant: n_wrong(read, path, asked.frames)
                for contestant, read in contestants.items()
            }
            runs = {
                contestant: partial(_run, read, path, asked.threads)
                for contestant, read in contestants.items()
            }
            seconds = in_turn(runs, asked.rounds)
            for contestant, of_rounds in seconds.items():
                ratio = median_ratio(seconds[OURS], of_rounds)
                if not wrong[contestant]:
                    ratios[contestant].append(ratio)
                report.add(
                    clip=name,
                    contestant=contestant,
                    milliseconds=1e3 * statistics.median(of_rounds),
                    ours_over_this=ratio,
                    n_wrong=wrong[contestant],
                )
    for contestant, of_clips in ratios.items():
        if of_clips:
            report.add(
                clip=f"the {len(of_clips)} that it reads right",
                contestant=contestant,
                ours_over_this=statistics.geometric_mean(of_clips),
            )
    report.write()


def _run(read: Read, path: str, n_threads: int) -> None:
    try:
        read(path, n_threads)
    except Exception:  # said already, when frames were checked
        return


if __name__ == "__main__":
    main()
