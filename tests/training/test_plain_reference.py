"""The joint network against the method as one writes it by hand, with masks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.plain import PlainNetwork, Rows, Settings, plain_loss
from jedi_sklearn.models.weights import Adjustment, Linear, Weights
from jedi_sklearn.training.data.batch import Batch
from jedi_sklearn.training.data.batches import Batches
from jedi_sklearn.training.data.rows import stack_rows
from jedi_sklearn.training.losses import (
    Objective,
    cross_entropy,
    distillation_weights,
    joint_loss,
)
from jedi_sklearn.training.losses import soft_cross_entropy as soft
from jedi_sklearn.training.network.dropout import Dropout
from jedi_sklearn.training.network.joint_network import JointNetwork
from jedi_sklearn.training.network.weights import Task, TeacherInput

WIDTHS, N_CLASSES, N_UNITS = (48, 64, 40), (5, 7, 3), 32
N_ROWS = (50, 40, 35)
N_DRAWS = 300

SETTINGS = {
    "default": Settings(),
    "target_dropout": Settings(target_dropout=True),
    "sharp": Settings(gamma=2.0, target_temperature=0.1),
}


def _off(settings: Settings) -> Settings:
    return settings._replace(adjustment_dropout=0.0, units_per_class=1e6)


def _rows() -> Rows:
    """Return rows in random order, about half of them without a label."""
    rng = np.random.default_rng(0)
    dataset = rng.permutation(np.repeat(np.arange(3), N_ROWS))
    labels = rng.integers(np.array(N_CLASSES)[dataset])
    labels[rng.uniform(size=len(labels)) < 0.5] = -1
    features = rng.normal(size=(len(dataset), sum(WIDTHS))).astype(np.float32)
    return Rows(*map(torch.from_numpy, (features, dataset, labels)))


ROWS = _rows()
OF_DATASETS = torch.from_numpy(distillation_weights(N_ROWS)).float()


@pytest.fixture
def plain() -> PlainNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return PlainNetwork(WIDTHS, N_CLASSES, N_UNITS)


def _linear(layer: torch.nn.Linear) -> Linear:
    return Linear(layer.weight.detach().numpy(), layer.bias.detach().numpy())


def _joint(plain: PlainNetwork, settings: Settings) -> JointNetwork:
    """Return the network of the package with the same weights."""
    weights = Weights(
        list(map(Adjustment, map(_linear, plain.down), map(_linear, plain.up))),
        list(map(_linear, plain.heads)),
        list(map(_linear, plain.teachers)),
    )
    dropout = Dropout(
        settings.adjustment_dropout,
        settings.units_per_class,
        torch.Generator().manual_seed(0),
    )
    return JointNetwork(
        weights,
        [Task(f"d{i}", i, i) for i in range(3)],
        dropout,
        TeacherInput(target_dropout=settings.target_dropout),
    ).train()


def _batch(dtype: torch.dtype = torch.float32) -> Batch:
    """Return the rows as the package has them."""
    own = [ROWS.dataset == i for i in range(3)]
    embeddings = [
        [part.numpy() for part in ROWS.features[mask].split(WIDTHS, dim=1)]
        for mask in own
    ]
    rows = stack_rows(embeddings, [ROWS.labels[mask].numpy() for mask in own])
    batches = Batches(rows, 1, torch.Generator(), "cpu", dtype=dtype)
    return batches.batch(torch.arange(len(ROWS.labels)))


def _joint_loss(
    network: JointNetwork, batch: Batch, settings: Settings
) -> tuple[Tensor, Tensor]:
    objective = Objective(
        alpha=1.0,
        beta=1.0,
        gamma=settings.gamma,
        student_loss=cross_entropy,
        teacher_loss=cross_entropy,
        distillation_loss=soft,
        temperature=1.0,
        weights=OF_DATASETS.numpy(),
        sharpening=1.0 / settings.target_temperature,
    )
    return joint_loss(objective, network(batch), batch, network.datasets)


def _of_plain(loss: Tensor, plain: PlainNetwork) -> dict[str, np.ndarray]:
    """Return gradients as `coef` and `intercept` of each layer."""
    plain.zero_grad()
    loss.backward()
    return {name: p.grad.numpy().copy() for name, p in plain.named_parameters()}


def _of_joint(loss: Tensor, network: JointNetwork) -> dict[str, np.ndarray]:
    """Return the same under the names of the plain network."""
    network.zero_grad()
    loss.backward()
    gradients = {}
    for name, layer in network.named_modules():
        if not hasattr(layer, "kernel"):
            continue
        group, number, *kind = name.split(".")
        group = kind[0] if kind else group
        of_weight = layer.weight.grad.T if layer.is_wide else layer.weight.grad
        for key, gradient in (("weight", of_weight), ("bias", layer.bias.grad)):
            assert gradient.dtype == torch.float32
            gradients[f"{group}.{number}.{key}"] = gradient.numpy().copy()
    return gradients


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 5e-6), (torch.bfloat16, 2e-2)], ids=str
)
@pytest.mark.parametrize("kind", SETTINGS)
def test_joint_network__nothing_dropped__loss_and_gradients_of_the_plain_one(
    plain, kind, dtype, tolerance
):
    settings = _off(SETTINGS[kind])
    expected = plain_loss(plain, ROWS, OF_DATASETS, settings)
    network = _joint(plain, settings)
    loss, _ = _joint_loss(network, _batch(dtype), settings)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=tolerance)
    given, wanted = _of_joint(loss, network), _of_plain(expected, plain)
    assert given.keys() == wanted.keys()
    assert len(given) == 2 * 4 * 3
    for name, gradient in wanted.items():
        off = np.linalg.norm(given[name] - gradient) / np.linalg.norm(gradient)
        assert off < tolerance, name


# --------------------------------------------------------------------------------------
# Under dropout, where masks are of other draws: the same on average.
# --------------------------------------------------------------------------------------


def _plain_terms(plain: PlainNetwork, settings: Settings) -> Tensor:
    """Return sums over the rows of the three terms for each student."""
    terms = torch.zeros(3, 3)
    for j, scores in enumerate(zip(*plain(ROWS.features, settings), strict=True)):
        student, teacher, target = scores
        own = (ROWS.dataset == j) & (ROWS.labels >= 0)
        for term, given in enumerate((student, teacher)):
            terms[term, j] = F.cross_entropy(
                given[own], ROWS.labels[own], reduction="sum"
            )
        wanted = F.softmax(target / settings.target_temperature, dim=1)
        of_rows = (wanted * F.log_softmax(student, dim=1)).sum(dim=1)
        terms[2, j] = -(OF_DATASETS[ROWS.dataset, j] * of_rows).sum()
    return terms


def _mean_and_variance(draw: Callable[[], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return those of the mean of many draws."""
    values = np.array([draw() for _ in range(N_DRAWS)], dtype=float)
    return values.mean(axis=0), values.var(axis=0, ddof=1) / N_DRAWS


def _assert_same_on_average(
    given: Callable[[], np.ndarray], expected: Callable[[], np.ndarray]
) -> None:
    (here, of_here), (there, of_there) = map(_mean_and_variance, (given, expected))
    assert (of_there > 0).all()
    off = (here - there) / np.sqrt(of_here + of_there)
    assert np.abs(off).max() < 5


@pytest.mark.usefixtures("global_random_states_stay")
@pytest.mark.parametrize("kind", SETTINGS)
def test_joint_network__dropout__terms_on_average_those_of_the_plain_one(plain, kind):
    settings = SETTINGS[kind]
    network, batch = _joint(plain, settings), _batch()

    def given() -> np.ndarray:
        return _joint_loss(network, batch, settings)[1].numpy()

    def expected() -> np.ndarray:
        return _plain_terms(plain, settings).numpy()

    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        _assert_same_on_average(given, expected)
        # They are those of the plain loss.
        off = _off(settings)
        weighted = torch.tensor([1.0, 1.0, settings.gamma]) @ _plain_terms(plain, off)
        loss = plain_loss(plain, ROWS, OF_DATASETS, off) * len(ROWS.labels)
        torch.testing.assert_close(weighted.sum(), loss)


@pytest.mark.usefixtures("global_random_states_stay")
@pytest.mark.parametrize("kind", SETTINGS)
def test_joint_network__dropout__gradients_on_average_those_of_the_plain_one(
    plain, kind
):
    # Masks that teachers share, or that terms share, bias no gradient. Compared along
    # one random direction for each of the 24 arrays.
    settings = SETTINGS[kind]
    network, batch = _joint(plain, settings), _batch()
    rng = np.random.default_rng(0)
    directions = {
        name: rng.normal(size=p.shape) for name, p in plain.named_parameters()
    }

    def along(gradients: dict[str, np.ndarray]) -> np.ndarray:
        return np.array([(gradients[n] * d).sum() for n, d in directions.items()])

    def given() -> np.ndarray:
        loss, _ = _joint_loss(network, batch, settings)
        return along(_of_joint(loss, network))

    def expected() -> np.ndarray:
        loss = plain_loss(plain, ROWS, OF_DATASETS, settings)
        return along(_of_plain(loss, plain))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        _assert_same_on_average(given, expected)
