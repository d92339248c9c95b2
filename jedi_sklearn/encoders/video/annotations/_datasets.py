"""Annotations of public action recognition datasets."""

from __future__ import annotations

import csv
import json
import os
import re
from pathlib import Path
from typing import Any

from ....utils.accepted import unsuitable
from ._text_files import (
    PathLike,
    Searched,
    choice,
    found,
    matching_lines,
    matching_names,
    text,
)


def read_activitynet(
    annotations: PathLike, folder: PathLike, subset: str
) -> tuple[list[str], list[str | None]]:
    """Read paths and labels of ActivityNet.

    Parameters
    ----------
    annotations : str or path
        JSON of ActivityNet, such as ``activity_net.v1-3.min.json``.
    folder : str or path
        Folder of the videos: ``v_<id>.mp4``, ``.mkv`` or ``.webm``.
    subset : {"training", "validation", "testing"}
        Part of the dataset.

    Returns
    -------
    paths : list of str
        Paths of the videos found in the folder, in the order of the file.
    labels : list of str or None
        Label of the first action in each video, as in MMAction2; None if there is
        none, as in all videos for testing.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If the file is not like ActivityNet's, has no such subset, or no video is found.

    Warns
    -----
    UserWarning
        If some videos are not in the folder; many have gone from YouTube.

    See Also
    --------
    video_expert : Makes an expert, whose samples are such paths.

    Examples
    --------
    >>> import json
    >>> import tempfile
    >>> from pathlib import Path
    >>> from jedi_sklearn.encoders.video import read_activitynet
    >>> action = {"label": "Rock climbing", "segment": [30.0, 205.2]}
    >>> video = {"subset": "training", "annotations": [action]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "v_sJFgo9H6zNo.mp4").touch()
    ...     file = Path(folder, "activity_net.json")
    ...     _ = file.write_text(json.dumps({"database": {"sJFgo9H6zNo": video}}))
    ...     paths, labels = read_activitynet(file, folder, "training")
    >>> [Path(path).name for path in paths], labels
    (['v_sJFgo9H6zNo.mp4'], ['Rock climbing'])
    """
    database = _database(annotations)
    subsets = sorted({str(video.get("subset")) for video in database.values()})
    if subset not in subsets:
        why = f"{annotations} has {', '.join(subsets) or 'no videos'}."
        raise unsuitable("subset", subset, why)
    searched = [
        Searched(
            [f"v_{name}{suffix}" for suffix in (".mp4", ".mkv", ".webm")],
            _first_label(annotations, name, video),
        )
        for name, video in database.items()
        if video.get("subset") == subset
    ]
    return found(searched, folder)


def read_kinetics(
    annotations: PathLike, folder: PathLike
) -> tuple[list[str], list[str | None]]:
    r"""Read paths and labels of Kinetics-400, -600 or -700.

    Parameters
    ----------
    annotations : str or path
        CSV of Kinetics, such as ``train.csv``, with a header that has youtube_id,
        time_start, time_end and, except for testing, label.
    folder : str or path
        Folder of the videos: ``<youtube_id>_<start>_<end>.mp4``, with six digits for
        each time, in the folder itself or in a subfolder named by the label, with
        blanks or underscores.

    Returns
    -------
    paths : list of str
        Paths of the videos found in the folder, in the order of the file.
    labels : list of str or None
        Labels as in the file; None if it has none.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If the file is not like Kinetics', or no video is found.

    Warns
    -----
    UserWarning
        If some videos are not in the folder; many have gone from YouTube.

    See Also
    --------
    video_expert : Makes an expert, whose samples are such paths.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from jedi_sklearn.encoders.video import read_kinetics
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "--3ouPhoy2A_000020_000030.mp4").touch()
    ...     file = Path(folder, "val.csv")
    ...     _ = file.write_text(
    ...         "label,youtube_id,time_start,time_end,split\n"
    ...         "eating spaghetti,--3ouPhoy2A,20,30,val\n"
    ...     )
    ...     paths, labels = read_kinetics(file, folder)
    >>> [Path(path).name for path in paths], labels
    (['--3ouPhoy2A_000020_000030.mp4'], ['eating spaghetti'])
    """
    lines = csv.DictReader(text(annotations).split("\n"))
    try:
        searched = [
            _kinetics_video(f"{annotations}, line {lines.line_num}", line)
            for line in lines
        ]
    except csv.Error as error:
        raise ValueError(f"{annotations} is no CSV: {error}.") from error
    if not searched:
        raise ValueError(f"{annotations} has no videos, with a header above them.")
    return found(searched, folder)


def read_hmdb51(
    splits_folder: PathLike, folder: PathLike, split: int = 1, subset: str = "train"
) -> tuple[list[str], list[str]]:
    r"""Read paths and labels of a split of HMDB51.

    Parameters
    ----------
    splits_folder : str or path
        Folder of the files ``<class>_test_split<split>.txt``.
    folder : str or path
        Folder of the videos, each in a subfolder named by its class. It is not read.
    split : int, default=1
        Number of the split, of three.
    subset : {"train", "test"}, default="train"
        Part of the split.

    Returns
    -------
    paths : list of str
        Paths of the videos by class, in the order of the file of the class.
    labels : list of str
        Names of the classes.

    Raises
    ------
    OSError
        If a file or folder cannot be opened.
    ValueError
        If a line is not like HMDB51's, or there is no such split or subset.

    See Also
    --------
    video_expert : Makes an expert, whose samples are such paths.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from jedi_sklearn.encoders.video import read_hmdb51
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "brush_hair_test_split1.txt")
    ...     _ = file.write_text("a.avi 1 \nb.avi 0 \nc.avi 2 \n")
    ...     read_hmdb51(folder, "videos", subset="test")
    (['videos/brush_hair/c.avi'], ['brush_hair'])
    """
    wanted = choice("subset", subset, {"train": "1", "test": "2"})
    pattern = r"(?P<label>.+)_test_split(?P<split>\d+)\.txt"
    files = matching_names(splits_folder, pattern)
    splits = sorted({match["split"] for match in files})
    chosen = [match for match in files if match["split"] == str(split)]
    if not chosen:
        there = ", ".join(splits) or "no files <class>_test_split<number>.txt"
        raise unsuitable("split", split, f"{splits_folder} has {there}.")
    paths, labels = [], []
    for match in sorted(chosen, key=lambda match: match["label"]):
        file = Path(splits_folder, match.string)
        pattern = r"(?P<name>\S.*?)\s+(?P<subset>[012])"
        for _, line in matching_lines(file, pattern, "<name>.avi <0, 1 or 2>"):
            if line["subset"] == wanted:
                paths.append(os.path.join(folder, match["label"], line["name"]))
                labels.append(match["label"])
    return paths, labels


def read_ucf101(
    splits_folder: PathLike, folder: PathLike, split: int = 1, subset: str = "train"
) -> tuple[list[str], list[str]]:
    r"""Read paths and labels of a split of UCF101.

    Parameters
    ----------
    splits_folder : str or path
        Folder of the files ``trainlist01.txt``, ``testlist01.txt`` and so on. If it has
        ``classInd.txt``, the numbers in the lists are compared with that.
    folder : str or path
        Folder of the videos, each in a subfolder named by its class. It is not read.
    split : int, default=1
        Number of the split, of three.
    subset : {"train", "test"}, default="train"
        Part of the split.

    Returns
    -------
    paths : list of str
        Paths of the videos in the order of the file.
    labels : list of str
        Names of the classes.

    Raises
    ------
    OSError
        If a file or folder cannot be opened.
    ValueError
        If a line is not like UCF101's or has a number that is not its class's, or there
        is no such split or subset.

    See Also
    --------
    video_expert : Makes an expert, whose samples are such paths.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from jedi_sklearn.encoders.video import read_ucf101
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "trainlist01.txt")
    ...     _ = file.write_text("Archery/v_Archery_g08_c01.avi 3\n")
    ...     read_ucf101(folder, "videos")
    (['videos/Archery/v_Archery_g08_c01.avi'], ['Archery'])
    """
    wanted = choice("subset", subset, {"train": "trainlist", "test": "testlist"})
    files = matching_names(splits_folder, rf"{wanted}0*(?P<split>\d+)\.txt")
    named = {match["split"]: match.string for match in files}
    if str(split) not in named:
        there = ", ".join(sorted(named)) or f"no files {wanted}<number>.txt"
        raise unsuitable("split", split, f"{splits_folder} has {there}.")
    numbers: dict[str, int] = {}
    class_file = Path(splits_folder, "classInd.txt")
    if class_file.exists():
        pattern = r"(?P<number>\d+)\s+(?P<label>\S.*)"
        lines = matching_lines(class_file, pattern, "<number> <class>")
        numbers = {line["label"]: int(line["number"]) for _, line in lines}
    file = Path(splits_folder, named[str(split)])
    pattern = r"(?P<label>[^/]+)/(?P<name>\S.*?)(?:\s+(?P<number>\d+))?"
    paths, labels = [], []
    for place, line in matching_lines(file, pattern, "<class>/<name>.avi <number>"):
        label, number = line["label"], line["number"]
        if numbers and label not in numbers:
            raise ValueError(f"{place} has the class {label!r}, not in classInd.txt.")
        if numbers and number and int(number) != numbers[label]:
            raise ValueError(
                f"{place} is {line.string!r}, but in classInd.txt {label} is "
                f"{numbers[label]}."
            )
        paths.append(os.path.join(folder, label, line["name"]))
        labels.append(label)
    return paths, labels


def read_mmaction_list(
    path: PathLike, folder: PathLike = ""
) -> tuple[list[str], list[int | None]]:
    r"""Read an annotation file of MMAction2, whose dumps are in the same order.

    Parameters
    ----------
    path : str or path
        File whose lines are a video and the number of its class; a video alone; or a
        folder of frames, their number, or the first frame and the number, and the
        class. Fields are separated by blanks or a comma.
    folder : str or path, default=""
        Folder of the videos, put before their names. It is not read.

    Returns
    -------
    paths : list of str
        Paths of the videos in the order of the file.
    labels : list of int or None
        Numbers of the classes; None for -1, and if there is none.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If the lines differ in how many numbers follow the name, or the file is empty.

    See Also
    --------
    read_mmaction_dump : Reads features or scores of these videos.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from jedi_sklearn.encoders.video import read_mmaction_list
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "hmdb51_val_split_1_videos.txt")
    ...     _ = file.write_text("wave/a.avi 50\nwalk/b.avi 49\n")
    ...     read_mmaction_list(file, "videos")
    (['videos/wave/a.avi', 'videos/walk/b.avi'], [50, 49])
    """
    gap = r"(?:\s*,\s*|\s+)"
    pattern = rf"(?P<name>\S.*?)(?P<frames>(?:{gap}\d+){{0,2}}?)(?P<label>{gap}-?\d+)?"
    paths: list[str] = []
    labels: list[int | None] = []
    columns = None
    for place, line in matching_lines(path, pattern, "<video> <number of the class>"):
        n_found = len(re.findall(r"\d+", line["frames"])) + bool(line["label"])
        columns = n_found if columns is None else columns
        if n_found != columns:
            raise ValueError(
                f"{place} is {line.string!r:.200}: it has {n_found} numbers after the "
                f"name, but the lines before have {columns}."
            )
        label = int((line["label"] or "-1").strip(" \t,"))
        paths.append(os.path.join(folder, line["name"]))
        labels.append(None if label == -1 else label)
    return paths, labels


def _database(annotations: PathLike) -> dict[str, dict[str, Any]]:
    """Return ActivityNet's entries of videos by name."""
    content: Any = text(annotations)
    try:
        content = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{annotations} is no JSON: {error}.") from error
    database = content.get("database") if isinstance(content, dict) else None
    if not isinstance(database, dict):
        raise ValueError(
            f"{annotations} has no object 'database' of videos, as ActivityNet's has."
        )
    for name, video in database.items():
        if not isinstance(video, dict):
            raise ValueError(
                f"{annotations}: the video {name} is {video!r}, no object."
            )
    return database


def _first_label(annotations: PathLike, name: str, video: dict[str, Any]) -> str | None:
    actions = video.get("annotations") or [{"label": None}]
    try:
        label = actions[0]["label"]
    except (TypeError, LookupError):
        label = actions
    if label is not None and not isinstance(label, str):
        raise ValueError(
            f"{annotations}: the video {name} has the annotations {actions!r:.200}, "
            "which have to be a list of objects with a label."
        )
    return label


def _kinetics_video(place: str, line: dict[str, str | None]) -> Searched:
    """Return the video of a line of Kinetics' CSV."""
    name = line.get("youtube_id")
    try:
        start, end = (int(float(line[key] or "")) for key in ("time_start", "time_end"))
    except (KeyError, ValueError, OverflowError):
        name = None
    if not name or None in line:
        raise ValueError(
            f"{place} has {list(line.values())!r} as {list(line)!r}; it has to have a "
            "youtube_id, and numbers as time_start and time_end."
        )
    file, label = f"{name}_{start:06d}_{end:06d}.mp4", line.get("label") or None
    folders = [label, label.replace(" ", "_")] if label else []
    return Searched([file, *(f"{part}/{file}" for part in folders)], label)
