"""Files that were made to do harm: nothing runs, nothing outside is touched."""

from __future__ import annotations

import ast
import io
import json
import os
import pickle
import re
import shutil
import struct
import subprocess
import sys
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.preprocessing import FunctionTransformer

import jedi_sklearn
from jedi_sklearn.embeddings import DamagedError, EmbeddingStore
from jedi_sklearn.embeddings._maintenance import tidy
from jedi_sklearn.encoders.video import (
    VideoError,
    VideoReader,
    read_mmaction_dump,
    read_mmaction_list,
)
from jedi_sklearn.encoders.video.networks._checkpoints import read_weights

PACKAGE = Path(jedi_sklearn.__file__).parent
MB = 2**20


@contextmanager
def little_memory(limit: int = 20 * MB) -> Iterator[None]:
    """Fail if more was taken at once than a reader of a small file needs."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


# Dumps of MMAction2


def text_of(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def nested_tuples(depth: int, item: bytes = b"N") -> bytes:
    """Return a tuple of twice a tuple of twice ..., of 2**depth items, but short."""
    return item + depth * b"2\x86"


def latin1(text: bytes) -> bytes:
    return b"c_codecs\nencode\n" + text + text_of("latin1") + b"\x86R"


TENSOR = pickle.dumps(torch.zeros(20_000), 2)[2:-1]
DATA, STORAGE = b"h\x06", b"h\x08"  # what is remembered of it
REFUSALS = (
    "another codec|keys that are no texts|an instruction|takes 0 positional|"
    "far more bytes|type list|that its numbers do not fill|more numbers than bytes"
)

# What is short in a file, and without end in memory or in time.
BOMBS = {
    "text of nested tuples": b"c_codecs\nencode\n" + text_of("x")
    + nested_tuples(60) + b"\x86R",
    "key of nested tuples": b"}" + nested_tuples(60) + b"Ns",
    "keys of nested tuples": b"}(" + nested_tuples(60) + b"Nu",
    "dict of nested tuples": b"(" + nested_tuples(60) + b"Nd",
    "set of nested tuples": b"\x8f(" + nested_tuples(60) + b"\x90",
    "frozen set of nested tuples": b"(" + nested_tuples(60) + b"\x91",
    "OrderedDict of nested tuples": b"ccollections\nOrderedDict\n]"
    + nested_tuples(60) + b"N\x86a\x85R",
    "one text as bytes over and over": text_of("a" * 100_000) + b"q\x00]("
    + latin1(b"h\x00") * 3000 + b"e",
    "one storage over and over": TENSOR + b"0]("
    + 3000 * (b"ctorch.storage\n_load_from_bytes\n" + DATA + b"\x85R") + b"e",
    "one list as sizes over and over": b"](" + b"N" * 100_000 + b"eq\x00](" +
    b"ctorch\nSize\nh\x00\x85R" * 3000 + b"e",
    "bytes times a number": TENSOR + b"0ctorch._utils\n_rebuild_tensor_v2\n("
    + STORAGE + b"K\x00(C\x01x\x8a\x05" + struct.pack("<q", 2**35)[:5]
    + b"t(K\x01K\x01ttR",
    "one row over and over": b"](cnumpy._core.numeric\n_frombuffer\n"
    b"(B" + struct.pack("<I", 400_000) + bytes(400_000)
    + b"cnumpy\ndtype\n(X\x02\x00\x00\x00f4K\x00K\x01tR(J"
    + struct.pack("<i", 100_000) + b"tX\x01\x00\x00\x00CtRq\x01" + b"h\x01" * 3000
    + b"e",
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_dump__that_is_short_and_makes_much__is_refused(tmp_path, name):
    path = tmp_path / "x.pkl"
    path.write_bytes(b"\x80\x02" + BOMBS[name] + b".")
    with little_memory(), pytest.raises(ValueError, match=REFUSALS):
        read_mmaction_dump(path)


def test_dump__whose_bomb_would_go_off__takes_that_much(tmp_path):
    """Otherwise the test above would show nothing: a list that may be read, by size."""
    path = tmp_path / "x.pkl"
    few = BOMBS["one text as bytes over and over"].replace(latin1(b"h\x00") * 2999, b"")
    path.write_bytes(b"\x80\x02" + few + b".")
    with pytest.raises(ValueError, match="no array of numbers"):
        read_mmaction_dump(path)


@pytest.mark.parametrize("code", ["INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2"])
def test_dump__with_another_way_to_call__is_refused(tmp_path, code):
    before = {
        "INST": b"(iposix\nsystem\n",
        "OBJ": b"(c_codecs\nencode\no",
        "NEWOBJ": b"cnumpy\nndarray\n)\x81",
        "NEWOBJ_EX": b"cnumpy\nndarray\n)}\x92",
        "EXT1": b"\x82\x01",
        "EXT2": b"\x83\x01\x00",
    }
    path = tmp_path / "x.pkl"
    path.write_bytes(b"\x80\x02" + before[code] + b".")
    with pytest.raises(ValueError, match="an instruction that no dump needs"):
        read_mmaction_dump(path)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("numpy", "core.multiarray._reconstruct.__globals__"),
        ("numpy.core.multiarray", "_reconstruct.__globals__"),
        ("collections", "OrderedDict.fromkeys"),
        ("builtins", "getattr"),
        ("copyreg", "_reconstructor"),
        ("copyreg", "__newobj__"),
        ("torch", "load"),
        ("torch.storage", "_load_from_bytes.__globals__"),
        ("jedi_sklearn.encoders.video.annotations._safe_unpickling", "_Unpickler"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_dump__with_a_name_that_leads_on__is_refused(tmp_path, module, name, protocol):
    names = {
        2: f"c{module}\n{name}\n".encode(),
        4: text_of(module) + text_of(name) + b"\x93",
    }
    path = tmp_path / "x.pkl"
    path.write_bytes(b"\x80" + bytes([protocol]) + names[protocol] + b")R.")
    with pytest.raises(ValueError, match=re.escape(f"asks for {module}.{name}, which")):
        read_mmaction_dump(path)


def test_dump__with_a_persistent_id__is_refused(tmp_path):
    path = tmp_path / "x.pkl"
    for data in (b"\x80\x02K\x01Q.", b"Pposix\n."):
        path.write_bytes(data)
        with pytest.raises(ValueError, match="persistent"):
            read_mmaction_dump(path)


def test_dump__of_torch__is_read_without_torch_reading_it(tmp_path, monkeypatch):
    """torch.load is guarded too, but can be made to take any memory."""

    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(torch, "load", refused)
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps([torch.tensor([0.5, 0.25])], 2))
    assert read_mmaction_dump(path).to_numpy().tolist() == [[0.5, 0.25]]


YAML_BOMBS = {
    "keys": "- &a [x, x]\n"
    + "".join(f"- &{b} !!python/tuple [*{a}, *{a}]\n" for a, b in zip("ab", "bc"))  # noqa: B905
    + "- {? *c : 1}\n",
    "merged": "- &a {x: 1}\n- {<<: *a}\n",
    "many calls": "- &a !!python/object/apply:_codecs.encode [x, latin1]\n",
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("name", YAML_BOMBS)
def test_yaml__that_is_short_and_makes_much__is_refused(tmp_path, name):
    pytest.importorskip("yaml")
    path = tmp_path / "x.yaml"
    path.write_text(YAML_BOMBS[name])
    with little_memory(), pytest.raises(ValueError, match=r"x\.yaml"):
        read_mmaction_dump(path)


def test_yaml__that_names_one_row_over_and_over__is_refused(tmp_path):
    pytest.importorskip("yaml")
    path = tmp_path / "x.yaml"
    path.write_text(f"- &a [{'1, ' * 1000}]\n" + "- *a\n" * 1000)
    with pytest.raises(ValueError, match="more numbers than bytes"):
        read_mmaction_dump(path)


def test_json__that_is_deep__is_refused(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("[" * 100_000)
    with pytest.raises(ValueError, match=r"x\.json"):
        read_mmaction_dump(path)


# Checkpoints of networks


def odd_weights() -> dict[str, Any]:
    weights = {
        "repeated": torch.zeros(1).expand(10**12),
        "of no device": torch.zeros(3, device="meta"),
        "complex": torch.zeros(3, dtype=torch.complex64),
    }
    indices = torch.zeros(1, 1, dtype=torch.long)
    weights["sparse"] = torch.sparse_coo_tensor(
        indices, torch.ones(1), (10**9,), check_invariants=True
    )
    return weights


@pytest.mark.parametrize("name", ["repeated", "of no device", "complex", "sparse"])
def test_checkpoint__whose_weights_are_not_all_in_it__is_refused(tmp_path, name):
    path = tmp_path / "x.pth"
    torch.save({"w": odd_weights()[name]}, path)
    assert path.stat().st_size < 10_000
    with pytest.raises(ValueError, match=r"its weight 'w' is no plain tensor"):
        read_weights(path)


def test_checkpoint__that_is_compressed__is_refused(tmp_path):
    plain, packed = tmp_path / "plain.pth", tmp_path / "packed.pth"
    torch.save({"w": torch.zeros(10**6)}, plain)
    with (
        zipfile.ZipFile(plain) as old,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert packed.stat().st_size < plain.stat().st_size / 100
    assert set(torch.load(packed, weights_only=True)) == {"w"}  # torch would read it
    with pytest.raises(ValueError, match=r"packed\.pth' is no checkpoint"):
        read_weights(packed)


# Videos and pictures


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Return a video that no other file may have read."""
    av = pytest.importorskip("av")
    path = tmp_path / "secret.ts"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.width, stream.height = 64, 48
        for grey in range(0, 250, 25):
            picture = np.full((48, 64, 3), grey, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode(None))
    assert len(VideoReader(path)) == 10
    return path


def playlist(file: str) -> str:
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:10", "#EXTINF:10,", file]
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.m3u8", playlist("secret.ts")),
        ("far.m3u8", playlist("http://127.0.0.1:9/secret.ts")),
        ("list.mp4", "ffconcat version 1.0\nfile secret.ts\n"),
        ("x.sdp", "v=0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"),
    ],
)
def test_video__that_is_a_list_of_others__is_refused(secret, name, text):
    path = secret.with_name(name)
    path.write_text(text)
    with pytest.raises(VideoError, match=re.escape(name)):
        VideoReader(path)


@pytest.mark.parametrize("name", ["list.m3u8", "list.mp4"])
def test_video__that_is_a_list__would_be_read_by_ffmpeg(secret, name):
    """Otherwise the test above would show nothing."""
    import av

    path = secret.with_name(name)
    lists = {"list.m3u8": playlist("secret.ts")}
    path.write_text(lists.get(name, "ffconcat version 1.0\nfile secret.ts\n"))
    with av.open(str(path)) as container:
        assert len(list(container.decode(video=0))) == 10


def test_video__whose_name_is_a_pattern__does_not_read_others(tmp_path):
    pytest.importorskip("av")
    image = pytest.importorskip("PIL.Image")
    for number in range(3):
        image.new("RGB", (64, 48)).save(tmp_path / f"{number}.jpg")
    image.new("RGB", (64, 48)).save(tmp_path / "%d.jpg")
    with pytest.raises(VideoError, match="a list of other files, which are not opened"):
        VideoReader(tmp_path / "%d.jpg")
    assert len(VideoReader(tmp_path / "1.jpg")) == 1


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:9/a.mp4",
        "concat:secret.ts|secret.ts",
        "file:secret.ts",
        "data:text/plain,x",
        "pipe:0",
        "subfile,,start,0,end,9,,:secret.ts",
    ],
)
def test_video__of_an_address__is_no_file(secret, monkeypatch, address):
    monkeypatch.chdir(secret.parent)
    with pytest.raises(FileNotFoundError):
        VideoReader(address)


def test_annotation__of_a_path_that_leads_out__is_given_as_it_is(tmp_path):
    """It is read as a video alone, and only when it is embedded."""
    pytest.importorskip("av")
    (tmp_path / "private.txt").write_text("secret\n" * 1000)
    (tmp_path / "videos").mkdir()
    (tmp_path / "val.txt").write_text("../private.txt 3\n/etc/passwd 4\n")
    paths, _ = read_mmaction_list(tmp_path / "val.txt", tmp_path / "videos")
    assert paths == [str(tmp_path / "videos" / "../private.txt"), "/etc/passwd"]
    with pytest.raises(VideoError, match=r"private\.txt"):
        VideoReader(paths[0])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_video__that_is_a_pipe__does_not_wait(tmp_path):
    pytest.importorskip("av")
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(VideoError, match=r"pipe\.mp4"):
        VideoReader(tmp_path / "pipe.mp4")


def test_picture__that_is_a_program__is_not_run(tmp_path, monkeypatch):
    image = pytest.importorskip("PIL.Image")
    from jedi_sklearn.encoders._hugging_face import ImageSamples

    ran: list[Any] = []
    monkeypatch.setattr(subprocess, "check_call", lambda *args, **_: ran.append(args))
    path = tmp_path / "photo.jpg"
    path.write_text(
        "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    )
    with image.open(path) as opened:
        assert opened.format == "EPS"
    with pytest.raises(ValueError, match=r"photo\.jpg is PostScript"):
        ImageSamples(processor=None).load(path)
    assert not ran


# Stores


@pytest.fixture
def store(tmp_path: Path) -> EmbeddingStore:
    path = tmp_path / "home" / "store"
    return EmbeddingStore(path).extract(EXPERT, {"d": ROWS})


EXPERT = [("e", FunctionTransformer())]
ROWS = np.arange(12.0).reshape(6, 2)


def manifests_of(store: EmbeddingStore) -> list[Path]:
    """Return those of the store, the collection and the shard."""
    paths = [*store.path.glob("*.json"), *store.path.glob("*/*.json")]
    return [*paths, *store.path.glob("*/*/*.json")]


ABSENT = object()


def rewrite(path: Path, **changed: Any) -> None:
    """Change a manifest as whoever knows how its checksum is made can."""
    content = json.loads(path.read_text())
    del content["checksum"]
    content |= changed
    content = {name: value for name, value in content.items() if value is not ABSENT}
    checksum = zlib.crc32(json.dumps(content).encode())
    path.write_text(json.dumps({**content, "checksum": checksum}))


def use_all(store: EmbeddingStore) -> None:
    """Read what is in a store in every way."""
    store = EmbeddingStore(store.path)
    store.info()
    store.failures()
    np.testing.assert_array_equal(store.features("e", ROWS), ROWS)
    store.extract(EXPERT, {"d": ROWS})


WRONG = {
    "format": ["1", ABSENT, [1]],
    "dtype": ["object", "O", ABSENT, ["float32"]],
    "shard_rows": [ABSENT, "x", -1],
    "expert": [ABSENT, 3],
    "kind": ["../../x", ABSENT, "both"],
    "fingerprint": ["../../../x", "**", "/etc", ABSENT],
    "n_features": [ABSENT, "x"],
    "ids": [ABSENT, [], ["0"] * 99, [1] * 6, [[]] * 6, "abcdef"],
    "names": [["x"], [1] * 6, "abcdef"],
    "missing": [ABSENT, [], {"x": 1}],
    "shape": [ABSENT, [6], [-6, 2], [10**12, 2], [6, 10**12], [6, -2], ["6", 2], [6.0]],
    "start": [ABSENT, -1, 10**12, "x"],
    "header": [ABSENT, "x"],
    "blocks": [ABSENT, [], [1, 2, 3]],
}


@pytest.mark.parametrize("name", WRONG)
def test_manifest__of_any_content__is_refused_by_name(store, name):
    owners = [p for p in manifests_of(store) if name in json.loads(p.read_text())]
    assert owners
    for path in owners:
        right = path.read_bytes()
        for wrong in WRONG[name]:
            rewrite(path, **{name: wrong})
            with pytest.raises(ValueError, match=rf"{path.stem}|Invalid parameter"):
                use_all(store)
            path.write_bytes(right)
    use_all(store)


def test_manifest__that_is_deep__is_damaged(store):
    for path in manifests_of(store):
        right = path.read_bytes()
        path.write_text("[" * 100_000)
        assert len(EmbeddingStore(store.path).verify()) == 1
        path.write_bytes(right)


def test_manifest__that_leads_elsewhere__reads_nothing_there(store):
    """The kind and the fingerprint of an expert become a pattern of paths."""
    outside = store.path.parent / "outside"
    [collection] = (p for p in store.path.iterdir() if p.is_dir())
    shutil.copytree(collection, outside)
    rewrite(collection / "collection.json", fingerprint="x/../../outside")
    with pytest.raises(DamagedError, match="is of another collection"):
        EmbeddingStore(store.path).features("e", ROWS)


def test_header__of_objects__is_not_unpickled(store):
    """Rows are read as the manifest says, whatever the .npy file says of itself."""
    [manifest] = store.path.glob("*/*/*.json")
    file = io.BytesIO()
    np.save(file, np.array([Fraction(1, 2)], dtype=object), allow_pickle=True)
    data = file.getvalue()
    manifest.with_suffix(".npy").write_bytes(data)
    rewrite(manifest, start=len(data) - 48, header=zlib.crc32(data[: len(data) - 48]))
    with pytest.raises(DamagedError, match="another checksum in rows"):
        use_all(store)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
@pytest.mark.parametrize("depth", ["collection", "dataset", "manifest", "rows"])
def test_link__in_a_store__is_not_followed(store, tmp_path, depth):
    pattern = {"collection": "*-*", "dataset": "*/d", "rows": "*/*/*.npy"}
    [path] = store.path.glob(pattern.get(depth, "*/*/*.json"))
    outside = tmp_path / "outside"
    path.rename(outside)
    before = sorted(outside.rglob("*"))
    path.symlink_to(outside)
    with pytest.raises(ValueError, match=rf"{path.name} is a link"):
        EmbeddingStore(store.path).extract(EXPERT, {"d": ROWS, "new": ROWS + 1})
    with pytest.raises(ValueError, match=rf"{path.name} is a link"):
        EmbeddingStore(store.path).verify(remove=True)
    assert sorted(outside.rglob("*")) == before


FOREIGN = [
    "poetry.lock",
    "sub/uv.lock",
    "sub/empty.lock",
    ".sub/.notes.tmp",
    "data/d/settings.json",
    "data/d/00000000.json",
    "e-features-notes/d/settings.json",
    "settings.json.tmp",
]


def test_files__that_others_keep_in_the_directory__stay(tmp_path):
    """Somebody may well say memory="." in the folder of a project."""
    for name in FOREIGN:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("" if "empty" in name else "theirs")
    store = EmbeddingStore(tmp_path).extract(EXPERT, {"d": ROWS})
    assert list(store.info()["expert"]) == ["e"]
    assert store.verify(remove=True) == []
    assert all((tmp_path / name).exists() for name in FOREIGN)
    use_all(store)


def test_tidy__of_what_writers_left__removes_that_alone(tmp_path):
    ours = ["store.lock", "c/collection.lock", "c/d/00000000-0123456789abcdef.lock"]
    ours += [f".store.json.{'0f' * 16}.tmp", f"c/d/.a.npy.{'1' * 32}.tmp"]
    theirs = ["x.lock", ".x.tmp", ".x.123.tmp", "c/poetry.lock"]
    (tmp_path / "c" / "d").mkdir(parents=True)
    for name in ours + theirs:
        (tmp_path / name).touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "store.lock").write_text("theirs")
    tidy(tmp_path)
    left = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert left == {*theirs, os.path.join("full", "store.lock")}


NAMES = [
    "../x",
    "/etc/passwd",
    "\0",
    "con",
    "NUL.txt",
    "a.",
    "a ",
    "x" * 4000,
    "\ud800",
]


@pytest.mark.parametrize("name", NAMES)
def test_name__of_an_expert_and_a_dataset__stays_a_name(tmp_path, name):
    from jedi_sklearn.embeddings._collections import Producer, dataset_directory

    root = tmp_path / "store"
    collection = Producer(name, "features", "0" * 32).directory(root)
    directory = dataset_directory(collection, name)
    assert collection.parent == root
    assert directory.parent == collection
    for path in (collection, directory):
        assert not re.fullmatch(r"(?i)(con|nul)(\..*)?|.*[. ]|\..*", path.name)
    directory.mkdir(parents=True)
    assert [p.name for p in tmp_path.iterdir()] == ["store"]


# All of the package


def calls_in(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def keyword(call: ast.Call, name: str) -> Any:
    found = [k.value for k in call.keywords if k.arg == name]
    return ast.literal_eval(found[0]) if found else None


# Where a user named the file as a pickle, or where what was just pickled is read. The
# directory of a checkpoint holds pickles, which SECURITY.md says.
PICKLES = {
    "classifier/checkpoint.py": ["pickle.loads"],
    "experts/fit.py": ["pickle.loads"],
    "encoders/_sample_batches.py": ["pickle.loads"],
    "embeddings/__main__.py": ["joblib.load"],
}
RULES: dict[str, Callable[[ast.Call], bool]] = {
    "np.load": lambda call: keyword(call, "allow_pickle") is False,
    "torch.load": lambda call: keyword(call, "weights_only") is True,
    "yaml.load": lambda call: ast.unparse(call.args[1]) == "Loader",
}


def test_package__unpickles_only_where_users_ask_for_it():
    found: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for name, call in calls_in(ast.parse(path.read_text(encoding="utf-8"))):
            place = path.relative_to(PACKAGE).as_posix()
            if name in RULES:
                assert RULES[name](call), f"{place}:{call.lineno} {name}"
            elif re.fullmatch(
                r"(pickle|joblib|dill|cloudpickle|marshal)\.loads?", name
            ):
                found.setdefault(place, []).append(name)
    assert found == PICKLES
