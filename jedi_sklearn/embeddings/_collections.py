"""Collections: all that one expert has made of samples, its features or probabilities.

A collection is a directory ``<expert>-<kind>-<fingerprint>`` with a manifest, and in it
a directory of shards for each dataset.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import quote, unquote

import numpy as np
import numpy.typing as npt

from ..utils.files import alone
from ._manifests import damaged, not_a_link, read_json, write_json
from ._shards import Manifest, finished_shards, read_manifest
from ._stored_rows import MISSING, StoredRows

MANIFEST = "collection.json"
# The name of a collection's directory.
NAME = r".+-(features|probabilities|both)-[0-9a-f]{16}"
# Names that are no files on Windows.
DEVICE = r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?"

Ids = npt.NDArray[np.bytes_]


class Maker(NamedTuple):
    """What makes a collection.

    Attributes
    ----------
    expert : str
        Name of the expert.
    kind : {"features", "probabilities", "both"}
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
        maker = cls(known["expert"], known["kind"], known["fingerprint"])
        # Its kind and fingerprint become part of a path.
        if not collection.name.endswith(maker.ending):
            raise damaged(collection / MANIFEST, "is of another collection")
        return maker

    @property
    def ending(self) -> str:
        """Of the names of its directories."""
        return f"-{self.kind}-{self.fingerprint[:16]}"

    def directories(self, root: Path) -> list[Path]:
        """Return where in a store it has collections.

        They are found by what the maker is: an expert may have got another name.
        """
        return sorted(map(not_a_link, root.glob(f"*{self.ending}")))

    def directory(self, root: Path) -> Path:
        """Return where what it makes is to be kept."""
        name = f"{_as_file_name(self.expert)}{self.ending}"
        return (self.directories(root) or [root / name])[0]


def dataset_directory(collection: Path, dataset: str) -> Path:
    """Return where a collection keeps the shards of a dataset."""
    return not_a_link(collection / _as_file_name(dataset))


def _as_file_name(name: str) -> str:
    quoted = quote(name, safe=" ", errors="surrogatepass")
    if quoted.startswith(".") or re.fullmatch(DEVICE, quoted, re.IGNORECASE):
        quoted = f"%{ord(quoted[0]):02X}{quoted[1:]}"
    if quoted.endswith((".", " ")):  # which Windows leaves out
        quoted = f"{quoted[:-1]}%{ord(quoted[-1]):02X}"
    if len(quoted) > 100:
        text = name.encode(errors="surrogatepass")
        digest = blake2b(text, digest_size=8).hexdigest()
        quoted = f"{quoted[:80]}-{digest}"
    return quoted


def as_ids(ids: Sequence[str]) -> Ids:
    """Return what tells samples apart as an array."""
    return np.array(ids, dtype="S32")


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


def is_described(collection: Path) -> bool:
    """Say whether a collection has its own manifest."""
    return (collection / MANIFEST).exists()


def restore(collections: Iterable[Path], maker: Maker, n_features: int) -> None:
    """Write down again what collections are whose manifest was removed as damaged."""
    for collection in collections:
        if not is_described(collection):
            settle(collection, maker, n_features)


class Index(NamedTuple):
    """Where the samples of some collections are.

    Attributes
    ----------
    shards : list of Path
    ids : ndarray of bytes of shape (n_samples,)
        Of all samples that are here, sorted.
    shard_of_sample, row : ndarray of int of shape (n_samples,)
        The number of each sample's shard, and of its row in that.
    missing : ndarray of bytes
        The ids of samples that could not be embedded.
    n_features : int
    """

    shards: list[Path]
    ids: Ids
    shard_of_sample: npt.NDArray[np.intp]
    row: npt.NDArray[np.intp]
    missing: Ids
    n_features: int

    @classmethod
    def of(cls, collections: Iterable[Path]) -> Self:
        """Read the manifests of collections of one maker.

        Raises
        ------
        DamagedError
            If one of them has changed.
        """
        shards = [shard for c in collections for shard in shards_of(c)]
        # Millions of samples are little as arrays, and much as objects.
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
        """Say which samples have to be embedded.

        Parameters
        ----------
        ids : ndarray of bytes of shape (n_samples,)
        retry : bool
            Whether those that could not be embedded before have to be.
        """
        lacking = ~np.isin(ids, self.ids)
        return lacking if retry else lacking & ~np.isin(ids, self.missing)

    def rows(self, ids: Ids) -> StoredRows:
        """Return rows by their ids; what is not here is missing."""
        if not len(self.ids):
            nowhere = np.full(len(ids), MISSING)
            return StoredRows(self.shards, nowhere, nowhere, self.n_features)
        places = np.searchsorted(self.ids, ids).clip(max=len(self.ids) - 1)
        is_here = self.ids[places] == ids
        shard_of_row = np.where(is_here, self.shard_of_sample[places], MISSING)
        return StoredRows(self.shards, shard_of_row, self.row[places], self.n_features)


def read_collection(collection: Path) -> dict[str, Any]:
    """Read a collection's own manifest.

    Raises
    ------
    DamagedError
        If it has changed, or is not there.
    """
    try:
        path = collection / MANIFEST
        return read_json(path, expert=str, kind=str, fingerprint=str, n_features=int)
    except FileNotFoundError as error:
        raise damaged(collection / MANIFEST, "is missing") from error


def shards_of(collection: Path) -> Iterator[Path]:
    """Yield the paths of the finished shards of all datasets of a collection."""
    for directory in directories_in(not_a_link(collection)):
        yield from finished_shards(not_a_link(directory))


def directories_in(path: Path) -> list[Path]:
    """Return the directories in one, in their order."""
    return sorted(below for below in path.iterdir() if below.is_dir())


def collections_in(root: Path) -> list[Path]:
    """Return the collections of a store that have a finished shard."""
    own = [path for path in directories_in(root) if re.fullmatch(NAME, path.name)]
    return [path for path in own if any(shards_of(path))]


def names_in(collection: Path) -> Iterator[tuple[str, str]]:
    """Yield name and id of each sample of a collection that has a name."""
    for shard in shards_of(collection):
        manifest = read_manifest(shard)
        yield from zip(manifest.names or [], manifest.ids, strict=False)


def failures_in(manifests: Iterable[Manifest]) -> dict[str, str]:
    """Return why samples have no embedding, by id; not of those that got one later."""
    manifests = list(manifests)
    there = {own for manifest in manifests for own in manifest.ids}
    reasons: dict[str, str] = {}
    for manifest in manifests:
        reasons |= manifest.missing
    return {own: why for own, why in reasons.items() if own not in there}
