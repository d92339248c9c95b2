"""
From video files to better action classifiers
=============================================

The paper's recipe (sections 4 and 5): four datasets of videos, an expert of each, what
every expert makes of every video, students and teachers; Tables 2 and 3, and Figure 3.

``python recipe.py`` runs it on small clips that it makes itself, in some minutes, and
``python recipe.py --data FOLDER`` on ActivityNet, HMDB51, Kinetics400 and UCF101;
`docs/video.md` says what the folder must hold.
"""

import argparse
from pathlib import Path

import generated_clips
import matplotlib.pyplot as plt
import pandas as pd
from sklearn.base import clone

from jedi_sklearn import PAPER_PARAMS, JEDIClassifier, evaluate
from jedi_sklearn.embeddings import EmbeddingStore
from jedi_sklearn.encoders import video
from jedi_sklearn.inspection import TrainingCurvesDisplay

parser = argparse.ArgumentParser()
parser.add_argument("--data", type=Path, help="folder of the paper's datasets")
parser.add_argument("--output", type=Path, default=Path(), help="folder for results")
parser.add_argument("--n-workers", type=int, default=0, help="processes that read")
options = parser.parse_args()


# %%
# A dataset is a list of paths and one of labels. An expert is a network, a checkpoint,
# and the names of its classes in their order.
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


NETWORKS = {"activitynet": "tsn-r50", "hmdb51": "tsm-r50"}
NETWORKS |= {"kinetics400": "swin-b", "ucf101": "tsm-r50"}
if options.data is None:
    train, test, experts = generated_clips.problem(options.output / "clips")
    params = {"max_epochs": 30}  # The paper's 500, and its rate, are for large data.
else:
    train, test = (paper_videos(options.data, part) for part in ("train", "test"))
    experts = [(n, paper_expert(options.data / n, NETWORKS[n])) for n in NETWORKS]
    params = PAPER_PARAMS

# %%
# Each expert sees each video once. What is interrupted goes on where it was.
store = EmbeddingStore(options.output / "embeddings", shard_rows=64, on_error="skip")
for X in (train[0], test[0]):
    store.extract(experts, X, verbose=1)

# %%
# Table 2, and in Figure 3 accuracies on test videos, by which nothing is chosen.
clf = JEDIClassifier(experts, memory=store, random_state=0, verbose=1, **params)
clf.fit(*train, X_val=test[0], y_val=test[1])
print("Table 2", (100 * evaluate(clf, *test)).round(2).to_string(), sep="\n")
TrainingCurvesDisplay.from_estimator(clf)
plt.savefig(options.output / "figure_3.png")

# %%
# Table 3: what teachers see, and on whose videos students learn from them.
inputs = ["predictions", "base", "adjusted", "adjusted+predictions"]
scenarios = [{"teacher_input": value} for value in inputs]
largest = max(train[0], key=lambda name: len(train[0][name]))
scenarios += [{"distill_from": value} for value in (None, "own", [largest], "all")]
rows = {}
for scenario in scenarios:
    ablated = clone(clf).set_params(verbose=0, **scenario).fit(*train)
    accuracy = evaluate(ablated, *test)["accuracy"].drop("expert", level="model")
    rows[" ".join(map(str, *scenario.items()))] = (100 * accuracy).round(2)
print("Table 3", pd.DataFrame(rows).T.to_string(), sep="\n")
