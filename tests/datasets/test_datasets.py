"""The bundled images and the generated embeddings."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import make_column_transformer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression

from jedi_sklearn.datasets import (
    load_glyphs,
    make_expert_embeddings,
    stream_expert_embeddings,
)

GLYPHS = files("jedi_sklearn.datasets") / "data" / "glyphs.npz"
N_ROWS = {
    "train": {"digits": 1029, "fashion": 2500, "letters": 1508, "numerals": 300},
    "test": {"digits": 768, "fashion": 1500, "letters": 1300, "numerals": 1000},
}


@pytest.fixture(scope="module")
def raw() -> dict[str, np.ndarray]:
    with GLYPHS.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def glyphs() -> dict[str, Any]:
    return {subset: load_glyphs(subset) for subset in N_ROWS}


@pytest.fixture(autouse=True)
def global_random_state_stays() -> Iterator[None]:
    before = np.random.get_state(legacy=False)  # noqa: NPY002
    yield
    after = np.random.get_state(legacy=False)  # noqa: NPY002
    np.testing.assert_equal(after, before)


@pytest.mark.parametrize("subset", ["train", "test"])
def test_load_glyphs__shapes_dtypes_ranges(glyphs, subset):
    X_dict, y_dict = glyphs[subset]
    assert list(X_dict) == list(y_dict) == sorted(X_dict)
    assert {name: len(X) for name, X in X_dict.items()} == N_ROWS[subset]
    for name, X in X_dict.items():
        assert X.shape[1:] == (28, 28)
        assert X.dtype == np.float32
        assert X.flags.c_contiguous
        assert X.flags.writeable
        # Every dataset uses the whole range.
        assert (X.min(), X.max()) == (0, 1)
        assert y_dict[name].shape == (len(X),)


@pytest.mark.parametrize("subset", ["train", "test"])
def test_load_glyphs__labels(glyphs, subset):
    _, y_dict = glyphs[subset]
    assert np.unique(y_dict["digits"]).tolist() == list(range(10))
    assert np.unique(y_dict["numerals"]).tolist() == list(range(10))
    assert "".join(np.unique(y_dict["letters"])) == "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    assert len(np.unique(y_dict["fashion"])) == 10
    assert {"T-shirt", "Ankle boot"} <= set(y_dict["fashion"].tolist())
    assert y_dict["digits"].dtype == y_dict["numerals"].dtype == np.int64
    for name in ("fashion", "letters", "numerals"):
        assert len(set(np.unique(y_dict[name], return_counts=True)[1])) == 1


def test_load_glyphs__default_is_train(glyphs):
    X_dict, y_dict = load_glyphs()
    np.testing.assert_equal(X_dict, glyphs["train"][0])
    np.testing.assert_equal(y_dict, glyphs["train"][1])


def test_load_glyphs__a_caller_cannot_spoil_the_next_call(glyphs):
    X_dict, y_dict = load_glyphs("test")
    for name in X_dict:
        X_dict[name][:] = 0.5
        y_dict[name][:] = y_dict[name][0]
    np.testing.assert_equal(load_glyphs("test"), glyphs["test"])


def test_load_glyphs__no_image_twice(glyphs):
    for name in N_ROWS["train"]:
        rows = [image.tobytes() for s in N_ROWS for image in glyphs[s][0][name]]
        assert len(set(rows)) == len(rows), name


def test_load_glyphs__no_clean_rendering_in_both(raw):
    # Before the noise, which would hide it.
    for name in ("letters", "numerals", "fashion"):
        train, test = ({x.tobytes() for x in raw[f"{name}_{s}_X"]} for s in N_ROWS)
        assert not train & test


def test_load_glyphs__digits_keep_their_grey_levels(glyphs):
    from sklearn.datasets import load_digits

    X = np.concatenate([glyphs[subset][0]["digits"] for subset in N_ROWS])
    y = np.concatenate([glyphs[subset][1]["digits"] for subset in N_ROWS])
    digits = load_digits()
    np.testing.assert_array_equal(y, digits.target)
    # Bilinear enlargement by 3.5 leaves the mean of a blank-edged image nearly alone.
    means = digits.images.mean(axis=(1, 2)) / 16
    assert np.abs(X.mean(axis=(1, 2)) - means).max() < 0.03
    # The orientation too: the rows' sums follow the old ones.
    profile = np.repeat(digits.images.sum(2), 7, axis=1).reshape(-1, 28, 2).sum(2)
    correlation = np.corrcoef(profile.ravel(), X.sum(2).ravel())[0, 1]
    assert correlation > 0.95


def test_load_glyphs__typefaces_are_disjoint(raw):
    train, test = set(raw["train_families"]), set(raw["test_families"])
    assert len(train) == 17
    assert len(test) == 18
    assert not train & test
    readme = (files("jedi_sklearn.datasets") / "data" / "README.md").read_text("utf-8")
    train_part, test_part = readme.split("### Train\n")[1].split("### Test\n")
    assert all(f"| {name} |" in train_part for name in train)
    assert all(f"| {name} |" in test_part for name in test)
    for name in ("letters", "numerals"):
        for subset, families in (("train", train), ("test", test)):
            used = raw[f"{name}_{subset}_family"]
            assert used.shape == (N_ROWS[subset][name],)
            assert set(used.tolist()) == set(range(len(families)))


def test_glyphs_file__small_and_free_of_pickles(raw):
    assert len(GLYPHS.read_bytes()) <= 3_000_000
    assert {array.dtype.kind for array in raw.values()} == {"u", "U"}


@pytest.mark.parametrize("subset", ["validation", "", None, 0])
def test_load_glyphs__bad_subset(subset):
    with pytest.raises(ValueError, match=r"subset=.*'train' and 'test'") as caught:
        load_glyphs(subset)
    assert f"subset={subset!r}" in str(caught.value)


def test_load_glyphs__numerals_on_pixels_are_neither_easy_nor_hopeless(glyphs):
    # What the docstring says.
    (X_dict, y_dict), (X_test, y_test) = glyphs["train"], glyphs["test"]
    model = LogisticRegression(C=1.0, max_iter=500)
    model.fit(X_dict["numerals"].reshape(300, -1), y_dict["numerals"])
    score = model.score(X_test["numerals"].reshape(1000, -1), y_test["numerals"])
    assert score == pytest.approx(0.828, abs=0.03)


def monte_carlo_accuracy(
    n_classes: int, shares: list[float], class_sep: float, n_rows: int = 40_000
) -> float:
    """Sample the model anew and decide by the exact Gaussian posterior."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(4):
        y = rng.integers(n_classes, size=n_rows // 4)
        log_posterior = np.zeros((len(y), n_classes))
        for share in shares:
            means = np.eye(n_classes) * class_sep * np.sqrt(share)
            x = means[y] + rng.standard_normal((len(y), n_classes))
            distances = (x**2).sum(1)[:, None] - 2 * x @ means.T + (means**2).sum(1)
            log_posterior -= distances / 2
        hits += (log_posterior.argmax(1) == y).sum()
    return hits / n_rows


DOCUMENTED = {
    (0.25,): 0.509,
    (0.5,): 0.710,
    (0.25, 0.25): 0.710,
    (0.5, 0.25): 0.831,
    (0.5, 0.25, 0.25): 0.902,
}


@pytest.mark.parametrize(("shares", "expected"), DOCUMENTED.items())
def test_documented_best_accuracies__monte_carlo(shares, expected):
    # Three standard errors of 40,000 draws are 0.0075.
    accuracy = monte_carlo_accuracy(10, list(shares), 3.0)
    assert accuracy == pytest.approx(expected, abs=0.0075)
    assert f"{expected:.3f}\n" in (make_expert_embeddings.__doc__ or "")


EXPERTS = {0: slice(0, 32), 1: slice(32, 64), 2: slice(64, 96)}
SHARES = np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5]])


@pytest.fixture(scope="module")
def large():
    return make_expert_embeddings(8000, random_state=0)


@pytest.mark.parametrize("dataset", [0, 1, 2])
@pytest.mark.parametrize("experts", [(0,), (1,), (2,), (0, 1), (0, 1, 2)])
def test_best_accuracies_are_attained_and_not_exceeded(large, dataset, experts):
    X, y = large[0][f"dataset_{dataset}"], large[1][f"dataset_{dataset}"]
    seen = np.hstack([X[:, EXPERTS[expert]] for expert in experts])
    model = LinearDiscriminantAnalysis().fit(seen[:4000], y[:4000])
    best = DOCUMENTED[tuple(sorted(SHARES[dataset, list(experts)], reverse=True))]
    # The standard error on 4,000 rows is 0.008 at most.
    assert best - 0.03 < model.score(seen[4000:], y[4000:]) < best + 0.024


def test_default_size_is_enough_to_learn_from():
    X_dict, y_dict = make_expert_embeddings(1600, random_state=1)
    X, y = X_dict["dataset_1"], y_dict["dataset_1"]
    own = make_column_transformer(("passthrough", EXPERTS[1]))
    alone, together = (
        LogisticRegression(C=0.1, max_iter=500)
        .fit(view[:600], y[:600])
        .score(view[600:], y[600:])
        for view in (own.fit_transform(X), X)
    )
    assert 0.62 < alone < 0.73
    assert 0.82 < together < 0.91


def test_make__shapes_dtypes_labels():
    X_dict, y_dict = make_expert_embeddings(
        (90, 40), (8, 3), (16, 9), class_sep=2, own_share=0.75, random_state=3
    )
    assert list(X_dict) == list(y_dict) == ["dataset_0", "dataset_1"]
    assert X_dict["dataset_0"].shape == (90, 25)
    assert X_dict["dataset_1"].shape == (40, 25)
    for name, n_classes in (("dataset_0", 8), ("dataset_1", 3)):
        assert X_dict[name].dtype == np.float32
        assert X_dict[name].flags.c_contiguous
        assert y_dict[name].dtype == np.int64
        counts = np.bincount(y_dict[name], minlength=n_classes)
        assert len(counts) == n_classes
        assert np.ptp(counts) <= 1


@pytest.mark.parametrize(
    ("parameters", "n"),
    [
        ({}, 3),
        ({"n_datasets": 1}, 1),
        ({"n_datasets": 5}, 5),
        ({"n_classes": [2, 3, 4, 5]}, 4),
        ({"n_features": np.array([12, 20])}, 2),
        ({"n_samples": (20, 30), "n_datasets": 2}, 2),
    ],
)
def test_make__number_of_datasets(parameters, n):
    X_dict, _ = make_expert_embeddings(**{"n_samples": 20} | parameters)
    assert len(X_dict) == n


def test_make__one_dataset__its_expert_sees_all():
    X_dict, y_dict = make_expert_embeddings(
        6000, n_datasets=1, own_share=0.1, random_state=0
    )
    X, y = X_dict["dataset_0"], y_dict["dataset_0"]
    score = (
        LinearDiscriminantAnalysis().fit(X[:3000], y[:3000]).score(X[3000:], y[3000:])
    )
    assert score == pytest.approx(0.902, abs=0.02)


def test_make__features_have_noise_of_unit_variance(large):
    # 10 latent directions in 32 features, and the class means add a tenth of the
    # squared distance that the expert sees: 1 + 9 * 0.5 / 10 for the own expert.
    X = large[0]["dataset_0"]
    means = [X[:, columns].var(axis=0).mean() for columns in EXPERTS.values()]
    assert means[0] == pytest.approx(1 + 4.5 * (1 / 10 - 1 / 100), abs=0.05)
    assert means[1] == pytest.approx(1 + 2.25 * (1 / 10 - 1 / 100), abs=0.05)


def test_make__views_are_the_same_for_every_dataset(large):
    # All embeddings by one expert lie in one subspace of 10 dimensions.
    for columns in EXPERTS.values():
        rows = np.vstack([X[:200, columns] for X in large[0].values()])
        singular = np.linalg.svd(rows, compute_uv=False)
        assert singular[9] > 1
        assert singular[10] < 1e-3


@pytest.mark.parametrize("seed", [0, 7, 2**40])
def test_make__same_seed_same_bits(seed):
    first, second = (make_expert_embeddings(50, random_state=seed) for _ in range(2))
    np.testing.assert_equal(first, second)


def test_make__seeds_differ():
    seeds = (0, 1, np.random.RandomState(0), None, None)
    draws = [
        make_expert_embeddings(50, random_state=s)[0]["dataset_0"][0, 0] for s in seeds
    ]
    assert len(set(draws)) == len(seeds)


def test_make__a_random_state_instance_moves_on():
    state = np.random.RandomState(5)
    first, second = (make_expert_embeddings(50, random_state=state) for _ in range(2))
    again = make_expert_embeddings(50, random_state=np.random.RandomState(5))
    np.testing.assert_equal(first, again)
    assert not np.array_equal(first[0]["dataset_0"], second[0]["dataset_0"])


def test_make__more_samples_continue_the_same_rows():
    few, few_y = make_expert_embeddings((100, 300), random_state=2)
    many, many_y = make_expert_embeddings((901, 555), random_state=2)
    for name, X in few.items():
        np.testing.assert_array_equal(X, many[name][: len(X)])
        np.testing.assert_array_equal(few_y[name], many_y[name][: len(X)])


@settings(max_examples=25, deadline=None)
@given(
    batch_size=st.integers(1, 1500),
    n_samples=st.tuples(st.integers(20, 1100), st.integers(20, 700)),
)
def test_stream__concatenation_equals_make(batch_size, n_samples):
    parameters: dict[str, Any] = {
        "n_samples": n_samples,
        "n_classes": (20, 6),
        "n_features": (24, 33),
        "random_state": 11,
    }
    X_dict, y_dict = make_expert_embeddings(**parameters)
    X_chunks: dict[str, list[np.ndarray]] = {name: [] for name in X_dict}
    y_chunks: dict[str, list[np.ndarray]] = {name: [] for name in X_dict}
    for name, X, y in stream_expert_embeddings(**parameters, batch_size=batch_size):
        assert 1 <= len(X) <= batch_size
        X_chunks[name].append(X)
        y_chunks[name].append(y)
    for name in X_dict:
        # Every chunk but the last is full.
        assert {len(X) for X in X_chunks[name][:-1]} <= {batch_size}
        np.testing.assert_array_equal(np.concatenate(X_chunks[name]), X_dict[name])
        np.testing.assert_array_equal(np.concatenate(y_chunks[name]), y_dict[name])


def test_stream__chunks_do_not_share_memory():
    chunks = stream_expert_embeddings(300, batch_size=70, random_state=0)
    arrays = [X for _, X, _ in chunks]
    assert not any(np.shares_memory(a, b) for a, b in pairwise(arrays))


def test_stream__a_large_problem_starts_at_once():
    # All rows would be 7.1 GB.
    chunks = stream_expert_embeddings(
        (8398, 3570, 226070, 9537),
        (20, 51, 40, 30),
        (2048, 2048, 1024, 2048),
        batch_size=8,
        random_state=0,
    )
    name, X, y = next(chunks)
    assert (name, X.shape, y.shape) == ("dataset_0", (8, 7168), (8,))


BAD = [
    ({"n_samples": 0}, r"n_samples=0.*integers >= 1"),
    ({"n_samples": 2.5}, r"n_samples=2.5"),
    ({"n_samples": "many"}, r"n_samples='many'"),
    ({"n_samples": (50, 9)}, r"n_samples=\(50, 9\).*at least n_classes.*10.*dataset_1"),
    ({"n_samples": ()}, r"n_samples=\(\)"),
    ({"n_samples": (50, 50), "n_classes": (5, 5, 5)}, r"n_classes=\(5, 5, 5\).*here 2"),
    ({"n_samples": (50, 50), "n_datasets": 3}, r"n_samples=\(50, 50\).*here 3"),
    ({"n_classes": 1}, r"n_classes=1.*integers >= 2"),
    ({"n_classes": (5, 1)}, r"n_classes=\(5, 1\)"),
    ({"n_features": 9}, r"n_features=9.*largest of n_classes, which is 10"),
    ({"n_features": (32, None)}, r"n_features=\(32, None\)"),
    ({"n_datasets": 0}, r"n_datasets=0.*integers >= 1"),
    ({"n_datasets": True}, r"n_datasets=True"),
    ({"class_sep": -1}, r"class_sep=-1.*finite numbers >= 0"),
    ({"class_sep": float("nan")}, r"class_sep=nan"),
    ({"class_sep": float("inf")}, r"class_sep=inf"),
    ({"own_share": 1.1}, r"own_share=1.1.*>= 0 and <= 1"),
    ({"own_share": "half"}, r"own_share='half'"),
    ({"random_state": -1}, r"random_state=-1.*None, integers >= 0"),
    ({"random_state": "seed"}, r"random_state='seed'"),
]


@pytest.mark.parametrize(("parameters", "message"), BAD)
@pytest.mark.parametrize("make", [make_expert_embeddings, stream_expert_embeddings])
def test_bad_parameters(make, parameters, message):
    # At the call, also of the stream: nothing is asked of the iterator.
    with pytest.raises(ValueError, match=message):
        make(**parameters)


@pytest.mark.parametrize("batch_size", [0, -5, 1.5, None])
def test_bad_batch_size(batch_size):
    with pytest.raises(ValueError, match=r"batch_size=.*integers >= 1"):
        stream_expert_embeddings(batch_size=batch_size)
