"""The examples as the gallery shows them: they ran, drew, and printed what they say."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pages import Page, read_page

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "build" / "docs"
EXAMPLES = sorted((ROOT / "examples").rglob("plot_*.py"))


def printed_by(name: str) -> str:
    """Return what an example printed."""
    return "".join(page_of(name).printed)


def page_of(name: str) -> Page:
    """Return the page of an example."""
    path = (SITE / "auto_examples" / name).with_suffix(".html")
    return read_page(path.read_text(encoding="utf-8"))


def read_table(text: str) -> pd.DataFrame:
    """Return the table that `evaluate` printed somewhere in a text."""
    lines = text[text.index("accuracy  top_5") :].splitlines()[2:]
    found = (re.search(r"(expert|student|teacher) .*", line) for line in lines)
    rows = [row[0] for row in found if row is not None]
    table = pd.read_csv(io.StringIO("\n".join(rows[:12])), sep=r"\s+", header=None)
    return table.set_index(0)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_ran_and_shows_a_picture(path):
    page = page_of(str(path.relative_to(ROOT / "examples")))
    printed = "".join(page.printed)
    assert printed.strip() != ""
    assert "Traceback" not in printed
    assert page.pictures != []


def test_quickstart__prints_the_table_of_the_readme():
    printed = read_table(printed_by("plot_quickstart"))
    shown = read_table((ROOT / "README.md").read_text(encoding="utf-8"))
    assert list(printed.index) == ["expert", "student", "teacher"] * 4
    # Other processors round differently, which training amplifies a little.
    np.testing.assert_allclose(printed, shown, atol=0.02)
    accuracy = printed[1].groupby(level=0).mean()
    assert accuracy["student"] > accuracy["expert"] + 0.02


def test_grid_search__distillation_is_worth_something_on_test_rows():
    printed = printed_by("plot_grid_search")
    assert re.search(r"best: \{'alpha': .*, 'beta': .*, 'gamma': ", printed)
    means = {
        name: float(re.search(rf"^{name} .* (0\.\d+)$", printed, re.M)[1])
        for name in ("chosen", "default", "no distillation")
    }
    assert min(means["chosen"], means["default"]) > means["no distillation"]


def test_ablations__one_line_a_choice():
    printed = printed_by("plot_ablations")
    lines = re.findall(r"^(\S.*?) +(\d+\.\d) +(-?\d\.\d) +(\d\.\d)$", printed, re.M)
    changes = {choice: float(change) for choice, _, change, _ in lines}
    assert len(changes) == 8
    assert changes["default"] == 0
    assert changes["distill_from=None"] < 0


def test_unlabelled__fewer_labels_more_gain():
    printed = printed_by("plot_unlabelled")
    gains = re.findall(r"^(\d\.\d\d) .* ([+-]\d\.\d) ± (\d\.\d)$", printed, re.M)
    means = {float(share): float(mean) for share, mean, _ in gains}
    halves = {float(share): float(half) for share, _, half in gains}
    assert list(means) == [0.05, 0.1, 0.3, 1.0]
    assert means[0.1] > halves[0.1]
    assert means[0.05] > means[1.0]


def test_class_gains__more_classes_gain_than_lose():
    printed = printed_by("plot_class_gains")
    counts = re.findall(r"\b(student|teacher) +(\d+) +(\d+)$", printed, re.M)
    assert len(counts) == 6
    assert sum(int(better) for _, better, _ in counts) > sum(
        int(worse) for _, _, worse in counts
    )


def test_image_files__students_are_better_than_experts():
    printed = printed_by("plot_image_files")
    gains = re.findall(
        r"^(?:digits|fashion|letters|numerals) +(-?\d\.\d+)$", printed, re.M
    )
    assert len(gains) == 4
    assert np.mean([float(gain) for gain in gains]) > 0
    assert re.search(r"transnet features +1400", printed)


def test_video_recipe__students_and_teachers_are_better_than_experts():
    printed = printed_by("plot_video_recipe")
    accuracy = read_table(printed)[1].groupby(level=0).mean()
    assert accuracy["student"] > accuracy["expert"]
    assert accuracy["teacher"] > accuracy["expert"] + 1  # of a hundred
    table_3 = printed[printed.index("Table 3") :]
    for scenario in ("teacher_input base", "distill_from None", "distill_from own"):
        assert scenario in table_3


def test_text__students_gain_in_the_mean_and_teachers_more():
    printed = printed_by("plot_text")
    pattern = r"^(?:numpy|scipy|sklearn|torch) +(0\.\d+) +(0\.\d+) +(0\.\d+)$"
    rows = np.array(re.findall(pattern, printed, re.M), dtype=float)
    assert rows.shape == (4, 3)
    expert, student, teacher = rows.mean(axis=0)
    assert expert < student < teacher


def test_tabular__the_mean_gain_is_above_its_interval():
    printed = printed_by("plot_tabular")
    pattern = r"^mean +student above expert: +(-?\d+\.\d) ± (\d+\.\d) points"
    gain, half = re.findall(pattern, printed, re.M)[0]
    assert float(gain) > float(half)
