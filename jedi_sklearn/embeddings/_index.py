"""An index of the samples that a store has by one producer."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from ._collections import Ids, Producer, as_ids, shards_of
from ._shards import read_manifest
from ._stored_rows import MISSING, StoredRows


class Index(NamedTuple):
    """Places of samples in the shards of a producer.

    Attributes
    ----------
    shards : list of Path
    ids : ndarray of bytes of shape (n_samples,)
        Ids of all samples that have an embedding, sorted.
    shard_of_sample, row : ndarray of int of shape (n_samples,)
        Number of each sample's shard, and of its row in the shard.
    missing : ndarray of bytes
        Ids of samples that could not be embedded.
    n_features : int
    """

    shards: list[Path]
    ids: Ids
    shard_of_sample: npt.NDArray[np.intp]
    row: npt.NDArray[np.intp]
    missing: Ids
    n_features: int

    @classmethod
    def of(cls, producer: Producer, root: Path) -> Self:
        """Read the manifests of all collections of a producer in a store.

        Raises
        ------
        DamagedError
            If a manifest has changed.
        """
        shards = [shard for c in producer.directories(root) for shard in shards_of(c)]
        # Arrays, as objects of millions of samples would take much memory.
        ids, missing, n_features = [as_ids([])], [as_ids([])], 0
        for shard in shards:
            manifest = read_manifest(shard)
            ids.append(as_ids(manifest.ids))
            missing.append(as_ids(list(manifest.missing)))
            n_features = n_features or manifest.shape[1]
        sizes = [len(own) for own in ids[1:]]
        everything = np.concatenate(ids)
        order = np.argsort(everything, kind="stable")
        return cls(
            shards,
            everything[order],
            np.repeat(np.arange(len(shards)), sizes)[order],
            np.concatenate([np.arange(0), *map(np.arange, sizes)])[order],
            np.concatenate(missing),
            n_features,
        )

    def lacks(self, ids: Ids, *, retry: bool) -> npt.NDArray[np.bool_]:
        """Return a mask of the samples that have to be embedded.

        Parameters
        ----------
        ids : ndarray of bytes of shape (n_samples,)
        retry : bool
            Whether to try those again that could not be embedded before.
        """
        lacking = ~np.isin(ids, self.ids)
        return lacking if retry else lacking & ~np.isin(ids, self.missing)

    def rows(self, ids: Ids) -> StoredRows:
        """Return rows by the ids of their samples; unknown ones are missing."""
        if not len(self.ids):
            nowhere = np.full(len(ids), MISSING)
            return StoredRows(self.shards, nowhere, nowhere, self.n_features)
        places = np.searchsorted(self.ids, ids).clip(max=len(self.ids) - 1)
        is_here = self.ids[places] == ids
        shard_of_row = np.where(is_here, self.shard_of_sample[places], MISSING)
        return StoredRows(self.shards, shard_of_row, self.row[places], self.n_features)
