"""The benchmarks of speed and memory run, and write what they promise."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hang_guards import wait_until

from benchmarks import (
    bench_baselines,
    bench_checkpoint,
    bench_gpu,
    bench_memory,
    bench_overhead,
    bench_scale,
    bench_step,
)
from benchmarks.bench_baselines import Course
from benchmarks.bench_memory import Peak, resident_bytes, sizes_of, stored_problem
from benchmarks.paper_scale import Sizes, make_problem
from benchmarks.rounds import in_turn, median_ratio
from jedi_sklearn import JEDIClassifier

Row = dict[str, Any]

SMALL = Sizes(widths=(6, 4), n_classes=(3, 2), n_rows=(20, 20))


@pytest.fixture
def rows_of(tmp_path) -> Callable[..., list[Row]]:
    def run(module: Any, *arguments: str) -> list[Row]:
        path = tmp_path / "rows.json"
        # The number of threads stays what it is for the tests that follow.
        threads = ["--threads", str(torch.get_num_threads())]
        module.main([*arguments, "--rounds", "1", *threads, "--json", str(path)])
        return json.loads(path.read_text())

    return run


def check(row: Row, *keys: str) -> None:
    """Check that a row has these keys alone, and that its numbers can be."""
    assert set(row) == set(keys)
    for key, value in row.items():
        if isinstance(value, float) and "slope" not in key and key != "beyond_mb":
            assert value > 0, key
        if isinstance(value, float):
            assert math.isfinite(value), key


def test_video__every_frame_is_the_one_asked_for(rows_of):
    pytest.importorskip("av", reason="PyAV is missing")
    from benchmarks import bench_video

    rows = rows_of(bench_video, "--frames", "16", "--size", "48", "80")
    ours = [row for row in rows if row["contestant"] == bench_video.OURS]
    assert {row["clip"] for row in ours} >= set(bench_video.CLIPS)
    for row in ours:
        assert row.get("n_wrong", 0) == 0
        assert row.get("milliseconds", 1) > 0


def test_checkpoint(rows_of):
    asked = ["--kills", "1", "--rows", "60", "--epochs", "1", "--sizes", "small"]
    kills, cost = rows_of(bench_checkpoint, *asked)
    check(kills, "benchmark", "kills", "fits", "different")
    assert kills["different"] == 0
    ratios = ["every epoch over without", "at the end over without"]
    check(cost, "benchmark", "size", "result_bytes", *ratios)
    assert cost["result_bytes"] > 1000


def test_contestants_run_in_turn_after_a_round_that_does_not_count():
    runs = []
    seconds = in_turn(
        {
            "timed": lambda: runs.append("timed"),
            "says so": lambda: runs.append("says so") or float(len(runs)),
        },
        n_rounds=2,
    )
    assert runs == ["timed", "says so"] * 3
    assert seconds["says so"] == [4.0, 6.0]
    assert len(seconds["timed"]) == 2
    assert all(measured >= 0 for measured in seconds["timed"])


def test_ratio_is_taken_within_rounds():
    # That of the medians would be 4.
    assert median_ratio([2.0, 9.0, 4.0], [1.0, 3.0, 1.0]) == 3.0
    with pytest.raises(ValueError, match="shorter"):
        median_ratio([1.0, 2.0], [1.0])


def test_step(rows_of, monkeypatch):
    monkeypatch.setattr(bench_step, "Sizes", lambda: SMALL)
    rows = rows_of(bench_step, "--batch-sizes", "8", "--steps", "5")
    assert [row["dtype"] for row in rows] == ["float32", "bfloat16"]
    for row in rows:
        check(row, "batch_size", "dtype", "estimator_over_plain", "fraction_of_floor")
        assert row["batch_size"] == 8


def test_overhead(rows_of, monkeypatch):
    brief = partial(JEDIClassifier, max_epochs=1)
    monkeypatch.setattr(bench_overhead, "JEDIClassifier", brief)
    row, fit = rows_of(bench_overhead, "--batch-sizes", "128")
    check(row, "batch_size", "estimator_over_plain", "microseconds_a_step")
    check(fit, "seconds_of_fit")


def test_baselines(rows_of):
    sizes = [
        "--rows",
        "60",
        "--classes",
        "3",
        "4",
        "--width",
        "8",
        "--epochs",
        "1",
        "3",
    ]
    rows = rows_of(bench_baselines, *sizes)
    ends = [row for row in rows if row["model"].startswith("JEDI")]
    assert len(ends) == 2 * 3
    for row in ends:
        check(row, "model", "epochs", "seconds", "accuracy")
    compared = [row for row in rows if row not in ends]
    assert len(compared) == 2 * len(bench_baselines.baselines(1))
    of_jedi = ("jedi_seconds_teacher", "jedi_seconds_student")
    ratios = ("teacher_ratio", "student_ratio")
    for row in compared:
        of_baseline = ("seconds", "accuracy", "converged")
        check(row, "model", "epochs", *of_baseline, *of_jedi, *ratios)
        assert row["accuracy"] <= 1
        for seconds, ratio in zip(of_jedi, ratios, strict=True):
            if row[seconds] is None:
                assert row[ratio] is None
            else:
                assert row[ratio] == pytest.approx(row[seconds] / row["seconds"])


def test_time_until_an_accuracy_is_that_of_the_first_epoch_that_has_it():
    accuracies = np.array([0.2, 0.6, 0.5, 0.7])
    course = Course(0.5, np.array([1.0, 2.0, 3.0, 4.0]), {"student": accuracies})
    assert course.until("student", 0.55) == 2.0
    assert course.until("student", 0.7) == 4.0
    assert course.until("student", 0.71) is None


def test_experts_see_their_own_columns():
    split = bench_baselines.make_split(40, [3, 4], 8, class_sep=3.0)
    X = split.X_train["dataset_0"]
    _, expert = split.experts[1]
    np.testing.assert_array_equal(expert.fit_transform(X), X[:, 8:])
    assert split.X_test["dataset_0"].shape == X.shape


def test_scale(rows_of):
    sizes = {
        "rows": ["64", "128"],
        "features": ["8", "16"],
        "classes": ["3", "4"],
        "datasets": ["1", "2"],
    }
    asked = [
        part for axis, of_axis in sizes.items() for part in (f"--{axis}", *of_axis)
    ]
    usual = ["--usual", "64", "8", "3", "2", "--batch-size", "32"]
    rows = rows_of(bench_scale, *asked, *usual)
    assert [row["axis"] for row in rows] == [axis for axis in sizes for _ in range(3)]
    for number, row in enumerate(rows):
        if number % 3 == 2:
            slopes = ("slope", "slope_of_multiply_adds", "slope_over_multiply_adds")
            check(row, "axis", *slopes)
            continue
        check(
            row,
            "axis",
            *sizes,
            "seconds_an_epoch",
            "microseconds_a_row",
            "multiply_adds",
            "picoseconds_a_multiply_add",
        )
        assert str(row[row["axis"]]) == sizes[row["axis"]][number % 3]
    assert rows[2]["slope_of_multiply_adds"] == pytest.approx(1)  # of the rows


def test_slope_is_the_power():
    sizes = np.array([1.0, 2.0, 4.0])
    assert bench_scale.slope(sizes, 7 * sizes**2) == pytest.approx(2)


def test_multiply_adds_are_those_of_the_products():
    # Of a row: the way up of an adjustment has three products, that down two.
    adjustments = sum(width * bench_step.N_UNITS * 5 for width in (6, 4))
    heads = 3 * (6 * 3 + 4 * 2)
    # Half of the rows are of each dataset; targets are for all of them.
    teachers = 3 * (6 + 4) * (3 + 2) // 2
    targets = (6 + 4) * (3 + 2)
    n = bench_scale.multiply_adds(make_problem(SMALL), batch_size=4)
    assert n == 40 * (adjustments + heads + teachers + targets)


def test_peak_is_seen_though_it_is_over_in_the_end():
    before = resident_bytes()
    with Peak(resident_bytes) as peak:
        filled = np.ones(2**23)
        wait_until(lambda: peak.n_bytes - before > 0.9 * 2**26)
        del filled
    assert peak.n_bytes - before > 0.9 * 2**26


def test_stored_features_are_as_many_as_those_in_memory():
    sizes = sizes_of(2**20)
    assert sum(sizes.n_rows) == 2**20 // (4 * sum(sizes.widths))
    problem = stored_problem(sizes)
    assert tuple(map(len, problem.X.values())) == sizes.n_rows
    name, expert = problem.experts[2]
    assert expert[:-1].transform(problem.X[name]).shape[1] == sizes.widths[2]


@pytest.mark.slow
def test_memory(rows_of):
    rows = rows_of(bench_memory, "--mb", "20", "--precisions", "float32")
    assert [row["features"] for row in rows] == ["in memory", "in a store"]
    for row in rows:
        of_features = ("features", "precision", "features_bytes")
        of_peak = ("peak_over_features", "added_mb", "beyond_mb")
        check(row, *of_features, *of_peak, "allowed_mb", "within")
        excess = row["peak_over_features"] - 1
        in_mb = row["features_bytes"] / 2**20
        assert row["beyond_mb"] == pytest.approx(excess * in_mb)
        assert row["allowed_mb"] == pytest.approx(1.3 * in_mb + 400)
    in_memory, stored = (row["features_bytes"] for row in rows)
    assert in_memory / 2 == pytest.approx(stored, rel=0.01)


def test_gpu(rows_of):
    rows = rows_of(bench_gpu, "--rows", "400", "--batch-sizes", "64", "--full")
    if not torch.cuda.is_available():
        assert rows == []
        return
    *measured, full = rows
    assert [row["dtype"] for row in measured] == ["bfloat16", "float32"]
    for row in measured:
        check(
            row,
            "device",
            "batch_size",
            "dtype",
            "milliseconds_an_epoch",
            "floor_milliseconds",
            "fraction_of_floor",
            "seconds_of_500_epochs",
            "first_epoch_milliseconds",
            "seconds_of_fit",
        )
    seconds = ("seconds_of_500_epochs", "seconds_of_fit")
    check(full, "device", "batch_size", "dtype", "measured", *seconds)


def test_training_for_the_gpu_times_every_epoch():
    seconds, of_fit = bench_gpu.train(make_problem(SMALL), 16, "float32", 3, "cpu")
    assert len(seconds) == 3
    assert 0 < sum(seconds) < of_fit
