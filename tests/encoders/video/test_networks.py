"""TSN, TSM and Video Swin: the numbers of MMAction2, and plain references."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from video_reference import CASES, FILE, N_CLASSES, made_up_clips, made_up_weights

from jedi_sklearn.encoders.video.networks._resnet import TSM, TSN, temporal_shift
from jedi_sklearn.encoders.video.networks._swin import VideoSwin

NETWORKS = {"TSN": TSN, "TSM": TSM, "VideoSwin": VideoSwin}
TINY = {
    "TSN": lambda: TSN(4, depths=(1, 1, 1, 1), width=8),
    "TSM": lambda: TSM(4, depths=(1, 1, 1, 1), width=8),
    "VideoSwin": lambda: VideoSwin(
        4, embed_dim=8, depths=(2, 2), n_heads=(1, 2), window=(2, 3, 3)
    ),
}
every_network = pytest.mark.parametrize("name", TINY)


def seeded(make: Any, seed: int = 0) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def with_made_up_weights(network: nn.Module) -> nn.Module:
    state = network.state_dict()
    made = made_up_weights({key: tuple(value.shape) for key, value in state.items()})
    state |= {key: torch.from_numpy(value) for key, value in made.items()}
    network.load_state_dict(state)
    return network.eval()


def clips_of(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator)


@pytest.mark.parametrize("name", CASES)
def test_numbers_are_those_of_mmaction2(name):
    case = CASES[name]
    network = with_made_up_weights(NETWORKS[case.network](N_CLASSES, **case.options))
    clips = torch.from_numpy(made_up_clips(case))
    with np.load(FILE) as expected, torch.no_grad():
        features = network.features(clips)
        np.testing.assert_allclose(features, expected[f"{name}_features"], atol=1e-5)
        probabilities = network(clips).softmax(dim=1)
        wanted = expected[f"{name}_probabilities"]
        np.testing.assert_allclose(probabilities, wanted, atol=1e-6)


def layout(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in network.state_dict().items()}


def test_layout_of_tsn_and_tsm_is_that_of_published_checkpoints():
    with torch.device("meta"):
        tsn, tsm = layout(TSN(200)), layout(TSM(51))
    assert len(tsn) == len(tsm) == 320
    bottlenecks = [("1", 3, 64), ("2", 4, 128), ("3", 6, 256), ("4", 3, 512)]
    convs = {"conv1": (64, 3, 7, 7)}
    n_in = 64
    for layer, depth, width in bottlenecks:
        for block in range(depth):
            at = f"layer{layer}.{block}"
            convs[f"{at}.conv1"] = (width, n_in, 1, 1)
            convs[f"{at}.conv2"] = (width, width, 3, 3)
            convs[f"{at}.conv3"] = (4 * width, width, 1, 1)
            if block == 0:
                convs[f"{at}.downsample"] = (4 * width, n_in, 1, 1)
            n_in = 4 * width
    expected = {"cls_head.fc_cls.weight": (200, 2048), "cls_head.fc_cls.bias": (200,)}
    for at, shape in convs.items():
        expected[f"backbone.{at}.conv.weight"] = shape
        for vector in ("weight", "bias", "running_mean", "running_var"):
            expected[f"backbone.{at}.bn.{vector}"] = shape[:1]
        expected[f"backbone.{at}.bn.num_batches_tracked"] = ()
    assert tsn == expected
    shifted = {key for key in tsn if ".conv1.conv.weight" in key and "layer" in key}
    assert len(shifted) == 16
    assert tsm.keys() == tsn.keys() - shifted | {
        key.replace("conv.weight", "conv.net.weight") for key in shifted
    }


def test_layout_of_swin_is_that_of_published_checkpoints():
    with torch.device("meta"):
        swin = layout(VideoSwin(400))
    assert len(swin) == 353
    block = {
        "norm1.weight": (1024,),
        "norm1.bias": (1024,),
        "attn.relative_position_bias_table": (2535, 32),
        "attn.relative_position_index": (392, 392),
        "attn.qkv.weight": (3072, 1024),
        "attn.qkv.bias": (3072,),
        "attn.proj.weight": (1024, 1024),
        "attn.proj.bias": (1024,),
        "norm2.weight": (1024,),
        "norm2.bias": (1024,),
        "mlp.fc1.weight": (4096, 1024),
        "mlp.fc1.bias": (4096,),
        "mlp.fc2.weight": (1024, 4096),
        "mlp.fc2.bias": (1024,),
    }
    at = "backbone.layers.3.blocks.1."
    assert block == {
        key.removeprefix(at): swin[key] for key in swin if key.startswith(at)
    }
    rest = {key: shape for key, shape in swin.items() if ".blocks." not in key}
    assert rest == {
        "backbone.patch_embed.proj.weight": (128, 3, 2, 4, 4),
        "backbone.patch_embed.proj.bias": (128,),
        "backbone.patch_embed.norm.weight": (128,),
        "backbone.patch_embed.norm.bias": (128,),
        **{
            f"backbone.layers.{i}.downsample.{key}": shape
            for i, width in enumerate([128, 256, 512])
            for key, shape in {
                "reduction.weight": (2 * width, 4 * width),
                "norm.weight": (4 * width,),
                "norm.bias": (4 * width,),
            }.items()
        },
        "backbone.norm3.weight": (1024,),
        "backbone.norm3.bias": (1024,),
        "cls_head.fc_cls.weight": (400, 1024),
        "cls_head.fc_cls.bias": (400,),
    }


@pytest.mark.parametrize(("n_frames", "shift_div"), [(1, 8), (2, 2), (4, 3), (5, 20)])
def test_shift_equals_plain_reference(n_frames, shift_div):
    images = np.random.default_rng(0).normal(size=(3 * n_frames, 10, 2, 4))
    expected = images.copy()
    n_shifted = 10 // shift_div
    for row in range(len(images)):
        frame = row % n_frames
        after = images[row + 1] if frame + 1 < n_frames else np.zeros((10, 2, 4))
        before = images[row - 1] if frame > 0 else np.zeros((10, 2, 4))
        expected[row, :n_shifted] = after[:n_shifted]
        expected[row, n_shifted : 2 * n_shifted] = before[n_shifted : 2 * n_shifted]
    shifted = temporal_shift(torch.from_numpy(images), n_frames, shift_div)
    np.testing.assert_array_equal(shifted, expected)


def plain_norm(x: Any, weights: Any, name: str) -> Any:
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def plain_linear(x: Any, weights: Any, name: str) -> Any:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def plain_attention(x: Any, weights: Any, n_heads: int, size: int) -> Any:
    """Attend within one window of size x size x size tokens, a token at a time."""
    places = [(i, j, k) for i in range(size) for j in range(size) for k in range(size)]
    width = 2 * size - 1
    queries, keys, values = np.split(plain_linear(x, weights, "qkv"), 3, axis=-1)
    n_each = x.shape[-1] // n_heads
    attended = np.zeros_like(x)
    for head in range(n_heads):
        part = slice(head * n_each, (head + 1) * n_each)
        for row, at in enumerate(places):
            scores = keys[:, part] @ queries[row, part] / np.sqrt(n_each)
            for column, other in enumerate(places):
                i, j, k = (a - b + size - 1 for a, b in zip(at, other, strict=True))
                place = (i * width + j) * width + k
                scores[column] += weights["relative_position_bias_table"][place, head]
            shares = np.exp(scores - scores.max())
            attended[row, part] = shares / shares.sum() @ values[:, part]
    return plain_linear(attended, weights, "proj")


def test_swin_of_one_window_equals_plain_reference():
    network = with_made_up_weights(
        VideoSwin(4, embed_dim=6, depths=(1,), n_heads=(3,), window=(2, 2, 2))
    )
    weights = {k: v.double().numpy() for k, v in network.state_dict().items()}
    clip = clips_of(1, 3, 4, 8, 8)
    patches = clip[0].double().numpy().reshape(3, 2, 2, 2, 4, 2, 4)
    patches = patches.transpose(1, 3, 5, 0, 2, 4, 6).reshape(8, 96)

    def below(prefix: str) -> dict[str, Any]:
        return {k.removeprefix(prefix): weights[k] for k in weights if prefix in k}

    embedding = below("backbone.patch_embed.")
    block = below("backbone.layers.0.blocks.0.")
    embedding["proj.weight"] = embedding["proj.weight"].reshape(6, 96)
    x = plain_norm(plain_linear(patches, embedding, "proj"), embedding, "norm")
    attention = below("backbone.layers.0.blocks.0.attn.")
    x = x + plain_attention(plain_norm(x, block, "norm1"), attention, 3, 2)
    hidden = plain_linear(plain_norm(x, block, "norm2"), block, "mlp.fc1")
    gelu = hidden * (1 + np.vectorize(math.erf)(hidden / np.sqrt(2))) / 2
    x = x + plain_linear(gelu, block, "mlp.fc2")
    expected = plain_norm(x, weights, "backbone.norm3").mean(axis=0)
    with torch.no_grad():
        features = network.features(clip)
    np.testing.assert_allclose(features[0], expected, atol=1e-5)


@every_network
def test_scores_are_the_head_on_features(name):
    network = seeded(TINY[name]).eval()
    clips = clips_of(3, 3, 5, 30, 34)
    features = network.features(clips)
    assert features.shape == (3, network.n_features)
    assert features.dtype == torch.float32
    assert isinstance(network.head, nn.Linear)
    assert network.head.in_features == network.n_features
    assert network.head.out_features == 4
    torch.testing.assert_close(network(clips), network.head(features), rtol=0, atol=0)


@every_network
def test_a_clip_is_alone(name):
    network = with_made_up_weights(TINY[name]())
    clips = clips_of(5, 3, 9, 20, 20)  # more frames than go through at once
    with torch.no_grad():
        together = network.features(clips)
        alone = torch.cat([network.features(clip[None]) for clip in clips])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


def test_training_takes_the_statistics_of_all_frames_together():
    network = TINY["TSN"]()
    network.features(clips_of(4, 3, 9, 20, 20))
    assert network.backbone.conv1.bn.num_batches_tracked == 1


def test_tsn_does_not_see_the_order_of_frames_and_tsm_does():
    clips = clips_of(2, 3, 4, 32, 32)
    with torch.no_grad():
        for make, tolerance in ((TINY["TSN"], 1e-5), (TINY["TSM"], None)):
            network = with_made_up_weights(make())
            forth, back = network.features(clips), network.features(clips.flip(2))
            if tolerance is None:
                assert (forth - back).abs().max() > 1e-3
            else:
                torch.testing.assert_close(forth, back, rtol=0, atol=tolerance)


def test_one_frame_has_no_shift():
    tsn, tsm = TINY["TSN"](), TINY["TSM"]()
    clip = clips_of(1, 3, 1, 32, 32)
    tsn, tsm = with_made_up_weights(tsn), with_made_up_weights(tsm)
    for block in tsm.modules():
        # Shifted channels have no frame to come from.
        if hasattr(block, "conv1") and hasattr(block, "conv2"):
            weight = block.conv1.conv.net.weight
            weight.data[:, : 2 * (weight.shape[1] // 8)] = 0
    renamed = {k.replace(".net.", "."): v for k, v in tsm.state_dict().items()}
    tsn.load_state_dict(renamed)
    with torch.no_grad():
        torch.testing.assert_close(tsn(clip), tsm(clip), rtol=0, atol=1e-6)


@every_network
def test_every_weight_has_a_gradient(name):
    network = seeded(TINY[name])
    clips = clips_of(4, 3, 4, 48, 48)
    labels = torch.tensor([0, 1, 2, 3])
    nn.functional.cross_entropy(network(clips), labels).backward()
    without = [
        key
        for key, weight in network.named_parameters()
        if weight.grad is None or not weight.grad.any()
    ]
    assert without == []


@every_network
def test_tiny_networks_learn(name):
    network = seeded(TINY[name])
    clips = clips_of(8, 3, 4, 24, 24)
    labels = torch.arange(8) % 4
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        loss = nn.functional.cross_entropy(network(clips), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


@every_network
def test_weights_of_new_networks_follow_the_seed(name):
    first, same, other = (seeded(TINY[name], seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], same[key]) for key in first)
    assert not torch.equal(
        first["cls_head.fc_cls.weight"], other["cls_head.fc_cls.weight"]
    )


def test_dropout_is_of_training_only():
    network = seeded(lambda: TSN(4, depths=(1,), width=4, dropout=0.5))
    clips = clips_of(2, 3, 2, 16, 16)
    network.eval()
    torch.testing.assert_close(network(clips), network(clips), rtol=0, atol=0)
    network.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        assert not torch.equal(network(clips), network(clips))


@every_network
def test_networks_can_be_copied(name):
    network = seeded(TINY[name]).eval()
    clips = clips_of(1, 3, 4, 24, 24)
    copied = copy.deepcopy(network)
    torch.testing.assert_close(copied(clips), network(clips), rtol=0, atol=0)


@every_network
@pytest.mark.parametrize(
    "shape",
    [(3, 4, 32, 32), (1, 4, 3, 32, 32), (1, 3, 0, 32, 32), (0, 3, 4, 32, 32)],
    ids=["one clip", "frames first", "no frames", "no clips"],
)
def test_clips_of_another_shape_are_refused(name, shape):
    with pytest.raises(ValueError, match=r"clips has shape .*must be \(n_clips, 3, n_"):
        TINY[name]().features(torch.zeros(shape))


def test_parameters_that_no_network_has_are_refused():
    with pytest.raises(ValueError, match=r"shift_div=1. Valid .* 2 or more"):
        TSM(4, shift_div=1)
    with pytest.raises(ValueError, match=r"depths has 2 stages but n_heads has 3"):
        VideoSwin(4, depths=(1, 1), n_heads=(1, 1, 1))
    with pytest.raises(ValueError, match=r"n_heads.*3.*embed_dim.*8"):
        VideoSwin(4, embed_dim=8, depths=(1,), n_heads=(3,))
