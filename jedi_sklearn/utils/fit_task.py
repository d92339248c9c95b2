"""Tasks of a fit, reported to scikit-learn's callbacks (scikit-learn 1.9 or later)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple, Self, TypeVar

try:
    from sklearn.callback import CallbackSupportMixin as CallbackSupportMixin
    from sklearn.callback import with_callbacks as _with_callbacks
except ImportError:  # before 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Empty stand-in: this scikit-learn has no callbacks."""

    _with_callbacks = None

Method = TypeVar("Method", bound=Callable[..., Any])


def with_callbacks(method: Method) -> Method:
    """Return a ``fit`` that tells callbacks when it is over, even after an error."""
    return method if _with_callbacks is None else _with_callbacks(method)


class FitTask(NamedTuple):
    """A fit or a part of it, reported to callbacks; by default to nobody.

    Attributes
    ----------
    estimator : estimator or None
        Estimator that is fitted. None without callbacks: it may be large, and would be
        sent to other processes.
    context : sklearn.callback.CallbackContext or None
        Place in the tree of tasks.
    seen : mapping of str to object
        Data of the fit as passed to callbacks: X, y and metadata.
    attributes : callable or None
        Maps a result of this task to fitted attributes of the estimator.
    """

    estimator: Any = None
    context: Any = None
    seen: Mapping[str, Any] = {}
    attributes: Callable[[Any], Mapping[str, Any]] | None = None

    def part(
        self,
        name: str,
        n_parts: int = 0,
        *,
        number: int | None = None,
        in_order: bool = True,
    ) -> Self:
        """Return a part of this task.

        Parameters
        ----------
        name : str
        n_parts : int
            Number of parts of the part.
        number : int, optional
            Number of the part, needed if the parts of this task are not in order.
        in_order : bool
            Whether the parts of the part run one after another.
        """
        if self.context is None:
            return self
        context = self.context.subcontext(
            name, number, n_parts, sequential_subtasks=in_order
        )
        return self._replace(context=context)

    def begin_parts(
        self, what: str, names: Sequence[str]
    ) -> tuple[Self, dict[str, Self]]:
        """Begin a part that fits several things in any order.

        Parameters
        ----------
        what : str
            Kind of the things, in the singular.
        names : sequence of str
            Names of the things.

        Returns
        -------
        whole : FitTask
            The part, which has begun.
        parts : dict of str to FitTask
            The fit of each thing, not begun.
        """
        # The estimator cannot predict yet, and each thing sees only rows of its own.
        task = self._replace(seen={}, attributes=None)
        whole = task.part(f"fit-{what}s", len(names), in_order=False).begin()
        return whole, {
            name: whole.part(f"fit-{what}-{name}", number=number)
            for number, name in enumerate(names)
        }

    def on(self, X: Any, y: Any) -> Self:
        """Return this task with data of its own."""
        return self._replace(seen={"X": X, "y": y})

    def finding(self, whole: Callable[[Any], Any]) -> Self:
        """Return this task for results that are only a part of the parent's.

        Parameters
        ----------
        whole : callable
            Maps a result of this task to one of the parent.
        """
        if self.attributes is None:
            return self
        attributes = self.attributes
        return self._replace(attributes=lambda result: attributes(whole(result)))

    def begin(self) -> Self:
        """Tell callbacks that the task begins."""
        if self.context is not None:
            self.context.call_on_fit_task_begin(estimator=self.estimator, **self.seen)
        return self

    def end(self, result: Callable[[], Any] | None = None) -> bool:
        """Tell callbacks that the task has ended.

        Parameters
        ----------
        result : callable, optional
            Returns the result. Called only if a callback asks for it.

        Returns
        -------
        stop : bool
            Whether a callback asks the parent to stop.
        """
        if self.context is None:
            return False
        found = None
        if result is not None and self.attributes is not None:
            attributes = self.attributes
            found = lambda: attributes(result())  # noqa: E731 - costly, hence lazy
        return bool(
            self.context.call_on_fit_task_end(
                estimator=self.estimator, reconstruction_attributes=found, **self.seen
            )
        )

    @contextmanager
    def of(self, estimator: Any) -> Iterator[None]:
        """Begin and end the task around the fit of an estimator.

        The estimator reports parts of its own below this task if it supports callbacks.
        """
        inside: Any = nullcontext()
        if self.context is not None and hasattr(estimator, "set_callbacks"):
            inside = self.context.propagate_callback_context(estimator)
        with inside:
            self.begin()
            yield
        self.end()


def begin_fit(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    attributes: Callable[[Any], Mapping[str, Any]],
    n_parts: int,
) -> FitTask:
    """Return the task of a whole fit, which has begun.

    Parameters
    ----------
    estimator : estimator
        Caller, from a method decorated by `with_callbacks`.
    X, y, sample_weight : object
        Arguments of ``fit``.
    attributes : callable
        See `FitTask`.
    n_parts : int
    """
    if _with_callbacks is None:
        return FitTask()
    context = estimator._init_callback_context(max_subtasks=n_parts)
    listens = bool(getattr(estimator, "_skl_callbacks", ()))
    metadata = None if sample_weight is None else {"sample_weight": sample_weight}
    if not listens:
        return FitTask(context=context)
    seen = {"X": X, "y": y, "metadata": metadata}
    return FitTask(estimator, context, seen, attributes).begin()
