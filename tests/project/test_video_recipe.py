"""The paper's recipe on files that lie as the datasets are published."""

import csv
import json
import runpy
import sys
from pathlib import Path

import pytest

pytest.importorskip("av", reason="PyAV is missing")

import torch

from benchmarks.video_files import barcode_frames, write_video
from jedi_sklearn import PAPER_PARAMS
from jedi_sklearn.encoders import video

RECIPE = Path(__file__).resolve().parents[1] / "examples" / "plot_video_recipe.py"
CLASSES = {
    "activitynet": ["Archery", "Ballet"],
    "hmdb51": ["cartwheel", "wave"],
    "kinetics400": ["abseiling", "zumba"],
    "ucf101": ["Archery", "Diving"],
}


def write_clip(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    codec = "mpeg4" if path.suffix == ".avi" else "libx264"
    write_video(path, barcode_frames(8, 32, 48), codec=codec)


def write_text(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_activitynet(folder, classes):
    database = {
        f"id{n}": {
            "subset": "training" if n < 4 else "validation",
            "annotations": [{"label": classes[n % 2], "segment": [0, 1]}],
        }
        for n in range(8)
    }
    annotations = folder / "activity_net.v1-3.min.json"
    write_text(annotations, [json.dumps({"database": database})])
    for name in database:
        write_clip(folder / "videos" / f"v_{name}.mp4")


def write_hmdb51(folder, classes):
    for label in classes:
        names = [f"{label}_{n}.avi" for n in range(4)]
        lines = [f"{name} {1 + n // 2} " for n, name in enumerate(names)]
        write_text(folder / "splits" / f"{label}_test_split1.txt", lines)
        for name in names:
            write_clip(folder / "videos" / label / name)


def write_kinetics(folder, classes):
    for part in ("train", "validate"):
        folder.mkdir(exist_ok=True)
        with (folder / f"{part}.csv").open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["label", "youtube_id", "time_start", "time_end", "split"])
            for n in range(4):
                rows.writerow([classes[n % 2], f"{part}{n}", n, n + 10, part])
                name = f"{part}{n}_{n:06d}_{n + 10:06d}.mp4"
                write_clip(folder / "videos" / classes[n % 2] / name)


def write_ucf101(folder, classes):
    names = [f"{label}/v_{label}_{n}.avi" for n in range(4) for label in classes]
    train = [f"{name} {1 + n % 2}" for n, name in enumerate(names[:4])]
    write_text(folder / "splits" / "trainlist01.txt", train)
    write_text(folder / "splits" / "testlist01.txt", names[4:])
    for name in names:
        write_clip(folder / "videos" / name)


@pytest.mark.slow
def test_recipe__of_the_paper__reads_its_datasets(tmp_path, monkeypatch, capfd):
    writers = [write_activitynet, write_hmdb51, write_kinetics, write_ucf101]
    for write, (name, classes) in zip(writers, CLASSES.items(), strict=True):
        folder = tmp_path / name
        folder.mkdir()
        write(folder, classes)
        write_text(folder / "classes.txt", classes)
        state = video.TSN(2, depths=(1,), width=4).state_dict()
        torch.save({"state_dict": state}, folder / "checkpoint.pth")

    real, asked = video.video_expert, []

    def tiny_expert(network, **arguments):  # the paper's would take hours
        asked.append(network)
        tiny = video.TSN(2, depths=(1,), width=4)
        protocol = video.ViewProtocol(n_frames=2, crop_size=16)
        return real(tiny, protocol=protocol, **arguments)

    monkeypatch.setattr(video, "video_expert", tiny_expert)
    monkeypatch.setitem(PAPER_PARAMS, "max_epochs", 1)
    monkeypatch.setattr(
        sys, "argv", ["recipe", "--data", str(tmp_path), "--output", str(tmp_path)]
    )
    runpy.run_path(str(RECIPE), run_name="__main__")

    assert asked == ["tsn-r50", "tsm-r50", "swin-b", "tsm-r50"]
    out = capfd.readouterr().out
    assert all(name in out for name in CLASSES)
    assert out.index("Table 2") < out.index("Table 3")
    assert (tmp_path / "figure_3.png").stat().st_size > 10_000
