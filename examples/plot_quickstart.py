"""
Four datasets, four experts, better classifiers
===============================================

Handwritten digits, pictures of clothes, printed letters and printed numerals: four
small datasets with classes of their own. For each there is an expert, a classifier
that was trained on that dataset alone, and the four see pictures in four ways. Joint
expert distillation makes a better classifier of each, at the cost of the expert.
"""

import sys

import matplotlib.pyplot as plt
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA
from sklearn.kernel_approximation import Nystroem
from sklearn.random_projection import GaussianRandomProjection

from jedi_sklearn import JEDIClassifier, evaluate
from jedi_sklearn.datasets import load_glyphs
from jedi_sklearn.inspection import TrainingCurvesDisplay

# %%
# The datasets
# ------------
# X and y are dicts. The datasets share nothing but the kind of input, pictures of
# 28 x 28 pixels, here as rows of 784 numbers.

X, y = load_glyphs("train")
X_test, y_test = load_glyphs("test")
X = {name: images.reshape(-1, 784) for name, images in X.items()}
X_test = {name: images.reshape(-1, 784) for name, images in X_test.items()}

# %%
# The experts
# -----------
# An expert is an encoder and a linear classifier on what it makes of a row. These are
# encoders alone: distances to prototypes, principal components, an approximate kernel
# and random projections. Each is fitted on its own dataset and given a logistic
# regression. A model that is trained already comes as ``FrozenEstimator(model)``.

experts = [
    ("digits", MiniBatchKMeans(100, n_init=1)),
    ("fashion", PCA(60)),
    ("letters", Nystroem(gamma=0.01, n_components=200)),
    ("numerals", GaussianRandomProjection(100)),
]

# %%
# Training
# --------
# The test rows are given for the curves alone: fit chooses nothing by them. In a
# terminal a line shows how far the training is.

clf = JEDIClassifier(experts, random_state=0, verbose=int(sys.stderr.isatty()))
clf.fit(X, y, X_val=X_test, y_val=y_test)

# %%
# Expert, student and teacher
# ---------------------------
# A student is its expert's successor: the same encoder, a small adjustment and a
# head. The teachers, which see what all encoders see, come for free.

print(evaluate(clf, X_test, y_test).round(3))

# %%
# Figure 3 of the paper: accuracy on the test rows over the epochs.

display = TrainingCurvesDisplay.from_estimator(clf)
plt.show()
