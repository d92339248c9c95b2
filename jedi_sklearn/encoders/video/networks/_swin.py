"""Video Swin: attention within windows of a clip, every other layer's shifted.

Written anew after the layouts and the key names of Video-Swin-Transformer and of
MMAction2 (both Apache-2.0), what is odd in them included, as their checkpoints were
trained with it.
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
    """Video Swin transformer: attention within windows, that stages merge.

    Parameters
    ----------
    n_classes : int
        Number of scores that it gives a clip.
    embed_dim : int, default=128
        Number of channels of the first stage; each stage has twice those of the one
        before. Of four stages, the features are ``8 * embed_dim``.
    depths : sequence of int, default=(2, 2, 18, 2)
        Number of blocks of each stage.
    n_heads : sequence of int, default=(4, 8, 16, 32)
        Number of heads of each stage.
    window : tuple of (int, int, int), default=(8, 7, 7)
        Frames, height and width of a window, in patches. Where a clip is smaller, the
        window is, too.
    patch : tuple of (int, int, int), default=(2, 4, 4)
        Frames, height and width of a patch. Clips are padded with zeros to whole ones.
    dropout : float, default=0.0
        Share of the features that training leaves out before the head.

    Attributes
    ----------
    n_features : int
        Length of the vector that it makes of a clip.
    head : torch.nn.Linear
        What makes class scores of that.

    Raises
    ------
    ValueError
        If `depths` and `n_heads` are of different lengths, or a stage has a number of
        channels that its heads cannot share.

    See Also
    --------
    TSN, TSM : Convolutional networks.
    video_expert : Makes an expert of one.

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
        # MMAction2 numbers this norm after the last of four stages.
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
    """A vector for each patch of a clip."""

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
    """Blocks of attention within windows, shifted in every other one."""

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
        # Where one window holds everything, there is nothing to shift.
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
    """Attention within windows and a perceptron, each beside a shortcut."""

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
        x = x + self._attended(self.norm1(x), window, shift, mask)
        x = x + self.mlp(self.norm2(x))
        return x

    def _attended(
        self, x: Tensor, window: list[int], shift: list[int], mask: Tensor | None
    ) -> Tensor:
        frames, height, width = x.shape[1:4]
        # Zeros are attended to as well, through the biases of keys and values.
        missing = [-n % size for n, size in zip(x.shape[1:4], window, strict=True)]
        x = F.pad(x, (0, 0, 0, missing[2], 0, missing[1], 0, missing[0]))
        padded = x.shape
        if any(shift):
            x = x.roll([-n for n in shift], dims=(1, 2, 3))
        x = _joined(self.attn(_windows(x, window), mask), window, padded)
        if any(shift):
            x = x.roll(shift, dims=(1, 2, 3))
        return x[:, :frames, :height, :width]


class _WindowAttention(nn.Module):
    """Attention of the tokens of a window, biased by where they are to one another."""

    relative_position_index: Tensor

    def __init__(self, width: int, n_heads: int, window: tuple[int, int, int]) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        n_positions = math.prod(2 * size - 1 for size in window)
        table = nn.init.trunc_normal_(torch.empty(n_positions, n_heads), std=0.02)
        self.relative_position_bias_table = nn.Parameter(table)
        self.register_buffer("relative_position_index", _relative_positions(window))

    def forward(self, windows: Tensor, mask: Tensor | None) -> Tensor:
        """Return a tensor like windows: (n_clips, n_windows, n_tokens, channels)."""
        n_tokens = windows.shape[2]
        qkv = self.qkv(windows).unflatten(-1, (3, self.n_heads, -1))
        queries, keys, values = qkv.permute(3, 0, 1, 4, 2, 5)
        # Of a window smaller than the table's, the index is not that of its own
        # positions but the corner of the larger one's: networks were trained so.
        index = self.relative_position_index[:n_tokens, :n_tokens]
        bias = self.relative_position_bias_table[index].movedim(-1, 0)
        bias = bias[None] if mask is None else bias + mask[:, None]
        # A clip at a time: torch is fast where bias and tokens have four axes.
        attended = torch.stack(
            [
                F.scaled_dot_product_attention(*clip, bias)
                for clip in zip(queries, keys, values, strict=True)
            ]
        )
        projected: Tensor = self.proj(attended.transpose(2, 3).flatten(-2))
        return projected


class _PatchMerging(nn.Module):
    """One vector of each two by two, with twice the channels."""

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
    """Put windows together again, to a tensor of a shape."""
    counts = [n // size for n, size in zip(shape[1:4], window, strict=True)]
    x = windows.unflatten(2, window).unflatten(1, counts)
    return x.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(shape)


def _relative_positions(window: Sequence[int]) -> Tensor:
    """Return for each two tokens of a window which entry of the bias table is theirs.

    Returns
    -------
    index : tensor of shape (n_tokens, n_tokens), int64
    """
    axes = [torch.arange(size) for size in window]
    places = torch.stack(torch.meshgrid(*axes, indexing="ij")).flatten(1)
    index = torch.zeros(1, dtype=torch.int64)
    for place, size in zip(places, window, strict=True):
        index = index * (2 * size - 1) + place[:, None] - place[None] + size - 1
    return index


def _mask(sizes: Sequence[int], window: Sequence[int], shift: Sequence[int]) -> Tensor:
    """Keep tokens apart that only the roll brought into one window.

    Returns
    -------
    mask : tensor of shape (n_windows, n_tokens, n_tokens), float32
        -100 for two tokens that are no neighbours, else 0.
    """
    region = torch.zeros(1, 1, 1, dtype=torch.int64)
    for axis, (n, size, step) in enumerate(zip(sizes, window, shift, strict=True)):
        place = torch.arange(n + -n % size).flip(0)  # from the end
        part = (place < size).long() + (place < step) if step else place * 0
        region = region * 3 + part.view([-1 if i == axis else 1 for i in range(3)])
    regions = _windows(region[None, ..., None], window)[0, :, :, 0]
    return (regions[:, :, None] != regions[:, None]) * -100.0
