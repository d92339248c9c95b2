"""Shards: some rows of a collection in an .npy file, with a manifest beside it."""

from __future__ import annotations

import io
import mmap
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..utils.files import write_whole
from ._dtypes import STORED_AS, Features, decode, encode
from ._manifests import damaged, not_a_link, read_json, write_json

# Rows under one checksum, all of which are read with the first of them.
BLOCK_ROWS = 64
PAGE = mmap.ALLOCATIONGRANULARITY
# A shard's file name without suffix: its first row, and a digest of its samples.
NAME = r"\d{8,}-[0-9a-f]{16}"


@dataclass(frozen=True)
class Manifest:
    """Description of a shard.

    Attributes
    ----------
    ids : list of str
        Ids of the samples, in the order of the rows.
    names : list of str or None
        Paths, where the samples are files.
    missing : dict of str to str
        Reasons why samples could not be embedded, by their ids.
    shape : list of int
        Number of rows and of features.
    dtype : str
        Format of the numbers; see `_dtypes`.
    start : int
        Number of bytes that precede the rows in the .npy file.
    header : int
        Checksum of these bytes.
    blocks : list of int
        Checksums of each `BLOCK_ROWS` rows.
    """

    ids: list[str]
    names: list[str] | None
    missing: dict[str, str]
    shape: list[int]
    dtype: str
    start: int
    header: int
    blocks: list[int]

    def __post_init__(self) -> None:
        """Raise ValueError if no shard can be like this."""
        shape, names = self.shape, self.names
        if len(shape) != 2 or not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError(f"shape {shape}")
        n_blocks = -(-shape[0] // BLOCK_ROWS) if shape[1] else 0
        if not (
            len(self.ids) == shape[0]
            and (names is None or len(names) == len(self.ids))
            and all(isinstance(text, str) for text in [*self.ids, *(names or [])])
            and all(isinstance(reason, str) for reason in self.missing.values())
            and self.dtype in STORED_AS
            and self.start >= 0
            and len(self.blocks) == n_blocks
        ):
            raise ValueError("parts that do not fit one another")


def write_shard(
    path: Path,
    embedding: Features,
    dtype: str,
    *,
    ids: list[str],
    names: list[str] | None,
    missing: dict[str, str],
) -> None:
    """Write a shard and then its manifest, which marks it as finished.

    Parameters
    ----------
    path : Path
        Path of the .npy file.
    embedding : ndarray of shape (n_rows, n_features), float32
    dtype : str
        Format in which it is stored.
    ids, names, missing
        See `Manifest`.
    """
    stored = encode(np.ascontiguousarray(embedding), dtype)
    opening = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        opening, np.lib.format.header_data_from_array_1_0(stored)
    )
    header = opening.getvalue()
    blocks = [
        stored[start : start + BLOCK_ROWS].data.cast("B")
        for start in range(0, len(stored), BLOCK_ROWS)
        if stored.size
    ]
    manifest = Manifest(
        ids,
        names,
        missing,
        list(stored.shape),
        dtype,
        len(header),
        zlib.crc32(header),
        [zlib.crc32(block) for block in blocks],
    )
    write_whole(path, [header, *blocks])
    write_json(_manifest_path(path), vars(manifest))


def read_manifest(path: Path) -> Manifest:
    """Read the manifest of the shard at the path of its .npy file."""
    content = read_json(
        _manifest_path(path),
        ids=list,
        names=list | None,  # type: ignore[arg-type]
        missing=dict,
        shape=list,
        dtype=str,
        start=int,
        header=int,
        blocks=list,
    )
    try:
        return Manifest(
            **{field.name: content[field.name] for field in fields(Manifest)}
        )
    except ValueError as error:
        raise damaged(_manifest_path(path), "says what no shard is like") from error


def is_finished(path: Path) -> bool:
    """Say whether the shard at a path has been written."""
    return _manifest_path(path).exists()


def finished_shards(directory: Path) -> Iterator[Path]:
    """Yield the paths of the finished shards in a directory, in their order."""
    for manifest in sorted(directory.glob("*.json")):
        # Files of others in a directory are neither read nor removed.
        if re.fullmatch(NAME, manifest.stem):
            not_a_link(manifest)
            yield not_a_link(manifest.with_suffix(".npy"))


def remove_shard(path: Path) -> None:
    """Remove a shard, its manifest first."""
    _manifest_path(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def _manifest_path(path: Path) -> Path:
    return path.with_suffix(".json")


class Shard:
    """A finished shard, mapped into memory read-only.

    Every block of rows is checked when its first row is read.

    Parameters
    ----------
    path : Path
        Path of the .npy file.
    n_features : int, optional
        Expected number of features.

    Attributes
    ----------
    shape : tuple of int
        Number of rows and of features.

    Raises
    ------
    DamagedError
        If the file has changed since it was written; reading rows may raise it too.
    """

    def __init__(self, path: Path, n_features: int | None = None) -> None:
        manifest = read_manifest(path)
        if n_features not in (None, manifest.shape[1]):
            raise damaged(path, "has rows of another width than others")
        self.path = path
        self.shape = tuple(manifest.shape)
        self._dtype = manifest.dtype
        number = np.dtype(STORED_AS[self._dtype])
        self._row_bytes = self.shape[1] * number.itemsize
        self._start = manifest.start
        self._map: Any = self._mapped()
        if zlib.crc32(self._map[: self._start]) != manifest.header:
            raise damaged(path, "has another header than its manifest says")
        self._rows = np.ndarray(self.shape, number, self._map, self._start)
        self._checksums = manifest.blocks
        self._checked = np.zeros(len(manifest.blocks), dtype=bool)

    def _mapped(self) -> mmap.mmap:
        size = self._start + self.shape[0] * self._row_bytes
        try:
            with self.path.open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (FileNotFoundError, ValueError) as error:
            raise damaged(self.path, "is missing or empty") from error
        if len(mapped) != size:
            raise damaged(self.path, f"has {len(mapped)} bytes instead of {size}")
        if hasattr(mmap, "MADV_RANDOM"):
            # Rows are read in random order: reading ahead would waste time.
            mapped.madvise(mmap.MADV_RANDOM)
        return mapped

    def take(self, rows: npt.NDArray[np.intp]) -> Features:
        """Return some rows as float32."""
        self.check(rows)
        return decode(self._rows[rows], self._dtype)

    def check(self, rows: npt.NDArray[np.intp]) -> None:
        """Raise DamagedError if the block of one of the rows has changed."""
        if self._checked.all():
            return
        blocks = np.unique(rows // BLOCK_ROWS)
        for block in blocks[~self._checked[blocks]]:
            first, last = block * BLOCK_ROWS, (block + 1) * BLOCK_ROWS
            self._will_need(first, last)
            if zlib.crc32(self._rows[first:last].data) != self._checksums[block]:
                raise damaged(
                    self.path, f"has another checksum in rows {first} to {last - 1}"
                )
            self._checked[block] = True

    def will_need(self, rows: npt.NDArray[np.intp]) -> None:
        """Ask the system to read rows in the background."""
        for row in rows.tolist():
            self._will_need(row, row + 1)

    def _will_need(self, first: int, last: int) -> None:
        if hasattr(mmap, "MADV_WILLNEED"):
            start = self._start + first * self._row_bytes
            end = min(self._start + last * self._row_bytes, len(self._map))
            start -= start % PAGE
            self._map.madvise(mmap.MADV_WILLNEED, start, end - start)
