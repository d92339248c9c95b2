"""Displays: pictures of what a fitted estimator has learnt."""

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
