"""
From video files to better action classifiers
=============================================

The paper's recipe (sections 4.1 to 5.2): four datasets of videos, the expert of each, what
every expert makes of every video, students and teachers, Tables 2 and 3 and Figure 3.

``python recipe.py --data FOLDER`` runs it on ActivityNet, HMDB51, Kinetics400 and UCF101;
the folder has the videos, annotations, checkpoints and names of classes as they are
published. ``python recipe.py`` runs it on small clips that it makes itself.
"""

import argparse
from pathlib import Path

import generated_clips
import matplotlib.pyplot as plt
import pandas as pd

from jedi_sklearn import PAPER_PARAMS, JEDIClassifier, evaluate
from jedi_sklearn.embeddings import EmbeddingStore
from jedi_sklearn.encoders.video import (
    read_activitynet,
    read_hmdb51,
    read_kinetics,
    read_ucf101,
    video_expert,
)
from jedi_sklearn.inspection import TrainingCurvesDisplay

parser = argparse.ArgumentParser()
parser.add_argument("--data", type=Path, help="folder of the paper's datasets")
parser.add_argument("--store", type=Path, default=Path("embeddings"))
parser.add_argument("--n-workers", type=int, default=0, help="processes that read")
arguments = parser.parse_args()


# %%
# The paper's datasets and experts


def paper_videos(data, is_test):
    """Return paths and labels of each dataset."""
    part = "test" if is_test else "train"
    found = {
        "activitynet": read_activitynet(
            data / "activitynet/activity_net.v1-3.min.json",
            data / "activitynet/videos",
            subset="validation" if is_test else "training",
        ),
        "hmdb51": read_hmdb51(
            data / "hmdb51/splits", data / "hmdb51/videos", subset=part
        ),
        "kinetics400": read_kinetics(
            data / f"kinetics400/{'validate' if is_test else 'train'}.csv",
            data / "kinetics400/videos",
        ),
        "ucf101": read_ucf101(
            data / "ucf101/splits", data / "ucf101/videos", subset=part
        ),
    }
    X, y = zip(*found.values(), strict=True)
    return dict(zip(found, X, strict=True)), dict(zip(found, y, strict=True))


def paper_expert(data, name, network):
    """Return the expert of a dataset; classes.txt has a class a line, in its order."""
    [checkpoint] = (data / name).glob("*.pth")
    classes = (data / name / "classes.txt").read_text("utf-8").splitlines()
    n_workers = arguments.n_workers
    return video_expert(
        network, checkpoint=checkpoint, classes=classes, n_workers=n_workers
    )


NETWORKS = {
    "activitynet": "tsn-r50",
    "hmdb51": "tsm-r50",
    "kinetics400": "swin-b",
    "ucf101": "tsm-r50",
}
if arguments.data is None:
    train, test, experts, params = generated_clips.problem(Path("clips"))
else:
    train, test = (paper_videos(arguments.data, is_test) for is_test in (False, True))
    experts = [(n, paper_expert(arguments.data, n, NETWORKS[n])) for n in NETWORKS]
    params = PAPER_PARAMS

# %%
# Extract once; what is interrupted goes on where it was

store = EmbeddingStore(arguments.store, shard_rows=64, on_error="skip")
for X in (train[0], test[0]):
    store.extract(experts, X, verbose=1)
params = {"memory": store, "random_state": 0, "verbose": 1, **params}

# %%
# Table 2 and Figure 3: accuracies on test videos over the epochs; nothing is chosen by
# them

clf = JEDIClassifier(experts, **params).fit(*train, X_val=test[0], y_val=test[1])
print("Table 2", (100 * evaluate(clf, *test)).round(2), sep="\n")
TrainingCurvesDisplay.from_estimator(clf)
plt.savefig("figure_3.png")

# %%
# Table 3: what the teachers see, and on whose videos the students learn from them

scenarios = [
    {"teacher_input": value}
    for value in ("predictions", "base", "adjusted", "adjusted+predictions")
] + [
    {"distill_from": value}
    for value in (None, "own", [max(train[0], key=lambda n: len(train[0][n]))], "all")
]
table = {}
for scenario in scenarios:
    clf = JEDIClassifier(experts, **{**params, **scenario}).fit(*train)
    accuracy = evaluate(clf, *test)["accuracy"].unstack()
    table[str(scenario)] = (100 * accuracy[["teacher", "student"]]).stack()
print("Table 3", pd.DataFrame(table).T.round(2), sep="\n")
