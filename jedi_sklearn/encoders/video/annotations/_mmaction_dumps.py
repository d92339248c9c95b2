"""Scores and features written by MMAction2, read without trusting the file."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ....utils.accepted import unsuitable
from ._safe_unpickling import PlainArray, load_plain

_AVERAGE = (
    "These are scores or features of single clips or places, which have to be "
    "averaged to one row a video: test again with average_clips='prob' or 'score', "
    "and extract features without 'keep', multi-view and long-video mode."
)


def read_mmaction_dump(
    path: str | os.PathLike[str],
    videos: Sequence[str | os.PathLike[str]] | None = None,
    labels: Sequence[int | None] | npt.NDArray[np.integer] | None = None,
) -> pd.DataFrame:
    """Read scores or features of videos that MMAction2 has written.

    Nothing in the file is run, so it may come from an untrusted source.

    Parameters
    ----------
    path : str or path
        File from ``tools/test.py``, with ``--dump`` in MMAction2 1.x and with ``--out``
        in 0.x; file from ``clip_feature_extraction.py`` of 0.x; or folder from the same
        program of 1.x, with a pickle for each video. The suffix of a file tells JSON
        and YAML (which needs PyYAML); all others are pickles.
    videos : sequence of n_videos paths or None, default=None
        Paths of the videos. A file names no videos: give all paths in the order of
        MMAction2's annotation file, as from `read_mmaction_list`. In a folder, only
        these are read, in this order, and matched by the end of their paths.
    labels : sequence of n_videos int or None, default=None
        Labels of the annotation file. They are compared with those in a dump of 1.x, to
        detect videos in another order. None and -1, for an unknown label, match any.

    Returns
    -------
    rows : DataFrame of shape (n_videos, n_columns), float32
        One row per video, with columns 0, 1, ... The index is `videos` if given, else
        the sorted names in a folder, or 0, 1, ...

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If the file is no such dump, damaged, or not safe to load; if it has several
        rows, or none, for a video, rows of different lengths or a number that is not
        finite; and if it does not match `videos` or `labels`.
    ImportError
        If the file is YAML and PyYAML is not installed.

    See Also
    --------
    read_mmaction_list : Reads the paths of the videos.
    video_head : Makes class scores from features.

    Notes
    -----
    Scores are probabilities or logits, depending on the configuration:
    ``average_clips=None``, as for TSN on ActivityNet, leaves logits.

    Examples
    --------
    >>> import pickle
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from jedi_sklearn.encoders.video import read_mmaction_dump
    >>> scores = [np.float32([0.75, 0.25]), np.float32([0.5, 0.5])]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "result.pkl")
    ...     _ = path.write_bytes(pickle.dumps(scores))
    ...     read_mmaction_dump(path, videos=["run.mp4", "jump.mp4"])
                 0     1
    run.mp4   0.75  0.25
    jump.mp4  0.50  0.50
    """
    path = Path(path)
    if isinstance(videos, str | os.PathLike):
        why = "It has to be a sequence of paths, or None."
        raise unsuitable("videos", videos, why)
    names = None if videos is None else [os.fspath(video) for video in videos]
    read = _folder_samples if path.is_dir() else _file_samples
    index, samples = read(path, names)
    places = [f"{path}, row {i}" for i in range(len(samples))]
    if not isinstance(index, pd.RangeIndex):
        places = [f"{p} ({name})" for p, name in zip(places, index, strict=True)]
    if labels is not None:
        _check_labels(path, places, samples, labels)
    rows = _rows(path, samples, places)
    for row, place in zip(rows, places, strict=True):
        if len(row) != len(rows[0]):
            raise ValueError(
                f"{place} has {len(row)} numbers, but row 0 has {len(rows[0])}: all "
                "rows of a dump are of one length."
            )
    return pd.DataFrame(np.stack(rows), index=index)


def _file_samples(path: Path, names: list[str] | None) -> tuple[pd.Index, list[Any]]:
    """Return the index and the entries of a file."""
    samples = load_plain(path)
    if not isinstance(samples, list) or not samples:
        found = f"an object of {type(samples).__name__}"
        if isinstance(samples, list):
            found = "an empty list"
        elif isinstance(samples, np.ndarray | PlainArray):
            found = "an array"
        raise ValueError(
            f"{path} holds {found}: a dump is a list, with an item for each video."
        )
    if names is None:
        return pd.RangeIndex(len(samples)), samples
    if len(names) != len(samples):
        many, rest = divmod(len(samples), max(len(names), 1))
        single = f" {_AVERAGE}" if many > 1 and not rest else ""
        raise ValueError(
            f"{path} has {len(samples)} rows, but videos has {len(names)} paths: they "
            f"have to be those of the annotation file, in its order.{single}"
        )
    return pd.Index(names), samples


def _folder_samples(path: Path, names: list[str] | None) -> tuple[pd.Index, list[Any]]:
    """Return the index and the entries of a folder."""
    # MMAction2 leaves total_feats.pkl if it stops before it has split the file.
    files = {
        file.relative_to(path).as_posix().removesuffix(".pkl"): file
        for file in sorted(path.rglob("*.pkl"))
        if file != path / "total_feats.pkl"
    }
    if not files:
        raise ValueError(f"{path} has no files <video>.pkl, as a dump's folder has.")
    if names is None:
        return pd.Index(list(files)), [load_plain(file) for file in files.values()]
    if not names:
        raise ValueError(f"videos is empty; {path} has {len(files)} videos.")
    found = []
    for name in names:
        # The longest end of the video's path that names a file.
        parts = Path(name).parts
        ends = ("/".join(parts[i:]) for i in range(len(parts)))
        found.append(next((files[end] for end in ends if end in files), None))
    missing = [name for name, file in zip(names, found, strict=True) if file is None]
    if missing:
        raise ValueError(
            f"{path} has no file for {len(missing)} of {len(names)} videos, the first "
            f"of which is {missing[0]!r}; a video it has is {next(iter(files))!r}."
        )
    if len(set(found)) < len(set(names)):
        raise ValueError(
            f"{path} has {len(set(found))} files for {len(set(names))} videos: some "
            "have the same name in different folders, so they cannot be told apart."
        )
    return pd.Index(names), [load_plain(file) for file in found if file]


def _check_labels(
    path: Path, places: list[str], samples: list[Any], labels: Any
) -> None:
    """Raise ValueError for labels that differ from those in the dump."""
    if len(labels) != len(samples):
        raise ValueError(
            f"{path} has {len(samples)} rows, but labels has {len(labels)} labels."
        )
    for sample, label, place in zip(samples, labels, places, strict=True):
        if label is None:
            continue
        if not isinstance(label, Integral):
            raise ValueError(
                f"labels has {label!r} for {place}; it has to have the numbers of the "
                "classes, as MMAction2's annotation file has them, and None."
            )
        # MMAction2 1.x stores the label beside the scores.
        values = _field(sample, "gt_label", place) if isinstance(sample, dict) else None
        values = np.asarray([] if values is None else _array(values, place))
        if values.size != 1:
            raise ValueError(
                f"{place} has {values.size} labels in the dump, so labels cannot be "
                "compared with it; leave them out."
            )
        known = int(values.item())
        if -1 not in (label, known) and label != known:
            raise ValueError(
                f"{place} has the label {known} in the dump, but {label} in labels: "
                "videos and labels have to come from the annotation file that the "
                "dump was made with, in its order."
            )


def _rows(
    path: Path, samples: list[Any], places: list[str]
) -> list[npt.NDArray[np.float32]]:
    """Return one row of numbers per entry of a dump."""
    # A number takes a byte or more, but a file can refer to the same array repeatedly.
    n_left = path.stat().st_size if path.is_file() else math.inf
    rows = []
    for sample, place in zip(samples, places, strict=True):
        rows.append(_row(sample, place))
        n_left -= len(rows[-1])
        if n_left < 0:
            raise ValueError(f"{place}: {path} has more numbers than bytes.")
    return rows


def _row(sample: Any, place: str) -> npt.NDArray[np.float32]:
    """Return the row of numbers of an entry."""
    if isinstance(sample, dict):
        keys = ", ".join(map(str, sample))
        sample = _field(sample, "pred_score", place)
        if sample is None:
            raise ValueError(f"{place} has no pred_score; it has {keys or 'nothing'}.")
    values = _array(sample, place)
    if values.ndim > 1:
        raise ValueError(f"{place} is an array of shape {values.shape}. {_AVERAGE}")
    if not values.size:
        raise ValueError(f"{place} has no numbers.")
    with np.errstate(over="ignore"):
        row = values.astype(np.float32)
    finite = np.isfinite(row)
    if not finite.all():
        column = int(np.argmin(finite))
        raise ValueError(
            f"{place} has {values[column]} in column {column}, which is not finite as "
            "a number of 32 bits."
        )
    return row


def _field(sample: dict[Any, Any], name: str, place: str) -> Any:
    """Return a field of an entry, which is in the plural in early versions."""
    values = sample.get(name, sample.get(f"{name}s"))
    if not isinstance(values, dict):
        return values
    if len(values) != 1:
        raise ValueError(
            f"{place} has {len(values)} arrays as {name}: {', '.join(map(str, values))}"
            ". Dump those of one modality alone."
        )
    return next(iter(values.values()))


def _array(value: Any, place: str) -> npt.NDArray[Any]:
    """Convert a value to an array of numbers of one dimension or more."""
    if isinstance(value, PlainArray):
        value = value.values
    elif isinstance(value, list):
        kinds = set(map(type, value))
        if kinds & {list, np.ndarray, PlainArray}:
            raise ValueError(f"{place} is a list of arrays. {_AVERAGE}")
        if bool not in kinds and all(issubclass(kind, Real) for kind in kinds):
            try:
                value = np.array(value, dtype=np.float64)
            except OverflowError:  # JSON has integers of any size.
                value = np.array([math.inf if abs(n) > 1e300 else n for n in value])
    if isinstance(value, np.ndarray) and value.ndim:
        return value
    raise ValueError(
        f"{place} is no array of numbers, but of type {type(value).__name__}; a dump "
        "has an array for each video."
    )
