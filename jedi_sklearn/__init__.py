"""Joint expert distillation for scikit-learn."""

from ._classifier import JEDIClassifier
from ._multidataset import MultiDataset, stack_datasets
from ._version import __version__

__all__ = ["JEDIClassifier", "MultiDataset", "__version__", "stack_datasets"]
