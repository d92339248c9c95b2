"""
Four datasets, four experts, better classifiers
===============================================

Handwritten digits, pictures of clothes, printed letters and printed numerals: four
small datasets with classes of their own. For each there is an expert, a classifier
that was trained on that dataset alone, and the four see pictures in four ways. Joint
expert distillation makes a better classifier of each, at the cost of the expert.
"""

import time

import matplotlib.pyplot as plt
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jedi_sklearn import JEDIClassifier, evaluate
from jedi_sklearn.datasets import load_glyphs
from jedi_sklearn.encoders import MLPEncoder
from jedi_sklearn.inspection import TrainingCurvesDisplay

# %%
# The datasets
# ------------
# X and y are dicts. Nothing is shared between the datasets but the kind of input:
# pictures of 28 x 28 pixels, here as rows of 784 numbers.

X, y = load_glyphs("train")
X_test, y_test = load_glyphs("test")
X = {name: images.reshape(len(images), -1) for name, images in X.items()}
X_test = {name: images.reshape(len(images), -1) for name, images in X_test.items()}

# %%
# The experts
# -----------
# An expert is an encoder and a linear classifier on what it makes of a row. These
# four are fitted by the classifier, each on its own dataset; one that is fitted
# already comes as ``FrozenEstimator(expert)``.

experts = [
    ("digits", make_pipeline(PCA(40), LogisticRegression(max_iter=1000))),
    ("fashion", MLPEncoder()),
    (
        "letters",
        make_pipeline(
            Nystroem(gamma=0.01, n_components=200),
            LogisticRegression(C=10, max_iter=1000),
        ),
    ),
    (
        "numerals",
        make_pipeline(
            MiniBatchKMeans(100, n_init=1),
            StandardScaler(),
            LogisticRegression(max_iter=1000),
        ),
    ),
]

# %%
# Training
# --------
# The test rows are given for the curves alone: fit chooses nothing by them.

start = time.perf_counter()
clf = JEDIClassifier(experts, random_state=0, verbose=1)
clf.fit(X, y, X_val=X_test, y_val=y_test)
print(f"trained in {time.perf_counter() - start:.0f} s")

# %%
# Expert, student and teacher
# ---------------------------
# The students are the experts' successors: the same encoder, a small adjustment and
# a head. The teachers, which see the features of all experts, come for free.

print(evaluate(clf, X_test, y_test).round(3))

# %%
# Figure 3 of the paper: accuracy on the test rows over the epochs.

display = TrainingCurvesDisplay.from_estimator(clf)
display.figure_.savefig("quickstart.png", dpi=150)
print("curves written to quickstart.png")
plt.show()
