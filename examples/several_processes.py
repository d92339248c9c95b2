"""
One fit by several processes, on the GPUs of a machine or of several
=====================================================================

    torchrun --nproc-per-node 2 examples/several_processes.py

Each process takes its share of every batch, and the gradients are added up before each
step, so that all come to the same weights; without dropout these are the weights of one
process but for rounding. Here the processes have no GPU and speak by gloo; with
``--backend nccl`` each takes a GPU of its own.

A search wants no such thing: its candidates are independent, and a process for each GPU
fits one after another; see dask_cluster.py.
"""

from __future__ import annotations

import argparse
import os

import torch
import torch.distributed as dist

from jedi_sklearn import JEDIClassifier
from jedi_sklearn.datasets import make_expert_embeddings

parser = argparse.ArgumentParser()
parser.add_argument("--backend", choices=("gloo", "nccl"), default="gloo")
parser.add_argument("--epochs", type=int, default=10)
asked = parser.parse_args()

dist.init_process_group(asked.backend)
if asked.backend == "nccl":
    torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))

# %%
# All processes read the same rows and have the same experts; with a `memory` in common
# the experts embed each row once for all of them.
X, y = make_expert_embeddings(n_samples=600, n_features=32, random_state=0)
X = {name: rows[:, 32 * i : 32 * i + 32] for i, (name, rows) in enumerate(X.items())}
clf = JEDIClassifier(
    max_epochs=asked.epochs,
    random_state=0,  # the same in all of them, and no None
    device="cpu" if asked.backend == "gloo" else "cuda",
).fit(X, y)

# %%
# All have the same classifier, of which one is to be kept.
if dist.get_rank() == 0:
    print(f"{dist.get_world_size()} processes, accuracy {clf.score(X, y):.3f}")
dist.destroy_process_group()
