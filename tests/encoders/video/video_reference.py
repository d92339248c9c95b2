"""What the networks of other code and ours are compared on: weights and clips.

Imports nothing of the package, as it also runs beside MMAction2, in
``tools/make_video_reference.py``. Numbers come from PCG64's bits, which never change.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

FILE = Path(__file__).parent / "data/video_networks.npz"
N_CLASSES = 6


class Case(NamedTuple):
    """A network and the clips that it sees."""

    network: str
    shape: tuple[int, int, int, int]  # of clips: number, frames, height, width
    options: dict[str, Any]


def _swin(**options: Any) -> dict[str, Any]:
    return {
        "embed_dim": 16,
        "depths": (2, 2, 2, 2),
        "n_heads": (2, 2, 4, 4),
        "window": (8, 7, 7),
        "patch": (2, 4, 4),
        **options,
    }


CASES = {
    "tsn": Case("TSN", (2, 3, 32, 40), {}),
    "tsm": Case("TSM", (2, 8, 32, 32), {}),
    "swin_whole_windows": Case("VideoSwin", (2, 16, 64, 64), _swin(window=(4, 4, 4))),
    "swin_padded": Case("VideoSwin", (2, 11, 61, 75), _swin(window=(4, 3, 5))),
    "swin_fewer_frames": Case("VideoSwin", (1, 6, 64, 96), _swin()),
    "swin_larger_window": Case("VideoSwin", (2, 4, 24, 24), _swin()),
}


def made_up_weights(
    shapes: Mapping[str, tuple[int, ...]],
) -> dict[str, npt.NDArray[np.float32]]:
    """Return numbers for all keys but those of integers, statistics of norms included.

    Features that they make are of the size of 1.
    """
    weights = {}
    bits = np.random.PCG64(0)
    for key in sorted(shapes):
        if key.endswith(("num_batches_tracked", "relative_position_index")):
            continue
        shape = shapes[key]
        draw = _standard(bits, shape)
        if key.endswith("running_var"):
            draw = 0.5 + draw**2
        elif key.endswith("bias_table"):
            pass
        elif len(shape) == 1:
            draw = 0.2 * draw
            if key.endswith("weight"):  # of a norm
                draw += 1
        else:
            draw *= np.sqrt(1 / np.prod(shape[1:]))
        weights[key] = draw.astype(np.float32)
    return weights


def made_up_clips(case: Case) -> npt.NDArray[np.float32]:
    """Return clips of shape (n, 3, n_frames, height, width): noise on bright frames."""
    n, n_frames, height, width = case.shape
    bits = np.random.PCG64(1)
    brightness = 2 * _standard(bits, (n, 3, n_frames, 1, 1))
    noise = _standard(bits, (n, 3, n_frames, height, width))
    return (brightness + noise).astype(np.float32)


def _standard(bits: np.random.PCG64, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return numbers of mean 0 and variance 1, uniform."""
    whole = bits.random_raw(int(np.prod(shape))) >> np.uint64(11)
    return ((whole * 2.0**-53 - 0.5) * np.sqrt(12)).reshape(shape)
