"""Linear maps on parts of a matrix, against slices and PyTorch's own gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from jedi_sklearn.models.weights import Adjustment, Linear
from jedi_sklearn.training.network.layers import (
    AdjustmentNet,
    LinearLayer,
    Part,
    linear_on_parts,
)

pytestmark = pytest.mark.usefixtures("global_random_states_stay")

N_ROWS, N_COLUMNS = 7, 6


def _linear(n_outputs: int, n_inputs: int, seed: int = 0) -> Linear:
    rng = np.random.default_rng([seed, n_outputs, n_inputs])
    coef = rng.normal(size=(n_outputs, n_inputs)).astype(np.float32)
    return Linear(coef, rng.normal(size=n_outputs).astype(np.float32))


def _matrix(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def _part(rows: slice, columns: slice, masked: bool = False, seed: int = 0) -> Part:
    part = Part(rows, columns)
    if not masked:
        return part
    inputs = part.of(torch.zeros(N_ROWS, N_COLUMNS))
    return part._replace(mask=_matrix(*inputs.shape, seed=seed).clamp(min=0.0))


def _layers(parts: list[Part], n_outputs: int = 3) -> list[LinearLayer]:
    widths = [part.of(torch.zeros(N_ROWS, N_COLUMNS)).shape[1] for part in parts]
    return [
        LinearLayer(_linear(n_outputs + k, width)).double()
        for k, width in enumerate(widths)
    ]


def _by_slices(x: Tensor, parts: list[Part], layers: list[LinearLayer]) -> list[Tensor]:
    """Return what PyTorch makes of it, slice by slice."""
    scores = []
    for part, layer in zip(parts, layers, strict=True):
        own = x[part.rows, part.columns]
        own = own if part.mask is None else own * part.mask
        scores.append(own @ layer.kernel + layer.bias)
    return scores


def _gradients(scores: list[Tensor], wanted: list[Tensor]) -> list[Tensor]:
    # No output counts like another.
    loss = sum(
        (torch.cos(given) * _matrix(*given.shape, seed=k)).sum()
        for k, given in enumerate(scores)
    )
    return list(torch.autograd.grad(loss, wanted))


def _assert_as_slices(
    x: Tensor, parts: list[Part], layers: list[LinearLayer], wanted: list[Tensor]
) -> None:
    given, expected = linear_on_parts(x, parts, layers), _by_slices(x, parts, layers)
    for here, there in zip(given, expected, strict=True):
        assert here.dtype == torch.float64
        torch.testing.assert_close(here, there)
    torch.testing.assert_close(_gradients(given, wanted), _gradients(expected, wanted))


def _weights(layers: list[LinearLayer]) -> list[Tensor]:
    return [parameter for layer in layers for parameter in layer.parameters()]


ALL = slice(None)
PARTS = {
    "one": [_part(slice(1, 4), slice(2, 5))],
    "everything": [_part(ALL, ALL)] * 2,
    "apart": [_part(slice(0, 3), slice(0, 3)), _part(slice(3, 7), slice(3, 6))],
    "overlapping": [_part(slice(0, 5), slice(0, 4)), _part(slice(2, 7), slice(1, 6))],
    "masks": [_part(ALL, ALL, True, k) for k in range(3)],
    "some masks": [
        _part(slice(1, 6), ALL, True),
        _part(ALL, slice(0, 2)),
        _part(slice(0, 2), slice(1, 4), True),
    ],
    "no rows": [_part(slice(3, 3), ALL), _part(slice(0, 0), ALL, True)],
    "no rows and some": [_part(slice(0, 0), slice(0, 2)), _part(ALL, slice(0, 2))],
}


@pytest.mark.parametrize("kind", PARTS)
def test_linear_on_parts__equals_slices_and_their_gradients(kind):
    parts, layers = PARTS[kind], _layers(PARTS[kind])
    x = _matrix(N_ROWS, N_COLUMNS).requires_grad_()
    _assert_as_slices(x, parts, layers, [x, *_weights(layers)])


@pytest.mark.parametrize("kind", PARTS)
def test_linear_on_parts__gradcheck(kind):
    parts, layers = PARTS[kind], _layers(PARTS[kind])
    kernels = [layer.kernel.detach() for layer in layers]
    biases = [layer.bias.detach() for layer in layers]
    given = [_matrix(N_ROWS, N_COLUMNS), *kernels, *biases]

    def of(x: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        n = len(parts)
        pairs = zip(weights[:n], weights[n:], strict=True)
        return tuple(linear_on_parts(x, parts, [_Given(*pair) for pair in pairs]))

    assert torch.autograd.gradcheck(of, [x.clone().requires_grad_() for x in given])


class _Given:
    """Stand-in for a layer: a kernel and a bias."""

    def __init__(self, kernel: Tensor, bias: Tensor) -> None:
        self.kernel, self.bias = kernel, bias


@pytest.mark.parametrize("kind", PARTS)
def test_linear_on_parts__x_without_gradient__those_of_the_weights(kind):
    parts, layers = PARTS[kind], _layers(PARTS[kind])
    x = _matrix(N_ROWS, N_COLUMNS)
    _assert_as_slices(x, parts, layers, _weights(layers))
    assert x.grad is None


@pytest.mark.parametrize("kind", PARTS)
def test_linear_on_parts__weights_without_gradient__that_of_x(kind):
    parts, layers = PARTS[kind], _layers(PARTS[kind])
    for layer in layers:
        layer.requires_grad_(False)
    x = _matrix(N_ROWS, N_COLUMNS).requires_grad_()
    _assert_as_slices(x, parts, layers, [x])


def test_linear_on_parts__one_layer_is_fixed__gradients_of_the_other():
    parts = PARTS["overlapping"]
    first, second = _layers(parts)
    first.requires_grad_(False)
    x = _matrix(N_ROWS, N_COLUMNS).requires_grad_()
    _assert_as_slices(x, parts, [first, second], [x, *second.parameters()])
    scores = linear_on_parts(x, parts, [first, second])
    sum(given.sum() for given in scores).backward()
    assert first.weight.grad is first.bias.grad is None


@pytest.mark.parametrize("unused", [0, 1])
def test_linear_on_parts__scores_that_nobody_uses__no_gradient(unused):
    parts, layers = PARTS["overlapping"], _layers(PARTS["overlapping"])
    x = _matrix(N_ROWS, N_COLUMNS).requires_grad_()
    linear_on_parts(x, parts, layers)[1 - unused].square().sum().backward()
    (expected,) = torch.autograd.grad(
        _by_slices(x, parts, layers)[1 - unused].square().sum(), [x]
    )
    torch.testing.assert_close(x.grad, expected)
    assert not layers[unused].weight.grad.any()


def test_linear_on_parts__nothing_needs_a_gradient__none():
    layers = _layers(PARTS["masks"])
    with torch.no_grad():
        scores = linear_on_parts(_matrix(N_ROWS, N_COLUMNS), PARTS["masks"], layers)
    assert not any(given.requires_grad for given in scores)


@settings(deadline=None)
@given(
    parts=st.lists(
        st.tuples(st.slices(N_ROWS), st.slices(N_COLUMNS), st.booleans())
        .filter(lambda part: (part[0].step or 1) == (part[1].step or 1) == 1)
        .map(lambda part: _part(*part)),
        min_size=1,
        max_size=4,
    )
)
def test_linear_on_parts__any_parts__equal_slices(parts):
    layers = _layers(parts)
    x = _matrix(N_ROWS, N_COLUMNS).requires_grad_()
    _assert_as_slices(x, parts, layers, [x, *_weights(layers)])


@pytest.mark.parametrize("kind", PARTS)
def test_linear_on_parts__bfloat16__scores_and_gradients_of_weights_in_float32(kind):
    parts = [
        part if part.mask is None else part._replace(mask=part.mask.bfloat16())
        for part in PARTS[kind]
    ]
    exact, layers = _layers(parts), [layer.float() for layer in _layers(parts)]
    x = _matrix(N_ROWS, N_COLUMNS).bfloat16()
    given, expected = (
        linear_on_parts(x, parts, layers),
        _by_slices(x.double(), parts, exact),
    )
    for here, there in zip(given, expected, strict=True):
        assert here.dtype == torch.float32
        # Eight bits of a sum of six products.
        torch.testing.assert_close(here.double(), there, rtol=3e-2, atol=5e-2)
    sum(scores.sum() for scores in given).backward()
    sum(scores.sum() for scores in expected).backward()
    for layer, there in zip(layers, exact, strict=True):
        for name, parameter in layer.named_parameters():
            assert parameter.grad.dtype == torch.float32
            torch.testing.assert_close(
                parameter.grad.double(),
                there.get_parameter(name).grad,
                rtol=3e-2,
                atol=5e-2,
            )


# --------------------------------------------------------------------------------------
# The layers.
# --------------------------------------------------------------------------------------

SHAPES = {"wide": (3, 8), "narrow": (8, 3), "square": (4, 4), "one": (1, 1)}


@pytest.mark.parametrize("kind", SHAPES)
def test_linear_layer__equals_torchs__longer_side_first(kind):
    n_outputs, n_inputs = SHAPES[kind]
    weights = _linear(n_outputs, n_inputs)
    layer = LinearLayer(weights)
    assert layer.kernel.shape == (n_inputs, n_outputs)
    assert layer.weight.shape == (max(SHAPES[kind]), min(SHAPES[kind]))
    assert layer.weight.is_contiguous()
    x = _matrix(5, n_inputs).float().requires_grad_()
    coef, bias = (torch.tensor(w, requires_grad=True) for w in weights)
    given, expected = layer(x), F.linear(x, coef, bias)
    torch.testing.assert_close(given, expected)
    here = torch.autograd.grad(given.square().sum(), [x, *layer.parameters()])
    there = torch.autograd.grad(expected.square().sum(), [x, coef, bias])
    of_weight = here[1].T if layer.is_wide else here[1]
    for one, other in zip((here[0], of_weight, here[2]), there, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", SHAPES)
def test_to_numpy__the_weights_as_copies(kind):
    weights = _linear(*SHAPES[kind])
    given_weights = Linear(*(array.copy() for array in weights))
    layer = LinearLayer(given_weights)
    back = layer.to_numpy()
    np.testing.assert_equal(back, weights)
    for array in back:
        assert array.dtype == np.float32
        assert array.flags.c_contiguous
        assert array.flags.owndata
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(1.0)
    np.testing.assert_equal(back, weights)
    np.testing.assert_equal(given_weights, weights)


def test_linear_layer__weights_in_double__single_precision():
    layer = LinearLayer(Linear(np.eye(3), np.zeros(3)))
    assert {parameter.dtype for parameter in layer.parameters()} == {torch.float32}


@pytest.mark.parametrize("kind", SHAPES)
def test_linear_layer__bfloat16_in__bfloat16_out_gradients_float32(kind):
    n_outputs, n_inputs = SHAPES[kind]
    layer = LinearLayer(_linear(n_outputs, n_inputs))
    x = _matrix(5, n_inputs).bfloat16()
    given = layer(x)
    assert given.dtype == torch.bfloat16
    expected = x.double().numpy() @ layer.kernel.detach().double().numpy()
    expected = expected + layer.bias.detach().double().numpy()
    np.testing.assert_allclose(
        given.detach().double().numpy(), expected, rtol=3e-2, atol=5e-2
    )
    given.sum().backward()
    for parameter in layer.parameters():
        assert parameter.dtype == parameter.grad.dtype == torch.float32


def _adjustment(width: int = 5, n_units: int = 3) -> Adjustment:
    return Adjustment(_linear(n_units, width), _linear(width, n_units))


def test_adjustment_net__what_is_added__by_numpy():
    weights, x = _adjustment(), _matrix(4, 5)
    net = AdjustmentNet(weights).double()
    down, up = (
        [array.astype(float) for array in linear]
        for linear in (weights.down, weights.up)
    )
    hidden = x.numpy() @ down[0].T + down[1]
    expected: Any = hidden / (1 + np.exp(-hidden)) @ up[0].T + up[1]
    np.testing.assert_allclose(net(x).detach(), expected, rtol=1e-12)
    np.testing.assert_equal(AdjustmentNet(weights).to_numpy(), weights)
