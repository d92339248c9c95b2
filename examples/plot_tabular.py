"""
Tables from several clinics
===========================

Four clinics measure the same of their patients and note different things about them.
Their tables have the same columns: names, numbers, a category, gaps. Each clinic has
few labels and a model of its own kind. What the others know makes each model better,
and no clinic's labels have to mean anything to another.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import t
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import RandomTreesEmbedding
from sklearn.impute import SimpleImputer
from sklearn.kernel_approximation import Nystroem
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, SplineTransformer, StandardScaler

from jedi_sklearn import JEDIClassifier, evaluate
from jedi_sklearn.inspection import EvaluationDisplay
from jedi_sklearn.preprocessing import PerDataset

# %%
# Tables
# ------
# The patients and their values are real, those of scikit-learn's breast cancer data;
# the clinics are made of them. Each has a quarter of the patients, and the means and
# the errors of ten measurements as columns. Its labels come of a column that no clinic
# sees: the diagnosis, or a third (low, middle or high) of one of the worst values. One
# value of ten is missing, symmetry is written in words, and two clinics have other
# units.

NOTED = {
    "diagnosis": "diagnosis",
    "size": "worst area",
    "shape": "worst concavity",
    "texture": "worst texture",
}
UNITS = {"size": 0.1, "texture": 0.04}  # Theirs in those of the others.
N_TEST, N_LABELLED = 45, 30


def load_patients():
    """Return what is measured, and what is noted, of each patient."""
    bunch = load_breast_cancer(as_frame=True)
    noted = bunch.data[list(NOTED.values())[1:]].apply(
        pd.qcut, q=3, labels=["low", "middle", "high"]
    )
    noted["diagnosis"] = bunch.target_names[bunch.target]
    is_worst = bunch.data.columns.str.startswith("worst")
    measured = bunch.data.loc[:, ~is_worst]
    symmetry = pd.cut(measured["mean symmetry"], [0, 0.17, 0.2, 1])
    words = symmetry.cat.rename_categories(["even", "uneven", "very uneven"])
    return measured.assign(**{"mean symmetry": words.astype(str)}), noted


def split(seed):
    """Return X and y of the clinics for training, and for the test."""
    rng = np.random.default_rng(seed)
    measured, noted = load_patients()
    X, y, X_test, y_test = {}, {}, {}, {}
    patients = np.array_split(rng.permutation(len(measured)), len(NOTED))
    for rows, (name, column) in zip(patients, NOTED.items(), strict=True):
        table = measured.iloc[rows].copy()
        numbers = table.columns.drop("mean symmetry")
        is_missing = rng.random((len(table), len(numbers))) < 0.1
        table[numbers] = table[numbers].mask(is_missing) * UNITS.get(name, 1.0)
        labels = noted[column].iloc[rows].to_numpy(object)
        X_test[name], y_test[name] = table[:N_TEST], labels[:N_TEST]
        X[name], y[name] = table[N_TEST:], labels[N_TEST:]
        y[name][N_LABELLED:] = None
    return X, y, X_test, y_test


X, y, X_test, y_test = split(seed=0)
columns = ["mean radius", "mean texture", "mean symmetry", "area error"]
for name in X:
    print(f"{name}: {len(X[name])} rows, {N_LABELLED} of them with a label")
    print(X[name][columns].head(3).to_string(index=False))

# %%
# Experts
# -------
# Numbers are scaled clinic by clinic, after which units no longer matter. An expert is
# a ``ColumnTransformer``, which takes columns by their names or types: the numbers as
# they are, an approximate kernel, the leaves of random trees, splines.

numbers = make_column_selector(dtype_include="number")
words = make_column_selector(dtype_exclude="number")
scaled = make_column_transformer(
    (StandardScaler(), numbers),
    remainder="passthrough",
    verbose_feature_names_out=False,
).set_output(transform="pandas")


def encoder(*steps):
    """Return an encoder of a table that does this to its numbers."""
    return make_column_transformer(
        (make_pipeline(SimpleImputer(), *steps), numbers),
        (OneHotEncoder(handle_unknown="ignore"), words),
    )


experts = [
    ("diagnosis", encoder()),
    ("shape", encoder(RandomTreesEmbedding(50, max_depth=3), TruncatedSVD(30))),
    ("size", encoder(Nystroem(gamma=0.05, n_components=30))),
    ("texture", encoder(SplineTransformer(4))),
]
clf = JEDIClassifier(experts, max_epochs=30, random_state=0)
model = make_pipeline(PerDataset(scaled), clf).fit(X, y)
print(model[-1].feature_names_in_[:3], "and", model[-1].n_features_in_ - 3, "more")
print(model.predict({"size": X_test["size"].head(3)}))

# %%
# Eight times other patients
# --------------------------
# With 45 test rows a clinic, one run says little: one patient is two points. So the
# patients are shared out eight times. Bars are 95 % intervals of each model's mean;
# what is printed is the difference of student and expert in the same run, with an
# interval of its own. They are a little too narrow, as all runs draw from the same
# patients.

tables = []
for seed in range(8):
    X, y, X_test, y_test = split(seed)
    model.set_params(jediclassifier__random_state=seed).fit(X, y)
    tables.append(evaluate(model[-1], model[:-1].transform(X_test), y_test))

accuracy = pd.concat([table["accuracy"] for table in tables], axis=1).T
gains = accuracy.xs("student", axis=1, level=1) - accuracy.xs("expert", axis=1, level=1)
gains["mean"] = gains.mean(axis=1)
half = t.ppf(0.975, len(gains) - 1) * gains.std() / np.sqrt(len(gains))
print(accuracy.mean().unstack().round(3))
for name, gain in (100 * gains).mean().items():
    print(
        f"{name:10} student above expert: {gain:4.1f} ± {100 * half[name]:.1f} points"
    )

EvaluationDisplay.from_tables(tables)
plt.show()
