"""Video Swin: attention within windows of a clip, shifted in every other layer.

Own implementation with the architecture and key names of Video-Swin-Transformer and
MMAction2 (both Apache-2.0), including quirks that their checkpoints were trained with.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ._network import VideoNetwork


class VideoSwin(VideoNetwork):
    """Video Swin transformer: attention within windows, merged from stage to stage.

    Parameters
    ----------
    n_classes : int
        Number of classes.
    embed_dim : int, default=128
        Number of channels of the first stage, doubled in each further stage. With four
        stages there are ``8 * embed_dim`` features.
    depths : sequence of int, default=(2, 2, 18, 2)
        Number of blocks of each stage.
    n_heads : sequence of int, default=(4, 8, 16, 32)
        Number of attention heads of each stage.
    window : tuple of (int, int, int), default=(8, 7, 7)
        Frames, height and width of a window, in patches; reduced for smaller clips.
    patch : tuple of (int, int, int), default=(2, 4, 4)
        Frames, height and width of a patch. Clips are padded with zeros to whole
        patches.
    dropout : float, default=0.0
        Dropout rate of the features in training.

    Attributes
    ----------
    n_features : int
        Length of the feature vector of a clip.
    head : torch.nn.Linear
        Layer from features to class scores.

    Raises
    ------
    ValueError
        If `depths` and `n_heads` are of different lengths, or the heads of a stage do
        not divide its channels.

    See Also
    --------
    TSN, TSM : Convolutional networks.
    video_expert : Makes an expert from a network.

    Notes
    -----
    The default is Swin-B. The keys of ``state_dict()`` are those of MMAction2 1.x.

    Examples
    --------
    >>> import torch
    >>> from jedi_sklearn.encoders.video import VideoSwin
    >>> network = VideoSwin(5, embed_dim=8, depths=(1, 2), n_heads=(1, 2)).eval()
    >>> clips = torch.zeros(2, 3, 4, 32, 32)  # two clips of four frames
    >>> network.features(clips).shape
    torch.Size([2, 16])
    >>> network(clips).shape
    torch.Size([2, 5])
    """

    def __init__(
        self,
        n_classes: int,
        *,
        embed_dim: int = 128,
        depths: Sequence[int] = (2, 2, 18, 2),
        n_heads: Sequence[int] = (4, 8, 16, 32),
        window: tuple[int, int, int] = (8, 7, 7),
        patch: tuple[int, int, int] = (2, 4, 4),
        dropout: float = 0.0,
    ) -> None:
        if len(depths) != len(n_heads):
            raise ValueError(
                f"depths has {len(depths)} stages but n_heads has {len(n_heads)}; both "
                "must have one number for each stage."
            )
        for i, heads in enumerate(n_heads):
            if embed_dim * 2**i % heads:
                raise ValueError(
                    f"n_heads has {heads} heads for stage {i}, which do not divide its "
                    f"{embed_dim * 2**i} channels, embed_dim={embed_dim} times {2**i}."
                )
        n_features = embed_dim * 2 ** (len(depths) - 1)
        super().__init__(n_features, n_classes, dropout)
        self.backbone = nn.ModuleDict(
            {"patch_embed": _PatchEmbedding(embed_dim, patch)}
        )
        stages = [
            _Stage(embed_dim * 2**i, depth, heads, window, merges=i + 1 < len(depths))
            for i, (depth, heads) in enumerate(zip(depths, n_heads, strict=True))
        ]
        self.backbone["layers"] = nn.Sequential(*stages)
        # MMAction2 numbers this norm by the last of four stages, whatever their number.
        self.backbone["norm3"] = nn.LayerNorm(n_features)
        for module in self.backbone.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def _features(self, clips: Tensor) -> Tensor:
        x = self.backbone["patch_embed"](clips)
        x = self.backbone["layers"](x)
        features: Tensor = self.backbone["norm3"](x).mean(dim=(1, 2, 3))
        return features


class _PatchEmbedding(nn.Module):
    """One vector per patch of a clip."""

    def __init__(self, width: int, patch: tuple[int, int, int]) -> None:
        super().__init__()
        self.patch = patch
        self.proj = nn.Conv3d(3, width, patch, patch)
        self.norm = nn.LayerNorm(width)

    def forward(self, clips: Tensor) -> Tensor:
        """Return a tensor of shape (n_clips, frames, height, width, channels)."""
        missing = [
            -n % size for n, size in zip(clips.shape[2:], self.patch, strict=True)
        ]
        clips = F.pad(clips, (0, missing[2], 0, missing[1], 0, missing[0]))
        vectors: Tensor = self.norm(self.proj(clips).movedim(1, -1))
        return vectors


class _Stage(nn.Module):
    """Blocks of attention within windows, which are shifted in every other block."""

    def __init__(
        self,
        width: int,
        depth: int,
        n_heads: int,
        window: tuple[int, int, int],
        merges: bool,
    ) -> None:
        super().__init__()
        self.window = window
        self.blocks = nn.ModuleList(
            _Block(width, n_heads, window) for _ in range(depth)
        )
        self.downsample = _PatchMerging(width) if merges else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        sizes = x.shape[1:4]
        window = [min(n, size) for n, size in zip(sizes, self.window, strict=True)]
        # No shift along an axis that a single window covers.
        shift = [
            0 if n <= size else size // 2
            for n, size in zip(sizes, self.window, strict=True)
        ]
        mask = _mask(sizes, window, shift).to(x) if any(shift) else None
        for i, block in enumerate(self.blocks):
            if i % 2 == 0:
                x = block(x, window, [0, 0, 0], None)
            else:
                x = block(x, window, shift, mask)
        merged: Tensor = self.downsample(x)
        return merged


class _Block(nn.Module):
    """Attention within windows and a perceptron, each with a shortcut."""

    def __init__(self, width: int, n_heads: int, window: tuple[int, int, int]) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = _WindowAttention(width, n_heads, window)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            OrderedDict(
                fc1=nn.Linear(width, 4 * width),
                act=nn.GELU(),
                fc2=nn.Linear(4 * width, width),
            )
        )

    def forward(
        self, x: Tensor, window: list[int], shift: list[int], mask: Tensor | None
    ) -> Tensor:
        frames, height, width = x.shape[1:4]
        # The padding is not masked: through the biases it has keys and values, too.
        missing = [-n % size for n, size in zip(x.shape[1:4], window, strict=True)]
        padding = (0, 0, 0, missing[2], 0, missing[1], 0, missing[0])
        # One name for all steps, so that each tensor is freed after the next.
        attended = F.pad(self.norm1(x), padding)
        padded = attended.shape
        if any(shift):
            attended = attended.roll([-n for n in shift], dims=(1, 2, 3))
        attended = self.attn(_windows(attended, window), mask)
        attended = _joined(attended, window, padded)
        if any(shift):
            attended = attended.roll(shift, dims=(1, 2, 3))
        x = x + attended[:, :frames, :height, :width]
        x = x + self.mlp(self.norm2(x))
        return x


class _WindowAttention(nn.Module):
    """Self-attention within windows, with a bias for each relative position."""

    relative_position_index: Tensor

    def __init__(self, width: int, n_heads: int, window: tuple[int, int, int]) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        n_positions = math.prod(2 * size - 1 for size in window)
        table = nn.init.trunc_normal_(torch.empty(n_positions, n_heads), std=0.02)
        self.relative_position_bias_table = nn.Parameter(table)
        # Entry in the bias table for each two tokens, of shape (n_tokens, n_tokens).
        axes = [torch.arange(size) for size in window]
        places = torch.stack(torch.meshgrid(*axes, indexing="ij")).flatten(1)
        index = torch.zeros(1, dtype=torch.int64)
        for place, size in zip(places, window, strict=True):
            index = index * (2 * size - 1) + place[:, None] - place[None] + size - 1
        self.register_buffer("relative_position_index", index)

    def forward(self, windows: Tensor, mask: Tensor | None) -> Tensor:
        """Return a tensor like windows: (n_clips, n_windows, n_tokens, channels)."""
        n_tokens = windows.shape[2]
        qkv = self.qkv(windows).unflatten(-1, (3, self.n_heads, -1))
        queries, keys, values = qkv.permute(3, 0, 1, 4, 2, 5)
        # A window smaller than the table's takes the corner of the index, not its own
        # relative positions: networks were trained this way.
        index = self.relative_position_index[:n_tokens, :n_tokens]
        bias = self.relative_position_bias_table[index].movedim(-1, 0)
        bias = bias[None] if mask is None else bias + mask[:, None]
        # One clip at a time: torch is fast if bias and tokens have four axes.
        attended = torch.stack(
            [
                F.scaled_dot_product_attention(*clip, bias)
                for clip in zip(queries, keys, values, strict=True)
            ]
        )
        projected: Tensor = self.proj(attended.transpose(2, 3).flatten(-2))
        return projected


class _PatchMerging(nn.Module):
    """Merge of two by two vectors into one with twice the channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * width)
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, 0, 0, x.shape[3] % 2, 0, x.shape[2] % 2))
        corners = [x[:, :, i::2, j::2] for j in (0, 1) for i in (0, 1)]
        merged: Tensor = self.reduction(self.norm(torch.cat(corners, dim=-1)))
        return merged


def _windows(x: Tensor, window: Sequence[int]) -> Tensor:
    """Cut (n, frames, height, width, c) into (n, n_windows, n_tokens, c)."""
    for axis, size in zip((1, 3, 5), window, strict=True):
        x = x.unflatten(axis, (-1, size))
    return x.permute(0, 1, 3, 5, 2, 4, 6, 7).flatten(4, 6).flatten(1, 3)


def _joined(windows: Tensor, window: Sequence[int], shape: Sequence[int]) -> Tensor:
    """Join windows to a tensor of a shape; inverse of `_windows`."""
    counts = [n // size for n, size in zip(shape[1:4], window, strict=True)]
    x = windows.unflatten(2, window).unflatten(1, counts)
    return x.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(shape)


def _mask(sizes: Sequence[int], window: Sequence[int], shift: Sequence[int]) -> Tensor:
    """Return a mask for tokens that share a window only because of the roll.

    Returns
    -------
    mask : tensor of shape (n_windows, n_tokens, n_tokens), float32
        Addend of the attention scores: -100 for two such tokens, else 0.
    """
    region = torch.zeros(1, 1, 1, dtype=torch.int64)
    for axis, (n, size, step) in enumerate(zip(sizes, window, shift, strict=True)):
        place = torch.arange(n + -n % size).flip(0)  # from the end
        part = (place < size).long() + (place < step) if step else place * 0
        region = region * 3 + part.view([-1 if i == axis else 1 for i in range(3)])
    regions = _windows(region[None, ..., None], window)[0, :, :, 0]
    return (regions[:, :, None] != regions[:, None]) * -100.0
