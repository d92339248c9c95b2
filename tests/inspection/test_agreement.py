"""Who says the same as whom, and who is right: shares, and the picture."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex

from jedi_sklearn.inspection import AgreementDisplay

mpl.use("Agg")

from matplotlib import pyplot as plt

SHARES = ["both_right", "same_wrong", "first_right", "second_right", "both_wrong"]

# Of ten rows with the label 0: 4 both right, 1 the same mistake, 2 the student alone
# right, 1 the teacher alone, 2 two mistakes.
Y = [0] * 10
STUDENT = [0, 0, 0, 0, 1, 0, 0, 1, 1, 2]
TEACHER = [0, 0, 0, 0, 1, 1, 2, 0, 2, 1]
EXPERT = [0] * 5 + [1] * 5


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    plt.close("all")
    yield
    plt.close("all")


def test_shares__by_hand():
    display = AgreementDisplay.from_predictions(Y, student=STUDENT, teacher=TEACHER)
    (row,) = display.agreement.to_dict("records")
    assert [row["first"], row["second"], row["n_rows"]] == ["student", "teacher", 10]
    assert [row[share] for share in SHARES] == [0.4, 0.1, 0.2, 0.1, 0.2]
    assert row["agreement"] == 0.5


def test_with_expert__three_pairs_whose_shares_add_up():
    display = AgreementDisplay.from_predictions(
        {"d": Y, "e": Y},
        student={"d": STUDENT, "e": Y},
        teacher={"d": TEACHER, "e": Y},
        expert={"d": EXPERT, "e": Y},
    )
    rows = display.agreement
    pairs = [("student", "teacher"), ("expert", "student"), ("expert", "teacher")]
    assert list(zip(rows["first"], rows["second"], strict=True)) == pairs * 2
    assert rows["dataset"].tolist() == ["d"] * 3 + ["e"] * 3
    np.testing.assert_allclose(rows[SHARES].sum(axis=1), 1.0)
    expected = rows["both_right"] + rows["same_wrong"]
    np.testing.assert_allclose(rows["agreement"], expected)
    right = {
        m: np.mean(np.array(own) == 0)
        for m, own in (("expert", EXPERT), ("student", STUDENT), ("teacher", TEACHER))
    }
    for row in rows[:3].to_dict("records"):
        assert row["both_right"] + row["first_right"] == pytest.approx(
            right[row["first"]]
        )
        assert row["both_right"] + row["second_right"] == pytest.approx(
            right[row["second"]]
        )


def test_picture__bars_are_the_shares_side_by_side():
    display = AgreementDisplay.from_predictions(
        Y, student=STUDENT, teacher=TEACHER, expert=EXPERT
    )
    (panel,) = display.axes_
    names = dict(
        zip(
            panel.get_yticks(),
            [t.get_text() for t in panel.get_yticklabels()],
            strict=True,
        )
    )
    assert list(names.values()) == [
        "dataset (10 rows)",
        "student, teacher",
        "expert, student",
        "expert, teacher",
    ]
    for number, row in enumerate(display.agreement.to_dict("records")):
        pieces = [container[number] for container in panel.containers]
        widths = [piece.get_width() for piece in pieces]
        assert widths == pytest.approx([row[share] for share in SHARES])
        lefts = np.cumsum([0.0, *(piece.get_width() for piece in pieces)])
        np.testing.assert_allclose([p.get_x() for p in pieces], lefts[:-1], atol=1e-12)
        place = pieces[0].get_y() + pieces[0].get_height() / 2
        assert names[place] == f"{row['first']}, {row['second']}"
    agree = [text.get_text() for text in panel.texts]
    assert agree == ["50% agree", "60% agree", "60% agree"]


def test_picture__who_alone_is_right_has_the_models_colour():
    display = AgreementDisplay.from_predictions(
        Y, student=STUDENT, teacher=TEACHER, expert=EXPERT
    )
    (panel,) = display.axes_
    legend = panel.get_legend()
    colours = {
        text.get_text(): to_hex(patch.get_facecolor())
        for text, patch in zip(legend.get_texts(), legend.get_patches(), strict=True)
    }
    assert len(set(colours.values())) == len(colours) == 6
    for piece, role in ((2, "first"), (3, "second")):
        drawn = [to_hex(bar.get_facecolor()) for bar in panel.containers[piece]]
        models = display.agreement[role]
        assert drawn == [colours[f"{model} alone right"] for model in models]


def test_picture__without_expert__legend_has_none():
    display = AgreementDisplay.from_predictions(Y, student=STUDENT, teacher=TEACHER)
    texts = [t.get_text() for t in display.axes_[0].get_legend().get_texts()]
    assert "student alone right" in texts
    assert "expert alone right" not in texts
