"""Joint expert distillation for scikit-learn."""

import logging as _logging

from ._version import __version__
from .classifier.jedi_classifier import JEDIClassifier
from .classifier.parameters import PAPER_PARAMS
from .inputs.multidataset import MultiDataset, MultiTarget, stack_datasets
from .metrics import evaluate
from .models.distilled_classifier import DistilledClassifier, load_student

# What is logged is shown where a program says so.
_logging.getLogger(__name__).addHandler(_logging.NullHandler())

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
