"""JSON manifests: descriptions of files, with a format number and maybe a checksum."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def dump_manifest(
    content: Mapping[str, Any], number: int, *, indent: int | None = None
) -> bytes:
    """Return a manifest as the content of a file, its format number first."""
    return json.dumps({"format": number, **content}, indent=indent).encode()


def load_manifest(data: bytes) -> tuple[dict[str, Any], int]:
    """Return the content and the format number of a manifest by `dump_manifest`.

    Raises
    ------
    ValueError, TypeError or KeyError
        If it is no manifest.
    """
    content = json.loads(data)
    return content, int(content["format"])


def dump_sealed(content: Mapping[str, Any], number: int) -> bytes:
    """Return a manifest that ends in a checksum."""
    return _sealed({"format": number, **content}).encode()


def load_sealed(data: bytes) -> dict[str, Any]:
    """Return the content of a manifest by `dump_sealed`, with the format number.

    The checksum is no signature: whoever may write a file can write any content.

    Raises
    ------
    ValueError
        If it has changed; the message is what is said of the file.
    """
    try:
        text = data.decode()
        content = dict(json.loads(text))
        del content["checksum"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError("is no manifest") from error
    if _sealed(content) != text:
        raise ValueError("has another checksum than its content")
    return content


def _sealed(content: dict[str, Any]) -> str:
    checksum = zlib.crc32(json.dumps(content).encode())
    return json.dumps({**content, "checksum": checksum})


def check_format(path: Path, number: int, newest: int, otherwise: str) -> None:
    """Raise ValueError for a manifest that a newer version of the package wrote.

    Parameters
    ----------
    path : Path
    number : int
        Format of the manifest.
    newest : int
        Newest format that this version reads.
    otherwise : str
        Alternative to installing a newer version.
    """
    if number > newest:
        raise ValueError(
            f"{path} has format {number}; this version of jedi_sklearn reads formats "
            f"up to {newest}. Install a newer one, or {otherwise}."
        )
