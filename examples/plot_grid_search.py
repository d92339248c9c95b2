"""
Searching the weights of the loss
=================================

Eq. (1) of the paper adds up three terms: what students and teachers get wrong on their
own labels, weighted by ``alpha`` and ``beta``, and what divides students from their
teachers, weighted by ``gamma``. They are parameters of one estimator, and an unmodified
``GridSearchCV`` searches them.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.preprocessing import FunctionTransformer

from jedi_sklearn import JEDIClassifier, evaluate, stack_datasets
from jedi_sklearn.datasets import load_glyphs

# %%
# Three datasets, few labels
# --------------------------
# Of every dataset 100 rows have a label to train on, 500 have none (None), and 400 more
# with labels are for choosing. The pictures are of 28 x 28 pixels.

names = ["digits", "fashion", "letters"]
X, y = load_glyphs("train")
X = {name: X[name][:1000].reshape(1000, -1) for name in names}
y = {name: y[name][:1000].astype(object) for name in names}
for labels in y.values():
    labels[100:600] = None

# %%
# Experts that are trained already
# --------------------------------
# They see pictures in three ways: directions of edges, distances to prototypes, and
# principal components. A frozen encoder embeds each row once for the whole search. None
# of these has seen a label; each fit gives them heads, trained on its own labels.


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
# The search
# ----------
# Scikit-learn's tools take one X and one y, which ``stack_datasets`` makes of the
# dicts. The score is the students' accuracy on the rows that are held out, as a mean
# over the datasets.

clf = JEDIClassifier(
    experts, adjustment_units=64, batch_size=512, max_epochs=20, random_state=0
)
X_all, y_all = stack_datasets(X, y)
held_out = np.concatenate([np.arange(1000) >= 600 for _ in names])
grid = {"alpha": [0.0, 0.3, 1.0], "beta": [0.1, 1.0], "gamma": [0.0, 0.4, 2.0, 10.0]}
search = GridSearchCV(
    clf, grid, cv=PredefinedSplit(np.where(held_out, 0, -1)), refit=False
)
search.fit(X_all, y_all)

# %%
# Scores on the rows that are held out
# ------------------------------------
# Without distillation, on the left, students are two points worse, and where ``alpha``
# is 0 as well nothing teaches them, and they stay as their experts are. The standard
# error of a mean over three datasets with 400 rows each is 1.3 points, more than what
# divides the other cells: a search of this size tells bad regions from good ones, and
# hardly one good cell from the next. The best is in bold.

results = pd.DataFrame(search.cv_results_)
print("best:", search.best_params_)

figure, panels = plt.subplots(2, figsize=(4.8, 5.6), sharex=True, layout="constrained")
limits = 100 * results["mean_test_score"].agg(["min", "max"])
for beta, panel in zip(grid["beta"], panels, strict=True):
    scores = 100 * results[results["param_beta"] == beta].pivot(
        index="param_alpha", columns="param_gamma", values="mean_test_score"
    )
    image = panel.imshow(scores, vmin=limits["min"], vmax=limits["max"], aspect="auto")
    for (row, column), score in np.ndenumerate(scores):
        color = "white" if score < limits.mean() else "black"
        weight = "bold" if score == limits["max"] else "normal"
        panel.text(
            *(column, row, f"{score:.1f}"),
            **{"ha": "center", "va": "center", "color": color, "weight": weight},
        )
    panel.set_xticks(range(scores.shape[1]), scores.columns)
    panel.set_yticks(range(scores.shape[0]), scores.index)
    panel.set(title=f"beta = {beta}", ylabel="alpha")
panels[1].set_xlabel("gamma")
figure.colorbar(image, ax=panels, label="accuracy on held-out rows (%)")
plt.show()

# %%
# Once, on test rows
# ------------------
# What was chosen is trained on the rows that the search trained on, and so are the
# default weights, and these without distillation. The best score of a search is partly
# luck, of which the test rows, which no choice has seen, know nothing.

X_test, y_test = load_glyphs("test")
X_test = {name: X_test[name].reshape(-1, 784) for name in names}
y_test = {name: y_test[name] for name in names}
weights = {
    "chosen": search.best_params_,
    "default": {},
    "no distillation": {"gamma": 0.0},
}
students = {}
for name, params in weights.items():
    fitted = clone(clf).set_params(**params).fit(X_all[~held_out], y_all[~held_out])
    students[name] = evaluate(fitted, X_test, y_test)["accuracy"].xs(
        "student", level="model"
    )
table = pd.DataFrame(students).T
print(table.assign(mean=table.mean(axis=1)).round(3))
