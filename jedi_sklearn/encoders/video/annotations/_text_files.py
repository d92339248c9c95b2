"""What the readers of annotations share: lines of text, and videos in a folder."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import NamedTuple

from ....exceptions import LeftOutWarning
from ....utils.accepted import invalid

PathLike = str | os.PathLike[str]


class Searched(NamedTuple):
    """A video: the paths below a folder that it may have, the likeliest first."""

    paths: list[str]
    label: str | None


def found(
    searched: list[Searched], folder: PathLike
) -> tuple[list[str], list[str | None]]:
    """Return the videos that are in a folder."""
    paths: list[str] = []
    labels: list[str | None] = []
    missing = []
    for video in searched:
        candidates = (os.path.join(folder, path) for path in video.paths)
        path = next(filter(os.path.isfile, candidates), None)
        if path is None:
            missing.append(video.paths[0])
            continue
        paths.append(path)
        labels.append(video.label)
    if not paths:
        first = f", such as {missing[0]}" if missing else ""
        raise ValueError(f"{folder} has none of the {len(searched)} videos{first}.")
    if missing:
        warnings.warn(
            f"{folder} has not {len(missing)} of {len(searched)} videos, such as "
            f"{missing[0]}; they are left out.",
            LeftOutWarning,
            stacklevel=3,
        )
    return paths, labels


def choice(name: str, value: str, choices: dict[str, str]) -> str:
    """Return what stands for a value, which has to be one of the choices."""
    if value not in choices:
        raise invalid(name, value, ", ".join(map(repr, choices)))
    return choices[value]


def matching_names(folder: PathLike, pattern: str) -> list[re.Match[str]]:
    """Return the names in a folder that match."""
    matches = (re.fullmatch(pattern, name) for name in sorted(os.listdir(folder)))
    return [match for match in matches if match]


def matching_lines(
    file: PathLike, pattern: str, accepted: str
) -> list[tuple[str, re.Match[str]]]:
    """Return where the lines of a file are that are not blank, and what they have."""
    matches = []
    for number, line in enumerate(text(file).split("\n"), start=1):
        if line.strip():
            place = f"{file}, line {number}"
            match = re.fullmatch(pattern, line.strip())
            if match is None:
                raise ValueError(f"{place} is {line!r:.200}; it has to be {accepted}.")
            matches.append((place, match))
    if not matches:
        raise ValueError(f"{file} is empty; its lines have to be {accepted}.")
    return matches


def text(file: PathLike) -> str:
    """Read a file as people save it: with a byte order mark, or with CR before LF."""
    try:
        return Path(file).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is no text in UTF-8: {error}.") from error
