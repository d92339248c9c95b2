"""Stores after kills, flips and full disks, and while several are at work on one."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import joblib
import numpy as np
import pytest
import store_worker as worker
from hang_guards import SECONDS, ended, finished, wait_until
from store_worker import contents, finish, noted, notes, start

from jedi_sklearn import JEDIClassifier
from jedi_sklearn.embeddings import DamagedError, EmbeddingStore, _manifests
from jedi_sklearn.utils import files as _files

if sys.platform == "win32":
    pytest.skip("these tests fork and send signals", allow_module_level=True)

KILLED = -signal.SIGKILL


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What is in a store that was filled without disturbance."""
    folder = tmp_path_factory.mktemp("whole")
    worker.fill(folder / "store", folder / "log")
    assert notes(folder / "log") == worker.everything()
    return contents(folder / "store")


@pytest.fixture(scope="module")
def two_shards(tmp_path_factory):
    """What `fill_and_die` leaves where it does not die."""
    folder = tmp_path_factory.mktemp("two_shards")
    assert finish(start_dying(folder, 10**6)) == [0]
    return contents(folder / "store")


def start_dying(folder, step):
    return start(worker.fill_and_die, folder / "store", folder / "log", step)


def copy_of(whole, path):
    """Write files that were read; return the path."""
    for name, content in whole.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def shard_files(files):
    """Return what is in the directories of shards, by name."""
    return {name: data for name, data in files.items() if name.count("/") == 2}


# Killed


@pytest.mark.slow
def test_kills__at_30_random_instants__lose_the_shard_under_way_alone(tmp_path, whole):
    random_ = random.Random(0)
    n_killed = n_stores = 0
    while n_killed < 30:
        n_stores += 1
        n_before = n_killed
        path, log = tmp_path / f"store_{n_stores}", tmp_path / f"log_{n_stores}"
        exit_code = KILLED
        while exit_code == KILLED:
            before, done = len(noted(log)), worker.finished(path)
            process = start(worker.fill, path, log, 0.01)
            with ended(process):
                # Later and later: on a busy machine a shard takes its time.
                process.join(random_.uniform(0.0, 0.5 + 0.1 * (n_killed - n_before)))
            exit_code = process.exitcode
            n_killed += exit_code == KILLED
            # What was finished before this run has not been made again in it.
            assert not done & set(noted(log)[before:])
        assert exit_code == 0
        assert without_leftovers(contents(path)) == whole
        assert EmbeddingStore(path).verify() == []
        # Of what a kill has interrupted, no more than one shard is made again.
        again = notes(log) - worker.everything()
        assert again.total() <= (n_killed - n_before) * worker.SHARD_ROWS


@pytest.fixture(scope="module")
def gone_on_with(tmp_path_factory):
    """What is in stores that were killed before the first step, the second, ..."""
    stores = []
    while True:
        folder = tmp_path_factory.mktemp("killed")
        (exit_code,) = finish(start_dying(folder, len(stores)))
        if exit_code == 0:
            # Two shards of two kinds, of two files each: opened, synchronised, ...
            assert len(stores) > 40
            return stores
        assert exit_code == KILLED
        done, before = worker.finished(folder / "store"), len(noted(folder / "log"))
        go_on(folder)
        assert not done & set(noted(folder / "log")[before:])
        stores.append(contents(folder / "store"))


def go_on(folder):
    """Do what `fill_and_die` was killed at."""
    store = EmbeddingStore(folder / "store", shard_rows=worker.SHARD_ROWS)
    X = worker.samples({"x": worker.SHARD_ROWS + 1})
    store.extract(worker.two_experts(folder / "log")[:1], X)
    assert store.verify() == []


def without_leftovers(files):
    return {n: c for n, c in files.items() if not n.endswith((".tmp", ".lock"))}


@pytest.mark.slow
def test_kills__before_every_single_step__change_no_byte_of_what_is_kept(
    gone_on_with, two_shards
):
    for files in gone_on_with:
        assert without_leftovers(files) == two_shards


@pytest.mark.slow
def test_kills__before_every_single_step__leave_nothing_lying_about(
    gone_on_with, two_shards
):
    for files in gone_on_with:
        assert files.keys() == two_shards.keys()


@pytest.mark.skipif(sys.platform != "linux", reason="finds the file in /proc")
def test_kill__with_half_of_a_shard_written__serves_the_others(tmp_path, whole):
    path, log = tmp_path / "store", tmp_path / "log"
    assert finish(start(worker.write_half_and_die, path, log)) == [KILLED]
    store = EmbeddingStore(path)
    assert store.verify() == []
    first, X = 2 * worker.SHARD_ROWS, worker.samples()["x"]
    assert store.features("x", X[:first]).shape == (first, 4)
    with pytest.raises(ValueError, match=r"of 8 of the 24 samples \(first: row 16\)"):
        store.features("x", X[: first + 8])
    worker.fill(path, log)
    assert contents(path) == whole


def test_lock__left_by_a_killed_process__keeps_nobody_out(tmp_path, whole):
    path, ready = tmp_path / "store", tmp_path / "ready"
    shard = next(name for name in whole if name.endswith(".npy"))
    lock = (path / shard).with_suffix(".lock")
    process = start(worker.hold_shard, lock, ready)
    with ended(process):
        wait_until(ready.exists)
    assert lock.exists()
    worker.fill(path, tmp_path / "log")
    assert contents(path) == whole


# Several at once


def test_processes__of_one_extraction__embed_every_row_once(tmp_path, whole):
    path, log = tmp_path / "store", tmp_path / "log"
    processes = [start(worker.fill, path, log, 0.02) for _ in range(2)]
    assert finish(*processes) == [0, 0]
    assert notes(log) == worker.everything()
    assert contents(path) == whole


def test_threads__of_one_extraction__embed_every_row_once(tmp_path, whole):
    path, log = tmp_path / "store", tmp_path / "log"
    threads = [
        threading.Thread(
            target=worker.fill, args=(path, log, 0.005, n_jobs), daemon=True
        )
        for n_jobs in (1, 2, 2)
    ]
    for thread in threads:
        thread.start()
    finished(*threads)
    assert notes(log) == worker.everything()
    assert contents(path) == whole


def test_n_jobs__of_any_number__write_the_same_bytes(tmp_path, whole):
    for n_jobs in (2, 5):
        path, log = tmp_path / f"store_{n_jobs}", tmp_path / f"log_{n_jobs}"
        worker.fill(path, log, n_jobs=n_jobs)
        assert notes(log) == worker.everything()
        assert contents(path) == whole


def test_loky__workers__write_the_same_bytes(tmp_path, whole):
    path, log = tmp_path / "store", tmp_path / "log"
    worker.fill_on("loky", path, log)
    assert notes(log) == worker.everything()
    assert contents(path) == whole


@pytest.mark.parametrize("wait", [False, True])
def test_alone__with_another_inside__waits_only_if_asked_to(tmp_path, wait):
    path = tmp_path / "shard.lock"
    inside, leave, order = threading.Event(), threading.Event(), []

    def first():
        with _files.exclusive_lock(path):
            inside.set()
            leave.wait(SECONDS)
            order.append("first leaves")

    thread = threading.Thread(target=first, daemon=True)
    thread.start()
    assert inside.wait(SECONDS)
    if wait:
        threading.Timer(0.1, leave.set).start()
    with _files.exclusive_lock(path, wait=wait) as is_alone:
        order.append("second")
    leave.set()
    finished(thread)
    assert is_alone is wait
    assert order == (["first leaves", "second"] if wait else ["second", "first leaves"])
    assert not path.exists()


def test_alone__of_many_threads__has_one_inside_at_a_time(tmp_path):
    path = tmp_path / "deep" / "shard.lock"
    n_inside = most_inside = n_entered = 0

    def enter():
        nonlocal n_inside, most_inside, n_entered
        for _ in range(20):
            with _files.exclusive_lock(path):
                n_inside += 1
                most_inside = max(most_inside, n_inside)
                time.sleep(0.0005)
                n_entered += 1
                n_inside -= 1

    threads = [threading.Thread(target=enter, daemon=True) for _ in range(6)]
    for thread in threads:
        thread.start()
    finished(*threads)
    assert (most_inside, n_entered) == (1, 120)
    assert not path.exists()


def test_readers__while_others_write__see_whole_shards_alone(tmp_path, whole):
    path, log = tmp_path / "store", tmp_path / "log"
    done, seen = tmp_path / "done", tmp_path / "seen"
    reader = start(worker.read_while, path, seen, done)
    with ended(reader):
        writers = [start(worker.fill, path, log, 0.01) for _ in range(2)]
        assert finish(*writers) == [0, 0]
        done.touch()
        assert finish(reader) == [0]
    assert noted(seen) == ["40 rows at most"]


def test_two_processes__with_datasets_of_their_own__share_a_store(tmp_path, whole):
    path, log = tmp_path / "store", tmp_path / "log"
    processes = [start(worker.fill_only, path, log, name) for name in worker.N_ROWS]
    assert finish(*processes) == [0, 0]
    assert notes(log) == worker.everything()
    assert contents(path) == whole


# Damaged


def flipped(path, position, bit):
    """Change a bit of a file."""
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(data)


def flips_of(files, n_of_a_file, random_):
    """Yield (file, position, bit) for some bits of each file."""
    for name, data in files.items():
        positions = random_.sample(range(len(data)), min(n_of_a_file, len(data)))
        for position in positions:
            yield name, position, random_.randrange(8)


@pytest.fixture(scope="module", params=["float32", "float16", "bfloat16"])
def small(request, tmp_path_factory):
    """A small store as files, by dtype."""
    folder = tmp_path_factory.mktemp(request.param)
    fill_small(folder / "store", folder, request.param)
    return request.param, contents(folder / "store")


def fill_small(path, folder, dtype):
    store = EmbeddingStore(path, dtype=dtype, shard_rows=worker.SHARD_ROWS)
    X = worker.samples({"x": 11, "y": 5})
    return store.extract(worker.two_experts(folder / "log")[:1], X)


def test_verify__after_any_flipped_bit__names_that_file_alone(tmp_path, small):
    dtype, files = small
    path = copy_of(files, tmp_path / "store")
    # Made before store.json is damaged, which a store reads when it is made.
    store = EmbeddingStore(path, dtype=dtype)
    assert store.verify() == []
    random_ = random.Random(0)
    n_flips = 0
    for name, position, bit in flips_of(files, 16, random_):
        flipped(path / name, position, bit)
        (problem,) = store.verify()
        assert str(path / name) in problem, (name, position, bit)
        flipped(path / name, position, bit)
        n_flips += 1
    assert store.verify() == []
    assert n_flips > 200


@pytest.mark.parametrize("how", ["cut", "emptied", "removed", "made longer"])
def test_verify__with_a_shard_cut_or_gone__names_it(tmp_path, small, how):
    _, files = small
    path = copy_of(files, tmp_path / "store")
    store = EmbeddingStore(path)
    for name in [name for name in files if name.endswith(".npy")]:
        data = files[name]
        changed = {"cut": data[:-1], "emptied": b"", "made longer": data + b"\0"}
        (path / name).unlink()
        if how in changed:
            (path / name).write_bytes(changed[how])
        (problem,) = store.verify()
        assert problem.startswith(str(path / name))
        assert "nothing of it is used" in problem
        (path / name).write_bytes(data)
    assert store.verify() == []


def test_verify__that_removes__lets_extract_make_the_same_again(tmp_path, small):
    dtype, files = small
    path = copy_of(files, tmp_path / "store")
    damaged = list(shard_files(files))[::3]
    for name in damaged:
        flipped(path / name, len(files[name]) // 2, 3)
    store = EmbeddingStore(path)
    with pytest.raises(DamagedError, match=r"verify\(remove=True\)"):
        fill_small(path, tmp_path, dtype)
    assert len(store.verify(remove=True)) == len(damaged)
    assert store.verify() == []
    n_before = len(noted(tmp_path / "log"))
    fill_small(path, tmp_path, dtype)
    assert contents(path) == files
    # Rows of what was good are not embedded again.
    n_lost = len({Path(name).with_suffix("") for name in damaged})
    assert len(noted(tmp_path / "log")) - n_before <= n_lost * worker.SHARD_ROWS


@pytest.mark.parametrize("file", ["store.json", "collection.json"])
def test_verify__that_removes_a_manifest_of_the_whole__makes_it_again(
    tmp_path, small, file
):
    dtype, files = small
    path = copy_of(files, tmp_path / "store")
    store = EmbeddingStore(path)
    for name in [name for name in files if name.endswith(file)]:
        flipped(path / name, len(files[name]) // 2, 0)
    assert store.verify(remove=True)
    fill_small(path, tmp_path, dtype)
    assert contents(path) == files


def test_reading__of_flipped_rows__raises_and_leaves_other_blocks_readable(tmp_path):
    # A block of rows that are checked together has 64 rows.
    X = {"x": worker.samples({"x": 200})["x"]}
    experts = worker.two_experts(tmp_path / "log")[:1]
    store = EmbeddingStore(tmp_path / "store", shard_rows=150)
    y = {"x": np.arange(200) % 2}
    clf = JEDIClassifier(
        experts, memory=store, max_epochs=1, adjustment_units=4, random_state=0
    ).fit(X, y)
    expected = clf.predict_proba(X)["x"]
    shard = next((tmp_path / "store").glob("x-features-*/x/00000000-*.npy"))
    # A bit of row 70, which lies behind the header.
    flipped(shard, shard.stat().st_size - (150 - 70) * 16 + 3, 5)
    for use in (clf.fit, clf.score):
        with pytest.raises(DamagedError, match=shard.name):
            use(X, y)
    with pytest.raises(DamagedError, match="checksum in rows 64 to 127"):
        clf.predict({"x": X["x"][100:]})
    good = np.r_[0:64, 128:200]
    served = clf.predict_proba({"x": X["x"][good]})["x"]
    np.testing.assert_allclose(served, expected[good], rtol=1e-6)
    # Nothing that a failed fit has done is left in the classifier.
    assert store.verify(remove=True)
    clf.fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X)["x"], expected)


def test_rows__opened_before_a_flip__are_checked_when_asked_for_anew(tmp_path):
    X = worker.samples()["x"]
    store = EmbeddingStore(tmp_path / "store")
    store.extract(worker.two_experts(tmp_path / "log")[:1], {"x": X})
    rows = store.features("x", X)
    before = np.asarray(rows)
    shard = next((tmp_path / "store").glob("x-features-*/x/*.npy"))
    flipped(shard, shard.stat().st_size - 1, 0)
    with pytest.raises(DamagedError, match=shard.name):
        np.asarray(store.features("x", X))
    flipped(shard, shard.stat().st_size - 1, 0)
    np.testing.assert_array_equal(store.features("x", X), before)


def test_manifest__of_a_newer_format__says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "store"
    with monkeypatch.context() as newer:
        newer.setattr(_manifests, "FORMAT", 7)
        worker.fill(path, tmp_path / "log")
    with pytest.raises(ValueError, match=r"store.json has format 7.*Install a newer"):
        EmbeddingStore(path)
    assert contents(path)


# Disks


class FullDisk:
    """os.fsync of a disk that is full after so many files."""

    def __init__(self, n_files: int) -> None:
        self.n_left = n_files
        self.fsync = os.fsync

    def __call__(self, descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            return
        if not self.n_left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.n_left -= 1
        self.fsync(descriptor)


@pytest.mark.parametrize("n_files", [0, 1, 2, 3, 6, 7])
def test_disk__that_is_full__keeps_what_is_finished(
    tmp_path, monkeypatch, whole, n_files
):
    path, log = tmp_path / "store", tmp_path / "log"
    with monkeypatch.context() as full:
        full.setattr(_files.os, "fsync", FullDisk(n_files))
        with pytest.raises(OSError, match="make room, or choose") as raised:
            worker.fill(path, log)
    assert raised.value.errno == errno.ENOSPC
    assert raised.value.filename.startswith(str(path))
    assert not list(path.rglob("*.tmp"))
    if n_files:
        assert EmbeddingStore(path).verify() == []
    done, before = worker.finished(path), len(noted(log))
    worker.fill(path, log)
    assert not done & set(noted(log)[before:])
    assert contents(path) == whole


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 96 kB, and how to make it larger."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", "size=96k", "tmpfs", str(disk)]
    if not mount or subprocess.run([mount, *options], capture_output=True).returncode:
        pytest.skip("file systems cannot be mounted here")
    yield disk
    subprocess.run([shutil.which("umount") or "umount", str(disk)], check=True)


def test_file_system__that_is_full__serves_what_is_finished(small_disk, whole):
    path, log = small_disk / "store", small_disk.parent / "log"
    with pytest.raises(OSError, match="No space left on device: this file"):
        worker.fill(path, log)
    store = EmbeddingStore(path)
    assert store.verify() == []
    done = worker.finished(path)
    seen = worker.readable(path, worker.samples()["x"])
    assert len(seen)
    assert np.asarray(store.features("x", worker.samples()["x"][seen])).any()
    larger = ["mount", "-o", "remount,size=8m", str(small_disk)]
    subprocess.run(larger, check=True)
    before = len(noted(log))
    worker.fill(path, log)
    assert not done & set(noted(log)[before:])
    assert contents(path) == whole


@pytest.fixture
def open_folder(tmp_path):
    """A directory that any user may read, and its owner alone write to."""
    folder = tmp_path / "open"
    folder.mkdir()
    changed = []
    for directory in [folder, *folder.parents]:
        mode = directory.stat().st_mode
        if directory.stat().st_uid == os.getuid() and mode & 0o055 != 0o055:
            directory.chmod(mode | 0o055)
            changed.append((directory, mode))
    yield folder
    for directory, mode in reversed(changed):
        directory.chmod(mode)


def log_for_all(folder):
    """Return a log that any user may write to."""
    log = folder / "log"
    log.touch()
    log.chmod(0o666)
    return log


def test_directory__that_is_read_only__is_named_with_what_to_do(open_folder):
    log = log_for_all(open_folder)
    open_folder.chmod(0o555)
    process = start(
        worker.as_nobody, worker.write_to_read_only, open_folder / "store", log
    )
    assert finish(process) == [0]
    (text,) = noted(log)
    assert text.startswith("PermissionError: ")
    assert "choose a directory that you may write to" in text
    assert str(open_folder / "store") in text


def test_store__that_is_read_only__is_read(open_folder):
    path, log = open_folder / "store", log_for_all(open_folder)
    worker.fill(path, log)
    n_lines = len(noted(log))
    X = worker.samples()["x"]
    expected = np.asarray(EmbeddingStore(path).features("x", X))
    for below in [path, *path.rglob("*")]:
        below.chmod(0o555 if below.is_dir() else 0o444)
    process = start(worker.as_nobody, worker.read_from_read_only, path, log)
    assert finish(process) == [0]
    assert noted(log)[n_lines:] == [f"{expected.sum():.3f} []"]
    for below in [path, *path.rglob("*")]:
        below.chmod(0o755 if below.is_dir() else 0o644)


@pytest.mark.parametrize("below", [".", "below/it"])
def test_path__that_is_a_file__is_refused_at_once(tmp_path, below):
    path = tmp_path / "file"
    path.write_text("not a store")
    with pytest.raises(ValueError, match=r"is, or lies below, a file") as raised:
        EmbeddingStore(path / below)
    assert str(path) in str(raised.value)
    clf = JEDIClassifier(worker.two_experts(tmp_path / "log"), memory=path / below)
    with pytest.raises(ValueError, match=r"is, or lies below, a file"):
        clf.fit(worker.samples(), {"x": np.arange(40) % 2, "y": np.arange(35) % 2})
    # Nothing was embedded for nothing.
    assert noted(tmp_path / "log") == []
    assert path.read_text() == "not a store"


def test_write_whole__that_fails_midway__leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    _files.write_whole(path, [b"old"])

    def parts():
        yield b"new"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _files.write_whole(path, parts())
    assert contents(tmp_path) == {"file": b"old"}


def test_json__of_any_content__is_read_as_it_was_written(tmp_path):
    content = {"ids": ["ä", "\n"], "n": 2**70, "x": 0.1, "nothing": None}
    _manifests.write_json(tmp_path / "file.json", content)
    assert _manifests.read_json(tmp_path / "file.json") == {"format": 1, **content}
    assert json.loads((tmp_path / "file.json").read_text())["ids"] == ["ä", "\n"]


def test_search__in_other_processes__shares_what_one_of_them_made(tmp_path):
    X, y = worker.samples(), {n: np.arange(k) % 2 for n, k in worker.N_ROWS.items()}
    experts = worker.two_experts(tmp_path / "log", seconds=0.05)
    clf = JEDIClassifier(
        experts, memory=tmp_path / "store", max_epochs=1, adjustment_units=4
    )
    joblib.Parallel(n_jobs=2)(joblib.delayed(clf.fit)(X, y) for _ in range(4))
    assert notes(tmp_path / "log") == worker.everything(["features"])
    assert Counter(EmbeddingStore(tmp_path / "store").info()["n_rows"]) == {
        40: 2,
        35: 2,
    }
