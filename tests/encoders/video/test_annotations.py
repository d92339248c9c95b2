"""What is to be seen in the videos of public datasets, from their own files."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from jedi_sklearn.encoders.video.annotations._datasets import (
    read_activitynet,
    read_hmdb51,
    read_kinetics,
    read_mmaction_list,
    read_ucf101,
)

# As HMDB51 has them: nothing in a name may be taken for a pattern.
ODD_NAME = "#20_Rhythm_clap_u_nm_np1_fr_goo_0.avi"
ODDER_NAME = "(2008)_[x]_&_Pain!_{0}_clap_f_cm_np1_ri_goo_4.avi"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def touch(folder: Path, *names: str) -> None:
    for name in names:
        write(folder / name, "")


def below(folder: Path, paths: list[str]) -> list[str]:
    """Return the paths relative to a folder."""
    return [Path(path).relative_to(folder).as_posix() for path in paths]


def activitynet(tmp_path: Path, **database: Any) -> Path:
    content = {"database": database, "taxonomy": [], "version": "VERSION 1.3"}
    return write(tmp_path / "activity_net.v1-3.min.json", json.dumps(content))


def video(subset: str, *labels: str) -> dict[str, Any]:
    actions = [
        {"label": label, "segment": [i, i + 1.5]} for i, label in enumerate(labels)
    ]
    return {"subset": subset, "annotations": actions, "duration": 9.0, "url": "u"}


class TestActivityNet:
    def test_order_suffixes_and_first_label(self, tmp_path: Path) -> None:
        file = activitynet(
            tmp_path,
            zz=video("training", "Surfing"),
            aa=video("training", "Archery", "Bowling", "Bowling"),
            vv=video("validation", "Bowling"),
            mm=video("training", "Bowling"),
        )
        touch(tmp_path, "v_aa.mkv", "v_zz.mp4", "v_mm.webm", "v_vv.mp4", "v_zz.webm")
        paths, labels = read_activitynet(file, tmp_path, "training")
        assert below(tmp_path, paths) == ["v_zz.mp4", "v_aa.mkv", "v_mm.webm"]
        assert labels == ["Surfing", "Archery", "Bowling"]
        paths, labels = read_activitynet(file, tmp_path, "validation")
        assert (below(tmp_path, paths), labels) == (["v_vv.mp4"], ["Bowling"])

    def test_testing_has_no_labels(self, tmp_path: Path) -> None:
        file = activitynet(tmp_path, t=video("testing"))
        touch(tmp_path, "v_t.mp4")
        assert read_activitynet(file, tmp_path, "testing")[1] == [None]

    def test_missing_videos_are_counted(self, tmp_path: Path) -> None:
        names = ["gone", "here", "lost"]
        file = activitynet(tmp_path, **{n: video("training", "A") for n in names})
        touch(tmp_path, "v_here.mp4")
        with pytest.warns(
            UserWarning, match=r"2 of 3 videos, such as v_gone\.mp4"
        ) as w:
            paths, labels = read_activitynet(file, tmp_path, "training")
        assert (below(tmp_path, paths), labels) == (["v_here.mp4"], ["A"])
        assert w[0].filename == __file__

    def test_no_video_at_all(self, tmp_path: Path) -> None:
        file = activitynet(tmp_path, gone=video("training", "A"))
        with pytest.raises(ValueError, match=r"none of the 1 videos, such as v_gone"):
            read_activitynet(file, tmp_path / "nowhere", "training")

    def test_unknown_subset(self, tmp_path: Path) -> None:
        file = activitynet(tmp_path, a=video("training", "A"), b=video("testing"))
        with pytest.raises(ValueError, match=r"subset='val'.*has testing, training"):
            read_activitynet(file, tmp_path, "val")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "is no JSON"),
            ('{"database": {', "is no JSON"),
            ("[" * 100_000, "is no JSON"),
            ("[]", "no object 'database'"),
            ('{"v_a": {"subset": "training"}}', "no object 'database'"),
            ('{"database": {"a": 3}}', "video a is 3"),
            (
                '{"database": {"a": {"subset": "training", "annotations": 5}}}',
                "video a",
            ),
            (
                '{"database": {"a": {"subset": "training", "annotations": [{}]}}}',
                "video a has the annotations",
            ),
            (
                '{"database": {"a": {"subset": "training", "annotations": '
                '[{"label": 7}]}}}',
                "list of objects with a label",
            ),
        ],
    )
    def test_broken(self, tmp_path: Path, text: str, message: str) -> None:
        file = write(tmp_path / "a.json", text)
        with pytest.raises(ValueError, match=message) as caught:
            read_activitynet(file, tmp_path, "training")
        assert str(file) in str(caught.value)


class TestKinetics:
    HEADER = "label,youtube_id,time_start,time_end,split"

    def test_folders_of_labels_with_blanks_or_underscores(self, tmp_path: Path) -> None:
        file = write(
            tmp_path / "train.csv",
            f"{self.HEADER},is_cc\n"
            "testifying,---QUuC4vJs,84,94,train,0\n"
            '"massaging person\'s head",--3ouPhoy2A,20.0,30.0,train,1\n'
            "air drumming,--4-0ihtnBU,0,10,train,0\n",
        )
        videos = [
            "---QUuC4vJs_000084_000094.mp4",
            "massaging person's head/--3ouPhoy2A_000020_000030.mp4",
            "air_drumming/--4-0ihtnBU_000000_000010.mp4",
        ]
        touch(tmp_path / "videos", *videos)
        paths, labels = read_kinetics(file, tmp_path / "videos")
        assert below(tmp_path / "videos", paths) == videos
        assert labels == ["testifying", "massaging person's head", "air drumming"]

    def test_columns_by_name_and_no_labels(self, tmp_path: Path) -> None:
        text = (
            "time_end,split,time_start,youtube_id\r\n10,test,0,a\r\n\r\n9,test,1,b\r\n"
        )
        file = write(tmp_path / "test.csv", f"\ufeff{text}")
        touch(tmp_path, "a_000000_000010.mp4", "b_000001_000009.mp4")
        paths, labels = read_kinetics(file, tmp_path)
        assert below(tmp_path, paths) == ["a_000000_000010.mp4", "b_000001_000009.mp4"]
        assert labels == [None, None]

    def test_missing_videos_are_counted(self, tmp_path: Path) -> None:
        file = write(tmp_path / "v.csv", f"{self.HEADER}\nA,x,0,1,val\nA,y,0,1,val\n")
        touch(tmp_path, "A/y_000000_000001.mp4")
        with pytest.warns(UserWarning, match=r"1 of 2 videos, such as x_000000_000001"):
            paths, labels = read_kinetics(file, tmp_path)
        assert (below(tmp_path, paths), labels) == (["A/y_000000_000001.mp4"], ["A"])

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("A,x,zero,10,val", r"line 2 has \['A', 'x', 'zero'"),
            ("A,x,inf,10,val", "line 2 has"),
            ("A,,0,10,val", "line 2 has"),
            ("A,x", "line 2 has"),
            ("A,x,0,10,val,more", "line 2 has"),
            ("", "has no videos"),
            ("A,x\0,0,10,val", "is no CSV|none of the 1"),
        ],
    )
    def test_broken(self, tmp_path: Path, line: str, message: str) -> None:
        file = write(tmp_path / "k.csv", f"{self.HEADER}\n{line}\n")
        with pytest.raises(ValueError, match=message):
            read_kinetics(file, tmp_path)

    def test_without_header(self, tmp_path: Path) -> None:
        file = write(tmp_path / "k.csv", "A,x,0,10,val\nA,y,0,10,val\n")
        with pytest.raises(ValueError, match=r"k\.csv, line 2.*youtube_id"):
            read_kinetics(file, tmp_path)


class TestHmdb51:
    def test_train_and_test(self, tmp_path: Path) -> None:
        write(tmp_path / "clap_test_split1.txt", f"{ODD_NAME} 1 \n{ODDER_NAME} 2 \n")
        # "run" comes before "run_fast", although "_" comes after other letters.
        write(tmp_path / "run_fast_test_split1.txt", "d d.avi 1 \r\n")
        write(tmp_path / "run_test_split1.txt", "a.avi 0 \r\nb.avi 2 \r\nc.avi 1 \r\n")
        write(tmp_path / "run_test_split2.txt", "a.avi 1 \n")
        paths, labels = read_hmdb51(tmp_path, "videos")
        assert paths == [
            os.path.join("videos", "clap", ODD_NAME),
            os.path.join("videos", "run", "c.avi"),
            os.path.join("videos", "run_fast", "d d.avi"),
        ]
        assert labels == ["clap", "run", "run_fast"]
        paths, labels = read_hmdb51(tmp_path, tmp_path, subset="test")
        assert below(tmp_path, paths) == [f"clap/{ODDER_NAME}", "run/b.avi"]
        assert labels == ["clap", "run"]
        assert read_hmdb51(tmp_path, "", split=2)[0] == [os.path.join("run", "a.avi")]

    def test_unknown_split_and_subset(self, tmp_path: Path) -> None:
        with pytest.raises(
            ValueError, match=r"split=1.*has no files <class>_test_split"
        ):
            read_hmdb51(tmp_path, "videos")
        write(tmp_path / "run_test_split1.txt", "a.avi 1")
        write(tmp_path / "run_test_split3.txt", "a.avi 1")
        with pytest.raises(ValueError, match=r"split=2\. .* has 1, 3\."):
            read_hmdb51(tmp_path, "videos", split=2)
        with pytest.raises(ValueError, match=r"subset=.val.*.train., .test."):
            read_hmdb51(tmp_path, "videos", subset="val")
        with pytest.raises(FileNotFoundError):
            read_hmdb51(tmp_path / "nowhere", "videos")

    @pytest.mark.parametrize("line", ["b.avi", "b.avi 3", "1", "b.avi 1 1x"])
    def test_broken(self, tmp_path: Path, line: str) -> None:
        file = write(tmp_path / "run_test_split1.txt", f"a.avi 1\n{line}\n")
        message = f"{file}, line 2 is {line!r}; it has to be <name>.avi <0, 1 or 2>"
        with pytest.raises(ValueError, match=re.escape(message)):
            read_hmdb51(tmp_path, "videos")


class TestUcf101:
    def lists(self, folder: Path, classes: str = "1 Archery\r\n2 YoYo\r\n") -> None:
        write(folder / "classInd.txt", classes)
        lines = "YoYo/v_YoYo_g08_c01.avi 2\r\nArchery/v_Archery_g08_c01.avi 1\r\n"
        write(folder / "trainlist01.txt", lines)
        write(folder / "testlist01.txt", "Archery/v_Archery_g01_c01.avi\r\n")
        write(folder / "testlist02.txt", "YoYo/v_YoYo_g01_c01.avi")

    def test_train_and_test(self, tmp_path: Path) -> None:
        self.lists(tmp_path)
        paths, labels = read_ucf101(tmp_path, tmp_path)
        assert below(tmp_path, paths) == [
            "YoYo/v_YoYo_g08_c01.avi",
            "Archery/v_Archery_g08_c01.avi",
        ]
        assert labels == ["YoYo", "Archery"]
        paths, labels = read_ucf101(tmp_path, tmp_path, 2, "test")
        assert below(tmp_path, paths) == ["YoYo/v_YoYo_g01_c01.avi"]
        assert labels == ["YoYo"]

    def test_without_numbers_of_classes(self, tmp_path: Path) -> None:
        self.lists(tmp_path)
        (tmp_path / "classInd.txt").unlink()
        assert read_ucf101(tmp_path, "videos")[1] == ["YoYo", "Archery"]

    @pytest.mark.parametrize(
        ("classes", "message"),
        [
            ("1 Archery\n3 YoYo\n", r"line 1 is .*YoYo is 3\."),
            ("1 Archery\n", r"line 1 has the class 'YoYo', not in classInd"),
            ("Archery 1\n", r"classInd\.txt, line 1 is 'Archery 1'"),
        ],
    )
    def test_other_numbers(self, tmp_path: Path, classes: str, message: str) -> None:
        self.lists(tmp_path, classes)
        with pytest.raises(ValueError, match=message):
            read_ucf101(tmp_path, "videos")

    def test_unknown_split_and_subset(self, tmp_path: Path) -> None:
        self.lists(tmp_path)
        with pytest.raises(ValueError, match=r"split=2\. .* has 1\."):
            read_ucf101(tmp_path, "videos", split=2)
        with pytest.raises(ValueError, match="subset='validation'"):
            read_ucf101(tmp_path, "videos", subset="validation")
        (tmp_path / "trainlist01.txt").unlink()
        with pytest.raises(ValueError, match="no files trainlist<number>"):
            read_ucf101(tmp_path, "videos")

    @pytest.mark.parametrize("line", ["v_YoYo.avi 2", "/v_YoYo.avi", "YoYo/"])
    def test_broken(self, tmp_path: Path, line: str) -> None:
        write(tmp_path / "trainlist01.txt", f"YoYo/a.avi 1\n\n{line}\n")
        with pytest.raises(ValueError, match=f"trainlist01.txt, line 3 is '{line}'"):
            read_ucf101(tmp_path, "videos")


class TestMMActionList:
    @pytest.mark.parametrize(
        ("text", "names", "labels"),
        [
            ("a/b.mp4 0\nc 1.mp4 12\n", ["a/b.mp4", "c 1.mp4"], [0, 12]),
            ("a b/c,d.mp4,3\r\ne.mp4, 4\r\n", ["a b/c,d.mp4", "e.mp4"], [3, 4]),
            ("a.mp4 -1\nb.mp4 2\n", ["a.mp4", "b.mp4"], [None, 2]),
            ("a.mp4\n\nb c.mp4\n", ["a.mp4", "b c.mp4"], [None, None]),
            ("run/v_1 163 1\nb c 20 0\n", ["run/v_1", "b c"], [1, 0]),
            ("run/v_1 0 163 1\n12 5 20 0\n", ["run/v_1", "12"], [1, 0]),
            (f"\ufeff{ODD_NAME}\t7", [ODD_NAME], [7]),
            (f"{ODDER_NAME} 7", [ODDER_NAME], [7]),
        ],
    )
    def test_formats(
        self, tmp_path: Path, text: str, names: list[str], labels: list[Any]
    ) -> None:
        file = write(tmp_path / "list.txt", text)
        assert read_mmaction_list(file) == (names, labels)
        paths, again = read_mmaction_list(str(file), tmp_path)
        assert (below(tmp_path, paths), again) == (names, labels)

    @pytest.mark.parametrize("line", ["b.mp4", "b 30 1", "b 0 30 1"])
    def test_lines_of_different_formats(self, tmp_path: Path, line: str) -> None:
        file = write(tmp_path / "list.txt", f"a.mp4 0\n{line}\n")
        with pytest.raises(ValueError, match=f"line 2 is '{line}'.*before have 1"):
            read_mmaction_list(file)

    def test_empty(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="is empty"):
            read_mmaction_list(write(tmp_path / "list.txt", " \n"))

    def test_not_text(self, tmp_path: Path) -> None:
        file = tmp_path / "list.txt"
        file.write_bytes(b"\xff\xfe\x80")
        with pytest.raises(ValueError, match=r"list\.txt is no text in UTF-8"):
            read_mmaction_list(file)
