"""The tasks of a fit, of which scikit-learn's callbacks are told from 1.9 on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple, Self, TypeVar

try:
    from sklearn.callback import CallbackSupportMixin as CallbackSupportMixin
    from sklearn.callback import with_callbacks as _with_callbacks
except ImportError:  # before 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands for what there is no use for without callbacks."""

    _with_callbacks = None

Method = TypeVar("Method", bound=Callable[..., Any])


def with_callbacks(method: Method) -> Method:
    """Return a fit that tells callbacks when it is over, however it ends."""
    return method if _with_callbacks is None else _with_callbacks(method)


class FitTask(NamedTuple):
    """A fit or a part of it; by default one of which nobody is told.

    Attributes
    ----------
    estimator : estimator or None
        Which is fitted. None where nobody listens: it may be large, and would go along
        to other processes.
    context : sklearn.callback.CallbackContext or None
        Place among the tasks of this fit and of those around it.
    seen : mapping of str to object
        What it is fitted on: X, y and metadata, by these names.
    attributes : callable or None
        Returns the fitted attributes that a result stands for.
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
            How many parts it has itself.
        number : int, optional
            Its own, where the parts of this task are not in order.
        in_order : bool
            Whether its own parts come one after the other.
        """
        if self.context is None:
            return self
        context = self.context.subcontext(
            name, number, n_parts, sequential_subtasks=in_order
        )
        return self._replace(context=context)

    def on(self, X: Any, y: Any) -> Self:
        """Return this task on its own rows."""
        return self._replace(seen={"X": X, "y": y})

    def finding(self, whole: Callable[[Any], Any]) -> Self:
        """Return this task where it finds what is a part of the result.

        Parameters
        ----------
        whole : callable
            Returns the result that what is found stands for.
        """
        if self.attributes is None:
            return self
        attributes = self.attributes
        return self._replace(attributes=lambda found: attributes(whole(found)))

    def begin(self) -> Self:
        """Say that it begins."""
        if self.context is not None:
            self.context.call_on_fit_task_begin(estimator=self.estimator, **self.seen)
        return self

    def end(self, result: Callable[[], Any] | None = None) -> bool:
        """Say that it has ended; return whether what it is a part of is to end, too.

        Parameters
        ----------
        result : callable, optional
            Returns what was found. It is called if anybody wants to know.
        """
        if self.context is None:
            return False
        found = None
        if result is not None and self.attributes is not None:
            attributes = self.attributes
            found = lambda: attributes(result())  # noqa: E731 - lazy, as it is costly
        return bool(
            self.context.call_on_fit_task_end(
                estimator=self.estimator, reconstruction_attributes=found, **self.seen
            )
        )

    @contextmanager
    def of(self, estimator: Any) -> Iterator[None]:
        """Begin and end it around the fit of an estimator that may have parts, too."""
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
    """Return the fit of an estimator, which begins.

    Parameters
    ----------
    estimator : estimator
        A method of it that has `with_callbacks` has called this.
    X, y, sample_weight : object
        What fit was given.
    attributes : callable
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
