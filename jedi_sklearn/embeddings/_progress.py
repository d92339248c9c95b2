"""A progress bar over shards, in rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


def progress(
    are_done: Iterable[bool], sizes: Sequence[int], *, verbose: int
) -> Iterator[bool]:
    """Pass on what is done, with a bar on standard error if verbose.

    Parameters
    ----------
    are_done : iterable of bool
        Of each shard whether it is done.
    sizes : sequence of int
        Their numbers of rows.
    verbose : int
    """
    from tqdm.auto import tqdm  # comes with skorch, and is slow to import

    with tqdm(total=sum(sizes), unit=" rows", disable=not verbose or not sizes) as bar:
        for is_done, size in zip(are_done, sizes, strict=True):
            bar.update(size * is_done)
            yield is_done
