"""From trained weights to students and teachers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..experts.expert import Expert
from ..models.distilled_classifier import DistilledClassifier
from ..models.weights import Branch, linear_weights, unadjusted

if TYPE_CHECKING:
    from ..training import Trained

Models = dict[str, DistilledClassifier]


def distilled_classifiers(
    experts: Sequence[Expert],
    trained: Trained,
    labelled: Sequence[str],
    kept: Sequence[str],
) -> tuple[Models, Models]:
    """Return students and teachers as classifiers that stand alone.

    Parameters
    ----------
    experts : sequence of Expert
    trained : Trained
    labelled : sequence of str
        The datasets that have a student, in the order of the weights.
    kept : sequence of str
        Those whose student is to be its expert unchanged.
    """
    heads = {e.name: e.head for e in experts}
    adjusted = {
        e.name: Branch(e.name, e.encoder, adjustment)
        for e, adjustment in zip(experts, trained.weights.adjustments, strict=True)
    }
    plain = {
        name: branch._replace(adjustment=unadjusted(branch.width))
        for name, branch in adjusted.items()
    }
    seen = list((plain if trained.teachers_see_base else adjusted).values())
    students, teachers = {}, {}
    for name, head, teacher in zip(
        labelled, trained.weights.heads, trained.teachers, strict=True
    ):
        own = adjusted[name]
        if name in kept:
            own, head = plain[name], linear_weights(heads[name])
        classes = heads[name].classes_
        students[name] = DistilledClassifier([own], head, classes)
        teachers[name] = DistilledClassifier(seen, teacher, classes)
    return students, teachers
