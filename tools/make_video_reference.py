"""Make ``tests/data/video_networks.npz``: features and probabilities by MMAction2.

It needs the sources of MMAction2 v1.2.0 (Apache-2.0) and what they import; none of it
is needed by the package or its tests::

    git clone --branch v1.2.0 https://github.com/open-mmlab/mmaction2
    pip install torch einops addict yapf termcolor rich opencv-python-headless
    pip install --no-deps mmengine==0.10.7 mmcv-lite==2.1.0
    PYTHONPATH=mmaction2 python tools/make_video_reference.py
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "encoders" / "video"))
# These import operators that mmcv-lite is without; no recognizer needs them.
for name in ("localizers", "roi_heads", "multimodal", "task_modules"):
    stub = ModuleType(f"mmaction.models.{name}")
    stub.__all__ = []  # type: ignore[attr-defined]
    sys.modules[stub.__name__] = stub

import mmaction.models.data_preprocessors  # noqa: E402, F401
from mmaction.registry import MODELS  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402
from video_reference import (  # noqa: E402
    CASES,
    FILE,
    N_CLASSES,
    Case,
    made_up_clips,
    made_up_weights,
)


def main() -> None:
    init_default_scope("mmaction")
    made: dict[str, Any] = {}
    for name, case in CASES.items():
        features, probabilities = _computed(_recognizer(case), case)
        made[f"{name}_features"] = features
        made[f"{name}_probabilities"] = probabilities
    np.savez_compressed(FILE, **made)
    print(f"{FILE}: {FILE.stat().st_size / 1000:.0f} kB")


def _computed(recognizer: Any, case: Case) -> tuple[Any, Any]:
    """Return the mean of what the backbone makes, and the softmax of the scores."""
    state = recognizer.state_dict()
    made = made_up_weights({key: tuple(value.shape) for key, value in state.items()})
    recognizer.load_state_dict(
        {**state, **{key: torch.from_numpy(value) for key, value in made.items()}}
    )
    clips = torch.from_numpy(made_up_clips(case))
    # Videos of views, or of images.
    takes = clips[:, None] if case.network == "VideoSwin" else clips.transpose(1, 2)
    with torch.no_grad():
        maps, options = recognizer.eval().extract_feat(
            takes.contiguous(), stage="backbone", test_mode=True
        )
        scores = recognizer.cls_head(maps, **options)
    features = maps.flatten(2).mean(dim=2).reshape(len(clips), -1, maps.shape[1])
    return features.mean(dim=1).numpy(), scores.softmax(dim=1).numpy()


def _recognizer(case: Case) -> Any:
    n_frames = case.shape[1]
    head = {"num_classes": N_CLASSES, "spatial_type": "avg", "in_channels": 2048}
    if case.network == "TSN":
        backbone = {"type": "ResNet", "depth": 50}
        head["type"] = "TSNHead"
    elif case.network == "TSM":
        backbone = {"type": "ResNetTSM", "depth": 50, "num_segments": n_frames}
        head |= {"type": "TSMHead", "num_segments": n_frames}
    else:
        options = case.options
        backbone = {
            "type": "SwinTransformer3D",
            "arch": {
                "embed_dims": options["embed_dim"],
                "depths": options["depths"],
                "num_heads": options["n_heads"],
            },
            "window_size": options["window"],
            "patch_size": options["patch"],
            "pretrained2d": False,
        }
        n_features = options["embed_dim"] * 2 ** (len(options["depths"]) - 1)
        head |= {"type": "I3DHead", "in_channels": n_features}
    kind = "Recognizer3D" if case.network == "VideoSwin" else "Recognizer2D"
    return MODELS.build({"type": kind, "backbone": backbone, "cls_head": head})


if __name__ == "__main__":
    main()
