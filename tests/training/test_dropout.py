"""Masks of dropout from numbers of 16 bits: rates, independence, and what they keep."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jedi_sklearn.training.network.dropout import draw, mask_of

pytestmark = pytest.mark.usefixtures("global_random_states_stay")

# Eq. (4) of the paper's datasets, that of the adjustments, and two extremes.
RATES = [0.001, 0.25, 0.5, 0.75, 0.9289, 0.999]


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _kept_rate(rate: float) -> float:
    """Return the share that is kept: of 65536 numbers a whole number."""
    return max(1, round((1 - rate) * 65536)) / 65536


def _mask(shape: tuple[int, ...], rate: float, seed: int = 0) -> np.ndarray:
    return mask_of(draw(shape, _generator(seed)), rate, torch.float64).numpy()


# --------------------------------------------------------------------------------------
# The numbers.
# --------------------------------------------------------------------------------------

shapes = st.lists(st.integers(1, 9), min_size=1, max_size=3).map(tuple)


@settings(deadline=None)
@given(shape=shapes, seed=st.integers(0, 2**32))
def test_draw__any_shape__16_bits_from_the_generator_alone(shape, seed):
    generator = _generator(seed)
    first, second = draw(shape, generator), draw(shape, generator)
    assert first.shape == second.shape == shape
    assert first.dtype == torch.int16
    np.testing.assert_array_equal(first, draw(shape, _generator(seed)))
    if first.numel() >= 8:  # where chance is below 2**-100
        assert (first != second).any()


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0,)])
def test_draw__nothing__nothing(shape):
    drawn = draw(shape, _generator())
    assert drawn.shape == shape
    assert mask_of(drawn, 0.5, torch.float32).shape == shape


def test_draw__uniform_over_all_numbers():
    n = 2**20
    drawn = draw((n,), _generator()).numpy().astype(int)
    # A chi-square statistic of 256 classes: mean 255, variance twice that.
    counts = np.bincount((drawn + 2**15) // 256, minlength=256)
    statistic = ((counts - n / 256) ** 2).sum() * 256 / n
    assert abs(statistic - 255) < 5 * np.sqrt(2 * 255)
    assert drawn.min() < -(2**15) + 2**8
    assert drawn.max() >= 2**15 - 2**8


@pytest.mark.parametrize("width", [64, 63])
def test_draw__numbers_of_a_draw__each_by_itself(width):
    # Four neighbours come of one word of 64 bits; of a width that is no multiple of
    # four every column has all places in a word.
    x = draw((4000, width), _generator()).numpy() / 2**15
    in_word = x.reshape(-1)[: x.size // 4 * 4].reshape(-1, 4)
    pairs = {
        "in a row": (x[:, :-1], x[:, 1:]),
        "in a column": (x[:-1], x[1:]),
        "words": (in_word[:-1], in_word[1:]),
        **{
            f"places {i} and {j}": (in_word[:, i], in_word[:, j])
            for i in range(4)
            for j in range(i)
        },
    }
    for name, (one, other) in pairs.items():
        one, other = one.ravel(), other.ravel()
        for power in (1, 2):  # that their sizes do not depend on each other either
            correlation = np.corrcoef(one**power, other**power)[0, 1]
            assert abs(correlation) < 5 / np.sqrt(one.size), (name, power)


# --------------------------------------------------------------------------------------
# The masks.
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", RATES)
def test_mask__keeps_the_rate__and_the_mean(rate):
    mask = _mask((1001, 501), rate)
    kept, wanted = mask != 0, _kept_rate(rate)
    assert abs(wanted - (1 - rate)) <= 2**-17
    np.testing.assert_allclose(mask[kept], 1 / wanted, rtol=1e-12)
    sd = np.sqrt(wanted * (1 - wanted) / mask.size)
    assert kept.mean() == pytest.approx(wanted, abs=5 * sd)
    assert mask.mean() == pytest.approx(1.0, abs=5 * sd / wanted)
    # No row and no column has a rate of its own: chi-square at 5 sigma.
    for axis in (0, 1):
        n, counts = mask.shape[axis], kept.sum(axis=axis)
        statistic = ((counts - n * wanted) ** 2).sum() / (n * wanted * (1 - wanted))
        degrees = len(counts)
        # Where counts are small their own kurtosis adds to it.
        spread = 2 + (1 - 6 * wanted * (1 - wanted)) / (n * wanted * (1 - wanted))
        assert abs(statistic - degrees) < 5 * np.sqrt(spread * degrees)


@pytest.mark.parametrize("rate", [0.25, 0.5, 0.9289])
def test_mask__neighbours__kept_each_by_itself(rate):
    kept = _mask((2000, 128), rate) != 0
    wanted = _kept_rate(rate)
    words = kept.reshape(-1, 4)
    pairs = [(kept[:, :-1], kept[:, 1:]), (kept[:-1], kept[1:])]
    pairs += [(words[:, i], words[:, j]) for i in range(4) for j in range(i)]
    for one, other in pairs:
        both, p = (one & other).mean(), wanted**2
        # Each neighbour is in two pairs, which adds to the variance.
        variance = p * (1 - p) + 2 * (wanted**3 - p**2)
        assert both == pytest.approx(p, abs=5 * np.sqrt(variance / one.size))


@settings(deadline=None)
@given(
    rates=st.tuples(st.floats(0, 1 - 1e-9), st.floats(0, 1 - 1e-9)),
    seed=st.integers(0, 2**32),
)
def test_mask__higher_rate_on_the_same_draw__keeps_some_of_the_same(rates, seed):
    drawn = draw((30, 7), _generator(seed))
    lower, higher = (mask_of(drawn, rate, torch.float32) != 0 for rate in sorted(rates))
    assert not (higher & ~lower).any()


@pytest.mark.parametrize("rate", [0.0, 1e-9])
def test_mask__rate_of_nothing__all_ones(rate):
    np.testing.assert_array_equal(_mask((100, 100), rate), np.ones((100, 100)))


@pytest.mark.parametrize("rate", [1 - 2**-18, 1 - 1e-12])
def test_mask__rate_so_high_that_no_number_is_left__keeps_one(rate):
    numbers = torch.arange(-(2**15), 2**15).to(torch.int16)
    mask = mask_of(numbers, rate, torch.float32)
    assert mask.count_nonzero() == 1
    assert mask.sum() == 2**16


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.75, 0.9999])
def test_mask__of_every_number_once__mean_of_one(rate):
    numbers = torch.arange(-(2**15), 2**15).to(torch.int16)
    mask = mask_of(numbers, rate, torch.float64)
    assert mask.count_nonzero() == 2**16 * _kept_rate(rate)
    assert mask.mean().item() == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_mask__dtype__as_asked_and_the_same_kept(dtype):
    drawn = draw((13, 5), _generator())
    before = drawn.clone()
    mask = mask_of(drawn, 0.3, dtype)
    assert mask.dtype == dtype
    assert mask.shape == (13, 5)
    expected = mask_of(drawn, 0.3, torch.float64)
    np.testing.assert_array_equal(mask != 0, expected != 0)
    np.testing.assert_allclose(
        mask.double(), expected, rtol=torch.finfo(dtype).eps, atol=0
    )
    np.testing.assert_array_equal(drawn, before)
