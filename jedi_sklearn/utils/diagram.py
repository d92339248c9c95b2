"""Diagrams of estimators in notebooks, drawn by scikit-learn from these blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def classifier_block(classifier: Any) -> Any:
    """Return the experts side by side and, after fit, the students below them.

    Parameters
    ----------
    classifier : JEDIClassifier
    """
    if not hasattr(classifier, "students_"):
        return _experts_block(classifier.experts)
    experts, students = classifier.experts_, classifier.students_
    kept = classifier.kept_experts_
    captions = ["is its expert" if name in kept else None for name in students]
    boxes = [
        _box("student", student, caption)
        for student, caption in zip(students.values(), captions, strict=True)
    ]
    rows = [_parallel(experts, experts.values()), _parallel(students, boxes)]
    return _block("serial", rows)


def _experts_block(experts: Sequence[tuple[str, Any]] | None) -> Any:
    if experts is None:
        return _parallel(
            ["each labelled dataset"], [_box("MLPEncoder", "MLPEncoder()")]
        )
    names, estimators = zip(*experts, strict=True)
    return _parallel(names, estimators)


def distilled_block(classifier: Any) -> Any:
    """Return the encoders side by side, then what was trained on their embeddings.

    Parameters
    ----------
    classifier : DistilledClassifier
    """
    branches = classifier.branches
    encoders = [_block("serial", _branch(branch)) for branch in branches]
    n_classes, n_features = classifier.linear.coef.shape
    linear = _box("linear", f"{n_features} features, {n_classes} classes")
    names = [branch.name for branch in branches]
    return _block("serial", [_parallel(names, encoders), linear])


def _branch(branch: Any) -> list[Any]:
    """Return encoder and adjustment, where there is one."""
    n_units, width = branch.adjustment.down.coef.shape
    text = f"{width} features, {n_units} hidden units"
    return [branch.encoder, *([_box("adjustment", text)] if n_units else [])]


def per_dataset_block(transformer: Any) -> Any:
    """Return the clones, named by their datasets, or what is to be cloned.

    Parameters
    ----------
    transformer : PerDataset
    """
    if not hasattr(transformer, "transformers_"):
        return _parallel(["transformer"], [transformer.transformer])
    fitted = transformer.transformers_
    # What is before the colon is for names of parameters.
    return _parallel([f"transformer: {name}" for name in fitted], fitted.values())


def _parallel(names: Any, estimators: Any) -> Any:
    return _block("parallel", list(estimators), names=list(names))


def _box(name: str, details: Any, caption: str | None = None) -> Any:
    """Return a box of a name that opens on a text."""
    return _block(
        "single", None, names=name, name_details=str(details), name_caption=caption
    )


def _block(kind: str, estimators: Any, **names: Any) -> Any:
    # scikit-learn's own estimators have no other way. Should it move again, they are
    # drawn as boxes without insides: what fails in here is passed over.
    try:
        from sklearn.utils._repr_html.estimator import _VisualBlock
    except ImportError:  # before 1.7
        from sklearn.utils._estimator_html_repr import _VisualBlock
    return _VisualBlock(kind, estimators, dash_wrapped=False, **names)
