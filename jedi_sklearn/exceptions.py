"""Warnings of the package, each of a class of its own, so that it can be filtered.

Errors are ValueErrors and TypeErrors. Three are ValueErrors that programs may handle,
:class:`jedi_sklearn.embeddings.DamagedError`,
:class:`jedi_sklearn.embeddings.UnidentifiedError` and
:class:`jedi_sklearn.encoders.video.VideoError`.
"""

from sklearn.exceptions import ConvergenceWarning

__all__ = [
    "BatchSizeWarning",
    "DivergenceWarning",
    "EmbeddedAnewWarning",
    "InterruptionWarning",
    "JEDIWarning",
    "LeftOutWarning",
    "NotStoredWarning",
    "SeenRowsWarning",
]


class JEDIWarning(UserWarning):
    """Base class of all warnings of the package.

    See Also
    --------
    jedi_sklearn.exceptions.LeftOutWarning : One of them.

    Examples
    --------
    >>> import warnings
    >>> from jedi_sklearn.exceptions import JEDIWarning
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", JEDIWarning)  # in here they are errors
    """


class DivergenceWarning(JEDIWarning, ConvergenceWarning):
    """A training diverged, and ended with the weights of the epoch before.

    In the first epoch it is an error.

    See Also
    --------
    InterruptionWarning : For a training that somebody ended.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> from jedi_sklearn import JEDIClassifier
    >>> from jedi_sklearn.exceptions import DivergenceWarning
    >>> X = {"a": np.random.default_rng(0).normal(size=(20, 3))}
    >>> clf = JEDIClassifier(learning_rate=1e13, max_epochs=5, random_state=0)
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always", DivergenceWarning)
    ...     clf = clf.fit(X, {"a": np.arange(20) % 2})
    >>> caught[0].category.__name__, clf.n_iter_ < 5
    ('DivergenceWarning', True)
    """


class InterruptionWarning(JEDIWarning):
    """A training was interrupted, and ended with the weights of that moment.

    Ctrl-C and other signals interrupt a training. A callback that raises
    KeyboardInterrupt ends it on purpose, without a warning.

    See Also
    --------
    DivergenceWarning : For a training that ends by itself.

    Examples
    --------
    >>> import signal
    >>> import warnings
    >>> import numpy as np
    >>> from skorch.callbacks import Callback
    >>> from jedi_sklearn import JEDIClassifier
    >>> from jedi_sklearn.exceptions import InterruptionWarning
    >>> class PressCtrlC(Callback):
    ...     def on_epoch_end(self, net, **kwargs):
    ...         signal.raise_signal(signal.SIGINT)
    >>> X = {"a": np.random.default_rng(0).normal(size=(20, 3))}
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", InterruptionWarning)
    ...     clf = JEDIClassifier(callbacks=[PressCtrlC()], random_state=0)
    ...     clf.fit(X, {"a": np.arange(20) % 2}).n_iter_
    1
    """


class LeftOutWarning(JEDIWarning):
    """Rows or files are left out: an expert could not embed them, or they are missing.

    See Also
    --------
    jedi_sklearn.embeddings.EmbeddingStore : With ``on_error="skip"`` it goes on where
        an expert cannot embed a sample.

    Examples
    --------
    >>> import tempfile
    >>> import warnings
    >>> import numpy as np
    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn.preprocessing import FunctionTransformer
    >>> from jedi_sklearn import JEDIClassifier
    >>> from jedi_sklearn.embeddings import EmbeddingStore
    >>> from jedi_sklearn.exceptions import LeftOutWarning
    >>> rows = np.random.default_rng(0).normal(size=(20, 3))
    >>> rows[0] = np.nan  # which no embedding may be
    >>> expert = FrozenEstimator(FunctionTransformer(np.abs).fit(rows))
    >>> with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", LeftOutWarning)
    ...     store = EmbeddingStore(folder, on_error="skip")
    ...     clf = JEDIClassifier([("a", expert)], memory=store, max_epochs=1)
    ...     sorted(clf.fit({"a": rows}, {"a": np.arange(20) % 2}).students_)
    ['a']
    """


class SeenRowsWarning(JEDIWarning):
    """Frozen experts may have been trained on rows that are held out.

    On such rows an expert looks better than it is, which misleads ``keep_expert`` and
    ``early_stopping``.

    See Also
    --------
    jedi_sklearn.JEDIClassifier : Its ``fit`` takes other rows as ``X_val``, ``y_val``.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn.linear_model import LogisticRegression
    >>> from jedi_sklearn import JEDIClassifier
    >>> from jedi_sklearn.exceptions import SeenRowsWarning
    >>> rows, labels = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2
    >>> expert = FrozenEstimator(LogisticRegression().fit(rows, labels))
    >>> clf = JEDIClassifier([("a", expert)], keep_expert=True, max_epochs=1)
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always", SeenRowsWarning)
    ...     clf = clf.fit({"a": rows}, {"a": labels})
    >>> str(caught[0].message)[:43]
    "The experts ['a'] were trained before fit a"
    """


class NotStoredWarning(JEDIWarning):
    """Embeddings are not stored, as their expert cannot be identified in a later run.

    See Also
    --------
    jedi_sklearn.embeddings.UnidentifiedError : The same where storing is all that was
        asked for.

    Examples
    --------
    >>> import tempfile
    >>> import warnings
    >>> import numpy as np
    >>> from sklearn.preprocessing import FunctionTransformer
    >>> from sklearn.frozen import FrozenEstimator
    >>> from jedi_sklearn import JEDIClassifier
    >>> from jedi_sklearn.exceptions import NotStoredWarning
    >>> rows = np.random.default_rng(0).normal(size=(20, 3))
    >>> without_name = FrozenEstimator(FunctionTransformer(lambda X: X).fit(rows))
    >>> with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", NotStoredWarning)
    ...     clf = JEDIClassifier([("a", without_name)], memory=folder, max_epochs=1)
    ...     sorted(clf.fit({"a": rows}, {"a": np.arange(20) % 2}).students_)
    ['a']
    """


class EmbeddedAnewWarning(JEDIWarning):
    """Embeddings are made anew, as an expert or files differ from those in a store.

    See Also
    --------
    jedi_sklearn.embeddings.EmbeddingStore : Embeds only what has changed.

    Examples
    --------
    >>> import tempfile
    >>> import warnings
    >>> import numpy as np
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.frozen import FrozenEstimator
    >>> from jedi_sklearn.embeddings import EmbeddingStore
    >>> from jedi_sklearn.exceptions import EmbeddedAnewWarning
    >>> X = {"a": np.random.default_rng(0).normal(size=(20, 3))}
    >>> with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", EmbeddedAnewWarning)
    ...     for width in (1, 2):
    ...         expert = FrozenEstimator(PCA(width).fit(X["a"]))
    ...         _ = EmbeddingStore(folder).extract([("a", expert)], X)
    ...     sorted(EmbeddingStore(folder).info()["n_features"])
    [1, 2]
    """


class BatchSizeWarning(JEDIWarning):
    """A batch did not fit into the memory of a device, and is halved.

    See Also
    --------
    jedi_sklearn.encoders.TorchEncoder : A lower ``batch_size`` avoids it.

    Examples
    --------
    >>> import warnings
    >>> import torch
    >>> from jedi_sklearn.encoders import TorchEncoder
    >>> from jedi_sklearn.exceptions import BatchSizeWarning
    >>> class Small(torch.nn.Module):
    ...     def forward(self, rows):
    ...         if len(rows) > 2:
    ...             raise torch.cuda.OutOfMemoryError("as a GPU with memory for 2 rows")
    ...         return rows
    >>> encoder = TorchEncoder(Small(), layer="", batch_size=4)
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always", BatchSizeWarning)
    ...     encoder.transform(torch.ones(5, 3)).shape
    (5, 3)
    >>> [str(warning.message)[-34:] for warning in caught]
    ['on with batch_size=2 instead of 4.']
    """
