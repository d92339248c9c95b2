"""Collections: features or probabilities of samples by one expert.

A collection is a directory ``<expert>-<kind>-<fingerprint>`` that holds a manifest and
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

from ..utils.files import exclusive_lock
from ._manifests import damaged, not_a_link, read_json, write_json
from ._shards import Manifest, finished_shards, read_manifest

MANIFEST = "collection.json"
# Name of a collection's directory.
NAME = r".+-(features|probabilities|both)-[0-9a-f]{16}"
# Names of devices, which cannot be files on Windows.
DEVICE = r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?"

Ids = npt.NDArray[np.bytes_]


class Producer(NamedTuple):
    """An expert's encoder or head, which makes the content of collections.

    Attributes
    ----------
    expert : str
        Name of the expert.
    kind : {"features", "probabilities", "both"}
    fingerprint : str
        Fingerprint of its parameters and weights.
    """

    expert: str
    kind: str
    fingerprint: str

    @classmethod
    def of(cls, collection: Path) -> Self:
        """Return the producer of a collection."""
        known = read_collection(collection)
        producer = cls(known["expert"], known["kind"], known["fingerprint"])
        # The kind and the fingerprint become part of paths.
        if not collection.name.endswith(producer.ending):
            raise damaged(collection / MANIFEST, "is of another collection")
        return producer

    @property
    def ending(self) -> str:
        """Ending of the names of its directories."""
        return f"-{self.kind}-{self.fingerprint[:16]}"

    def directories(self, root: Path) -> list[Path]:
        """Return its collections in a store.

        They are found by fingerprint, as the expert may have been renamed.
        """
        return sorted(map(not_a_link, root.glob(f"*{self.ending}")))

    def directory(self, root: Path) -> Path:
        """Return the collection for what it makes next."""
        name = f"{_as_file_name(self.expert)}{self.ending}"
        return (self.directories(root) or [root / name])[0]


def dataset_directory(collection: Path, dataset: str) -> Path:
    """Return the directory of a dataset's shards in a collection."""
    return not_a_link(collection / _as_file_name(dataset))


def _as_file_name(name: str) -> str:
    quoted = quote(name, safe=" ", errors="surrogatepass")
    if quoted.startswith(".") or re.fullmatch(DEVICE, quoted, re.IGNORECASE):
        quoted = f"%{ord(quoted[0]):02X}{quoted[1:]}"
    if quoted.endswith((".", " ")):  # Windows drops these
        quoted = f"{quoted[:-1]}%{ord(quoted[-1]):02X}"
    if len(quoted) > 100:
        text = name.encode(errors="surrogatepass")
        digest = blake2b(text, digest_size=8).hexdigest()
        quoted = f"{quoted[:80]}-{digest}"
    return quoted


def as_ids(ids: Sequence[str]) -> Ids:
    """Return ids of samples as an array."""
    return np.array(ids, dtype="S32")


def dataset_of(directory: Path) -> str:
    """Return the name of a directory's dataset; a long one is cut short."""
    return unquote(directory.name)


def describe_collection(collection: Path, producer: Producer, n_features: int) -> None:
    """Write a collection's manifest, or check that its width is the same.

    Parameters
    ----------
    collection : Path
    producer : Producer
    n_features : int
        Width of the rows by the producer; 0 if it returned none.

    Raises
    ------
    ValueError
        If the collection has another width.
    """
    path = collection / MANIFEST
    with exclusive_lock(collection / "collection.lock"):
        known = read_json(path)["n_features"] if path.exists() else None
        if not known and known != n_features:
            write_json(path, {**producer._asdict(), "n_features": n_features})
            known = n_features
    if n_features not in (0, known):
        raise ValueError(
            f"Expert {producer.expert!r} returned {n_features} features; all else that "
            f"the embedding store has of it is of {known} ({collection}). An expert "
            "must embed all rows in one width."
        )


def is_described(collection: Path) -> bool:
    """Say whether a collection has a manifest."""
    return (collection / MANIFEST).exists()


def restore(collections: Iterable[Path], producer: Producer, n_features: int) -> None:
    """Write manifests of collections again that were removed as damaged."""
    for collection in collections:
        if not is_described(collection):
            describe_collection(collection, producer, n_features)


def read_collection(collection: Path) -> dict[str, Any]:
    """Read a collection's manifest.

    Raises
    ------
    DamagedError
        If it has changed or is missing.
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
    """Return the directories in a directory, sorted."""
    return sorted(below for below in path.iterdir() if below.is_dir())


def collections_in(root: Path) -> list[Path]:
    """Return the collections of a store that have finished shards."""
    own = [path for path in directories_in(root) if re.fullmatch(NAME, path.name)]
    return [path for path in own if any(shards_of(path))]


def names_in(collection: Path) -> Iterator[tuple[str, str]]:
    """Yield name and id of each sample in a collection that has a name."""
    for shard in shards_of(collection):
        manifest = read_manifest(shard)
        yield from zip(manifest.names or [], manifest.ids, strict=False)


def failures_in(manifests: Iterable[Manifest]) -> dict[str, str]:
    """Return why samples have no embedding, by id; without those that got one later."""
    manifests = list(manifests)
    there = {own for manifest in manifests for own in manifest.ids}
    reasons: dict[str, str] = {}
    for manifest in manifests:
        reasons |= manifest.missing
    return {own: why for own, why in reasons.items() if own not in there}
