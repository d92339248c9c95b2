"""Generated embeddings of n datasets by n experts, with known best accuracies."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import count

import numpy as np
import numpy.typing as npt

from ..utils.accepted import check_accepted
from ._problem import Problem, Seed, check_problem, integers_from

# Rows are generated in blocks of at least this many, each from a seed of its own.
# Another number gives other data for the same `random_state`.
MIN_BLOCK_ROWS = 256
# Purposes of the random streams, the first part of their keys.
VIEWS, MEANS, ROWS = range(3)

Embeddings = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


def make_expert_embeddings(
    n_samples: int | Sequence[int] = 600,
    n_classes: int | Sequence[int] = 10,
    n_features: int | Sequence[int] = 32,
    *,
    n_datasets: int | None = None,
    class_sep: float = 3.0,
    own_share: float = 0.5,
    random_state: Seed = None,
) -> tuple[dict[str, Embeddings], dict[str, Labels]]:
    r"""Generate n datasets as n experts embed them.

    Every dataset has an expert of its own, and every expert embeds every dataset. The
    information on the class of a sample is divided among the experts: the dataset's
    own expert sees `own_share` of it, and the others see equal parts of the rest. Their
    noise is independent, so that they complement each other, and the best possible
    accuracies are known (see Notes).

    Parameters
    ----------
    n_samples : int or sequence of int, default=600
        Number of rows, for all datasets or for each. At least the number of classes.
    n_classes : int or sequence of int, default=10
        Number of classes, for all datasets or for each. At least 2.
    n_features : int or sequence of int, default=32
        Width of the embeddings, for all experts or for each. At least the largest
        number of classes.
    n_datasets : int or None, default=None
        Number of datasets, which is also the number of experts. None takes the
        length of the sequences, or 3 where there are none.
    class_sep : float, default=3.0
        Distance between any two class means over all experts, divided by
        :math:`\sqrt 2`, in standard deviations of the noise.
    own_share : float, default=0.5
        Share of the squared distance between classes that the dataset's own expert
        sees, from 0 to 1. With one dataset its expert sees all.
    random_state : int, RandomState instance or None, default=None
        Source of the problem and of its rows: an int gives the same at every call,
        None something else at every call. The global random state is neither read nor
        changed.

    Returns
    -------
    X_dict : dict of str to ndarray of shape (n_samples, sum(n_features)), float32
        Embeddings of "dataset_0", "dataset_1" and so on, by all experts side by side:
        expert e has `n_features[e]` columns, after those of the experts before.
    y_dict : dict of str to ndarray of shape (n_samples,), dtype int64
        Classes, from 0 to `n_classes` - 1 in each dataset, in random order. Any
        `n_classes` rows from a multiple of `n_classes` on hold each class once.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or if the parameters disagree about the
        number of datasets.

    See Also
    --------
    stream_expert_embeddings : The same in chunks, for sizes beyond the memory.

    Notes
    -----
    Row x of dataset i, with class c, is embedded by expert e as

    .. math:: f_e(x) = (a_{ie} q_{iec} + \varepsilon)\, V_e, \qquad
              \varepsilon \sim N(0, I),

    where :math:`V_e` are orthogonal rows, `max(n_classes)` of them, which are the same
    for all datasets; :math:`q_{ie1}, q_{ie2}, \ldots` are orthonormal; and
    :math:`a_{ie}^2` is the part of :math:`\textrm{class\_sep}^2` that expert e sees:
    `own_share` for :math:`e = i`, and an equal part of the rest otherwise.

    All classes are equally likely and equally far apart, so the best accuracy that
    anything can attain from the embeddings of the experts in S is

    .. math:: \int \varphi(t - a_S)\, \Phi(t)^{C - 1}\, dt, \qquad
              a_S^2 = \sum_{e \in S} a_{ie}^2,

    with :math:`\varphi` and :math:`\Phi` the normal density and distribution function
    and C the number of classes. It depends on no draw. For the default parameters:

    ===========================  =============
    embeddings                   best accuracy
    ===========================  =============
    of one other expert          0.509
    of the own expert            0.710
    of both other experts        0.710
    of the own and one other     0.831
    of all three experts         0.902
    ===========================  =============

    A row depends on its number and on the parameters other than `n_samples`: more
    samples continue the same dataset. To get train and test rows of one problem,
    generate them at once and take slices, or use `train_test_split`.

    Examples
    --------
    >>> from jedi_sklearn.datasets import make_expert_embeddings
    >>> X_dict, y_dict = make_expert_embeddings(
    ...     n_samples=(900, 300), n_classes=(20, 5), n_features=(32, 24), random_state=0
    ... )
    >>> {name: X.shape for name, X in X_dict.items()}
    {'dataset_0': (900, 56), 'dataset_1': (300, 56)}

    The experts are selections of columns:

    >>> from sklearn.compose import make_column_transformer
    >>> expert_0 = make_column_transformer(("passthrough", slice(0, 32)))
    >>> expert_1 = make_column_transformer(("passthrough", slice(32, 56)))
    >>> expert_1.fit_transform(X_dict["dataset_0"]).shape
    (900, 24)

    The best accuracies on "dataset_0", from its own expert and from both:

    >>> from scipy.integrate import quad
    >>> from scipy.stats import norm
    >>> def best_accuracy(n_classes, squared_distance):
    ...     a = squared_distance**0.5
    ...     density = lambda t: norm.pdf(t - a) * norm.cdf(t) ** (n_classes - 1)
    ...     return quad(density, a - 9, a + 9)[0]
    >>> round(best_accuracy(20, 0.5 * 3.0**2), 3), round(best_accuracy(20, 3.0**2), 3)
    (0.6, 0.847)
    """
    problem = check_problem(
        n_samples, n_classes, n_features, n_datasets, class_sep, own_share, random_state
    )
    # One chunk a dataset: several would have to be copied together.
    chunks = list(_stream(problem, max(problem.n_samples)))
    return {name: X for name, X, _ in chunks}, {name: y for name, _, y in chunks}


def stream_expert_embeddings(
    n_samples: int | Sequence[int] = 600,
    n_classes: int | Sequence[int] = 10,
    n_features: int | Sequence[int] = 32,
    *,
    n_datasets: int | None = None,
    class_sep: float = 3.0,
    own_share: float = 0.5,
    batch_size: int = 1024,
    random_state: Seed = None,
) -> Iterator[tuple[str, Embeddings, Labels]]:
    """Generate n datasets as n experts embed them, in chunks.

    Joined, the chunks of a dataset are equal, bit for bit and for any `batch_size`, to
    what `make_expert_embeddings` returns for the same parameters. Memory is needed for
    one chunk and for one block of about 256 rows.

    Parameters
    ----------
    n_samples, n_classes, n_features : int or sequence of int
        As in `make_expert_embeddings`.
    n_datasets : int or None, default=None
        As in `make_expert_embeddings`.
    class_sep, own_share : float
        As in `make_expert_embeddings`.
    batch_size : int, default=1024
        Number of rows in a chunk. The last chunk of a dataset may have fewer.
    random_state : int, RandomState instance or None, default=None
        As in `make_expert_embeddings`.

    Returns
    -------
    chunks : iterator of (str, ndarray, ndarray)
        Name of a dataset, its next embeddings of shape (n_rows, sum(n_features)) and
        dtype float32, and their classes of shape (n_rows,) and dtype int64. The
        datasets come one after another.

    Raises
    ------
    ValueError
        As in `make_expert_embeddings`, at the call and not at the first chunk; also
        if `batch_size` is less than 1.

    See Also
    --------
    make_expert_embeddings : All at once; its Notes describe the problem.

    Examples
    --------
    >>> from jedi_sklearn.datasets import stream_expert_embeddings
    >>> for name, X, y in stream_expert_embeddings(
    ...     n_samples=(250, 100), batch_size=200, random_state=0
    ... ):
    ...     print(name, X.shape, y.shape)
    dataset_0 (200, 64) (200,)
    dataset_0 (50, 64) (50,)
    dataset_1 (100, 64) (100,)
    """
    check_accepted("batch_size", batch_size, integers_from(1))
    problem = check_problem(
        n_samples, n_classes, n_features, n_datasets, class_sep, own_share, random_state
    )
    return _stream(problem, batch_size)


def _stream(
    problem: Problem, batch_size: int
) -> Iterator[tuple[str, Embeddings, Labels]]:
    """Yield the chunks of every dataset."""
    n_latent = max(problem.n_classes)
    # An expert turns a latent vector into its embedding by a matrix of orthogonal rows,
    # scaled so that the noise alone gives features a variance of 1, on average.
    views = [
        _orthonormal(_generator(problem, VIEWS, expert), n_latent, width)
        * np.float32(math.sqrt(width / n_latent))
        for expert, width in enumerate(problem.n_features)
    ]
    for dataset, n_rows in enumerate(problem.n_samples):
        blocks = _make_blocks(problem, dataset, views)
        for X, y in _cut(blocks, n_rows, sum(problem.n_features), batch_size):
            yield f"dataset_{dataset}", X, y


def _cut(
    blocks: Iterator[tuple[Embeddings, Labels]], n_rows: int, width: int, size: int
) -> Iterator[tuple[Embeddings, Labels]]:
    """Yield the first `n_rows` rows of an endless stream in chunks of `size`."""
    X_block, y_block = next(blocks)
    for start in range(0, n_rows, size):
        X = np.empty((min(size, n_rows - start), width), dtype=np.float32)
        y = np.empty(len(X), dtype=np.int64)
        filled = 0
        while filled < len(X):
            if not len(X_block):
                X_block, y_block = next(blocks)
            rows = slice(filled, filled + len(X_block))
            taken = len(y[rows])
            X[rows], y[rows] = X_block[:taken], y_block[:taken]
            X_block, y_block = X_block[taken:], y_block[taken:]
            filled += taken
        yield X, y


def _make_blocks(
    problem: Problem, dataset: int, views: list[Embeddings]
) -> Iterator[tuple[Embeddings, Labels]]:
    """Yield the rows of one dataset, endlessly, in blocks of always the same size.

    A matrix product of fewer rows could differ in the last bits, and rows would depend
    on the number that was asked for.
    """
    means = _make_means(problem, dataset)
    n_classes, n_latent = problem.n_classes[dataset], len(views[0])
    rounds = np.tile(np.arange(n_classes), (math.ceil(MIN_BLOCK_ROWS / n_classes), 1))
    columns = np.cumsum((0, *problem.n_features))
    for block in count():
        rng = _generator(problem, ROWS, dataset, block)
        y = rng.permuted(rounds, axis=1).ravel()
        latent = rng.standard_normal((len(y), means.shape[1]), dtype=np.float32)
        latent += means[y]
        X = np.empty((len(y), columns[-1]), dtype=np.float32)
        for expert, view in enumerate(views):
            seen = latent[:, expert * n_latent : (expert + 1) * n_latent]
            X[:, columns[expert] : columns[expert + 1]] = seen @ view
        yield X, y


def _make_means(problem: Problem, dataset: int) -> Embeddings:
    """Return the class means of one dataset in the latent spaces of all experts.

    The shape is (n_classes, n_experts * n_latent).
    """
    n_experts, n_latent = len(problem.n_features), max(problem.n_classes)
    shares = np.full(n_experts, (1 - problem.own_share) / max(n_experts - 1, 1))
    shares[dataset] = problem.own_share if n_experts > 1 else 1.0
    lengths = problem.class_sep * np.sqrt(shares)
    return np.hstack(
        [
            _orthonormal(
                _generator(problem, MEANS, dataset, expert),
                problem.n_classes[dataset],
                n_latent,
            )
            * np.float32(length)
            for expert, length in enumerate(lengths)
        ]
    )


def _orthonormal(rng: np.random.Generator, n_rows: int, n_columns: int) -> Embeddings:
    """Return a random matrix with orthonormal rows."""
    columns, _ = np.linalg.qr(rng.standard_normal((n_columns, n_rows)))
    return np.ascontiguousarray(columns.T, dtype=np.float32)


def _generator(problem: Problem, *key: int) -> np.random.Generator:
    """Return the random stream that belongs to a key."""
    return np.random.default_rng(np.random.SeedSequence(problem.seed, spawn_key=key))
