"""Files of weights: the layouts of four sources, and what is refused."""

from __future__ import annotations

import os
import pickle
import re
import sys
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from jedi_sklearn.encoders.video.networks._checkpoints import (
    load_weights,
    n_classes_of,
    read_weights,
)
from jedi_sklearn.encoders.video.networks._resnet import TSM, TSN
from jedi_sklearn.encoders.video.networks._swin import VideoSwin


def tsn(n_classes: int = 4, seed: int = 0) -> nn.Module:
    return seeded(lambda: TSN(n_classes, depths=(2, 1), width=4), seed)


def tsm(n_classes: int = 4, seed: int = 0) -> nn.Module:
    return seeded(lambda: TSM(n_classes, depths=(2, 1), width=4), seed)


def swin(n_classes: int = 4, seed: int = 0) -> nn.Module:
    def make() -> nn.Module:
        return VideoSwin(
            n_classes, embed_dim=4, depths=(1, 1), n_heads=(1, 2), window=(2, 2, 2)
        )

    return seeded(make, seed)


def seeded(make: Any, seed: int) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def mit_han_lab_keys(blocks: tuple[int, ...], net: str) -> dict[str, str]:
    """Return for each key of mit-han-lab's networks that of MMAction2."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    keys = {"conv1.weight": "conv1.conv.weight"}
    keys |= {f"bn1.{x}": f"conv1.bn.{x}" for x in norm}
    for layer, n_blocks in enumerate(blocks, start=1):
        for block in range(n_blocks):
            at = f"layer{layer}.{block}"
            keys[f"{at}.conv1.{net}weight"] = f"{at}.conv1.conv.{net}weight"
            for i in (2, 3):
                keys[f"{at}.conv{i}.weight"] = f"{at}.conv{i}.conv.weight"
            for i in (1, 2, 3):
                keys |= {f"{at}.bn{i}.{x}": f"{at}.conv{i}.bn.{x}" for x in norm}
        at = f"layer{layer}.0.downsample"
        keys[f"{at}.0.weight"] = f"{at}.conv.weight"
        keys |= {f"{at}.1.{x}": f"{at}.bn.{x}" for x in norm}
    keys = {f"base_model.{a}": f"backbone.{b}" for a, b in keys.items()}
    for vector in ("weight", "bias"):
        keys[f"new_fc.{vector}"] = f"cls_head.fc_cls.{vector}"
    return keys


def mit_han_lab_file(network: nn.Module, net: str) -> Any:
    state = network.state_dict()
    keys = mit_han_lab_keys((2, 1), net)
    assert set(keys.values()) == state.keys()
    return {
        "epoch": 50,
        "arch": "resnet50",
        "state_dict": {f"module.{a}": state[b] for a, b in keys.items()},
        "best_prec1": torch.tensor(0.7),
        "optimizer": {"state": {}, "param_groups": [{"lr": 0.01}]},
    }


def video_swin_file(network: nn.Module) -> Any:
    state = network.state_dict()
    for vector in ("weight", "bias"):
        state[f"backbone.norm.{vector}"] = state.pop(f"backbone.norm3.{vector}")
    return {"meta": {"epoch": 30}, "state_dict": state}


def mmaction2_file(network: nn.Module) -> Any:
    meta = {"mmaction_version": "0.24.1", "CLASSES": ["run", "walk"], "seed": None}
    return {"meta": meta, "state_dict": network.state_dict()}


def without(network: nn.Module, ending: str) -> Any:
    state = network.state_dict()
    kept = {key: state[key] for key in state if not key.endswith(ending)}
    assert len(kept) < len(state)
    return {"state_dict": kept}


LAYOUTS = {
    "mmaction2 tsn": (tsn, mmaction2_file),
    "mmaction2 tsm": (tsm, mmaction2_file),
    "mmaction2 swin": (swin, mmaction2_file),
    "weights alone": (tsn, lambda network: network.state_dict()),
    "plain dict": (tsn, lambda network: dict(network.state_dict())),
    "data parallel": (
        tsm,
        lambda network: {
            "state_dict": {f"module.{k}": v for k, v in network.state_dict().items()}
        },
    ),
    "video-swin": (swin, video_swin_file),
    "mit-han-lab tsm": (tsm, lambda network: mit_han_lab_file(network, "net.")),
    "mit-han-lab tsn": (tsn, lambda network: mit_han_lab_file(network, "")),
    "no counts": (tsn, lambda network: without(network, "num_batches_tracked")),
    "no index": (swin, lambda network: without(network, "relative_position_index")),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_files_of_all_layouts_load(layout, tmp_path):
    make, contents = LAYOUTS[layout]
    trained, network = make(n_classes=7), make(n_classes=7, seed=1)
    path = tmp_path / "x.pth"
    torch.save(contents(trained), path)
    weights = read_weights(path)
    assert n_classes_of(weights, path) == 7
    load_weights(network, weights, path)
    expected = trained.state_dict()
    for key, value in network.state_dict().items():
        assert torch.equal(value, expected[key]), key


def test_old_files_that_are_no_zip_load(tmp_path):
    path = str(tmp_path / "old.pth")
    torch.save(mmaction2_file(tsn()), path, _use_new_zipfile_serialization=False)
    assert read_weights(path).keys() == tsn().state_dict().keys()


def test_half_precision_becomes_single(tmp_path):
    trained, network = tsn(), tsn(seed=1)
    torch.save(trained.half().state_dict(), tmp_path / "x.pth")
    load_weights(network, read_weights(tmp_path / "x.pth"), tmp_path / "x.pth")
    assert network.head.weight.dtype == torch.float32
    assert torch.equal(network.head.weight, trained.head.weight.float())


def test_files_of_safetensors_load(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "x.safetensors"
    trained, network = tsn(), tsn(seed=1)
    save_file(trained.state_dict(), path)
    load_weights(network, read_weights(path), path)
    assert torch.equal(network.head.weight, trained.head.weight)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"x\.safetensors.*no checkpoint.*damaged"):
        read_weights(path)


def test_safetensors_that_are_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    (tmp_path / "a.safetensors").touch()
    with pytest.raises(ImportError, match=r"a\.safetensors.*pip install safetensors"):
        read_weights(tmp_path / "a.safetensors")


class RunsCode:
    def __reduce__(self) -> Any:
        return os.mkdir, ("was_run",)


def test_files_that_run_code_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    contents = {"state_dict": {"x": RunsCode()}}
    torch.save(contents, "evil.pth")
    Path("evil.pkl").write_bytes(pickle.dumps(contents, protocol=2))
    for name in ("evil.pth", "evil.pkl"):
        with pytest.raises(
            ValueError, match=rf"'{name}' is not safe: it holds \w+\.mkd"
        ):
            read_weights(name)
    # What torch.save never writes is not read at all.
    Path("new.pkl").write_bytes(pickle.dumps(contents, protocol=4))
    with pytest.raises(ValueError, match=r"'new\.pkl' is no checkpoint that torch can"):
        read_weights("new.pkl")
    assert not Path("was_run").exists()


def test_training_checkpoints_of_mmengine_are_refused_with_advice(
    tmp_path, monkeypatch
):
    module: Any = ModuleType("mmengine.logging.history_buffer")
    history = type("HistoryBuffer", (), {"__module__": module.__name__})
    module.HistoryBuffer = history
    for name in ("mmengine", "mmengine.logging"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    path = tmp_path / "epoch_5.pth"
    contents = {"message_hub": {"log": history()}, **mmaction2_file(tsn())}
    torch.save(contents, path)
    with pytest.raises(
        ValueError,
        match=r"epoch_5\.pth' is a training checkpoint: it holds mmengine\.logging\."
        r"history_buffer\.HistoryBuffer.*If you trust.*weights_only=False",
    ):
        read_weights(path)
    # As the message says.
    state = torch.load(path, weights_only=False)["state_dict"]
    torch.save({"state_dict": state}, path)
    assert n_classes_of(read_weights(path), path) == 4


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"<!DOCTYPE html><title>Not found</title>",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n",
        b"PK\x03\x04 but no archive",
        bytes(range(256)),
    ],
    ids=["empty", "web page", "LFS pointer", "no archive", "bytes"],
)
def test_files_of_something_else_are_refused(contents, tmp_path):
    path = tmp_path / "x.pth"
    path.write_bytes(contents)
    with pytest.raises(ValueError, match=r"x\.pth' is no checkpoint .* damaged"):
        read_weights(path)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_files_that_were_cut_off_are_refused(zipped, share, tmp_path):
    path = tmp_path / "x.pth"
    torch.save(mmaction2_file(tsn()), path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=r"x\.pth' is no checkpoint .* cut off"):
        read_weights(path)


def test_missing_files_are_the_systems_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no_such\.pth"):
        read_weights(tmp_path / "no_such.pth")
    with pytest.raises(OSError, match=re.escape(tmp_path.name)):
        read_weights(tmp_path)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ([torch.zeros(2)], "it holds an object of type list where"),
        (torch.zeros(2), "it holds an object of type Tensor where"),
        ({}, "it holds nothing where weights by name"),
        ({"state_dict": {}}, "it holds nothing where weights by name"),
        ({"state_dict": None}, "it holds nothing where weights by name"),
        ({"epoch": 3, "net": {}}, "'epoch' is of type int, where weights"),
        ({0: torch.zeros(2)}, "0 is of type Tensor, where weights, tensors by name"),
    ],
)
def test_files_without_weights_are_refused(contents, message, tmp_path):
    path = tmp_path / "x.pth"
    torch.save(contents, path)
    with pytest.raises(ValueError, match=rf"x\.pth' is no checkpoint: {message}"):
        read_weights(path)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(number, tmp_path):
    network = tsn()
    with torch.no_grad():
        network.head.weight[1, 2] = number
    torch.save(network.state_dict(), tmp_path / "x.pth")
    with pytest.raises(
        ValueError, match=r"x\.pth'.*'cls_head\.fc_cls\.weight' has .* not a number"
    ):
        read_weights(tmp_path / "x.pth")


@pytest.mark.parametrize(
    ("given", "wanted", "message"),
    [
        (tsn, tsm, "is a checkpoint of TSN, and the network is TSM"),
        (tsm, tsn, "is a checkpoint of TSM, and the network is TSN"),
        (swin, tsn, "is a checkpoint of VideoSwin, and the network is TSN"),
        (tsm, swin, "is a checkpoint of TSM, and the network is VideoSwin"),
    ],
)
def test_checkpoints_of_another_network_are_named(given, wanted, message):
    network = wanted()
    before = OrderedDict((k, v.clone()) for k, v in network.state_dict().items())
    with pytest.raises(ValueError, match=rf"'x\.pth' {message}"):
        load_weights(network, given().state_dict(), "x.pth")
    after = network.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_checkpoints_of_3d_networks_are_named():
    weights = tsn().state_dict()
    weights = {k: v[:, :, None] if v.ndim == 4 else v for k, v in weights.items()}
    with pytest.raises(ValueError, match=r"of a ResNet of 3D convolutions, and .* TSN"):
        load_weights(tsn(), weights, "i3d.pth")


@pytest.mark.parametrize("make", [tsn, tsm, swin])
def test_another_number_of_classes_is_told(make):
    with pytest.raises(
        ValueError, match=r"'x\.pth' is a checkpoint of 51 classes, .* network has 4"
    ):
        load_weights(make(4), make(51).state_dict(), "x.pth")


def test_missing_and_unexpected_weights_are_named():
    weights = tsn().state_dict()
    del weights["backbone.layer1.0.conv2.conv.weight"]
    for i in range(5):
        weights[f"neck.{i}"] = torch.zeros(1)
    with pytest.raises(
        ValueError,
        match=r"'x\.pth' does not fit the network: it lacks 'backbone\.layer1\.0\.conv2"
        r"\.conv\.weight', and it has 'neck\.0', 'neck\.1', 'neck\.2' and 2 more",
    ):
        load_weights(tsn(), weights, "x.pth")


def test_weights_of_other_shapes_are_named():
    wide = TSN(4, depths=(2, 1), width=8).state_dict()
    with pytest.raises(
        ValueError, match=r"backbone\.conv1\.conv\.weight of shape \(8, 3, 7, 7\) inste"
    ):
        load_weights(tsn(), wide, "x.pth")
    weights = tsn().state_dict()
    weights["cls_head.fc_cls.bias"] = torch.zeros(5)
    with pytest.raises(
        ValueError, match=r"fc_cls\.bias of shape \(5,\) instead of \(4"
    ):
        load_weights(tsn(), weights, "x.pth")


def test_a_backbone_alone_has_no_classes():
    weights = {k: v for k, v in tsn().state_dict().items() if "fc_cls" not in k}
    with pytest.raises(
        ValueError, match=r"'x\.pth' has no weights of a head, 'cls_hea"
    ):
        n_classes_of(weights, Path("x.pth"))
    with pytest.raises(ValueError, match=r"it lacks 'cls_head\.fc_cls\.bias', 'cls_he"):
        load_weights(tsn(), weights, Path("x.pth"))
