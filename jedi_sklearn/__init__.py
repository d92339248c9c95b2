"""Joint expert distillation for scikit-learn."""

from ._classifier import JEDIClassifier
from ._distilled import DistilledClassifier, load_student
from ._multidataset import MultiDataset, MultiTarget, stack_datasets
from ._paper import PAPER_PARAMS
from ._version import __version__
from .metrics import evaluate

__all__ = [
    "PAPER_PARAMS",
    "DistilledClassifier",
    "JEDIClassifier",
    "MultiDataset",
    "MultiTarget",
    "__version__",
    "evaluate",
    "load_student",
    "stack_datasets",
]
