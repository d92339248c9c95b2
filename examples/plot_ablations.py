"""
Searching the choices of the method
===================================

What the teachers see, whose rows the students learn on, how much that counts, and
whether students and teachers are trained together or in turns: the paper's ablations
(sections 3.1, 5.1 and 5.2) are parameters, and an unmodified ``GridSearchCV`` takes
them as they are.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.random_projection import GaussianRandomProjection

from jedi_sklearn import JEDIClassifier, stack_datasets
from jedi_sklearn.datasets import load_glyphs
from jedi_sklearn.model_selection import MultiDatasetKFold

# %%
# Three datasets, few labels
# --------------------------
# Of every dataset the first 200 rows are labelled; None marks the others.

N_ROWS, N_LABELLED = 400, 200

X, y = load_glyphs("train")
names = ["digits", "fashion", "numerals"]
X = {name: X[name].reshape(-1, 784)[:N_ROWS] for name in names}
y = {name: y[name][:N_ROWS].astype(object) for name in names}
for labels in y.values():
    labels[N_LABELLED:] = None

# %%
# Experts that are trained already
# --------------------------------
# Frozen encoders embed each row once for the whole search. These have seen no label;
# each fold gives them a head of its own, so that the rows it holds out stay unseen.

encoders = {
    "digits": MiniBatchKMeans(60, n_init=1, random_state=0),
    "fashion": PCA(40, random_state=0),
    "numerals": GaussianRandomProjection(60, random_state=0),
}
experts = [
    (name, FrozenEstimator(encoder.fit(X[name]))) for name, encoder in encoders.items()
]

# %%
# The search
# ----------
# Unlabelled rows are trained on in every fold and scored in none.

X_all, y_all = stack_datasets(X, y)
search = GridSearchCV(
    JEDIClassifier(experts, max_epochs=8, random_state=0),
    {
        "teacher_input": ["adjusted", "base", "predictions", "adjusted+predictions"],
        "distill_from": ["all", None],
        "gamma": [0.4, 2.0],
        "schedule": ["joint", "alternating"],
    },
    cv=MultiDatasetKFold(2),
).fit(X_all, y_all)
print("best:", search.best_params_)

# %%
# Mean accuracy over the folds, by what the teachers see and whose rows the students
# learn on.

results = pd.DataFrame(search.cv_results_["params"]).assign(
    accuracy=search.cv_results_["mean_test_score"]
)
results["distill_from"] = results["distill_from"].fillna("none")
table = results.pivot_table(
    index=["schedule", "teacher_input"],
    columns=["distill_from", "gamma"],
    values="accuracy",
)
print(table.round(3))

figure, panel = plt.subplots(figsize=(7, 4.5), layout="constrained")
panel.imshow(table, cmap="Blues", aspect="auto")
for (row, column), accuracy in np.ndenumerate(table):
    is_dark = accuracy > table.to_numpy().mean()
    panel.text(
        column,
        row,
        f"{accuracy:.3f}",
        ha="center",
        va="center",
        color="white" if is_dark else "black",
    )
panel.set_xticks(range(table.shape[1]), [f"{d}\n{g}" for d, g in table.columns])
panel.set_yticks(range(table.shape[0]), [f"{i}, {s}" for s, i in table.index])
panel.set(xlabel="distill_from, gamma", title="accuracy, mean over datasets and folds")
figure.savefig("ablations.png", dpi=120)
plt.show()
