"""Manifests of a store, and the error for files that have changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..utils.files import write_whole
from ..utils.manifests import check_format, dump_sealed, load_sealed

# Raise it when older versions could not read what this one writes.
FORMAT = 1


class DamagedError(ValueError):
    """A file of a store has changed since it was written.

    :meth:`EmbeddingStore.verify` with ``remove=True`` removes such files; the next
    extraction embeds their samples again.

    See Also
    --------
    EmbeddingStore : Raises it when reading.

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
    """Write a manifest with a checksum."""
    write_whole(path, [dump_sealed(content, FORMAT)])


def read_json(path: Path, **kinds: type) -> dict[str, Any]:
    """Read what `write_json` has written.

    Parameters
    ----------
    path : Path
    **kinds : type
        Required entries and their types.

    Raises
    ------
    DamagedError
        If it has changed since it was written.
    ValueError
        If a newer version of the package wrote it.
    """
    data = path.read_bytes()
    try:
        content = load_sealed(data)
    except ValueError as error:
        raise damaged(path, str(error)) from error
    for name, kind in {"format": int, **kinds}.items():
        if name not in content or not isinstance(content[name], kind):
            raise damaged(path, f"has {content.get(name)!r:.50} as {name}")
    check_format(path, content["format"], FORMAT, "name another directory")
    return content


def not_a_link(path: Path) -> Path:
    """Return a path, or raise ValueError if it may lead out of the store."""
    if path.is_symlink():
        raise ValueError(
            f"{path} is a link. An embedding store keeps all in its own directory, "
            "and follows no link in it: move there what it links to, or remove it."
        )
    return path


def damaged(path: Path, what: str) -> DamagedError:
    """Return the error for a file that has changed since it was written."""
    return DamagedError(
        f"{path} {what}: it has changed since it was written, and nothing of it is "
        "used. EmbeddingStore(...).verify(remove=True) removes what is damaged; the "
        "next extraction makes it anew."
    )
