"""Resizing and cropping of frames, as in MMAction2's tests."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def resize_short_side(
    frames: Tensor,
    size: int,
    mode: str = "bilinear",
    antialias: bool = False,
    rounding: str = "nearest",
) -> Tensor:
    """Resize frames so that their shorter side has a given length.

    By default bilinear and without antialiasing, as in OpenCV up to one grey level.

    Parameters
    ----------
    frames : tensor of shape (n_frames, height, width, 3), uint8
        Pixels in RGB.
    size : int
        Length of the shorter side in pixels. The aspect ratio is kept.
    mode : {"bilinear", "bicubic"}, default="bilinear"
        Interpolation between pixels.
    antialias : bool, default=False
        Whether frames are smoothed before they are made smaller.
    rounding : {"nearest", "down"}, default="nearest"
        Rounding of the longer side to whole pixels; transformers rounds it down. It can
        shift the centre crop by a pixel.

    Returns
    -------
    resized : tensor of shape (n_frames, new_height, new_width, 3), uint8
        Resized frames.

    See Also
    --------
    centre_crop, three_crop : Crop the resized frames.

    Examples
    --------
    >>> import torch
    >>> from jedi_sklearn.encoders.video import resize_short_side
    >>> resize_short_side(torch.zeros(2, 240, 320, 3, dtype=torch.uint8), 120).shape
    torch.Size([2, 120, 160, 3])
    """
    height, width = frames.shape[1:3]
    # In integers: an inexact factor could round 224 down to 223.
    shortest, half = min(height, width), {"nearest": 1, "down": 0}[rounding]
    new_height, new_width = (
        (2 * side * size + half * shortest) // (2 * shortest)
        for side in (height, width)
    )
    shape = (new_height, new_width)
    return resize(frames, shape, mode, antialias)


def resize(
    frames: Tensor,
    shape: tuple[int, int],
    mode: str = "bilinear",
    antialias: bool = False,
) -> Tensor:
    """Resize frames to a height and a width.

    Parameters
    ----------
    frames : tensor of shape (n_frames, height, width, 3), uint8
    shape : (int, int)
    mode, antialias
        See `resize_short_side`.

    Returns
    -------
    resized : tensor of shape (n_frames, *shape, 3), uint8
    """
    if tuple(frames.shape[1:3]) == shape:
        return frames
    channels_first = frames.permute(0, 3, 1, 2).float()
    resized = F.interpolate(channels_first, shape, mode=mode, antialias=antialias)
    return resized.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def centre_crop(frames: Tensor, size: int) -> Tensor:
    """Cut a square out of the middle of frames.

    Parameters
    ----------
    frames : tensor of shape (n_frames, height, width, 3)
        Pixels of any dtype.
    size : int
        Length of a side in pixels.

    Returns
    -------
    crops : tensor of shape (1, n_frames, size, size, 3)
        One crop.

    Raises
    ------
    ValueError
        If the frames are smaller.

    See Also
    --------
    three_crop : Cuts out three squares.

    Examples
    --------
    >>> import torch
    >>> from jedi_sklearn.encoders.video import centre_crop
    >>> centre_crop(torch.zeros(2, 256, 340, 3), 224).shape
    torch.Size([1, 2, 224, 224, 3])
    """
    height, width = frames.shape[1:3]
    return _crops(frames, size, [((height - size) // 2, (width - size) // 2)])


def three_crop(frames: Tensor, size: int) -> Tensor:
    """Cut out three squares: first, last and middle along the longer side of frames.

    Parameters
    ----------
    frames : tensor of shape (n_frames, height, width, 3)
        Pixels of any dtype.
    size : int
        Length of a side in pixels, at most that of the frames' shorter side.

    Returns
    -------
    crops : tensor of shape (3, n_frames, size, size, 3)
        Three crops.

    Raises
    ------
    ValueError
        If the frames are smaller.

    See Also
    --------
    centre_crop : Cuts out the middle square.

    Examples
    --------
    >>> import torch
    >>> from jedi_sklearn.encoders.video import three_crop
    >>> three_crop(torch.zeros(2, 256, 340, 3), 256).shape
    torch.Size([3, 2, 256, 256, 3])
    """
    height, width = frames.shape[1:3]
    down, right = (height - size) // 2, (width - size) // 2
    if width >= height:
        return _crops(frames, size, [(down, 0), (down, 2 * right), (down, right)])
    return _crops(frames, size, [(0, right), (2 * down, right), (down, right)])


def _crops(frames: Tensor, size: int, corners: list[tuple[int, int]]) -> Tensor:
    height, width = frames.shape[1:3]
    if min(height, width) < size:
        raise ValueError(
            f"Frames of {height} x {width} pixels are smaller than a crop of {size} x "
            f"{size}."
        )
    return torch.stack(
        [frames[:, top : top + size, left : left + size] for top, left in corners]
    )
