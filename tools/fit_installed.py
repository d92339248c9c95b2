"""Import, fit and predict with the installed package, away from any checkout.

tools/check_dist.py runs this in an environment that holds the wheel and what the wheel
asks for, and nothing else: no extra, no tool, no test.
"""

import pkgutil
import sys
from importlib import import_module
from importlib.metadata import files, version
from pathlib import Path

from sklearn.decomposition import PCA

import jedi_sklearn
from jedi_sklearn import JEDIClassifier
from jedi_sklearn.datasets import load_glyphs

home = Path(jedi_sklearn.__file__).parent
assert home.is_relative_to(sys.prefix), f"imported from {home}"
assert version("jedi_sklearn") == jedi_sklearn.__version__
assert {file.name for file in files("jedi_sklearn") or []} >= {"LICENSE", "py.typed"}

# Every module can be imported without the extras, or says which of them it needs.
for module in pkgutil.walk_packages(jedi_sklearn.__path__, "jedi_sklearn."):
    if not module.name.endswith(".__main__"):
        try:
            import_module(module.name)
        except ImportError as error:
            if "jedi_sklearn[" not in str(error):
                raise

X, y = load_glyphs("train")
X = {name: images[:200].reshape(200, -1) for name, images in X.items()}
y = {name: labels[:200] for name, labels in y.items()}
clf = JEDIClassifier([(name, PCA(10)) for name in X], max_epochs=3, random_state=0)
score = clf.fit(X, y).score(X, y)
print(f"jedi_sklearn {jedi_sklearn.__version__}, as installed, scores {score:.2f}")
assert score > 0.6
