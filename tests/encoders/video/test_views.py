"""Which frames and which pixels of a video a network is tested on."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("av", reason="PyAV is missing")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.video_files import barcode_frames, read_barcode, write_video
from jedi_sklearn.encoders.video import (
    PROTOCOLS,
    ViewProtocol,
    centre_crop,
    read_views,
    resize_short_side,
    sample_clips,
    sample_segments,
    three_crop,
)
from jedi_sklearn.encoders.video.reading._frames import resize

SIZES = st.integers(1, 400)


@settings(deadline=None)
@given(SIZES, st.integers(1, 40))
def test_segments__frame_in_the_middle_of_each(n_frames, n_segments):
    # In whole numbers: no rounding.
    expected = [(2 * k + 1) * n_frames // (2 * n_segments) for k in range(n_segments)]
    assert sample_segments(n_frames, n_segments).tolist() == expected


@settings(deadline=None)
@given(SIZES, st.integers(1, 10), st.integers(1, 32), st.integers(1, 4))
def test_clips__0x__are_in_the_middle_of_their_parts(n_frames, n_clips, length, step):
    frames = sample_clips(n_frames, n_clips, length, step)
    span = length * step
    for clip, own in enumerate(frames):
        start = 0
        if n_frames > span - 1:
            distance = (n_frames - span + 1) / n_clips
            start = int(clip * distance + distance / 2)
        assert own.tolist() == [(start + k * step) % n_frames for k in range(length)]


@settings(deadline=None)
@given(SIZES, st.integers(2, 10), st.integers(2, 32), st.integers(1, 4))
def test_clips__1x__from_the_first_frame_to_the_last(n_frames, n_clips, length, step):
    frames = sample_clips(n_frames, n_clips, length, step, rule="1.x")
    span = (length - 1) * step + 1
    assert frames.shape == (n_clips, length)
    assert frames[0, 0] == 0
    if n_frames >= span:
        assert frames[-1, -1] == n_frames - 1
        gaps = np.diff(frames[:, 0])
        assert np.abs(gaps - (n_frames - span) / (n_clips - 1)).max() <= 1
    np.testing.assert_array_equal(
        frames, (frames[:, :1] + step * np.arange(length)) % n_frames
    )


def test_clips__of_one_frame__are_segments_by_both_rules():
    for n_frames in range(1, 60):
        expected = sample_segments(n_frames, 8)
        for rule in ("0.x", "1.x"):
            clips = sample_clips(n_frames, 8, 1, 1, rule=rule)
            np.testing.assert_array_equal(clips[:, 0], expected)


def test_clips__one_by_1x__is_in_the_middle():
    assert sample_clips(100, 1, 4, 8, rule="1.x").tolist() == [[37, 45, 53, 61]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1, 1, 1), r"n_frames=0. Valid values are integers of 1 or more"),
        ((9, 0, 1, 1), "n_clips=0"),
        ((9, 1, 1.5, 1), "clip_length=1.5"),
        ((9, 1, 1, True), "interval=True"),
        ((9, 1, 1, 1, "2.x"), "rule='2.x'. Valid values are '0.x', '1.x'"),
    ],
)
def test_clips__bad_number__is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        sample_clips(*arguments)
    with pytest.raises(ValueError, match="n_segments=-1"):
        sample_segments(5, -1)


def bilinear(image, shape):
    """Return one grey image resized, pixels being squares around their centres."""
    resized = image.astype(np.float64)
    for axis, size in enumerate(shape):
        n_pixels = image.shape[axis]
        centres = (np.arange(size) + 0.5) * n_pixels / size - 0.5
        centres = centres.clip(0, n_pixels - 1)
        low = np.floor(centres).astype(int)
        high = np.minimum(low + 1, n_pixels - 1)
        part = (centres - low).reshape([-1, 1] if axis == 0 else [1, -1])
        resized = resized.take(low, axis) * (1 - part) + resized.take(high, axis) * part
    return resized


@pytest.mark.parametrize("size", [(48, 61), (61, 48), (40, 40), (7, 200)])
@pytest.mark.parametrize("short", [16, 64])
def test_resize__is_bilinear_without_antialiasing(size, short):
    frames = np.random.default_rng(0).integers(0, 256, (2, *size, 3), dtype=np.uint8)
    resized = resize_short_side(torch.from_numpy(frames), short).numpy()
    factor = short / min(size)
    shape = [int(side * factor + 0.5) for side in size]
    assert resized.dtype == np.uint8
    assert min(shape) == short
    for frame, own in zip(frames, resized, strict=True):
        for channel in range(3):
            expected = bilinear(frame[..., channel], shape)
            assert np.abs(own[..., channel] - expected).max() <= 0.51


def test_resize__of_the_same_size__changes_nothing():
    frames = torch.randint(0, 256, (2, 20, 30, 3), dtype=torch.uint8)
    assert resize_short_side(frames, 20) is frames


def test_resize__antialiased__keeps_the_mean_of_stripes():
    stripes = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    stripes[:, :, ::2] = 200
    smoothed = resize(stripes, (16, 16), antialias=True)
    assert (smoothed.float() - 100).abs().max() <= 15
    # Without, every pixel lies between two stripes or on one.
    bicubic = resize(stripes, (15, 15), "bicubic")
    assert bicubic.dtype == torch.uint8
    assert bicubic.float().std() > 15


@pytest.mark.parametrize(("height", "width"), [(6, 11), (11, 6), (6, 6)])
def test_three_crop__first_last_and_middle_of_the_longer_side(height, width):
    places = (
        torch.arange(height * width).reshape(1, height, width, 1).expand(2, -1, -1, 3)
    )
    crops = three_crop(places, 6)
    assert crops.shape == (3, 2, 6, 6, 3)
    step = (max(height, width) - 6) // 2
    for crop, offset in zip(crops, (0, 2 * step, step), strict=True):
        first = offset * (1 if width >= height else width)
        assert (crop[:, 0, 0] == first).all()
    np.testing.assert_array_equal(crops[2], centre_crop(places, 6)[0])


def test_crop__larger_than_frames__is_refused():
    with pytest.raises(
        ValueError, match="5 x 9 pixels are smaller than a crop of 6 x 6"
    ):
        centre_crop(torch.zeros(1, 5, 9, 3), 6)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("views") / "clip.mp4"
    return write_video(path, barcode_frames(40, 64, 96))


def numbers_in(view):
    return [read_barcode(frame) for frame in view.numpy()]


def test_views__of_segments__have_the_frames_of_segments(clip):
    protocol = ViewProtocol(n_frames=8, crop_size=80)  # squeezed, bars and all
    views = read_views(clip, protocol)
    assert views.shape == (1, 8, 80, 80, 3)
    assert views.dtype == torch.uint8
    assert numbers_in(views[0]) == sample_segments(40, 8).tolist()


def test_views__of_three_crops__come_crop_by_crop(clip):
    protocol = ViewProtocol(
        n_frames=4, crop_size=64, n_clips=2, interval=3, short_side=64, crop="three"
    )
    views = read_views(clip, protocol)
    assert views.shape == (protocol.n_views, 4, 64, 64, 3) == (6, 4, 64, 64, 3)
    assert protocol.frames_of(40).tolist() == sample_clips(40, 2, 4, 3).tolist()
    # A view of the left part and one of the right overlap in the middle.
    np.testing.assert_array_equal(views[0][:, :, 32:], views[2][:, :, :32])
    np.testing.assert_array_equal(views[0][:, :, 16:], views[4][:, :, :48])
    for later in (2, 4):
        assert (views[0] != views[later]).any()


def test_views__shorter_than_a_clip__begin_again(tmp_path):
    path = write_video(tmp_path / "short.mp4", barcode_frames(5, 80, 80))
    protocol = ViewProtocol(n_frames=4, crop_size=80, n_clips=1, interval=3)
    assert numbers_in(read_views(path, protocol)[0]) == [0, 3, 1, 4]


def test_protocols_of_the_paper__see_what_it_says():
    shapes = {
        name: (p.n_views * p.n_frames, p.crop_size, p.short_side)
        for name, p in PROTOCOLS.items()
    }
    assert shapes == {
        "tsn-r50": (75, 256, 256),
        "tsm-r50": (16, 224, 256),
        "swin-b": (12 * 32, 224, 224),
    }
    for protocol in PROTOCOLS.values():
        protocol.check()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"n_frames": 0}, "protocol.n_frames=0. Valid values are integers of 1 or"),
        ({"crop": "five"}, "protocol.crop='five'. Valid values are one of 'centre', "),
        ({"rule": "2.x"}, "protocol.rule='2.x'"),
        ({"average": None}, "protocol.average=None"),
        ({"interval": 0}, "protocol.interval=0.*, and None"),
        ({"std": (1.0, 0.0, 1.0)}, "protocol.std="),
        ({"mean": 3.0}, "protocol.mean=3.0. Valid values are tuples of three numbers"),
        (
            {"short_side": 20},
            "crop_size=32. Frames are resized to a shorter side of 20",
        ),
        ({"n_clips": 2}, "n_clips=2. With interval=None one clip spans the whole"),
    ],
)
def test_protocol__out_of_range__is_named(changed, message):
    protocol = ViewProtocol(n_frames=4, crop_size=32)._replace(**changed)
    with pytest.raises(ValueError, match=message):
        protocol.check()


def test_paths__of_pandas__are_taken_by_position(clip):
    from jedi_sklearn.encoders.video.reading._views import VideoViews

    views = VideoViews(ViewProtocol(n_frames=2, crop_size=16))
    videos = views(pd.Series([str(clip), clip], index=[7, 9]))
    assert len(videos) == 2
    np.testing.assert_array_equal(videos[0], videos[1])
    with pytest.raises(ValueError, match=r"sample 3 is of type int; .* paths of video"):
        views([3])[0]
