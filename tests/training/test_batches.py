"""Rows of all datasets, laid out and cut into batches."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jedi_sklearn.inputs.row_weights import RowWeights
from jedi_sklearn.training.data.batches import Batches
from jedi_sklearn.training.data.rows import TrainingRows, stack_rows

Codes = list[list[int] | None]


def _datasets(
    codes: Codes, sizes: list[int], weights: list[RowWeights] | None = None
) -> TrainingRows:
    """Stack rows that say who they are: features are dataset, row, and their sum."""
    embeddings = []
    for i, n in enumerate(sizes):
        number = np.arange(n, dtype=np.float32)
        dataset = np.full(n, i, dtype=np.float32)
        embeddings.append(
            [np.column_stack([dataset, number]), (dataset + number)[:, None]]
        )
    arrays = [None if c is None else np.array(c, dtype=np.int64) for c in codes]
    return stack_rows(embeddings, arrays, weights)


def _who(features: Any) -> list[tuple[int, int]]:
    """Return (dataset, row) for each row of features."""
    features = np.asarray(features)
    np.testing.assert_array_equal(features[:, 2], features[:, 0] + features[:, 1])
    return [(int(i), int(row)) for i, row in features[:, :2]]


def _code(codes: Codes, dataset: int, row: int) -> int:
    of_dataset = codes[dataset]
    return -1 if of_dataset is None else of_dataset[row]


@st.composite
def tables(draw: st.DrawFn) -> tuple[Codes, list[int]]:
    sizes = draw(st.lists(st.integers(0, 9), min_size=1, max_size=4))
    if not sum(sizes):
        sizes[0] = 1
    codes = [
        draw(st.none() | st.lists(st.integers(-1, 3), min_size=n, max_size=n))
        for n in sizes
    ]
    return codes, sizes


@settings(deadline=None)
@given(table=tables())
def test_stack_rows__sorted_by_dataset_labelled_first(table):
    codes, sizes = table
    rows = _datasets(codes, sizes)
    assert rows.features.dtype == np.float32
    assert rows.n_rows == tuple(sizes)
    # Within each group as they came.
    expected = [
        (i, row)
        for i, n in enumerate(sizes)
        for labelled in (True, False)
        for row in range(n)
        if (_code(codes, i, row) >= 0) == labelled
    ]
    assert _who(rows.features) == expected
    for i, labels in enumerate(rows.labels):
        assert labels.dtype == np.int64
        known = [_code(codes, i, row) for row in range(sizes[i])]
        assert labels.tolist() == [code for code in known if code >= 0]


def test_stack_rows__leaves_its_input_alone():
    embedding = np.arange(6, dtype=np.float32).reshape(3, 2)
    codes = np.array([-1, 0, 1])
    before = embedding.copy(), codes.copy()
    rows = stack_rows([[embedding]], [codes])
    rows.features[:] = -1
    rows.labels[0][:] = -1
    np.testing.assert_equal((embedding, codes), before)


@settings(deadline=None)
@given(table=tables(), batch_size=st.integers(1, 40), seed=st.integers(0, 2**32))
def test_batches__every_row_once_an_epoch(table, batch_size, seed):
    codes, sizes = table
    generator = torch.Generator().manual_seed(seed)
    batches = Batches(_datasets(codes, sizes), batch_size, generator, "cpu")
    everyone = [(i, row) for i, n in enumerate(sizes) for row in range(n)]
    for _ in range(2):
        epoch = [_who(batch.features) for batch in batches]
        assert sorted(who for batch in epoch for who in batch) == everyone
        # As few as can be, and none is left with the rest.
        assert len(epoch) == len(batches) == -(-len(everyone) // batch_size)
        lengths = [len(batch) for batch in epoch]
        assert max(lengths) <= batch_size
        assert max(lengths) - min(lengths) <= 1


def _stratum(codes: Codes, who: tuple[int, int]) -> tuple[int, bool]:
    return who[0], _code(codes, *who) >= 0


@settings(deadline=None)
@given(
    table=tables(),
    batch_size=st.integers(1, 40),
    share=st.sampled_from([0.0, 0.5, 0.9]),
    seed=st.integers(0, 2**32),
)
def test_batches__each_has_its_share_of_each_stratum(table, batch_size, share, seed):
    codes, sizes = table
    generator = torch.Generator().manual_seed(seed)
    batches = Batches(_datasets(codes, sizes), batch_size, generator, "cpu", share)
    epoch = [[_stratum(codes, who) for who in _who(b.features)] for b in batches]
    total = Counter(stratum for batch in epoch for stratum in batch)
    for batch in epoch:
        of_batch = Counter(batch)
        for stratum, n_rows in total.items():
            of_epoch = n_rows / total.total()
            # Its own rounding, and its share of that of all.
            rounding = 1 + of_epoch * len(total)
            assert abs(of_batch[stratum] - of_epoch * len(batch)) <= rounding


def test_batches__few_labels__all_batches_have_as_many_up_to_one():
    # 30 of 300 rows have labels: of 15 batches each has 2, up to one.
    codes: Codes = [[0] * 30 + [-1] * 120, None]
    generator = torch.Generator().manual_seed(0)
    batches = Batches(_datasets(codes, [150, 150]), 20, generator, "cpu")
    for _ in range(20):
        n_labelled = [len(batch.labels[0]) for batch in batches]
        assert sum(n_labelled) == 30
        assert set(n_labelled) <= {1, 2, 3}


@settings(deadline=None)
@given(table=tables(), data=st.data())
def test_batch__slices_and_labels_are_those_of_masks(table, data):
    codes, sizes = table
    total = sum(sizes)
    chosen = data.draw(st.lists(st.integers(0, total - 1), min_size=1, unique=True))
    rows = _datasets(codes, sizes)
    batches = Batches(rows, 8, torch.Generator(), "cpu")
    batch = batches.batch(torch.tensor(chosen))
    here = _who(batch.features)
    everywhere = _who(rows.features)
    assert sorted(here) == sorted(everywhere[number] for number in chosen)
    dataset = np.array([i for i, _ in here])
    code = np.array([_code(codes, *who) for who in here])
    numbers = np.arange(len(here))
    assert len(batch.rows) == len(batch.labelled) == len(batch.labels) == len(sizes)
    for i in range(len(sizes)):
        own, labelled = dataset == i, (dataset == i) & (code >= 0)
        np.testing.assert_array_equal(numbers[batch.rows[i]], numbers[own])
        np.testing.assert_array_equal(numbers[batch.labelled[i]], numbers[labelled])
        np.testing.assert_array_equal(batch.labels[i], code[labelled])


@settings(max_examples=30, deadline=None)
@given(table=tables(), data=st.data())
def test_batch__order_of_the_chosen__changes_nothing(table, data):
    codes, sizes = table
    chosen = data.draw(st.permutations(range(sum(sizes))))
    batches = Batches(_datasets(codes, sizes), 8, torch.Generator(), "cpu")
    given = batches.batch(torch.tensor(chosen))
    expected = batches.batch(torch.tensor(sorted(chosen)))
    np.testing.assert_array_equal(given.features, expected.features)
    assert (given.rows, given.labelled) == (expected.rows, expected.labelled)
    for here, there in zip(given.labels, expected.labels, strict=True):
        np.testing.assert_array_equal(here, there)


CODES: Codes = [[0, -1, 1] * 10, None, [1, 0] * 10]
SIZES = [30, 25, 20]


def _epochs(seed: int, n_epochs: int) -> list[list[list[tuple[int, int]]]]:
    generator = torch.Generator().manual_seed(seed)
    batches = Batches(_datasets(CODES, SIZES), 16, generator, "cpu")
    return [[_who(b.features) for b in batches] for _ in range(n_epochs)]


def test_batches__same_seed__same_batches_whatever_torch_drew_before():
    first = _epochs(seed=5, n_epochs=2)
    torch.rand(10, generator=torch.Generator())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        second = _epochs(seed=5, n_epochs=2)
    assert first == second


def test_batches__next_epoch_or_other_seed__other_batches():
    first, second = _epochs(seed=5, n_epochs=2)
    assert first != second
    assert first != _epochs(seed=6, n_epochs=1)[0]


def test_batches__mix_the_datasets():
    epoch = _epochs(seed=5, n_epochs=1)[0]
    assert all({i for i, _ in batch} == {0, 1, 2} for batch in epoch)


@pytest.mark.parametrize("batch_size", [75, 1000])
def test_batches__batch_as_large_as_the_rows__one_in_order(batch_size):
    rows = _datasets(CODES, SIZES)
    batches = Batches(rows, batch_size, torch.Generator().manual_seed(0), "cpu")
    (batch,) = batches
    np.testing.assert_array_equal(batch.features, rows.features)


# --------------------------------------------------------------------------------------
# Weights.
# --------------------------------------------------------------------------------------


def _weights(sizes: list[int], seed: int) -> list[RowWeights]:
    rng = np.random.default_rng(seed)
    return [
        RowWeights(rng.uniform(0.1, 5.0, size=n), rng.uniform(0.1, 5.0, size=n))
        for n in sizes
    ]


@settings(deadline=None)
@given(table=tables(), seed=st.integers(0, 2**32 - 1), data=st.data())
def test_batch__weights__are_those_of_its_rows(table, seed, data):
    codes, sizes = table
    weights = _weights(sizes, seed)
    rows = _datasets(codes, sizes, weights)
    # A batch with labelled rows that were added has rows twice.
    numbers = st.integers(0, sum(sizes) - 1)
    chosen = data.draw(st.lists(numbers, min_size=1, max_size=30))
    batch = Batches(rows, 8, torch.Generator(), "cpu").batch(torch.tensor(chosen))
    mean = np.mean(np.concatenate([weight.rows for weight in weights]))
    here = _who(batch.features)
    expected = [weights[i].rows[row] / mean for i, row in here]
    np.testing.assert_allclose(batch.weights, expected, rtol=1e-6)
    assert batch.weights.dtype == torch.float32
    for i in range(len(sizes)):
        labelled = [who for who in here if who[0] == i and _code(codes, *who) >= 0]
        assert batch.labels[i].tolist() == [_code(codes, *who) for who in labelled]
        assert batch.label_weights[i].dtype == torch.float32
        np.testing.assert_allclose(
            batch.label_weights[i],
            [
                weights[i].rows[row] / mean * weights[i].labels[row]
                for _, row in labelled
            ],
            rtol=1e-6,
        )


@settings(deadline=None)
@given(table=tables(), seed=st.integers(0, 2**32 - 1), unit=st.floats(1e-6, 1e6))
def test_stack_rows__weights__mean_1_whatever_their_unit(table, seed, unit):
    codes, sizes = table
    weights = _weights(sizes, seed)
    rows = _datasets(codes, sizes, weights)
    assert rows.weights.dtype == np.float32
    assert rows.weights.mean(dtype=np.float64) == pytest.approx(1.0, rel=1e-6)
    in_unit = [weight._replace(rows=unit * weight.rows) for weight in weights]
    again = _datasets(codes, sizes, in_unit)
    np.testing.assert_allclose(again.weights, rows.weights, rtol=1e-6)
    # That of the classes does: they weigh terms of the loss.
    for here, there in zip(again.class_weights, rows.class_weights, strict=True):
        assert here.dtype == np.float32
        np.testing.assert_array_equal(here, there)


@settings(deadline=None)
@given(table=tables(), seed=st.integers(0, 2**32 - 1))
def test_sizes__sums_of_the_weights(table, seed):
    codes, sizes = table
    weights = _weights(sizes, seed)
    given = _datasets(codes, sizes, weights).sizes
    sums = np.array([weight.rows.sum() for weight in weights])
    np.testing.assert_allclose(given, sums / sums.sum() * sum(sizes), rtol=1e-5)


@settings(deadline=None)
@given(table=tables())
def test_stack_rows__no_weights__as_all_ones(table):
    codes, sizes = table
    rows = _datasets(codes, sizes)
    ones = _datasets(codes, sizes, [RowWeights(np.ones(n), np.ones(n)) for n in sizes])
    assert rows.sizes == ones.sizes == sizes
    np.testing.assert_array_equal(rows.weights, np.ones(sum(sizes)))
    np.testing.assert_array_equal(ones.weights, rows.weights)
    for part in (rows, ones):
        for of_class, labels in zip(part.class_weights, part.labels, strict=True):
            np.testing.assert_array_equal(of_class, np.ones(len(labels)))


def test_stack_rows__weights__left_alone():
    weights = _weights(SIZES, seed=0)
    before = [RowWeights(w.rows.copy(), w.labels.copy()) for w in weights]
    rows = _datasets(CODES, SIZES, weights)
    rows.weights[:] = -1
    rows.class_weights[0][:] = -1
    np.testing.assert_equal(weights, before)


# --------------------------------------------------------------------------------------
# More labelled rows.
# --------------------------------------------------------------------------------------

# One row in five has a label.
FEW: Codes = [[0, -1, -1, -1, 1, -1, -1, -1, -1] * 9, None, [1, -1, 0, -1, -1, -1] * 4]
FEW_SIZES = [81, 21, 24]
LABELLED = {
    (i, row)
    for i, n in enumerate(FEW_SIZES)
    for row in range(n)
    if _code(FEW, i, row) >= 0
}


def _shared(
    share: float, batch_size: int = 20, n_epochs: int = 1, seed: int = 0
) -> list[list[list[tuple[int, int]]]]:
    generator = torch.Generator().manual_seed(seed)
    rows = _datasets(FEW, FEW_SIZES)
    batches = Batches(rows, batch_size, generator, "cpu", labelled_share=share)
    return [[_who(batch.features) for batch in batches] for _ in range(n_epochs)]


def _counts(epoch: list[list[tuple[int, int]]]) -> Counter[tuple[int, int]]:
    return Counter(who for batch in epoch for who in batch)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_labelled_share__every_row_once__more_of_the_labelled_in_turn(share):
    counts = _counts(_shared(share)[0])
    assert len(counts) == sum(FEW_SIZES)
    assert {n for who, n in counts.items() if who not in LABELLED} == {1}
    n_added = (share * 126 - 26) / (1 - share)
    for i, n_labelled in enumerate([18, 0, 8]):
        of_dataset = [counts[who] for who in LABELLED if who[0] == i]
        assert sum(of_dataset) == n_labelled + round(n_added * n_labelled / 26)
        # Each once before one comes again.
        assert not of_dataset or max(of_dataset) - min(of_dataset) <= 1


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
@pytest.mark.parametrize("batch_size", [5, 20, 126, 1000])
def test_labelled_share__labelled_rows_of_an_epoch__make_it_up(share, batch_size):
    epoch = _shared(share, batch_size)[0]
    counts = _counts(epoch)
    n_labelled = sum(counts[who] for who in LABELLED)
    # The number of rows that are added is rounded for each of two datasets.
    wanted = share * counts.total()
    assert abs(n_labelled - wanted) <= 2 * 0.5 * (1 - share)
    # In as many batches as without them, all alike.
    assert len(epoch) == -(-126 // batch_size)
    lengths = [len(batch) for batch in epoch]
    assert max(lengths) - min(lengths) <= 1


def test_labelled_share__over_epochs__added_rows_spread_evenly():
    # In an epoch about one labelled row in three is added.
    epochs = _shared(0.25, n_epochs=200)
    added = sum((_counts(epoch) for epoch in epochs), Counter())
    of_row = np.array([added[who] - 200 for who in LABELLED])
    share = of_row.mean() / 200
    assert 0.2 < share < 0.5
    sd = np.sqrt(200 * share * (1 - share))
    assert (np.abs(of_row - of_row.mean()) < 5 * sd).all()
    # Not the same ones in every epoch.
    assert (of_row < 200).all()


@pytest.mark.parametrize("share", [0.0, 0.1, 26 / 126])
def test_labelled_share__no_more_than_there_is__changes_no_bit(share):
    assert len(LABELLED) == 26
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    rows = _datasets(FEW, FEW_SIZES)
    asked = Batches(rows, 20, generators[0], "cpu", labelled_share=share)
    plain = Batches(rows, 20, generators[1], "cpu")
    for _ in range(2):
        for batch, expected in zip(asked, plain, strict=True):
            np.testing.assert_array_equal(batch.features, expected.features)
    # Nothing more is drawn either.
    np.testing.assert_array_equal(*(g.get_state() for g in generators))


def test_labelled_share__same_seed__same_batches():
    assert _shared(0.5, n_epochs=2, seed=3) == _shared(0.5, n_epochs=2, seed=3)
    assert _shared(0.5, seed=3) != _shared(0.5, seed=4)


def test_labelled_share__as_many_batches():
    rows = _datasets(FEW, FEW_SIZES)
    batches = Batches(rows, 20, torch.Generator().manual_seed(0), "cpu", 0.5)
    assert len(list(batches)) == len(batches) == 7


def test_labelled_share__row_is_there_twice__label_and_weight_too():
    weights = _weights(FEW_SIZES, seed=0)
    rows = _datasets(FEW, FEW_SIZES, weights)
    generator = torch.Generator().manual_seed(0)
    (batch,) = Batches(rows, 1000, generator, "cpu", labelled_share=0.9)
    mean = np.mean(np.concatenate([weight.rows for weight in weights]))
    for i, part in enumerate(batch.labelled):
        here = _who(batch.features[part])
        assert len(here) > len(set(here)) or FEW[i] is None
        assert batch.labels[i].tolist() == [_code(FEW, *who) for who in here]
        expected = [weights[i].rows[r] * weights[i].labels[r] / mean for _, r in here]
        np.testing.assert_allclose(batch.label_weights[i], expected, rtol=1e-6)
