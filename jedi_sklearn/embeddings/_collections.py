"""Collections: all that one expert has made of samples, its features or probabilities.

A collection is a directory ``<expert>-<kind>-<fingerprint>`` with a manifest, and in it
a directory of shards for each dataset.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import quote, unquote

import numpy as np

from ._files import alone, damaged, read_json, write_json
from ._rows import MISSING, StoredRows
from ._shards import finished_shards, read_manifest

MANIFEST = "collection.json"


class Maker(NamedTuple):
    """What makes a collection.

    Attributes
    ----------
    expert : str
        Name of the expert.
    kind : {"features", "probabilities"}
    fingerprint : str
        Of all that decides what it makes.
    """

    expert: str
    kind: str
    fingerprint: str

    @classmethod
    def of(cls, collection: Path) -> Self:
        """Return what has made a collection."""
        known = read_collection(collection)
        return cls(known["expert"], known["kind"], known["fingerprint"])

    def directories(self, root: Path) -> list[Path]:
        """Return where in a store it has collections.

        They are found by what the maker is: an expert may have got another name.
        """
        return sorted(root.glob(f"*-{self.kind}-{self.fingerprint[:16]}"))

    def directory(self, root: Path) -> Path:
        """Return where what it makes is to be kept."""
        name = f"{_as_file_name(self.expert)}-{self.kind}-{self.fingerprint[:16]}"
        return (self.directories(root) or [root / name])[0]


def dataset_directory(collection: Path, dataset: str) -> Path:
    """Return where a collection keeps the shards of a dataset."""
    return collection / _as_file_name(dataset)


def _as_file_name(name: str) -> str:
    quoted = quote(name, safe=" ")
    if quoted.startswith("."):
        quoted = f"%2E{quoted[1:]}"
    if len(quoted) > 100:
        digest = blake2b(name.encode(), digest_size=8).hexdigest()
        quoted = f"{quoted[:80]}-{digest}"
    return quoted


def dataset_of(directory: Path) -> str:
    """Return the dataset whose shards a directory has; a long name is cut short."""
    return unquote(directory.name)


def settle(collection: Path, maker: Maker, n_features: int) -> None:
    """Write down what a collection is, or raise ValueError where it is another.

    Parameters
    ----------
    collection : Path
    maker : Maker
    n_features : int
        Width of what the maker returned for some rows; 0 if it returned nothing.
    """
    path = collection / MANIFEST
    with alone(collection / "collection.lock"):
        known = read_json(path)["n_features"] if path.exists() else None
        if not known and known != n_features:
            write_json(path, {**maker._asdict(), "n_features": n_features})
            known = n_features
    if n_features not in (0, known):
        raise ValueError(
            f"Expert {maker.expert!r} returned {n_features} features; all else that "
            f"the embedding store has of it is of {known} ({collection}). An expert "
            "must embed all rows in one width."
        )


class Index(NamedTuple):
    """Where the samples of some collections are.

    Attributes
    ----------
    shards : list of Path
    places : dict of str to (int, int)
        Of each sample's id the number of its shard, and of its row in that.
    missing : dict of str to str
        The ids of samples that could not be embedded, and why.
    n_features : int
    """

    shards: list[Path]
    places: dict[str, tuple[int, int]]
    missing: dict[str, str]
    n_features: int

    @classmethod
    def of(cls, collections: Iterable[Path]) -> Self:
        """Read the manifests of collections of one maker.

        Raises
        ------
        DamagedError
            If one of them has changed.
        """
        shards: list[Path] = []
        places: dict[str, tuple[int, int]] = {}
        missing: dict[str, str] = {}
        n_features = 0
        for shard in (s for c in collections for s in shards_of(c)):
            manifest = read_manifest(shard)
            for row, sample_id in enumerate(manifest.ids):
                places[sample_id] = len(shards), row
            missing |= manifest.missing
            shards.append(shard)
            n_features = n_features or manifest.shape[1]
        return cls(shards, places, missing, n_features)

    def lacks(self, sample_id: str, *, retry: bool) -> bool:
        """Say whether a sample has to be embedded.

        Parameters
        ----------
        sample_id : str
        retry : bool
            Whether one that could not be embedded before has to be.
        """
        return sample_id not in self.places and (retry or sample_id not in self.missing)

    def rows(self, ids: Iterable[str]) -> StoredRows:
        """Return rows by their ids; what is not here is missing."""
        nowhere = (MISSING, 0)
        found = [self.places.get(sample_id, nowhere) for sample_id in ids]
        places = np.array(found, dtype=np.intp).reshape(-1, 2)
        shard_of_row, row = places.T.copy()
        return StoredRows(self.shards, shard_of_row, row, self.n_features)


def read_collection(collection: Path) -> dict[str, Any]:
    """Read a collection's own manifest.

    Raises
    ------
    DamagedError
        If it has changed, or is not there.
    """
    try:
        return read_json(collection / MANIFEST)
    except FileNotFoundError as error:
        raise damaged(collection / MANIFEST, "is missing") from error


def shards_of(collection: Path) -> Iterator[Path]:
    """Yield the paths of the finished shards of all datasets of a collection."""
    for directory in sorted(path for path in collection.iterdir() if path.is_dir()):
        yield from finished_shards(directory)


def collections_in(root: Path) -> list[Path]:
    """Return the collections of a store that have a finished shard."""
    directories = sorted(path for path in root.iterdir() if path.is_dir())
    return [path for path in directories if any(shards_of(path))]


def names_in(collection: Path) -> Iterator[tuple[str, str]]:
    """Yield name and id of each sample of a collection that has a name."""
    for shard in shards_of(collection):
        manifest = read_manifest(shard)
        yield from zip(manifest.names or [], manifest.ids, strict=False)
