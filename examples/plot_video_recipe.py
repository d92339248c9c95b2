"""
From video files to better action classifiers
=============================================

The paper's recipe (sections 4 and 5): four datasets of videos, an expert of each, what
every expert makes of every video, students and teachers; Tables 2 and 3, and Figure 3.

By itself it runs on small clips that it makes. ``--data FOLDER`` runs it on
ActivityNet, HMDB51, Kinetics400 and UCF101, and ``--output FOLDER`` is where to keep
what it makes.
:doc:`Videos </video>` says what the folder of the data must hold.
"""

import argparse
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.base import clone

from jedi_sklearn import PAPER_PARAMS, JEDIClassifier, evaluate
from jedi_sklearn.embeddings import EmbeddingStore
from jedi_sklearn.encoders import video
from jedi_sklearn.inspection import TrainingCurvesDisplay

parser = argparse.ArgumentParser()
parser.add_argument("--data", type=Path, help="folder of the paper's datasets")
parser.add_argument("--output", type=Path, help="folder for results")
parser.add_argument("--n-workers", type=int, default=0, help="processes that read")
options = parser.parse_args()

if find_spec("av") is None:
    print("This example needs PyAV: pip install av")
    sys.exit()
temporary = tempfile.TemporaryDirectory()
output = options.output or Path(temporary.name)
is_paper = options.data is not None

# %%
# Datasets and experts
# --------------------
# A dataset is a list of paths and one of labels. An expert is a network, a checkpoint,
# and the names of its classes in their order.

NETWORKS = {"activitynet": "tsn-r50", "hmdb51": "tsm-r50"}
NETWORKS |= {"kinetics400": "swin-b", "ucf101": "tsm-r50"}


def paper_videos(data, part):
    """Return the paths and the labels of each dataset."""
    is_test = part == "test"
    activities = data / "activitynet/activity_net.v1-3.min.json"
    rows = data / "kinetics400" / ("validate.csv" if is_test else "train.csv")
    subset = "validation" if is_test else "training"
    videos = {name: data / name / "videos" for name in NETWORKS}
    splits = {name: data / name / "splits" for name in NETWORKS}
    found = (
        video.read_activitynet(activities, videos["activitynet"], subset=subset),
        video.read_hmdb51(splits["hmdb51"], videos["hmdb51"], subset=part),
        video.read_kinetics(rows, videos["kinetics400"]),
        video.read_ucf101(splits["ucf101"], videos["ucf101"], subset=part),
    )
    return [dict(zip(NETWORKS, what, strict=True)) for what in zip(*found, strict=True)]


def paper_expert(folder, network):
    """Return the expert of a dataset."""
    classes = (folder / "classes.txt").read_text("utf-8").splitlines()
    checkpoint, n_workers = folder / "checkpoint.pth", options.n_workers
    return video.video_expert(
        network, checkpoint=checkpoint, classes=classes, n_workers=n_workers
    )


# %%
# The clips instead show shapes that move. The datasets ask for different things: which
# way, what shape, both, or which way and how it grows. They look different, and are
# MPEG-4 in AVI, VP8 in WebM and H.264 in Matroska and MP4. Of each, 48 clips have a
# label, by which a tiny TSM, TSN or Video Swin was trained from scratch, and 150 have
# none.

if is_paper:
    train, test = (paper_videos(options.data, part) for part in ("train", "test"))
    experts = [(n, paper_expert(options.data / n, NETWORKS[n])) for n in NETWORKS]
    params = PAPER_PARAMS
else:
    from generated_clips import problem

    train, test, experts = problem(output / "clips")
    params = {"max_epochs": 20}  # The paper's 500, and its rate, are for large data.

figure, panels = plt.subplots(len(train[0]), 4, layout="constrained", figsize=(5, 5))
for row, (name, paths) in zip(panels, train[0].items(), strict=True):
    frames = video.VideoReader(paths[0])
    for place, panel in enumerate(row):
        panel.imshow(frames[[place * (len(frames) - 1) // 3]][0])
        panel.set(xticks=[], yticks=[])
    row[0].set_title(f"{name}: {train[1][name][0]}", loc="left")
figure.suptitle("four frames of one clip of each dataset")
plt.show()

# %%
# Embeddings
# ----------
# Each expert sees each video once. What is interrupted goes on where it was.

store = EmbeddingStore(output / "embeddings", shard_rows=64, on_error="skip")
for X in (train[0], test[0]):
    store.extract(experts, X, verbose=int(is_paper))
print(store.info().groupby(["expert", "kind"])[["n_rows", "n_bytes"]].sum())

# %%
# Students and teachers
# ---------------------
# Table 2, in percent, and Figure 3: accuracies on test videos, by which nothing is
# chosen. Of the clips that it makes, 100 a dataset are for the test: one is one point.

clf = JEDIClassifier(
    experts, memory=store, random_state=0, verbose=int(is_paper), **params
)
clf.fit(*train, X_val=test[0], y_val=test[1])
print("Table 2", (100 * evaluate(clf, *test)).round(2).to_string(), sep="\n")

figure, axes = plt.subplots(2, 2, figsize=(6, 5.5), layout="constrained")
TrainingCurvesDisplay.from_estimator(clf, axes=axes)
figure.savefig(output / "figure_3.png")
plt.show()

# %%
# Ablations
# ---------
# Table 3: what teachers see, and on whose videos students learn from them; the mean
# accuracy over the datasets. Of 400 test clips in all, one or two points say nothing.

inputs = ["predictions", "base", "adjusted", "adjusted+predictions"]
scenarios = [{"teacher_input": value} for value in inputs]
largest = max(train[0], key=lambda name: len(train[0][name]))
scenarios += [{"distill_from": value} for value in (None, "own", [largest], "all")]
rows = {}
for scenario in scenarios:
    ablated = clone(clf).set_params(verbose=0, **scenario).fit(*train)
    accuracy = evaluate(ablated, *test)["accuracy"].unstack()
    columns = accuracy[["student", "teacher"]].mean()
    rows[" ".join(map(str, *scenario.items()))] = (100 * columns).round(2)
print("Table 3", pd.DataFrame(rows).T.to_string(), sep="\n")
temporary.cleanup()
