"""What MMAction2 has written, read without running any of it."""

from __future__ import annotations

import _codecs
import builtins
import contextlib
import functools
import io
import json
import os
import pickle
import re
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.compose import make_column_transformer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from small_fits import small_classifier

from jedi_sklearn.encoders.video.annotations._datasets import read_mmaction_list
from jedi_sklearn.encoders.video.annotations._mmaction_dumps import read_mmaction_dump

ROWS = np.random.default_rng(0).random((5, 4)).astype(np.float32)
LABELS = [3, 0, 2, 2, 1]
VIDEOS = [f"class/v_{i}.mp4" for i in range(len(ROWS))]


def dump_1x(rows: Any = ROWS, labels: Any = LABELS) -> list[dict[str, Any]]:
    """Return what MMEngine's DumpResults of MMAction2 1.1 and 1.2 pickles."""
    return [
        {
            "pred_score": torch.tensor(row),
            "pred_label": torch.tensor([int(np.argmax(row))]),
            "gt_label": torch.tensor([label]),
            "num_classes": len(row),
            "img_shape": (224, 224),
        }
        for row, label in zip(rows, labels, strict=True)
    ]


def dump_early_1x() -> list[dict[str, Any]]:
    """Return what those of MMAction2 1.0 pickle."""
    return [
        {
            "pred_scores": {"item": sample["pred_score"]},
            "pred_labels": {"item": sample["pred_label"]},
            "gt_labels": {"item": sample["gt_label"]},
            "img_shape": (224, 224),
        }
        for sample in dump_1x()
    ]


def write(path: Path, content: Any, protocol: int = 2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol))
    return path


class TestFormats:
    @pytest.mark.parametrize("protocol", range(2, 6))
    @pytest.mark.parametrize("make", [dump_1x, dump_early_1x])
    def test_scores_of_1x(self, tmp_path: Path, make: Any, protocol: int) -> None:
        rows = read_mmaction_dump(write(tmp_path / "x.pkl", make(), protocol))
        expected = pd.DataFrame(ROWS, index=pd.RangeIndex(5))
        pd.testing.assert_frame_equal(rows, expected)

    @pytest.mark.parametrize("protocol", range(6))
    def test_arrays_of_0x(self, tmp_path: Path, protocol: int) -> None:
        path = write(tmp_path / "x.pkl", list(ROWS), protocol)
        rows = read_mmaction_dump(path, videos=[Path(video) for video in VIDEOS])
        assert (rows.dtypes == np.float32).all()
        assert list(rows.index) == [os.path.normpath(video) for video in VIDEOS]
        np.testing.assert_array_equal(rows, ROWS)

    @pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
    @pytest.mark.parametrize("protocol", [0, 2, 5])
    def test_arrays_of_other_versions_of_numpy(
        self, tmp_path: Path, core: str, protocol: int
    ) -> None:
        def renamed(match: re.Match[bytes]) -> bytes:
            name = core.encode() + match[2]
            return b"\x8c" + bytes([len(name)]) + name if match[1] else name

        path = write(tmp_path / "x.pkl", list(ROWS), protocol)
        data = path.read_bytes()
        if data[2:3] == pickle.FRAME:  # It has a length that would not hold.
            data = data[:2] + data[11:]
        pattern = rb"(\x8c.)?numpy\._?core(\.multiarray|\.numeric)"
        path.write_bytes(re.sub(pattern, renamed, data, flags=re.DOTALL))
        assert core.encode() in path.read_bytes()
        np.testing.assert_array_equal(read_mmaction_dump(path), ROWS)

    @pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8", ">f8", "i8", "u1"])
    @pytest.mark.parametrize("protocol", [2, 5])
    def test_dtypes(self, tmp_path: Path, dtype: str, protocol: int) -> None:
        rows = (ROWS * 100).astype(dtype)
        path = write(tmp_path / "x.pkl", list(rows), protocol)
        np.testing.assert_array_equal(
            read_mmaction_dump(path), rows.astype(np.float32), strict=False
        )

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
    def test_dtypes_of_tensors(self, tmp_path: Path, dtype: torch.dtype) -> None:
        tensors = list(torch.from_numpy(ROWS).to(dtype))
        rows = read_mmaction_dump(write(tmp_path / "x.pkl", tensors))
        np.testing.assert_array_equal(rows, torch.stack(tensors).float().numpy())

    def test_tensors_that_are_views(self, tmp_path: Path) -> None:
        whole = torch.arange(40.0).reshape(5, 8)
        path = write(tmp_path / "x.pkl", list(whole[:, 1::2]))
        np.testing.assert_array_equal(read_mmaction_dump(path), whole[:, 1::2])

    @pytest.mark.parametrize("order", ["C", "F"])
    def test_arrays_that_share_memory(self, tmp_path: Path, order: Any) -> None:
        whole = np.asarray(ROWS, order=order)
        path = write(tmp_path / "x.pkl", [whole[0], whole[0], whole[1]])
        np.testing.assert_array_equal(read_mmaction_dump(path), ROWS[[0, 0, 1]])

    def test_json(self, tmp_path: Path) -> None:
        path = tmp_path / "x.json"
        path.write_text(json.dumps(ROWS.tolist()))
        np.testing.assert_array_equal(read_mmaction_dump(path), ROWS)

    @pytest.mark.parametrize("suffix", [".yaml", ".yml", ".YAML"])
    def test_yaml(self, tmp_path: Path, suffix: str) -> None:
        yaml = pytest.importorskip("yaml")
        path = tmp_path / f"x{suffix}"
        path.write_text(yaml.dump(ROWS.tolist()))
        np.testing.assert_array_equal(read_mmaction_dump(path), ROWS)
        # As MMCV does it, which leaves the arrays to PyYAML.
        path.write_text(yaml.dump(list(ROWS)))
        np.testing.assert_array_equal(read_mmaction_dump(path), ROWS)

    def test_yaml_without_pyyaml(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "yaml", None)
        path = tmp_path / "x.yaml"
        path.write_text("[[1, 2]]")
        with pytest.raises(ImportError, match=r"x\.yaml: YAML needs PyYAML: pip"):
            read_mmaction_dump(path)

    @pytest.mark.parametrize("protocol", range(2, 6))
    def test_folder_of_1x(self, tmp_path: Path, protocol: int) -> None:
        for i in (1, 0, 2):
            name = f"class/v_{i}.mp4.pkl"
            write(tmp_path / name, torch.tensor(ROWS[i]), protocol)
        write(tmp_path / "total_feats.pkl", [torch.tensor(row) for row in ROWS])
        (tmp_path / "work_dir").mkdir()
        rows = read_mmaction_dump(tmp_path)
        assert list(rows.index) == VIDEOS[:3]
        np.testing.assert_array_equal(rows, ROWS[:3])
        # Chosen and ordered by the ends of their paths.
        videos = ["/data/ucf101/class/v_2.mp4", "class/v_0.mp4"]
        rows = read_mmaction_dump(tmp_path, videos)
        assert list(rows.index) == videos
        np.testing.assert_array_equal(rows, ROWS[[2, 0]])


class TestOrder:
    def test_as_many_videos_as_rows(self, tmp_path: Path) -> None:
        path = write(tmp_path / "x.pkl", list(ROWS))
        with pytest.raises(ValueError, match=r"x\.pkl has 5 rows, .* has 3 paths"):
            read_mmaction_dump(path, VIDEOS[:3])
        with pytest.raises(ValueError, match=r"x\.pkl has 5 rows, .* has 0 paths"):
            read_mmaction_dump(path, [])
        with pytest.raises(ValueError, match=r"videos='a\.mp4'"):
            read_mmaction_dump(path, "a.mp4")

    def test_rows_of_single_clips(self, tmp_path: Path) -> None:
        path = write(tmp_path / "x.pkl", list(np.repeat(ROWS, 3, axis=0)))
        with pytest.raises(
            ValueError, match=r"15 rows.* 5 paths.*average_clips='prob'"
        ):
            read_mmaction_dump(path, VIDEOS)

    def test_folder_without_some(self, tmp_path: Path) -> None:
        write(tmp_path / "a.mp4.pkl", torch.tensor(ROWS[0]))
        videos = ["x/a.mp4", "x/b.mp4", "x/c.mp4"]
        message = "no file for 2 of 3 videos, the first of which is 'x/b.mp4'.*'a.mp4'"
        with pytest.raises(ValueError, match=message):
            read_mmaction_dump(tmp_path, videos)
        with pytest.raises(ValueError, match="videos is empty"):
            read_mmaction_dump(tmp_path, [])
        with pytest.raises(ValueError, match=r"1 files for 2 videos.*same name"):
            read_mmaction_dump(tmp_path, ["x/a.mp4", "y/a.mp4"])
        with pytest.raises(ValueError, match="no files <video>"):
            read_mmaction_dump(write(tmp_path / "empty" / "x.txt", 1).parent)

    @pytest.mark.parametrize("make", [dump_1x, dump_early_1x])
    def test_labels_tell_another_order(self, tmp_path: Path, make: Any) -> None:
        path = write(tmp_path / "x.pkl", make())
        for same in (LABELS, np.array(LABELS), [3, None, 2, -1, 1]):
            np.testing.assert_array_equal(read_mmaction_dump(path, VIDEOS, same), ROWS)
        message = r"x\.pkl, row 2 \(class/v_2\.mp4\) has the label 2 .* but 1 in labels"
        with pytest.raises(ValueError, match=message):
            read_mmaction_dump(path, VIDEOS, [3, 0, 1, 2, 2])
        with pytest.raises(ValueError, match=r"row 2 has the label 2"):
            read_mmaction_dump(path, labels=[3, 0, 1, 2, 2])
        with pytest.raises(ValueError, match="5 rows, but labels has 4"):
            read_mmaction_dump(path, labels=LABELS[:4])
        with pytest.raises(ValueError, match=r"labels has 'run' for .*, row 0"):
            read_mmaction_dump(path, labels=["run"] * 5)

    def test_videos_without_a_known_label(self, tmp_path: Path) -> None:
        path = write(tmp_path / "x.pkl", dump_1x(labels=[-1] * 5))
        assert len(read_mmaction_dump(path, labels=LABELS)) == 5

    def test_dump_with_no_label_or_several(self, tmp_path: Path) -> None:
        path = write(tmp_path / "x.pkl", list(ROWS))
        with pytest.raises(ValueError, match=r"row 0 has 0 labels in the dump"):
            read_mmaction_dump(path, labels=LABELS)
        several = [s | {"gt_label": torch.tensor([1, 2])} for s in dump_1x()]
        with pytest.raises(ValueError, match=r"row 0 has 2 labels in the dump"):
            read_mmaction_dump(write(path, several), labels=LABELS)


class TestBadDumps:
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ([], "holds an empty list"),
            (3, "holds an object of int"),
            ({"a": ROWS[0]}, "holds an object of dict"),
            (ROWS, "holds an array"),
            ([0.5, 0.5], "row 0 is no array of numbers, but of type float"),
            ([np.float32(1)], "row 0 is no array of numbers, but of type float32"),
            ([torch.tensor(1.0)], "row 0 is no array of numbers"),
            ([np.array(1.0)], "row 0 is no array of numbers"),
            (["ab"], "row 0 is no array of numbers, but of type str"),
            ([None], "row 0 is no array of numbers, but of type NoneType"),
            ([[True, False]], "row 0 is no array of numbers"),
            ([["a"]], "row 0 is no array of numbers"),
            ([ROWS[0], ROWS[1][:3]], "row 1 has 3 numbers, but row 0 has 4"),
            (
                [ROWS[0], ROWS[:2]],
                r"row 1 is an array of shape \(2, 4\).*average_clips",
            ),
            (
                [torch.tensor(ROWS)],
                r"row 0 is an array of shape \(5, 4\).*average_clips",
            ),
            ([ROWS.tolist()], "row 0 is a list of arrays.*average_clips"),
            ([list(ROWS)], "row 0 is a list of arrays.*average_clips"),
            ([torch.empty(0)], "row 0 has no numbers"),
            ([[]], "row 0 has no numbers"),
            ([np.array([1, np.nan])], "row 0 has nan in column 1"),
            ([torch.tensor([-np.inf, 0])], "row 0 has -inf in column 0"),
            ([np.array([0, 1e39])], r"row 0 has 1e\+39 in column 1"),
            ([[0, 10**400]], "row 0 has inf in column 1"),
            ([{"gt_label": 3}], "row 0 has no pred_score; it has gt_label"),
            ([{}], "row 0 has no pred_score; it has nothing"),
            (
                [{"pred_score": {"rgb": ROWS[0], "pose": ROWS[0]}}],
                "row 0 has 2 arrays as pred_score: rgb, pose",
            ),
            ([np.array([1j])], "array of c16"),
            ([np.array(["a"])], "array of U1"),
            ([np.array([True])], "array of b1"),
            ([np.array([None, 1])], "array of O8"),
            ([np.zeros(2, dtype="f4,f4")], "array of V8"),
            ([torch.tensor([1j])], "tensor of torch.complex64"),
            ([torch.tensor([True])], "tensor of torch.bool"),
        ],
    )
    @pytest.mark.parametrize("protocol", [2, 5])
    def test_content(
        self, tmp_path: Path, content: Any, message: str, protocol: int
    ) -> None:
        path = write(tmp_path / "x.pkl", content, protocol)
        with pytest.raises(ValueError, match=message) as caught:
            read_mmaction_dump(path)
        assert str(caught.value).startswith(str(path))

    @pytest.mark.parametrize("protocol", [2, 5])
    @pytest.mark.parametrize("content", [dump_1x(), list(ROWS)])
    def test_truncated(self, tmp_path: Path, content: Any, protocol: int) -> None:
        path = write(tmp_path / "x.pkl", content, protocol)
        data = path.read_bytes()
        for length in range(0, len(data), max(1, len(data) // 40)):
            path.write_bytes(data[:length])
            with pytest.raises(ValueError, match=r"x\.pkl is no pickle .* damaged"):
                read_mmaction_dump(path)

    @pytest.mark.parametrize(
        ("name", "data"),
        [
            ("x.pkl", b"RIFF....AVI LIST"),
            ("x.pkl", b"\x80\x02r\xff\xff\xff\x7f."),  # A memo of 2 ** 31.
            ("x.pkl", b"\x80\x05\x96" + b"\xff" * 7 + b"\x00."),  # Very many bytes.
            ("x.pkl", b"\x80\x02K\x01Q."),  # An object that lies elsewhere.
            ("x.pkl", b"\x80\x02\x82\x01."),  # An extension.
            ("x.json", b""),
            ("x.json", b"[[1, 2], [3"),
            ("x.json", b"[" * 100_000),
            ("x.json", b"\xff\xfe\xfd"),
            ("x.yaml", b"[[1, 2], [3"),
            ("x.yaml", b"\x00"),
        ],
    )
    def test_damaged(self, tmp_path: Path, name: str, data: bytes) -> None:
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(ValueError, match=f"{name} is no .* that MMAction2 wrote"):
            read_mmaction_dump(path)

    def test_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match="nowhere"):
            read_mmaction_dump(tmp_path / "nowhere.pkl")

    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def test_changed_bytes(self, tmp_path: Path, data: st.DataObject) -> None:
        """Whatever the bytes are, the reader returns numbers or says it does not."""
        valid = [
            pickle.dumps(dump_1x()[:1], 2),
            pickle.dumps(list(ROWS[:2]), 2),
            pickle.dumps(list(ROWS[:2]), 5),
        ]
        start = bytearray(data.draw(st.sampled_from([*valid, b"\x80\x02", b""])))
        for _ in range(data.draw(st.integers(0, 3))):
            if start:
                at = data.draw(st.integers(0, len(start) - 1))
                start[at] = data.draw(st.integers(0, 255))
        path = tmp_path / "x.pkl"
        path.write_bytes(bytes(start) + data.draw(st.binary(max_size=40)))
        try:
            rows = read_mmaction_dump(path)
        except ValueError:
            return
        assert np.isfinite(rows.to_numpy()).all()


class Call:
    """Pickled as a call of anything."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """Return a file that none of what follows may make."""
    return tmp_path / "marker"


def touching(marker: Path) -> Call:
    return Call(os.system, (f"touch {marker}",))


def object_array(marker: Path) -> Any:
    return np.array([touching(marker)], dtype=object)


def nested(marker: Path) -> Call:
    """Return torch's own storage of a tensor, whose bytes are a pickle of a call."""
    file = io.BytesIO()
    torch.save(touching(marker), file, _use_new_zipfile_serialization=False)
    return Call(torch.storage._load_from_bytes, (file.getvalue(),))


def nested_zip(marker: Path) -> Call:
    file = io.BytesIO()
    torch.save(touching(marker), file)
    return Call(torch.storage._load_from_bytes, (file.getvalue(),))


HOSTILE = {
    "os.system": touching,
    "eval": lambda m: Call(eval, (f"open({str(m)!r}, 'w').close()",)),
    "exec": lambda m: Call(exec, (f"open({str(m)!r}, 'w').close()",)),
    "open": lambda m: Call(open, (str(m), "w")),
    "getattr": lambda m: Call(getattr, ("", "format")),
    "__import__": lambda m: Call(builtins.__import__, ("this",)),
    "partial": lambda m: functools.partial(os.system, f"touch {m}"),
    "partial, called": lambda m: Call(functools.partial(os.system, f"touch {m}"), ()),
    "os.mkdir": lambda m: Call(os.mkdir, (str(m),)),
    "numpy.load": lambda m: Call(np.load, (str(m), None, True)),
    "numpy.save": lambda m: Call(np.save, (str(m), 1)),
    "torch.load": lambda m: Call(torch.load, (str(m),)),
    "torch.save": lambda m: Call(torch.save, (1, str(m))),
    "array of objects": object_array,
    "storage": nested,
    "storage, zipped": nested_zip,
    "as a key": lambda m: {"pred_score": ROWS[0], "other": touching(m)},
    "in a dtype": lambda m: Call(np.dtype, (touching(m),)),
    "in an OrderedDict": lambda m: Call(OrderedDict, ([("a", touching(m))],)),
    "codec": lambda m: Call(_codecs.encode, ("x", "rot13")),
    "codec, zip": lambda m: Call(_codecs.encode, ("x", "zip")),
    "subclass": lambda m: Call(
        np._core.multiarray._reconstruct, (np.matrix, (0,), b"b")
    ),
}


class TestHostileDumps:
    @pytest.mark.parametrize("name", HOSTILE)
    @pytest.mark.parametrize("protocol", range(2, 6))
    @pytest.mark.parametrize("where", ["file", "row", "folder"])
    def test_nothing_runs(
        self, tmp_path: Path, marker: Path, name: str, protocol: int, where: str
    ) -> None:
        hostile = HOSTILE[name](marker)
        content = [ROWS[0], hostile] if where == "row" else hostile
        path = write(tmp_path / "x" / "x.pkl", content, protocol)
        with pytest.raises(ValueError, match=r"x\.pkl"):
            read_mmaction_dump(path.parent if where == "folder" else path)
        assert not marker.exists()

    @pytest.mark.parametrize("name", ["os.system", "eval", "storage", "in a dtype"])
    def test_they_would_run(self, marker: Path, name: str) -> None:
        """Otherwise the test above would show nothing."""
        with contextlib.suppress(TypeError):
            pickle.loads(pickle.dumps(HOSTILE[name](marker)))
        assert marker.exists()

    def test_the_error_names_what_was_asked_for(
        self, tmp_path: Path, marker: Path
    ) -> None:
        path = write(tmp_path / "x.pkl", [touching(marker)])
        with pytest.raises(ValueError, match=rf"x\.pkl .* asks for {os.name}\.system"):
            read_mmaction_dump(path)

    @pytest.mark.parametrize(
        "build",
        [
            # Attributes of a class that is named, of a function, and of a dict.
            b"cnumpy\nndarray\n}X\x05\x00\x00\x00build" + b"K\x01sb.",
            b"c_codecs\nencode\n(N}X\x0c\x00\x00\x00__defaults__)stb.",
            b"ccollections\nOrderedDict\n)R}X\x01\x00\x00\x00aK\x01sb.",
        ],
    )
    def test_no_attribute_is_set(self, tmp_path: Path, build: bytes) -> None:
        path = tmp_path / "x.pkl"
        path.write_bytes(b"\x80\x02" + build)
        with pytest.raises(ValueError, match="it changes a"):
            read_mmaction_dump(path)
        np.testing.assert_array_equal(
            read_mmaction_dump(write(tmp_path / "y.pkl", list(ROWS))), ROWS
        )

    def test_states_that_reach_memory(self, tmp_path: Path) -> None:
        """Sizes, strides and flags in a file are not trusted."""
        reconstruct = np._core.multiarray._reconstruct
        few = np.dtype("f8")
        states = [
            (1, (10**9,), few, False, b"12345678"),
            (1, (-1,), few, False, b"1234567"),
            (1, (1,), few, False, [object]),
        ]
        path = tmp_path / "x.pkl"
        for state in states:
            call = Call(reconstruct, (np.ndarray, (0,), b"b"), state)
            with pytest.raises(ValueError, match=r"x\.pkl"):
                read_mmaction_dump(write(path, [call]))
        storage = Call(torch.storage._load_from_bytes, (_bytes_of(torch.zeros(4)),))
        rebuild = torch._utils._rebuild_tensor_v2
        for offset, size, stride in [
            (0, (8,), (1,)),
            (2, (4,), (1,)),
            (0, (4,), (100,)),
            (0, (10**9,), (0,)),
            (-1, (2,), (1,)),
            (0, (-2,), (1,)),
        ]:
            call = Call(rebuild, (storage, offset, size, stride, False, OrderedDict()))
            with pytest.raises(ValueError, match=r"x\.pkl"):
                read_mmaction_dump(write(path, [call]))

    @pytest.mark.parametrize(
        "text",
        [
            "- !!python/object/apply:os.system ['touch {}']",
            "- !!python/object/new:os.system ['touch {}']",
            "- !!python/object/apply:os.system {{args: ['touch {}'], state: 1}}",
            "- !!python/name:os.system",
            "- !!python/module:os",
            "- !!python/object:os.system {{}}",
        ],
    )
    def test_yaml(self, tmp_path: Path, marker: Path, text: str) -> None:
        pytest.importorskip("yaml")
        path = tmp_path / "x.yaml"
        path.write_text(text.format(marker))
        with pytest.raises(ValueError, match=r"x\.yaml"):
            read_mmaction_dump(path)
        assert not marker.exists()


def _bytes_of(tensor: torch.Tensor) -> bytes:
    """Return what torch makes of a tensor's storage in a pickle."""
    return tensor.__reduce_ex__(2)[1][0].__reduce__()[1][0]


def test_dumps_are_experts(tmp_path: Path) -> None:
    """Features of two experts, with the weights of their last layers."""
    rng = np.random.default_rng(0)
    classes = {"hmdb51": ["clap", "run", "wave"], "ucf101": ["archery", "run"]}
    widths, n_videos = {"hmdb51": 6, "ucf101": 5}, 40
    X, y, expected = {}, {}, {}
    linear = {
        name: (
            rng.normal(size=(len(labels), widths[name])),
            rng.normal(size=len(labels)),
        )
        for name, labels in classes.items()
    }
    for name, labels in classes.items():
        numbers = rng.integers(len(labels), size=n_videos)
        lines = [f"v_{i}.avi {number}" for i, number in enumerate(numbers)]
        (tmp_path / f"{name}.txt").write_text("\n".join(lines))
        videos, known = read_mmaction_list(tmp_path / f"{name}.txt", name)
        dumps = {}
        for expert, width in widths.items():
            features = list(rng.normal(size=(n_videos, width)).astype(np.float32))
            path = write(tmp_path / f"{expert}_on_{name}.pkl", features)
            dumps[expert] = read_mmaction_dump(path, videos)
        X[name] = np.hstack(list(dumps.values()))
        y[name] = np.array(labels)[np.array(known, dtype=int)]
        weight, bias = linear[name]
        logits = dumps[name].to_numpy() @ weight.T + bias
        expected[name] = np.array(labels)[logits.argmax(axis=1)]

    experts = []
    start = 0
    for name, (weight, bias) in linear.items():
        head = LogisticRegression()
        head.classes_, head.n_features_in_ = np.array(classes[name]), widths[name]
        head.coef_, head.intercept_ = weight, bias
        if len(bias) == 2:
            head.coef_, head.intercept_ = np.diff(weight, axis=0), np.diff(bias)
        columns = slice(start, start + widths[name])
        start += widths[name]
        features = make_column_transformer(("passthrough", columns)).fit(X[name])
        experts.append((name, FrozenEstimator(make_pipeline(features, head))))

    # The students start as what the experts are.
    clf = small_classifier(experts, max_epochs=0).fit(X, y)
    for name, student in clf.students_.items():
        np.testing.assert_array_equal(student.predict(X[name]), expected[name])
    clf = small_classifier(experts).fit(X, y)
    for name, student in clf.students_.items():
        assert set(student.predict(X[name])) <= set(classes[name])
