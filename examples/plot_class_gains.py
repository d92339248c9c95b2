"""
What a student gained, class by class
=====================================

A student that is better than its expert is not better at everything. Displays show
which classes gain, where student and teacher agree, and whether their probabilities
can be taken at their word; and the pictures themselves show what changed.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA
from sklearn.preprocessing import FunctionTransformer

from jedi_sklearn import JEDIClassifier
from jedi_sklearn.datasets import load_glyphs
from jedi_sklearn.inspection import (
    AgreementDisplay,
    ClassGainsDisplay,
    ReliabilityDisplay,
)

# %%
# Experts that see pictures in three ways
# ---------------------------------------
# Directions of edges, distances to prototypes, and principal components. Of each
# dataset a quarter of 800 rows has labels; None marks the others.


def edge_directions(rows):
    """Return histograms of 8 directions in cells of 7 x 7 pixels."""
    dy, dx = np.gradient(rows.reshape(-1, 28, 28), axis=(1, 2))
    direction = np.round(np.arctan2(dy, dx) / (np.pi / 4)) % 8
    strength = np.hypot(dx, dy) * (direction == np.arange(8)[:, None, None, None])
    cells = strength.reshape(8, -1, 4, 7, 4, 7).mean(axis=(3, 5))
    return cells.transpose(1, 0, 2, 3).reshape(len(rows), -1)


experts = [
    ("digits", FunctionTransformer(edge_directions)),
    ("fashion", MiniBatchKMeans(100, n_init=1)),
    ("letters", PCA(60)),
]
names = [name for name, _ in experts]
X, y = load_glyphs("train")
X = {name: X[name][:800].reshape(800, -1) for name in names}
y = {name: y[name][:800].astype(object) for name in names}
for labels in y.values():
    labels[200:] = None
X_test, y_test = load_glyphs("test")
X_test = {name: X_test[name].reshape(-1, 784) for name in names}
y_test = {name: y_test[name] for name in names}

clf = JEDIClassifier(experts, max_epochs=60, random_state=0)
clf.fit(X, y)

# %%
# Classes
# -------
# How many more of a class's test rows the student and the teacher get right than the
# expert does, as a share of that class, with its 95 % interval.

_, panels = plt.subplots(
    3, figsize=(4.8, 11), height_ratios=[10, 10, 20], layout="constrained"
)
display = ClassGainsDisplay.from_estimator(clf, X_test, y_test, axes=panels)
plt.show()

# %%
# Of so many classes some seem to gain or lose by chance alone, so that we count those
# whose interval is on one side of zero.

gains = display.gains
counts = gains.assign(better=gains["low"] > 0, worse=gains["high"] < 0)
print(counts.groupby(["dataset", "model"])[["better", "worse"]].sum())

# %%
# Pictures
# --------
# What the expert took for something else and the student knows, and, no less worth a
# look, what the student has unlearnt. Those are shown of which the student is surest.


def show_changes(name, panels):
    """Show rows of which expert or student alone is right, a line of panels each."""
    student = clf.students_[name]
    said = {
        "expert": clf.experts_[name].predict(X_test[name]),
        "student": student.predict(X_test[name]),
    }
    confidence = student.predict_proba(X_test[name]).max(axis=1)
    for line, right, wrong in zip(
        panels, ["student", "expert"], ["expert", "student"], strict=True
    ):
        is_shown = (said[right] == y_test[name]) & (said[wrong] != y_test[name])
        order = np.argsort(-np.where(is_shown, confidence, 0), kind="stable")
        for row, panel in zip(order, line, strict=False):
            panel.imshow(X_test[name][row].reshape(28, 28), cmap="gray")
            panel.set_title(f"{said[right][row]},\nnot {said[wrong][row]}", fontsize=9)
            panel.set_axis_off()
        line[0].set_axis_on()
        line[0].set(xticks=[], yticks=[], ylabel=f"{name}:\n{right} right")


_, grid = plt.subplots(4, 4, figsize=(4.8, 6.6), layout="constrained")
show_changes("fashion", grid[:2])
show_changes("letters", grid[2:])
plt.show()

# %%
# Who agrees with whom
# --------------------
# A student follows its teacher, into mistakes as well. Where the teacher alone is right
# there is something left to learn.

AgreementDisplay.from_estimator(clf, X_test, y_test)
plt.show()

# %%
# How far probabilities can be trusted
# ------------------------------------
# On the dotted line a model is right as often as it says it is. Students and teachers
# are surer of themselves than that, and more so than the experts: who needs
# probabilities, not labels, has to calibrate them on rows that fit has not seen.

_, panels = plt.subplots(3, figsize=(4, 11.5), layout="constrained")
ReliabilityDisplay.from_estimator(clf, X_test, y_test, n_bins=5, axes=panels)
plt.show()
