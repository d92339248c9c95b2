"""
What rows without labels are worth
==================================

Teachers say of every row what they think it shows, labelled or not, and students learn
from that. Here ever fewer of the rows have labels, and students are trained with and
without what their teachers say. Each comparison is made five times, with other labels
known.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import t
from sklearn.base import clone
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import FunctionTransformer

from jedi_sklearn import JEDIClassifier, evaluate, stack_datasets
from jedi_sklearn.datasets import load_glyphs

# %%
# Three datasets and experts
# --------------------------
# The encoders see pictures of 28 x 28 pixels in three ways: directions of edges,
# distances to prototypes, and principal components. They learn from no label. Frozen,
# they embed the rows of a stacked X once for all fits, and get heads in each.

names = ["digits", "fashion", "letters"]
X, y = load_glyphs("train")
X = {name: X[name][:600].reshape(600, -1) for name in names}
y = {name: y[name][:600].astype(object) for name in names}
X_test, y_test = load_glyphs("test")
X_test = {name: X_test[name].reshape(-1, 784) for name in names}
y_test = {name: y_test[name] for name in names}
X_test, y_test = stack_datasets(X_test, y_test)


def edge_directions(rows):
    """Return histograms of 8 directions in cells of 7 x 7 pixels."""
    dy, dx = np.gradient(rows.reshape(-1, 28, 28), axis=(1, 2))
    direction = np.round(np.arctan2(dy, dx) / (np.pi / 4)) % 8
    strength = np.hypot(dx, dy) * (direction == np.arange(8)[:, None, None, None])
    cells = strength.reshape(8, -1, 4, 7, 4, 7).mean(axis=(3, 5))
    return cells.transpose(1, 0, 2, 3).reshape(len(rows), -1)


encoders = {
    "digits": FunctionTransformer(edge_directions),
    "fashion": MiniBatchKMeans(100, n_init=1, random_state=0),
    "letters": PCA(60, random_state=0),
}
experts = [
    (name, FrozenEstimator(encoder.fit(X[name]))) for name, encoder in encoders.items()
]

# %%
# With a teacher and without
# --------------------------
# A seed draws which rows keep their labels, of each class the same share; None marks
# the others. Two students learn from these labels: one of them also from its teacher,
# on all rows (``distill_from="all"``), the other from nobody (``None``).

SHARES, SEEDS = [0.05, 0.1, 0.3, 1.0], range(5)
DISTILL_FROM = {"taught": "all", "untaught": None}

clf = JEDIClassifier(experts, adjustment_units=64, batch_size=512, max_epochs=20)


def keep_labels(labels, share, seed):
    """Return labels of which all but a share are None."""
    labels = labels.copy()
    if share < 1:
        _, hidden = train_test_split(
            np.arange(len(labels)), train_size=share, stratify=labels, random_state=seed
        )
        labels[hidden] = None
    return labels


def accuracies(share, seed, distill_from):
    """Return percentages of right answers on test rows, index (dataset, model)."""
    known = {name: keep_labels(labels, share, seed) for name, labels in y.items()}
    model = clone(clf).set_params(distill_from=distill_from, random_state=seed)
    model.fit(*stack_datasets(X, known))
    return 100 * evaluate(model, X_test, y_test)["accuracy"]


runs = pd.DataFrame(
    {
        (share, seed, student): accuracies(share, seed, distill_from)
        for share in SHARES
        for seed in SEEDS
        for student, distill_from in DISTILL_FROM.items()
    }
)
runs.columns.names = ["share", "seed", "student"]

# %%
# The gain, pair by pair
# ----------------------
# Both students of a pair have the same labels, experts and seed, so that what counts is
# the difference within the pair: its mean over the seeds, in points of accuracy, and
# half of the 95 % interval of that mean by Student's t.

students = runs.xs("student", level="model").T.unstack("student")
students = students.swaplevel(axis=1)
gains = students["taught"] - students["untaught"]
gains["mean"] = gains.mean(axis=1)
mean = gains.groupby("share").mean()
half = t.ppf(0.975, len(SEEDS) - 1) * gains.groupby("share").sem()
print((mean.map("{:+.1f}".format) + " ± " + half.map("{:.1f}".format)).to_string())

# %%
# The fewer labels there are, the more the teacher adds. Where all rows have one it adds
# nothing: there it takes a little, on average. Of single datasets five seeds say less.

figure, panels = plt.subplots(
    2, figsize=(4.8, 5.6), sharex=True, layout="constrained", height_ratios=[3, 2]
)
shown = {
    "student, taught": (students["taught"], "C1s-"),
    "student, untaught": (students["untaught"], "C1s:"),
    "expert": (
        runs.xs("expert", level="model").T.xs("taught", level="student"),
        "C0o--",
    ),
}
for label, (scores, style) in shown.items():
    curve = scores.mean(axis=1).groupby("share").mean()
    filled = "none" if label.endswith("untaught") else "full"
    panels[0].plot(100 * curve.index, curve, style, fillstyle=filled, label=label)
panels[0].set(ylabel="accuracy on test rows (%)", title="mean of three datasets")
panels[0].legend()
panels[1].axhline(0, color="0.6", linewidth=1)
panels[1].errorbar(
    100 * mean.index, mean["mean"], yerr=half["mean"], fmt="C1s", capsize=3
)
panels[1].set(
    xscale="log",
    xlabel="rows with a label",
    ylabel="gain by the teacher (points)",
    title=f"taught - untaught, {len(SEEDS)} seeds, 95 % interval",
)
panels[1].set_xticks(
    [100 * share for share in SHARES], [f"{100 * s:.0f} %" for s in SHARES]
)
panels[1].minorticks_off()
for panel in panels:
    panel.grid(alpha=0.3)
plt.show()
