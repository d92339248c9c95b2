"""Diagram of the classifier in notebooks: experts and, after fit, students."""

from __future__ import annotations

from typing import Any

from ..utils.diagram import box, parallel, serial


def classifier_block(classifier: Any) -> Any:
    """Return the experts side by side and, after fit, the students below them.

    Parameters
    ----------
    classifier : JEDIClassifier
    """
    if not hasattr(classifier, "students_"):
        if classifier.experts is None:
            default = box("MLPEncoder", "MLPEncoder()")
            return parallel(["each labelled dataset"], [default])
        names, estimators = zip(*classifier.experts, strict=True)
        return parallel(names, estimators)
    experts, students = classifier.experts_, classifier.students_
    kept = classifier.kept_experts_
    captions = ["is its expert" if name in kept else None for name in students]
    boxes = [
        box("student", student, caption)
        for student, caption in zip(students.values(), captions, strict=True)
    ]
    return serial([parallel(experts, experts.values()), parallel(students, boxes)])
