"""Displays: figures of a fitted estimator and its predictions."""

from ._agreement import AgreementDisplay
from ._class_gains import ClassGainsDisplay
from ._curves import TrainingCurvesDisplay
from ._evaluation import EvaluationDisplay
from ._reliability import ReliabilityDisplay

__all__ = [
    "AgreementDisplay",
    "ClassGainsDisplay",
    "EvaluationDisplay",
    "ReliabilityDisplay",
    "TrainingCurvesDisplay",
]
