"""An expert: an encoder with a linear head."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from sklearn.base import is_classifier
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer


class NamedEncoder(Protocol):
    """An encoder with the name of its expert, such as `Expert` or `Branch`."""

    @property
    def name(self) -> str:
        """Name of the expert."""

    @property
    def encoder(self) -> Any:
        """Transformer from rows to embeddings."""


class Expert(NamedTuple):
    """Encoder and head of an expert.

    A tuple, which pickles and skops files of classifiers hold.

    Attributes
    ----------
    name : str
    encoder : transformer
        Maps rows to embeddings.
    head : classifier or None
        Linear classifier on the embeddings; None if the expert has none.
    """

    name: str
    encoder: Any
    head: Any

    @property
    def estimator(self) -> Any:
        """Encoder and head as one estimator."""
        steps = [("encoder", self.encoder)]
        if isinstance(self.encoder, Pipeline):
            steps = self.encoder.steps
        if self.head is None:
            return self.encoder
        return Pipeline([*steps, ("head", self.head)])


def named_experts(
    experts: Sequence[tuple[str, Any]], reserved: Sequence[str] = ()
) -> list[tuple[str, Any]]:
    """Return experts as a list of (name, estimator), with valid names.

    Parameters
    ----------
    experts : sequence of (str, estimator)
    reserved : sequence of str
        Names that an expert must not have.

    Raises
    ------
    TypeError
        If experts is not a list of pairs.
    ValueError
        If a name is not a str, contains "__", is reserved, or is not unique.
    """
    try:
        pairs = [(name, estimator) for name, estimator in experts]
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"experts must be a list of (name, estimator), got {experts!r}."
        ) from error
    names: list[Any] = [name for name, _ in pairs]
    for name in names:
        if not isinstance(name, str) or "__" in name or name in reserved:
            raise ValueError(
                f"Invalid expert name {name!r}: names are str, without '__', and "
                "not that of a parameter."
            )
        if names.count(name) > 1:
            raise ValueError(
                f"There are {names.count(name)} experts of name {name!r}; names must "
                "be unique."
            )
    return pairs


def split_expert(name: str, estimator: Any) -> Expert:
    """Split an expert into encoder and head, both frozen if the expert is.

    Raises
    ------
    ValueError
        If the estimator is neither a transformer nor ends in a classifier.
    """
    if isinstance(estimator, FrozenEstimator):
        encoder, head = split_expert(name, estimator.estimator)[1:]
        frozen_head = None if head is None else FrozenEstimator(head)
        return Expert(name, FrozenEstimator(encoder), frozen_head)
    is_estimator = hasattr(estimator, "get_params") and not isinstance(estimator, type)
    if is_estimator and is_classifier(estimator):
        if not isinstance(estimator, Pipeline):
            return Expert(name, FunctionTransformer(), estimator)
        encoder = estimator[:-1] if len(estimator) > 1 else FunctionTransformer()
        return Expert(name, encoder, estimator[-1])
    if not is_estimator or not hasattr(estimator, "transform"):
        raise ValueError(
            f"Expert {name!r} is {estimator!r}; it must be a transformer or end in a "
            "linear classifier, like make_pipeline(PCA(), LogisticRegression())."
        )
    return Expert(name, estimator, None)


def unwrapped(estimator: Any) -> Any:
    """Return an estimator without FrozenEstimator and one-step pipelines around it."""
    if isinstance(estimator, FrozenEstimator):
        return unwrapped(estimator.estimator)
    if isinstance(estimator, Pipeline) and len(estimator) == 1:
        return unwrapped(estimator[0])
    return estimator


def is_frozen(estimator: Any) -> bool:
    """Tell whether an estimator is used as it is, without a fit.

    This holds for FrozenEstimator, for estimators that are stateless by their tags, and
    for pipelines of these. The identity does not count: caching its output saves
    nothing.
    """
    if isinstance(estimator, Pipeline):
        return all(is_frozen(step) for _, step in estimator.steps)
    if isinstance(estimator, FrozenEstimator):
        return True
    if isinstance(estimator, FunctionTransformer) and estimator.func is None:
        return False
    is_class = isinstance(estimator, type)
    tags = None if is_class else getattr(estimator, "__sklearn_tags__", None)
    return tags is not None and not tags().requires_fit


def take_sparse(estimators: Iterable[Any]) -> bool:
    """Tell whether all estimators take sparse matrices, by their tags."""
    try:
        return all(e.__sklearn_tags__().input_tags.sparse for e in estimators)
    except (AttributeError, TypeError, ValueError):
        return False  # no estimator of scikit-learn's kind, so it has no tags
