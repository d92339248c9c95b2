"""Manifests of a store: JSON that shows any change."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

from ..utils.files import write_whole

# A store of a higher number was written by a newer version of this package.
FORMAT = 1


class DamagedError(ValueError):
    """A file of a store is not as it was written.

    :meth:`EmbeddingStore.verify` with ``remove=True`` removes such files, and the next
    extraction makes what they held anew.

    See Also
    --------
    EmbeddingStore : Raises it where it reads.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from sklearn.preprocessing import FunctionTransformer
    >>> from jedi_sklearn.embeddings import DamagedError, EmbeddingStore
    >>> folder = Path(tempfile.mkdtemp())
    >>> X = np.ones((3, 2))
    >>> store = EmbeddingStore(folder).extract([("same", FunctionTransformer())], X)
    >>> (shard,) = folder.rglob("*.npy")
    >>> _ = shard.write_bytes(shard.read_bytes()[:-1])
    >>> try:
    ...     np.asarray(store.features("same", X))
    ... except DamagedError:
    ...     print("refused")
    refused
    """


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file that shows when a bit of it has changed."""
    write_whole(path, [_sealed({"format": FORMAT, **content}).encode()])


def read_json(path: Path, **kinds: type) -> dict[str, Any]:
    """Read what `write_json` has written.

    Its checksum is no signature: whoever may write a file can write any content.

    Parameters
    ----------
    path : Path
    **kinds : type
        What it has to have, by name.

    Raises
    ------
    DamagedError
        If it is not what was written.
    ValueError
        If a newer version of the package wrote it.
    """
    data = path.read_bytes()
    try:
        text = data.decode()
        content = dict(json.loads(text))
        del content["checksum"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise damaged(path, "is no manifest") from error
    if _sealed(content) != text:
        raise damaged(path, "has another checksum than its content")
    for name, kind in {"format": int, **kinds}.items():
        if name not in content or not isinstance(content[name], kind):
            raise damaged(path, f"has {content.get(name)!r:.50} as {name}")
    if content["format"] > FORMAT:
        raise ValueError(
            f"{path} has format {content['format']}; this version of jedi_sklearn "
            f"reads formats up to {FORMAT}. Install a newer one, or name another "
            "directory."
        )
    return content


def _sealed(content: dict[str, Any]) -> str:
    checksum = zlib.crc32(json.dumps(content).encode())
    return json.dumps({**content, "checksum": checksum})


def not_a_link(path: Path) -> Path:
    """Return a path, or raise ValueError if it may lead out of the store."""
    if path.is_symlink():
        raise ValueError(
            f"{path} is a link. An embedding store keeps all in its own directory, "
            "and follows no link in it: move there what it links to, or remove it."
        )
    return path


def damaged(path: Path, what: str) -> DamagedError:
    """Return the error for a file that is not as it was written."""
    return DamagedError(
        f"{path} {what}: it has changed since it was written, and nothing of it is "
        "used. EmbeddingStore(...).verify(remove=True) removes what is damaged; the "
        "next extraction makes it anew."
    )
