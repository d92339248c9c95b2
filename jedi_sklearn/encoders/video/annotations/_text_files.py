"""Lines of annotation files, and search for the videos that they name."""

from __future__ import annotations

import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

from ....exceptions import LeftOutWarning
from ....utils.accepted import invalid

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Searched:
    """Annotated video, with candidates for its path, the likeliest first."""

    paths: list[str]
    label: str | None

    def path_in(self, folder: PathLike) -> str | None:
        """Return the first candidate that is a file in a folder."""
        candidates = (os.path.join(folder, path) for path in self.paths)
        return next(filter(os.path.isfile, candidates), None)


def found(
    searched: list[Searched], folder: PathLike
) -> tuple[list[str], list[str | None]]:
    """Return paths and labels of the videos in a folder; warn of missing ones."""
    paths: list[str] = []
    labels: list[str | None] = []
    missing = []
    for video in searched:
        path = video.path_in(folder)
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
    """Return the entry of a value that has to be one of the choices."""
    if value not in choices:
        raise invalid(name, value, ", ".join(map(repr, choices)))
    return choices[value]


def matching_names(folder: PathLike, pattern: str) -> list[re.Match[str]]:
    """Return the matches of a pattern with the names in a folder."""
    matches = (re.fullmatch(pattern, name) for name in sorted(os.listdir(folder)))
    return [match for match in matches if match]


def matching_lines(
    file: PathLike, pattern: str, accepted: str
) -> list[tuple[str, re.Match[str]]]:
    """Return place and match of each line of a file; skip blank lines."""
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
    """Read a text in UTF-8, with or without a byte order mark and CR before LF."""
    try:
        return Path(file).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is no text in UTF-8: {error}.") from error
