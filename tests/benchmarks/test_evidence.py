"""The study on images: what each part sees, what it keeps, and what it reports."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import t
from sklearn.base import clone
from sklearn.metrics import silhouette_score
from sklearn.pipeline import Pipeline

from benchmarks.evidence import data as data_module
from benchmarks.evidence import experts, store, study, variants
from benchmarks.evidence import problem as problem_module
from benchmarks.evidence.__main__ import main
from benchmarks.evidence.cnn import CNNEncoder
from benchmarks.evidence.contestants import BASELINES, fit_jedi, jedi
from benchmarks.evidence.data import Data, glyphs, openml, subsample
from benchmarks.evidence.document import write_document
from benchmarks.evidence.filters import GradientHistograms, RandomConvolutions
from benchmarks.evidence.intervals import by_seed, difference, interval
from benchmarks.evidence.problem import make_problem
from benchmarks.evidence.regimes import is_known, known_codes, known_labels
from benchmarks.evidence.rows import check_apart, check_disjoint, folds, split_rows
from benchmarks.evidence.scores import MEASURES, measure
from benchmarks.evidence.study import Plan
from benchmarks.evidence.targets import verdicts
from jedi_sklearn import evaluate

EXTRA = "letters"
SHORT = {"max_epochs": 2}


@pytest.fixture(scope="module")
def data() -> Data:
    """Few images, of the first six classes of each dataset."""
    data = glyphs()
    for X, y in ((data.X_train, data.y_train), (data.X_test, data.y_test)):
        for name, labels in y.items():
            rows = np.isin(labels, np.unique(labels)[:6])
            X[name], y[name] = X[name][rows], labels[rows]
    return subsample(data, 30, 8)


@pytest.fixture(scope="module", autouse=True)
def quick_network():
    """Train the network for a moment: what is tested is not how good it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experts, "CNNEncoder", partial(CNNEncoder, n_steps=5))
        yield


@pytest.fixture(scope="module")
def problem(data):
    return make_problem(data, "tenth", 0, EXTRA)


def cut_test_rows(data: Data, n: int) -> Data:
    """Leave out all but the first test rows of each dataset."""
    return data._replace(
        X_test={name: X[:n] for name, X in data.X_test.items()},
        y_test={name: y[:n] for name, y in data.y_test.items()},
    )


# The images


def fake_fetch(data_id: int, **_: object):
    """Every dataset with its division, pixels in the ranges that OpenML has."""
    if data_id == 41082:
        counts = np.array(data_module.USPS_COUNTS)
        labels = np.repeat(np.arange(10), counts)
        labels = np.concatenate([labels, np.arange(2007) % 10]) + 1
        pixels = np.full((len(labels), 256), -1.0, dtype=np.float32)
        pixels[:, 0] = 1.0
        return pixels, labels.astype(str).astype(object)
    labels = np.arange(7000) % 10
    pixels = np.zeros((len(labels), 784), dtype=np.uint8)
    pixels[:, 3] = 255
    pixels[6000:, 5] = 51
    return pixels, labels.astype(str).astype(object)


@pytest.fixture
def small_sources(monkeypatch):
    sources = {
        name: source if name == "usps" else source._replace(n_train=6000)
        for name, source in data_module.SOURCES.items()
    }
    monkeypatch.setattr(data_module, "SOURCES", sources)


def test_openml__fake_fetch__standard_division_in_one_form(small_sources):
    data = openml(fake_fetch)
    assert list(data.X_train) == ["fashion_mnist", "kuzushiji", "mnist", "usps"]
    assert len(data.X_train["usps"]) == 7291
    assert len(data.X_test["usps"]) == 2007
    assert len(data.X_train["mnist"]) == 6000
    for X in (*data.X_train.values(), *data.X_test.values()):
        assert X.shape[1:] == (28, 28)
        assert X.dtype == np.float32
        assert X.min() == 0
        assert X.max() == 1
    for y in (*data.y_train.values(), *data.y_test.values()):
        assert np.unique(y).tolist() == list(range(10))
    # The rows behind the division, and they alone, are for test.
    assert (data.X_test["mnist"][:, 0, 5] == np.float32(0.2)).all()
    assert (data.X_train["mnist"][:, 0, 5] == 0).all()
    check_apart(data.X_train["mnist"], data.X_test["mnist"])


def test_openml__full_sizes__sixty_thousand_for_training():
    assert data_module.SOURCES["usps"].n_train == 7291
    assert {s.n_train for n, s in data_module.SOURCES.items() if n != "usps"} == {
        60_000
    }


def test_openml__training_rows_not_first__refused(small_sources):
    def reversed_fetch(**arguments):
        pixels, labels = fake_fetch(**arguments)
        return pixels[::-1], labels[::-1]

    with pytest.raises(ValueError, match="first 7291 rows of USPS"):
        openml(reversed_fetch)


def test_glyphs__train_and_test__no_image_in_both():
    data = glyphs()
    for name, X in data.X_train.items():
        train = {image.tobytes() for image in X}
        assert train.isdisjoint(image.tobytes() for image in data.X_test[name])


# The experts


@pytest.mark.parametrize(
    "encoder",
    [GradientHistograms(), RandomConvolutions(n_filters=4), CNNEncoder(n_steps=3)],
    ids=lambda encoder: type(encoder).__name__,
)
def test_encoders__same_seed__same_bits_and_global_state_untouched(data, encoder):
    X, y = data.X_train["digits"][:40], data.y_train["digits"][:40]
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = (clone(encoder).fit(X, y).transform(X) for _ in range(2))
    assert first.dtype == np.float32
    assert first.shape[0] == 40
    np.testing.assert_array_equal(first, second)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_gradient_histograms__edge__counts_in_its_direction():
    upright = np.zeros((1, 28, 28))
    upright[:, :, 14:] = 1
    features = GradientHistograms().fit(upright).transform(upright)
    histograms = features.reshape(16, 8)
    assert histograms[:, 1:].max() == 0
    assert histograms[:, 0].max() > 0
    turned = GradientHistograms().transform(upright.transpose(0, 2, 1))
    assert turned.reshape(16, 8).argmax(axis=1).max() == 4


def test_cnn_encoder__more_steps__classes_lie_further_apart(data):
    X, y = data.X_train["digits"], data.y_train["digits"]
    before, after = (
        silhouette_score(CNNEncoder(n_steps=n).fit(X, y).transform(X), y)
        for n in (1, 60)
    )
    assert after > before + 0.1


def test_cnn_encoder__fitted__holds_no_tensor(data):
    encoder = CNNEncoder(n_steps=1).fit(data.X_train["digits"], data.y_train["digits"])
    assert all(isinstance(w, np.ndarray) for w in encoder.weights_.values())


# Which rows are seen


def test_known_labels__tenth__stratified_and_the_rest_missing(data):
    y = {"numbers": np.repeat([0, 1, 2], [100, 40, 5]), "names": data.y_train[EXTRA]}
    kept = known_labels("tenth", y, 0, EXTRA)
    classes, counts = np.unique(kept["numbers"], return_counts=True)
    assert classes.tolist() == [-1, 0, 1, 2]
    assert counts.tolist() == [145 - 16, 10, 4, 2]
    known = is_known(kept["names"])
    assert {label for label in kept["names"] if not isinstance(label, str)} == {None}
    assert known.sum() == 3 * 6
    for name, labels in y.items():
        rows = is_known(kept[name])
        assert (kept[name][rows] == labels[rows]).all()


def test_known_labels__seeds__other_rows_same_ones_in_extra(data):
    first, second = (known_labels("tenth", data.y_train, s, EXTRA) for s in (0, 1))
    extra = known_labels("extra", data.y_train, 0, EXTRA)
    assert EXTRA not in extra
    for name, labels in first.items():
        assert (labels != second[name]).any()
        if name != EXTRA:
            np.testing.assert_array_equal(labels, extra[name])


def test_known_labels__unknown_regime__refused(data):
    with pytest.raises(ValueError, match="no regime 'half'"):
        known_labels("half", data.y_train, 0, EXTRA)


def test_split_rows__some_unlabelled__labelled_rows_in_one_part_each():
    codes = np.tile([0, 1, -1], 20)
    fitted_on, held_out = split_rows(codes, 0.25, 0)
    assert len(held_out) == 10
    rows = np.concatenate([fitted_on, held_out])
    np.testing.assert_array_equal(np.sort(rows), np.flatnonzero(codes >= 0))


@pytest.mark.parametrize(("each", "n_folds"), [(2, 2), (3, 3), (9, 3)])
def test_folds__few_rows_a_class__held_out_rows_are_labelled_and_apart(each, n_folds):
    codes = np.concatenate([np.repeat([0, 1], each), [-1, -1]])
    pairs = folds(codes, 0)
    assert len(pairs) == n_folds
    for train, held_out in pairs:
        assert set(train).isdisjoint(held_out)
        assert set(codes[held_out]) == {0, 1}
        assert {2 * each, 2 * each + 1} <= set(train)
    np.testing.assert_array_equal(
        np.sort(np.concatenate([held_out for _, held_out in pairs])),
        np.arange(2 * each),
    )


def test_check_disjoint_and_apart__shared_rows__refused():
    with pytest.raises(ValueError, match="overlap"):
        check_disjoint(np.arange(3), np.arange(2, 5))
    rows = np.zeros((4, 28, 28))
    check_apart(rows[:2], rows[2:])
    with pytest.raises(ValueError, match="overlap"):
        check_apart(rows[:3], rows[2:])


@pytest.mark.parametrize("regime", ["all", "extra"])
def test_make_problem__other_test_rows__same_experts_and_embeddings(data, regime):
    whole = make_problem(data, regime, 0, EXTRA)
    part = make_problem(cut_test_rows(data, 5), regime, 0, EXTRA)
    assert (EXTRA in whole.columns) == (regime != "extra")
    assert EXTRA in whole.X_train
    for name, X in whole.X_train.items():
        np.testing.assert_array_equal(X, part.X_train[name])
    for name, head in whole.heads.items():
        np.testing.assert_array_equal(head.coef_, part.heads[name].coef_)
        np.testing.assert_allclose(
            whole.X_test[name][:5], part.X_test[name], rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("regime", ["all", "tenth", "extra"])
def test_make_problem__experts__fitted_on_own_labelled_training_rows(
    data, regime, monkeypatch
):
    seen = {}

    class Spy(Pipeline):
        def fit(self, X, y):
            seen[len(seen)] = ([image.tobytes() for image in X], list(y))
            return super().fit(X, y)

    def spies(seed, names):
        made = experts.make_experts(seed, names)
        return {name: Spy(expert.steps) for name, expert in made.items()}

    monkeypatch.setattr(problem_module, "make_experts", spies)
    made = make_problem(data, regime, 0, EXTRA)
    for (images, labels), name in zip(seen.values(), made.columns, strict=True):
        known = is_known(made.y_train[name])
        expected = [image.tobytes() for image in data.X_train[name][known]]
        assert images == expected
        assert labels == data.y_train[name][known].tolist()


@pytest.mark.parametrize("name", [*BASELINES, "JEDI"])
def test_contestants__fewer_test_rows__same_scores_for_the_rest(problem, name):
    """No test row takes part in a fit or a choice."""
    part = {dataset: X[:5] for dataset, X in problem.X_test.items()}
    whole, cut = (
        variants.run_contestant(name, p, 0, SHORT)
        for p in (problem, replace(problem, X_test=part))
    )
    for dataset, models in whole.items():
        n_classes = len(known_codes(problem.y_train[dataset])[0])
        for model, scores in models.items():
            assert scores.shape == (len(problem.X_test[dataset]), n_classes)
            np.testing.assert_allclose(
                scores[:5], cut[dataset][model], rtol=1e-4, atol=1e-5
            )


def test_run_contestant__without_extra__rows_of_extra_are_gone(data, monkeypatch):
    problem = make_problem(data, "extra", 0, EXTRA)
    seen = []
    monkeypatch.setattr(variants, "jedi", lambda p, *_: seen.append(list(p.X_train)))
    variants.run_contestant(variants.WITHOUT_EXTRA, problem, 0, SHORT)
    variants.run_contestant(variants.MAIN, problem, 0, SHORT)
    assert seen == [["digits", "fashion", "numerals"], list(data.X_train)]


def test_validation_in_test__training_rows_alone__none_twice(data):
    held_out = data_module.validation_in_test(data, seed=3)
    for name, images in data.X_train.items():
        found = np.concatenate([held_out.X_train[name], held_out.X_test[name]])
        labels = np.concatenate([held_out.y_train[name], held_out.y_test[name]])
        assert len(held_out.X_test[name]) == pytest.approx(len(images) / 4, abs=1)
        given = _as_set(images, data.y_train[name])
        assert len(labels) == len(images) == len(given)
        assert _as_set(found, labels) == given


def _as_set(images: np.ndarray, labels: np.ndarray) -> set[tuple[bytes, str]]:
    return {(x.tobytes(), str(y)) for x, y in zip(images, labels, strict=True)}


def test_contestants_of__regimes__as_planned():
    tenth = variants.contestants_of("tenth", 0, EXTRA)
    assert set(BASELINES) < set(tenth)
    assert len(tenth) == len(set(tenth))
    assert variants.WITHOUT_EXTRA not in tenth
    assert "self-training" not in variants.contestants_of("all", 0, EXTRA)
    assert variants.WITHOUT_EXTRA in variants.contestants_of("extra", 0, EXTRA)
    # 500 epochs are run with the first seeds alone.
    later = variants.contestants_of("tenth", variants.N_LONG_SEEDS, EXTRA)
    assert set(tenth) - set(later) == {variants.PAPER, "max_epochs=500"}


# Scores


def test_measure__jedi__agrees_with_evaluate(problem, data):
    clf = fit_jedi(problem, 0, SHORT)
    table = evaluate(clf, problem.X_test, data.y_test)
    scores = jedi(problem, 0, SHORT)
    for (name, model), row in table.iterrows():
        codes = np.unique(data.y_test[name], return_inverse=True)[1]
        found = measure(scores[name][model], codes)
        assert found == pytest.approx(row.to_dict(), abs=1e-6)


def test_interval__five_values__students_t_by_hand():
    values = [0.1, 0.2, 0.4, 0.3, 0.2]
    found = interval(values)
    mean = sum(values) / 5
    variance = sum((v - mean) ** 2 for v in values) / 4
    assert found.mean == pytest.approx(mean)
    assert found.half == pytest.approx(t.ppf(0.975, 4) * (variance / 5) ** 0.5)
    assert found.half == pytest.approx(2.776 * (variance / 5) ** 0.5, rel=1e-3)


def make_frame(student: list[float], other: list[float]) -> pd.DataFrame:
    """Two datasets with the same accuracies, a row a seed."""
    return pd.DataFrame(
        [
            {
                "regime": "tenth",
                "seed": seed,
                "contestant": contestant,
                "model": model,
                "dataset": dataset,
                "seconds": 1.0,
                **dict.fromkeys(MEASURES, value + shift),
            }
            for contestant, model, values in (
                ("JEDI", "student", student),
                ("JEDI", "expert", other),
                ("refitted head", "baseline", other),
            )
            for seed, value in enumerate(values)
            for dataset, shift in (("a", 0.0), ("b", 0.1))
        ]
    )


def test_difference__paired__seeds_that_both_have():
    frame = make_frame([0.5, 0.6, 0.9], [0.4, 0.6])
    wide = by_seed(frame, "tenth", "accuracy")
    found = difference(wide, ("JEDI", "student"), ("JEDI", "expert"))
    assert list(found) == ["a", "b", "mean"]
    assert found["mean"].mean == pytest.approx(0.05)
    # Two values 0.1 apart: their standard error is half of that.
    assert found["mean"].half == pytest.approx(t.ppf(0.975, 1) * 0.05)


@pytest.mark.parametrize(
    ("student", "met"),
    [([0.6, 0.61, 0.6], True), ([0.6, 0.5, 0.4], False), ([0.3, 0.3, 0.31], False)],
)
def test_verdicts__student_against_refitted_head__by_the_interval(student, met):
    found = verdicts(make_frame(student, [0.4, 0.4, 0.4]))
    by_name = {verdict.target.split(":")[0]: verdict.met for verdict in found}
    assert by_name["mean"] is met
    assert by_name["a"] is (sum(student) > 1.2)


# Running and resuming


@pytest.fixture
def plan() -> Plan:
    return Plan(("tenth",), (0,), ("expert", "refitted head"), EXTRA, SHORT)


def test_run__again__computes_nothing(data, plan, tmp_path, monkeypatch):
    study.run(plan, data, tmp_path, 1)
    before = (tmp_path / "tenth-0.jsonl").read_bytes()
    assert plan.missing(tmp_path, "tenth", 0) == []

    def refuse(*_):
        raise AssertionError("computed again")

    monkeypatch.setattr(study, "make_problem", refuse)
    study.run(plan, data, tmp_path, 1)
    assert (tmp_path / "tenth-0.jsonl").read_bytes() == before


@pytest.mark.parametrize("torn_at", [-1, -30])
def test_run__torn_file__last_result_made_again(data, plan, tmp_path, torn_at):
    study.run(plan, data, tmp_path, 1)
    path = tmp_path / "tenth-0.jsonl"
    whole = store.read(path)
    path.write_bytes(path.read_bytes()[:torn_at])
    # Without its line's end alone a result is whole.
    expected = [] if torn_at == -1 else ["refitted head"]
    assert plan.missing(tmp_path, "tenth", 0) == expected
    study.run(plan, data, tmp_path, 1)
    store.append(path, {**whole[0], "contestant": "other"})
    again = store.read(path)
    assert [cell["contestant"] for cell in again] == [
        "expert",
        "refitted head",
        "other",
    ]
    assert [cell["rows"] for cell in again[:2]] == [cell["rows"] for cell in whole]


def test_missing__other_settings__result_does_not_count(plan, tmp_path):
    plan = replace(plan, contestants=("JEDI",))
    cell = {
        "contestant": "JEDI",
        "settings": variants.settings_of("JEDI", EXTRA, SHORT),
    }
    store.append(tmp_path / "tenth-0.jsonl", cell)
    assert plan.missing(tmp_path, "tenth", 0) == []
    longer = replace(plan, shortened={"max_epochs": 3})
    assert longer.missing(tmp_path, "tenth", 0) == ["JEDI"]
    assert longer.finished(tmp_path) == []


# The report


def test_write_document__markers__prose_is_kept(tmp_path):
    path = tmp_path / "evidence.md"
    path.write_text(
        "# Title\n\nBefore <!-- begin a -->old \\1<!-- end a --> after.\n\n"
        "<!-- begin b -->\nstays\n<!-- end b -->\n"
    )
    write_document(path, {"a": r"| new \1 |"})
    assert path.read_text() == (
        "# Title\n\nBefore <!-- begin a -->\n\n| new \\1 |\n\n<!-- end a --> after.\n\n"
        "<!-- begin b -->\nstays\n<!-- end b -->\n"
    )


def test_write_document__no_marker__refused_and_file_kept(tmp_path):
    path = tmp_path / "evidence.md"
    path.write_text("<!-- begin a -->old<!-- end a -->")
    with pytest.raises(ValueError, match="no markers for b"):
        write_document(path, {"a": "new", "b": "new"})
    assert path.read_text() == "<!-- begin a -->old<!-- end a -->"


def test_main__quick__runs_reports_and_draws(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("benchmarks.evidence.__main__.glyphs", lambda: data)
    arguments = ["--quick", "--jobs", "1", "--out", str(tmp_path / "results")]
    figures = tmp_path / "figures"
    main([*arguments, "--figures", str(figures)])
    printed = capsys.readouterr().out
    names = [
        line for line in printed.splitlines() if line.startswith(("tenth-", "targets"))
    ]
    assert {"tenth-table-2", "tenth-baselines", "tenth-sources", "targets"} <= set(
        names
    )
    assert "0 remain" in printed
    assert len(list(figures.glob("*.png"))) == 2

    lines = (tmp_path / "results/quick/tenth-1.jsonl").read_text().splitlines()
    cells = {cell["contestant"]: cell for cell in map(json.loads, lines)}
    rows = {(r["dataset"], r["model"]): r for r in cells["JEDI"]["rows"]}
    expert = {r["dataset"]: r for r in cells["expert"]["rows"]}
    for name, row in expert.items():
        # All contestants have one and the same expert.
        assert rows[name, "expert"]["accuracy"] == row["accuracy"]

    document = tmp_path / "evidence.md"
    document.write_text(
        "".join(f"<!-- begin {n} --><!-- end {n} -->\n" for n in [*names, "run"])
    )
    main([*arguments, "--report-only", "--document", str(document)])
    text = document.read_text()
    assert "python -m benchmarks.evidence --quick" in text
    assert "--report-only" not in text
    assert "seeds 0, 1" in text
