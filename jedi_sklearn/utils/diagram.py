"""Diagrams of estimators in notebooks: blocks that scikit-learn draws."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


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


def per_dataset_block(transformer: Any) -> Any:
    """Return the transformers of all datasets or, before fit, the one to be cloned.

    Parameters
    ----------
    transformer : PerDataset
    """
    if not hasattr(transformer, "transformers_"):
        return parallel(["transformer"], [transformer.transformer])
    fitted = transformer.transformers_
    # scikit-learn takes the text before the colon for the name of a parameter.
    return parallel([f"transformer: {name}" for name in fitted], fitted.values())


def serial(blocks: Iterable[Any]) -> Any:
    """Return blocks or estimators one below the other."""
    return _block("serial", list(blocks))


def parallel(names: Iterable[str], blocks: Iterable[Any]) -> Any:
    """Return blocks or estimators side by side, each under its name."""
    return _block("parallel", list(blocks), names=list(names))


def box(name: str, details: Any, caption: str | None = None) -> Any:
    """Return a box with a name and a caption that opens to show its details."""
    return _block(
        "single", None, names=name, name_details=str(details), name_caption=caption
    )


def _block(kind: str, blocks: Any, **names: Any) -> Any:
    # The class is private, but there is no public one. If its import fails in a later
    # version, scikit-learn draws the estimators as boxes without insides.
    try:
        from sklearn.utils._repr_html.estimator import _VisualBlock
    except ImportError:  # before 1.7
        from sklearn.utils._estimator_html_repr import _VisualBlock
    return _VisualBlock(kind, blocks, dash_wrapped=False, **names)
