"""Rows of all datasets, laid out and cut into batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jedi_sklearn.training.batches import Batches, TrainingRows, stack_rows

Codes = list[list[int] | None]


def _datasets(codes: Codes, sizes: list[int]) -> TrainingRows:
    """Stack rows that say who they are: features are dataset, row, and their sum."""
    embeddings = []
    for i, n in enumerate(sizes):
        number = np.arange(n, dtype=np.float32)
        dataset = np.full(n, i, dtype=np.float32)
        embeddings.append(
            [np.column_stack([dataset, number]), (dataset + number)[:, None]]
        )
    arrays = [None if c is None else np.array(c, dtype=np.int64) for c in codes]
    return stack_rows(embeddings, arrays)


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
        # All are full but the last.
        assert len(epoch) == len(batches) == -(-len(everyone) // batch_size)
        assert all(len(batch) == batch_size for batch in epoch[:-1])


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
    assert all({i for i, _ in batch} == {0, 1, 2} for batch in epoch[:-1])


@pytest.mark.parametrize("batch_size", [75, 1000])
def test_batches__batch_as_large_as_the_rows__one_in_order(batch_size):
    rows = _datasets(CODES, SIZES)
    batches = Batches(rows, batch_size, torch.Generator().manual_seed(0), "cpu")
    (batch,) = batches
    np.testing.assert_array_equal(batch.features, rows.features)
