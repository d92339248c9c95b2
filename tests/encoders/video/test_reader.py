"""Frames are read by their number, from whatever file, or there is an error."""

from __future__ import annotations

import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.video_files import (
    N_BITS,
    add_stream,
    barcode_frames,
    encode,
    read_barcode,
    write_sound,
    write_video,
)
from jedi_sklearn.encoders.video import VideoError, VideoReader
from jedi_sklearn.encoders.video.reading import _decoding as decoding

N_FRAMES = 60
QUIET_X265 = {"x265-params": "log-level=none"}
# With packets of frames that are not shown.
HIDDEN = {"auto-alt-ref": "1", "lag-in-frames": "16"}

CLIPS: dict[str, dict[str, Any]] = {
    "h264.mp4": {"gop_size": 20, "max_b_frames": 3},
    "h264.mov": {"gop_size": 20, "max_b_frames": 3},
    "h264.mkv": {"gop_size": 20, "max_b_frames": 3},
    "h264.ts": {"gop_size": 20, "max_b_frames": 3},
    "h264.avi": {"gop_size": 20, "max_b_frames": 3},
    "h264.flv": {"gop_size": 20},
    "h264.h264": {"gop_size": 20},
    "open gop.mp4": {"options": {"x264-params": "open-gop=1:keyint=12:bframes=3"}},
    "refresh.ts": {"options": {"x264-params": "intra-refresh=1:keyint=12"}},
    "refresh.mp4": {"options": {"x264-params": "intra-refresh=1:keyint=12"}},
    "hevc.mp4": {"codec": "libx265", "gop_size": 20, "options": QUIET_X265},
    "vp8.webm": {"codec": "libvpx", "gop_size": 20, "options": HIDDEN},
    "vp9.webm": {"codec": "libvpx-vp9", "gop_size": 20},
    "mpeg4.avi": {"codec": "mpeg4", "gop_size": 20},
    "mpeg4, b.avi": {"codec": "mpeg4", "gop_size": 20, "max_b_frames": 2},
    "mpeg4, b.mp4": {"codec": "mpeg4", "gop_size": 20, "max_b_frames": 2},
    "mpeg2.ts": {"codec": "mpeg2video", "gop_size": 20, "max_b_frames": 2},
    "mpeg2.mpg": {"codec": "mpeg2video", "gop_size": 20, "max_b_frames": 2},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "lossless.mkv": {"codec": "ffv1"},
    "animation.gif": {"codec": "gif", "pix_fmt": "rgb8"},
}


def codes(frames: Any) -> list[int]:
    return [read_barcode(frame) for frame in frames]


@pytest.fixture(scope="module")
def clip_of(tmp_path_factory):
    """Return the path of a clip of the names above, which is written once."""
    folder = tmp_path_factory.mktemp("clips")

    def written(name: str) -> Path:
        path = folder / name
        if not path.exists():
            write_video(path, barcode_frames(N_FRAMES), **CLIPS[name])
        return path

    return written


@pytest.fixture
def mp4(clip_of):
    return clip_of("h264.mp4")


def test_barcodes_are_read():
    assert codes(barcode_frames(40, first=1000 - 40)) == list(range(960, 1000))
    assert 2**N_BITS > 1000


@pytest.mark.parametrize("name", CLIPS)
def test_each_frame_is_that_of_its_number(clip_of, name):
    reader = VideoReader(clip_of(name))
    assert len(reader) == N_FRAMES
    frames = reader[:]
    assert frames.shape == (N_FRAMES, 48, 80, 3)
    assert frames.dtype == np.uint8
    assert codes(frames) == list(range(N_FRAMES))
    # Whatever decoding begins with, and whatever it leaves out.
    for number in range(0, N_FRAMES, 7):
        np.testing.assert_array_equal(reader[number], frames[number])


@pytest.mark.parametrize("name", CLIPS)
def test_frames_are_read_in_any_order(clip_of, name):
    reader = VideoReader(clip_of(name))
    numbers = np.random.default_rng(0).integers(N_FRAMES, size=9)
    frames = reader[numbers]
    assert codes(frames) == numbers.tolist()
    np.testing.assert_array_equal(frames, reader[:][numbers])


@pytest.mark.parametrize("name", ["h264.mp4", "h264.mkv", "open gop.mp4", "vp9.webm"])
def test_jumps_end_where_they_should(clip_of, name, monkeypatch):
    reader = VideoReader(clip_of(name))
    frames = reader[:]
    monkeypatch.setattr(decoding, "WORTH_A_JUMP", 0)
    for numbers in ([50], [1, 30, 59], [21, 22, 45]):
        np.testing.assert_array_equal(reader[numbers], frames[numbers])


@given(
    numbers=st.lists(st.integers(-N_FRAMES, N_FRAMES - 1), max_size=12),
    name=st.sampled_from(["open gop.mp4", "h264.ts", "mpeg4, b.avi"]),
)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_indices_are_those_of_an_array(clip_of, numbers, name):
    frames = VideoReader(clip_of(name))[numbers]
    assert frames.shape == (len(numbers), 48, 80, 3)
    assert codes(frames) == [number % N_FRAMES for number in numbers]


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (7, 7),
        (np.int64(-1), N_FRAMES - 1),
        (slice(50, None, 3), [50, 53, 56, 59]),
        (slice(3, 1, -1), [3, 2]),
        (slice(5, 5), []),
        (np.array([[1, 2], [2, 1]]), [[1, 2], [2, 1]]),
        (range(3), [0, 1, 2]),
        ((4, 4), [4, 4]),
        ([], []),
        (np.array([2], dtype=np.uint8), [2]),
    ],
)
def test_kinds_of_indices(mp4, index, expected):
    frames = VideoReader(mp4)[index]
    assert frames.shape == (*np.shape(expected), 48, 80, 3)
    assert codes(frames.reshape(-1, 48, 80, 3)) == np.ravel(expected).tolist()


@pytest.mark.parametrize("index", [N_FRAMES, -N_FRAMES - 1, [0, N_FRAMES]])
def test_index_out_of_range(mp4, index):
    with pytest.raises(IndexError, match=r"h264\.mp4 has no frame -?6.: there are 60"):
        VideoReader(mp4)[index]


@pytest.mark.parametrize("index", [1.0, "1", [True, False], None])
def test_index_that_is_no_integer(mp4, index):
    with pytest.raises(TypeError, match="integers"):
        VideoReader(mp4)[index]


def test_frames_can_be_written_to_and_last(mp4):
    reader = VideoReader(str(mp4))
    first = reader[3]
    first[:] = 0
    assert read_barcode(reader[3]) == 3


def test_reader_is_pickled_and_shared_by_threads(mp4):
    reader = pickle.loads(pickle.dumps(VideoReader(mp4)))
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(reader.__getitem__, range(20)))
    assert codes(read) == list(range(20))


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_no_file_stays_open(mp4):
    reader = VideoReader(mp4)
    reader[0]
    files = [link.resolve() for link in Path("/proc/self/fd").iterdir()]
    assert mp4.resolve() not in files


def test_times_of_a_variable_frame_rate(tmp_path):
    times = np.cumsum(np.random.default_rng(0).integers(1, 200, size=30))
    for name in ("vfr.mp4", "vfr.mkv"):
        frames = barcode_frames(30)
        path = write_video(tmp_path / name, frames, times=times, max_b_frames=2)
        reader = VideoReader(path)
        assert codes(reader[:]) == list(range(30))
        assert codes(reader[[29, 3, 17]]) == [29, 3, 17]
        gaps = np.diff(reader.timestamps)
        np.testing.assert_allclose(gaps, np.diff(times) / 1000, atol=2e-3)


def test_first_frame_need_not_be_shown_at_zero(tmp_path):
    times = 500 + 40 * np.arange(20)
    for name in ("late.mp4", "late.mkv", "late.ts"):
        path = write_video(tmp_path / name, barcode_frames(20), times=times)
        reader = VideoReader(path)
        assert codes(reader[:]) == list(range(20))
        assert reader.timestamps[0] >= 0.5


def test_frames_that_an_edit_list_cuts_off_are_none(tmp_path):
    path = write_video(tmp_path / "cut.mp4", barcode_frames(30), max_b_frames=0)
    data = bytearray(path.read_bytes())
    # After its name: version and flags, number of entries, duration, first time.
    at = data.index(b"elst") + 4 + 8 + 4
    with av.open(path) as container:
        ticks = int(0.4 / container.streams.video[0].time_base)
    data[at : at + 4] = ticks.to_bytes(4, "big")
    path.write_bytes(data)
    reader = VideoReader(path)
    assert codes(reader[:]) == list(range(10, 30))
    assert codes(reader[[5, 0]]) == [15, 10]


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_frames_are_upright(tmp_path, rotation):
    frames = barcode_frames(12)
    path = write_video(tmp_path / "turned.mp4", frames, rotation=rotation)
    read = VideoReader(path)[[2, 11]]
    expected = np.rot90(frames, rotation // 90, axes=(1, 2))[[2, 11]]
    assert read.shape == expected.shape
    assert np.abs(read.astype(int) - expected).mean() < 15
    assert read.flags.c_contiguous


def test_mirrored_frames(tmp_path):
    path = tmp_path / "mirrored.mov"
    with av.open(path, "w") as container:
        stream = add_stream(container, "libx264", "yuv420p", barcode_frames(5))
        stream.set_display_rotation(0, hflip=True)
        encode(container, stream, barcode_frames(5))
    assert codes(VideoReader(path)[:][:, :, ::-1]) == list(range(5))


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("ten bits.mp4", "libx264", "yuv420p10le"),
        ("ten bits.mp4", "libx265", "yuv422p10le"),
        ("grey.mp4", "libx264", "gray"),
        ("grey, ten bits.mkv", "libx264", "gray10le"),
        ("full range.mp4", "libx264", "yuvj420p"),
        ("all colours.mp4", "libx264", "yuv444p"),
        ("alpha.webm", "libvpx-vp9", "yuva420p"),
        ("alpha.mov", "png", "rgba"),
        ("alpha.mov", "qtrle", "argb"),
        ("alpha.mov", "prores_ks", "yuva444p10le"),
        ("palette.gif", "gif", "rgb8"),
        ("sixteen bits.mkv", "ffv1", "yuv420p16le"),
    ],
)
def test_pixel_formats_become_rgb(tmp_path, name, codec, pix_fmt):
    frames = barcode_frames(8)
    options = QUIET_X265 if codec == "libx265" else {}
    path = write_video(
        tmp_path / name, frames, codec=codec, pix_fmt=pix_fmt, options=options
    )
    read = VideoReader(path)[:]
    assert read.shape == frames.shape
    assert read.dtype == np.uint8
    assert codes(read) == list(range(8))
    if "gr" not in name:
        assert np.abs(read.mean(axis=(0, 1, 2)) - frames.mean(axis=(0, 1, 2))).max() < 9


@pytest.mark.parametrize("size", [(49, 81), (50, 83), (33, 121)])
def test_odd_sizes(tmp_path, size):
    frames = barcode_frames(10, *size)
    path = write_video(tmp_path / "odd.mkv", frames, pix_fmt="yuv444p")
    assert VideoReader(path)[:].shape == frames.shape
    path = write_video(tmp_path / "odd.avi", frames, codec="ffv1", pix_fmt="yuv420p")
    assert codes(VideoReader(path)[[9, 0]]) == [9, 0]
    assert VideoReader(path)[0].shape == frames[0].shape


def test_video_of_one_frame(tmp_path):
    reader = VideoReader(write_video(tmp_path / "one.mp4", barcode_frames(1, first=5)))
    assert len(reader) == 1
    assert codes(reader[[0, 0, -1]]) == [5, 5, 5]


def test_first_of_two_video_streams_is_read(tmp_path):
    path = tmp_path / "two.mkv"
    frames = [barcode_frames(10), barcode_frames(10, first=500)]
    with av.open(path, "w") as container:
        streams = [add_stream(container, "mpeg4", "yuv420p", each) for each in frames]
        for stream, each in zip(streams, frames, strict=True):
            encode(container, stream, each)
    assert codes(VideoReader(path)[:]) == list(range(10))


def test_sound_is_passed_over(tmp_path):
    path = tmp_path / "sound.mp4"
    sound = av.open(write_sound(tmp_path / "sound.m4a"))
    with sound, av.open(path, "w") as container:
        silent = container.add_stream_from_template(sound.streams.audio[0])
        stream = add_stream(container, "libx264", "yuv420p", barcode_frames(10))
        encode(container, stream, barcode_frames(10))
        for packet in sound.demux(audio=0):
            if packet.dts is not None:
                packet.stream = silent
                container.mux(packet)
    assert codes(VideoReader(path)[:]) == list(range(10))


def cover(path: Path) -> Path:
    """Write sound with a cover picture, of which FFmpeg makes a video stream."""
    sound = write_sound(path.with_suffix(".m4a"))
    with av.open(sound) as source, av.open(path, "w") as container:
        silent = container.add_stream_from_template(source.streams.audio[0])
        picture = add_stream(container, "png", "rgb24", barcode_frames(1))
        picture.disposition = av.stream.Disposition.attached_pic
        encode(container, picture, barcode_frames(1))
        for packet in source.demux(audio=0):
            if packet.dts is not None:
                packet.stream = silent
                container.mux(packet)
    return path


def test_stream_that_begins_amid_a_group_of_frames(clip_of, tmp_path):
    for name in ("h264.ts", "mpeg2.ts"):
        data = clip_of(name).read_bytes()
        packets = [data[i : i + 188] for i in range(0, len(data), 188)]
        path = tmp_path / name
        path.write_bytes(b"".join(packets[:3] + packets[len(packets) // 6 :]))
        reader = VideoReader(path)
        frames = codes(reader[:])
        assert 20 <= len(frames) == len(reader) < N_FRAMES
        # What comes before the first frame that can be decoded is not counted.
        assert frames == list(range(N_FRAMES - len(frames), N_FRAMES))
        assert codes(reader[[5, 0]]) == [frames[5], frames[0]]


def test_packets_of_vp8_that_are_not_shown(clip_of, tmp_path):
    data = bytearray(clip_of("vp8.webm").read_bytes())
    with av.open(clip_of("vp8.webm")) as container:
        packets = [bytes(packet) for packet in container.demux(video=0)]
    for number in (3, 30):
        data[data.index(packets[number])] &= ~(1 << 4)
    path = tmp_path / "hidden.webm"
    path.write_bytes(data)
    reader = VideoReader(path)
    shown = [number for number in range(N_FRAMES) if number not in (3, 30)]
    assert codes(reader[:]) == shown
    assert codes(reader[[2, 3, 40]]) == [2, 4, 42]


def pack(source: Path, path: Path) -> Path:
    """Store P-frames and the B-frames after them as DivX did."""
    picture = b"\0\0\1\xb6"
    void = picture + bytes([0b01010000, 0b01001111])
    with av.open(source) as read, av.open(path, "w") as written:
        stream = written.add_stream_from_template(read.streams.video[0])
        packets = [bytes(packet) for packet in read.demux(video=0) if packet.size]
        packets[0] = packets[0].replace(
            picture, b"\0\0\1\xb2DivX503b1393p" + picture, 1
        )
        packed: list[bytes] = []
        for data in packets:
            is_b = data[data.index(picture) + 4] >> 6 == 2
            if is_b:
                packed[-1] += data
            packed.append(void if is_b else data)
        for number, data in enumerate(packed):
            packet = av.Packet(data)
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = number
            packet.is_keyframe = number == 0
            written.mux(packet)
    return path


def test_two_frames_in_a_packet(tmp_path):
    source = write_video(
        tmp_path / "source.avi",
        barcode_frames(20),
        codec="mpeg4",
        max_b_frames=1,
        gop_size=100,
    )
    reader = VideoReader(pack(source, tmp_path / "packed.avi"))
    assert codes(reader[:]) == list(range(20))
    assert codes(reader[[7, 2, 12]]) == [7, 2, 12]


def without_frames(path: Path) -> Path:
    with av.open(path, "w") as container:
        add_stream(container, "mpeg4", "yuv420p", barcode_frames(1))
        container.start_encoding()
    return path


def changed(mp4: Path, path: Path, change: Any) -> Path:
    path.write_bytes(change(mp4.read_bytes()))
    return path


def noise(n: int) -> bytes:
    return np.random.default_rng(0).integers(256, size=n, dtype=np.uint8).tobytes()


BAD: dict[str, tuple[Any, str]] = {
    "empty.mp4": (lambda _, p: p.touch() or p, "is empty"),
    "folder": (lambda _, p: p.mkdir() or p, "is a folder"),
    "text.txt": (lambda _, p: p.write_text("no film\n" * 99) and p, "is a text"),
    "text.mp4": (lambda _, p: p.write_text("no film\n" * 99) and p, "Invalid data"),
    "noise.avi": (lambda _, p: p.write_bytes(noise(9999)) and p, "Invalid data"),
    "sound.m4a": (lambda _, p: write_sound(p), "no video stream.*audio"),
    "cover.m4a": (lambda _, p: cover(p.with_suffix(".mp4")), "no video stream.*audio"),
    "none.mp4": (lambda _, p: without_frames(p), "no frame|Invalid data|no video"),
    "none.avi": (lambda _, p: without_frames(p), "no frame|Invalid data|no video"),
    "head.mp4": (lambda m, p: changed(m, p, lambda d: d[:40]), "Invalid data"),
    "no moov.mp4": (
        lambda m, p: changed(m, p, lambda d: d[: d.index(b"moov") - 4]),
        "Invalid data",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_file(mp4, tmp_path, name, capfd):
    make, cause = BAD[name]
    path = make(mp4, tmp_path / name)
    with pytest.raises(VideoError, match=cause) as caught:
        VideoReader(path)
    assert str(path) in str(caught.value)
    assert capfd.readouterr().err == ""


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing\.mp4"):
        VideoReader(tmp_path / "missing.mp4")


def test_truncated_file_with_its_index_in_front(tmp_path):
    path = tmp_path / "cut.mp4"
    in_front = {"movflags": "faststart"}
    write_video(path, barcode_frames(40), container_options=in_front)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])
    message = r"cut\.mp4 is truncated: its index lists 40 frames, but only \d\d are"
    with pytest.raises(VideoError, match=message):
        VideoReader(path)


def cause_of_failure(call: Any, *arguments: Any) -> str:
    """Return the message of the VideoError that there is, or nothing."""
    try:
        call(*arguments)
    except VideoError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", ["h264.mkv", "h264.ts", "mpeg4.avi", "vp9.webm"])
def test_truncated_file_without_an_index(clip_of, tmp_path, name):
    data = clip_of(name).read_bytes()
    path = tmp_path / name
    path.write_bytes(data[: len(data) * 3 // 4])
    reader = VideoReader(path)
    assert 10 < len(reader) < N_FRAMES
    # But for the last one, which may be there in part.
    n_whole = len(reader) - 1
    assert codes(reader[:n_whole]) == list(range(n_whole))
    message = cause_of_failure(reader.__getitem__, -1)
    assert not message or f"frame {n_whole} of {path} cannot be decoded" in message


@pytest.mark.parametrize("name", ["h264.mp4", "mpeg4, b.mp4", "h264.ts"])
@pytest.mark.parametrize("seed", range(3))
def test_damage_is_an_error_that_names_the_file(clip_of, tmp_path, name, seed, capfd):
    data = bytearray(clip_of(name).read_bytes())
    random = np.random.default_rng(seed)
    for at in random.integers(len(data) // 4, len(data) * 3 // 4, size=20):
        data[at] ^= 0xFF
    path = tmp_path / name
    path.write_bytes(data)
    messages = [cause_of_failure(VideoReader, path)]
    if not messages[0]:
        reader = VideoReader(path)
        numbers = range(0, len(reader), 5)
        messages = [cause_of_failure(reader.__getitem__, number) for number in numbers]
    assert any(messages)
    assert all(str(path) in message for message in messages if message)
    assert capfd.readouterr().err == ""


def test_names_in_a_file_that_are_no_unicode(mp4, tmp_path):
    path = tmp_path / "named.mp4"
    data = mp4.read_bytes()
    assert b"VideoHandler" in data
    path.write_bytes(data.replace(b"VideoHandler", b"\x89ideoHandler"))
    assert codes(VideoReader(path)[[4]]) == [4]


def test_file_that_is_replaced_between_calls(clip_of, tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip_of("h264.mp4").read_bytes())
    reader = VideoReader(path)
    times = [40 * i + 7 * (i % 2) for i in range(N_FRAMES)]
    write_video(path, barcode_frames(N_FRAMES), times=times)
    with pytest.raises(VideoError, match=r"frame 30 of .*clip\.mp4 .* has changed"):
        reader[30]
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"clip\.mp4"):
        reader[30]


def test_without_pyav(mp4, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match=r'pip install "jedi_sklearn\[video\]"'):
        VideoReader(mp4)
