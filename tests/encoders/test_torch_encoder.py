"""Torch modules as encoders and as experts."""

from __future__ import annotations

import copy
import pickle
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn.modules import module as torch_hooks

from jedi_sklearn import JEDIClassifier
from jedi_sklearn.encoders import TorchEncoder, from_pretrained, torch_expert

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


def digest(obj: Any) -> str:
    """Return a hash as an EmbeddingStore makes it."""
    from jedi_sklearn.embeddings._fingerprints import fingerprint

    return fingerprint(obj)


def seeded(make: Any, seed: int = 0) -> Any:
    """Return a new module whose weights are drawn from a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def mlp(seed: int = 0, n_outputs: int = 3, bias: bool = True) -> nn.Sequential:
    return seeded(
        lambda: nn.Sequential(
            nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, n_outputs, bias=bias)
        ),
        seed,
    )


class Cnn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(5, 3)  # registered first, runs last
        self.conv = nn.Conv2d(2, 5, 3)
        self.norm = nn.BatchNorm2d(5)
        self.drop = nn.Dropout(0.5)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flat = nn.Flatten()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pooled = self.pool(self.drop(self.norm(self.conv(images)).relu()))
        return self.head(self.flat(pooled))


class Two(nn.Module):
    """Takes two inputs, by name or by position; its layers take theirs by name."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(2, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return self.head(input=self.first(a) * self.second(b))


class Small(nn.Module):
    """Has the memory for a few rows at once."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit, self.sizes = limit, list[int]()
        self.linear = nn.Linear(4, 3)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(rows))
        if len(rows) > self.limit:
            raise torch.OutOfMemoryError("out of memory")
        return self.linear(rows)


class Returns(nn.Module):
    """Returns what a function makes of the batch."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function
        self.linear = nn.Linear(4, 3)

    def forward(self, rows: torch.Tensor) -> Any:
        return self.function(rows)


class Pictures(torch.utils.data.Dataset):
    """Images on disk, in grey."""

    def __init__(self, paths: Any) -> None:
        self.paths = list(paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> torch.Tensor:
        with Image.open(self.paths[number]) as image:
            return torch.from_numpy(np.array(image, dtype=np.float32))[None] / 255


class Ragged(torch.utils.data.Dataset):
    """Sequences of any length, padded by the batch."""

    def __init__(self, sequences: Any) -> None:
        self.sequences = sequences

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, number: int) -> list[float]:
        return self.sequences[number]

    @staticmethod
    def collate_fn(batch: list[list[float]]) -> dict[str, torch.Tensor]:
        rows = [torch.tensor(row) for row in batch]
        return {"rows": nn.utils.rnn.pad_sequence(rows, batch_first=True)}


class Sums(nn.Module):
    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return rows.sum(dim=1, keepdim=True)


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(23, 4))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(9, 2, 6, 6))


def first_layer(module: nn.Sequential, rows: np.ndarray) -> np.ndarray:
    """Return the embedding of an `mlp` in float64."""
    weight = module[0].weight.detach().numpy().astype(float)
    return np.tanh(rows @ weight.T + module[0].bias.detach().numpy())


@pytest.mark.parametrize("batch_size", [1, 5, 23, 64])
def test_transform__mlp__input_of_the_last_linear(rows, batch_size):
    module = mlp()
    embedding = TorchEncoder(module, batch_size=batch_size).transform(rows)
    assert isinstance(embedding, np.ndarray)
    assert embedding.dtype == np.float32
    np.testing.assert_allclose(embedding, first_layer(module, rows), atol=1e-6)


def test_transform__cnn__as_by_hand_in_evaluation_mode(images):
    module = seeded(Cnn).train()
    embedding = TorchEncoder(module, batch_size=4).transform(images)
    assert not module.training
    with torch.no_grad():
        x = torch.tensor(images, dtype=torch.float32)
        x = module.norm(module.conv(x)).relu().mean(dim=(2, 3))
    np.testing.assert_allclose(embedding, x.numpy(), atol=1e-6)


def test_transform__named_layer__dimensions_of_size_1_are_dropped(images):
    module = seeded(Cnn)
    flat = TorchEncoder(module).transform(images)
    np.testing.assert_array_equal(
        TorchEncoder(module, layer="flat").transform(images), flat
    )
    np.testing.assert_array_equal(
        TorchEncoder(module, layer="head").transform(images), flat
    )


def test_transform__layer_is_empty__what_the_module_returns(rows):
    module = mlp()
    embedding = TorchEncoder(module, layer="").transform(rows)
    expected = first_layer(module, rows) @ module[2].weight.detach().numpy().T
    np.testing.assert_allclose(
        embedding, expected + module[2].bias.detach().numpy(), atol=1e-6
    )


def test_transform__named_layer_works_in_place__what_entered_it(rows):
    module = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 2))
    embedding = TorchEncoder(module, layer="0").transform(rows)
    np.testing.assert_allclose(embedding, rows, atol=1e-6)


@pytest.mark.parametrize("layer", [None, "head"])
@pytest.mark.parametrize("by_name", [True, False])
def test_transform__several_inputs__as_by_hand(layer, by_name):
    module = seeded(Two)
    rng = np.random.default_rng(2)
    a, b = (rng.normal(size=(7, n)).astype(np.float32) for n in (3, 2))
    pairs: list[Any] = list(zip(a, b, strict=True))
    if by_name:
        pairs = [{"a": a, "b": b} for a, b in pairs]
    embedding = TorchEncoder(module, layer=layer, batch_size=3).transform(pairs)
    with torch.no_grad():
        expected = module.first(torch.tensor(a)) * module.second(torch.tensor(b))
    np.testing.assert_allclose(embedding, expected.numpy(), atol=1e-6)


def test_transform__every_kind_of_rows__the_same(rows, tmp_path):
    encoder = TorchEncoder(mlp(), batch_size=10)
    expected = encoder.transform(rows.astype(np.float32))
    np.save(tmp_path / "rows.npy", rows)
    samples = np.empty(len(rows), dtype=object)
    samples[:] = list(rows)
    for same in [
        np.asfortranarray(rows),
        np.load(tmp_path / "rows.npy", mmap_mode="r"),
        rows[::-1].copy()[::-1],
        rows.astype(">f8"),
        rows.astype(object),
        torch.tensor(rows),
        pd.DataFrame(rows, index=np.arange(23)[::-1]),
        sp.csr_array(rows),
        sp.coo_matrix(rows),
        rows.tolist(),
        list(rows),
        list(torch.tensor(rows)),
        tuple(rows),
        samples,
    ]:
        np.testing.assert_array_equal(encoder.transform(same), expected)


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        (np.float64, torch.float32),
        (np.float16, torch.float16),
        (np.uint8, torch.uint8),
        (np.int64, torch.int64),
        (bool, torch.bool),
    ],
)
def test_transform__numbers__keep_their_type_but_float64(given, seen):
    types = []
    module = Returns(lambda batch: types.append(batch.dtype) or batch)
    X = np.ones((3, 2), dtype=given)
    embedding = TorchEncoder(module, layer="").transform(X)
    assert types == [seen]
    np.testing.assert_array_equal(embedding, np.ones((3, 2), dtype=np.float32))


def write_pictures(folder: Path, n: int) -> tuple[list[Path], np.ndarray]:
    pixels = np.random.default_rng(0).integers(256, size=(n, 5, 6), dtype=np.uint8)
    paths = [folder / f"{number}.png" for number in range(n)]
    for path, picture in zip(paths, pixels, strict=True):
        Image.fromarray(picture).save(path)
    return paths, pixels


@pytest.mark.parametrize("n_workers", [0, 2])
def test_transform__dataset__loads_files(tmp_path, n_workers):
    paths, pixels = write_pictures(tmp_path, 7)
    module = nn.Sequential(nn.Flatten(), nn.Linear(30, 2))
    encoder = TorchEncoder(module, dataset=Pictures, batch_size=3, n_workers=n_workers)
    np.testing.assert_allclose(
        encoder.transform(paths), pixels.reshape(7, 30) / 255, atol=1e-6
    )


def test_transform__dataset_with_a_collate_fn__used():
    encoder = TorchEncoder(Sums(), layer="", dataset=Ragged, batch_size=2)
    embedding = encoder.transform([[1.0], [2.0, 3.0], [4.0, 5.0, 6.0]])
    np.testing.assert_array_equal(embedding, [[1], [5], [15]])


@pytest.mark.parametrize("n_workers", [0, 1])
def test_transform__sample_cannot_be_loaded__original_error_names_it(
    tmp_path, n_workers
):
    paths, _ = write_pictures(tmp_path, 3)
    paths[1].unlink()
    module = nn.Sequential(nn.Flatten(), nn.Linear(30, 2))
    encoder = TorchEncoder(module, dataset=Pictures, n_workers=n_workers)
    with pytest.raises(FileNotFoundError) as caught:
        encoder.transform(paths)
    # What comes from a worker has the note in its text.
    text = f"{caught.value} {getattr(caught.value, '__notes__', '')}"
    assert re.search(r"Sample 1, '.*1\.png' could not be loaded", text)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (lambda samples: samples[1:], r"length 2 for 3 samples"),
        (lambda samples: iter(samples), r"returned list_iterator.*map-style"),
    ],
)
def test_transform__wrong_dataset__error(dataset, message):
    with pytest.raises(ValueError, match=message):
        TorchEncoder(mlp(), dataset=dataset).transform(["a", "b", "c"])


@pytest.mark.parametrize("X", [["a", "b"], np.array(["a", "b"]), [Path("a")]])
def test_transform__texts_without_a_dataset__error(X):
    with pytest.raises(ValueError, match=r"give a dataset"):
        TorchEncoder(mlp()).transform(X)


@pytest.mark.parametrize("X", [np.empty((0, 4)), [], pd.DataFrame(np.empty((0, 4)))])
def test_transform__no_rows__error(X):
    with pytest.raises(ValueError, match=r"Found array with 0 sample\(s\)"):
        TorchEncoder(mlp()).transform(X)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"module": "mlp"}, r"module='mlp'.*instances of torch.nn.Module"),
        ({"layer": 2}, r"layer=2\. Valid values are names and None"),
        ({"batch_size": 0}, r"batch_size=0\. Valid values are integers of 1 or more"),
        ({"batch_size": 2.0}, r"batch_size=2\.0"),
        ({"device": "nowhere"}, r"device='nowhere'.*'auto'"),
        ({"device": "meta"}, r"device='meta'.*'auto'"),
        ({"autocast": "int8"}, r"autocast='int8'.*'bfloat16', 'float16'"),
        ({"n_workers": -1}, r"n_workers=-1\. .* integers of 0 or more"),
        ({"dataset": 3}, r"dataset=3\. Valid values are callables and None"),
        ({"device": "cpu", "autocast": "float16"}, r".*float16' on a CPU.*'bfloat16'"),
    ],
)
def test_transform__parameter_out_of_range__error(rows, params, message):
    with pytest.raises(ValueError, match=rf"Invalid parameter value: {message}"):
        TorchEncoder(**{"module": mlp()} | params).transform(rows)


def test_transform__unknown_layer__error_names_what_is_close(images):
    with pytest.raises(ValueError, match=r"layer='pol'.*: 'pool', .*'head', 'conv'"):
        TorchEncoder(seeded(Cnn), layer="pol").transform(images)
    many = nn.Sequential(*[nn.ReLU() for _ in range(50)])
    with pytest.raises(ValueError, match=r"'29' and 20 more\.$|and 20 more"):
        TorchEncoder(many, layer="x").transform(images)


@pytest.mark.parametrize("layer", [None, "linear"])
def test_transform__layer_does_not_run__error(rows, layer):
    what = "no Linear ran" if layer is None else "layer 'linear' did not run"
    with pytest.raises(ValueError, match=rf"Returns {what}"):
        TorchEncoder(Returns(lambda batch: batch), layer=layer).transform(rows)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda batch: {"logits": batch}, r"module returns is dict, not a tensor"),
        (lambda batch: batch[:, :, None, None].expand(-1, 4, 2, 1), r"\(23, 4, 2, 1\)"),
        (lambda batch: batch[:, 0], r"shape \(23,\).*after pooling"),
        (lambda batch: batch[1:], r"\(22, 4\) for a batch of 23 samples"),
    ],
)
def test_transform__what_the_module_returns_is_no_embedding__error(
    rows, function, message
):
    with pytest.raises(ValueError, match=message):
        TorchEncoder(Returns(function), layer="").transform(rows)


def test_transform__width_differs_by_batch__error(rows):
    module = Returns(lambda batch: batch[:, : len(batch)])
    with pytest.raises(ValueError, match=r"3 features for sample 20 but 4 for"):
        TorchEncoder(module, layer="", batch_size=5).transform(rows)


@pytest.mark.parametrize(
    ("batch_size", "sizes"),
    [
        # Nothing is run twice, and later batches stay small.
        (20, [20, 10, 5, 5, 5, 5, 3]),
        (64, [23, 11, 5, 5, 5, 5, 3]),
    ],
)
def test_transform__out_of_memory__halves_the_batch_and_goes_on(
    rows, batch_size, sizes
):
    module = seeded(lambda: Small(limit=6))
    encoder = TorchEncoder(module, layer="", batch_size=batch_size)
    with pytest.warns(UserWarning, match="batch_size=") as caught:
        embedding = encoder.transform(rows)
    found = [re.findall(r"=(\d+) instead of (\d+)", str(w.message)) for w in caught]
    first, second, third = map(str, sizes[:3])
    assert found == [[(second, first)], [(third, second)]]
    assert module.sizes == sizes
    with torch.no_grad():
        expected = module.linear(torch.tensor(rows, dtype=torch.float32))
    np.testing.assert_allclose(embedding, expected, atol=1e-6)
    assert encoder.batch_size == batch_size


def test_transform__out_of_memory__batches_of_any_kind_are_halved():
    class Fussy(Two):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            if len(a) > 2:
                raise torch.OutOfMemoryError("out of memory")
            return super().forward(a, b)

    rng = np.random.default_rng(2)
    pairs = [(rng.normal(size=3), rng.normal(size=2)) for _ in range(7)]
    named = [{"a": a, "b": b} for a, b in pairs]
    expected = TorchEncoder(seeded(Two)).transform(pairs)
    for samples in (pairs, named):
        with pytest.warns(UserWarning, match="batch_size=2"):
            embedding = TorchEncoder(seeded(Fussy), batch_size=4).transform(samples)
        np.testing.assert_allclose(embedding, expected, atol=1e-6)


def test_transform__out_of_memory_for_one_row__memory_error(rows):
    encoder = TorchEncoder(Small(limit=0), layer="", batch_size=2)
    with (
        pytest.warns(UserWarning, match="batch_size=1"),
        pytest.raises(MemoryError, match=r"'cpu' is too small.*one sample") as caught,
    ):
        encoder.transform(rows)
    assert isinstance(caught.value.__cause__, torch.OutOfMemoryError)


def test_transform__autocast__as_by_hand(rows):
    module = mlp()
    encoder = TorchEncoder(module, autocast="bfloat16", device="cpu")
    embedding = encoder.transform(rows)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        expected = module[:2](torch.tensor(rows, dtype=torch.float32))
    assert embedding.dtype == np.float32
    np.testing.assert_array_equal(embedding, expected.float().numpy())
    assert (embedding != TorchEncoder(module).transform(rows)).any()


def test_transform__in_threads__as_alone(rows):
    encoders = [TorchEncoder(mlp(seed), batch_size=2) for seed in range(3)]
    expected = [encoder.transform(rows) for encoder in encoders]
    start = threading.Barrier(6)

    def run(number: int) -> list[np.ndarray]:
        start.wait()
        return [encoders[number % 3].transform(rows[number:]) for _ in range(5)]

    with ThreadPoolExecutor(6) as pool:
        for number, embeddings in enumerate(pool.map(run, range(6))):
            for embedding in embeddings:
                np.testing.assert_allclose(
                    embedding, expected[number % 3][number:], atol=1e-6
                )


class Meets(nn.Module):
    """Two threads run it at once: the second while the first is in the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.barrier = nn.Linear(4, 2), threading.Barrier(2, timeout=10)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        is_first = rows[0, 0] == 1
        if not is_first:
            self.barrier.wait()
        output = self.linear(rows)
        if is_first:
            self.barrier.wait()
        self.barrier.wait()
        return output


def test_transform__another_thread_in_between__nothing_is_mixed_up():
    encoder = TorchEncoder(Meets(), device="cpu")
    tables = [np.full((3, 4), number, dtype=np.float32) for number in (1, 2)]
    with ThreadPoolExecutor(2) as pool:
        for rows, embedding in zip(
            tables, pool.map(encoder.transform, tables), strict=True
        ):
            np.testing.assert_array_equal(embedding, rows)


def test_transform__while_it_runs__module_can_be_pickled(rows):
    pickles = []
    module = mlp()
    module.register_forward_hook(lambda *_: pickles.append(copy.deepcopy(module)))
    TorchEncoder(module, batch_size=10).transform(rows)
    assert len(pickles) == 3
    assert all(not part._forward_pre_hooks for part in pickles[0].modules())


def test_transform__fails__no_hook_stays(rows):
    with pytest.raises(RuntimeError, match="mat1"):
        TorchEncoder(mlp()).transform(rows[:, :3])
    TorchEncoder(mlp()).transform(rows)
    assert not torch_hooks._global_forward_pre_hooks
    assert not torch_hooks._global_forward_hooks


@pytest.mark.usefixtures("global_random_states_stay")
def test_transform__global_random_states_untouched(rows, tmp_path):
    TorchEncoder(mlp()).transform(rows)
    TorchEncoder(mlp()).transform(list(rows))


def test_transform__module_can_be_trained_afterwards(rows):
    module = mlp()
    TorchEncoder(module).transform(rows)
    assert all(weight.requires_grad for weight in module.parameters())
    module(torch.ones(2, 4)).sum().backward()
    assert module[0].weight.grad is not None


def test_fit__learns_nothing(rows):
    encoder = TorchEncoder(mlp())
    assert encoder.fit() is encoder
    np.testing.assert_array_equal(encoder.fit_transform(rows), encoder.transform(rows))
    pipeline = make_pipeline(StandardScaler(), encoder).fit(rows)
    assert pipeline.transform(rows).shape == (23, 6)
    assert FrozenEstimator(encoder).transform(rows).shape == (23, 6)


def test_params__clone_and_repr(rows):
    module = mlp()
    encoder = TorchEncoder(module, layer="2", batch_size=3, device="cpu")
    assert encoder.get_params() == {
        "module": module,
        "layer": "2",
        "batch_size": 3,
        "device": "cpu",
        "autocast": None,
        "n_workers": 0,
        "dataset": None,
    }
    copied = clone(encoder)
    assert copied.module is not module
    np.testing.assert_array_equal(copied.transform(rows), encoder.transform(rows))
    assert "batch_size=3" in repr(encoder)


@pytest.mark.parametrize("library", [pickle, joblib])
def test_pickle__same_bits(rows, library, tmp_path):
    encoder = TorchEncoder(mlp(), layer="2")
    expected = encoder.transform(rows)
    with open(tmp_path / "encoder", "wb") as file:
        library.dump(encoder, file)
    with open(tmp_path / "encoder", "rb") as file:
        np.testing.assert_array_equal(library.load(file).transform(rows), expected)


def test_copy_on_another_device__kept_until_weights_change():
    # The device that stores nothing stands for one that this machine may lack.
    meta = torch.device("meta")
    module = mlp()
    encoder = TorchEncoder(module)
    first = encoder._module_on(meta)
    assert {weight.device for weight in first.parameters()} == {meta}
    assert {weight.device.type for weight in module.parameters()} == {"cpu"}
    assert encoder._module_on(meta) is first
    assert encoder._module_on(torch.device("cpu")) is module
    module.load_state_dict(mlp(1).state_dict())
    second = encoder._module_on(meta)
    assert second is not first
    module[0].weight = nn.Parameter(torch.zeros(6, 4))
    third = encoder._module_on(meta)
    assert third is not second
    encoder.set_params(module=mlp())
    assert encoder._module_on(meta) is not third
    loaded = pickle.loads(pickle.dumps(encoder))
    assert not hasattr(loaded, "_copied")
    assert {weight.device.type for weight in loaded.module.parameters()} == {"cpu"}


@needs_cuda
def test_cuda__same_as_on_the_cpu_and_pickles_hold_no_cuda(rows):
    module = mlp()
    expected = TorchEncoder(module, device="cpu").transform(rows)
    encoder = TorchEncoder(module, device="cuda", batch_size=10)
    np.testing.assert_allclose(encoder.transform(rows), expected, atol=1e-3)
    half = TorchEncoder(module, device="cuda", autocast="float16").transform(rows)
    np.testing.assert_allclose(half, expected, atol=1e-2)
    assert next(module.parameters()).device.type == "cpu"

    there = TorchEncoder(copy.deepcopy(module).cuda())
    before = digest(there.fingerprint())
    np.testing.assert_allclose(there.transform(rows), expected, atol=1e-3)
    for either in (encoder, there):
        weights = pickle.loads(pickle.dumps(either)).module.parameters()
        assert {weight.device.type for weight in weights} == {"cpu"}
    assert next(there.module.parameters()).device.type == "cuda"
    assert before == digest(TorchEncoder(module).fingerprint())


def test_fingerprint__does_not_depend_on_what_ran(rows):
    encoder = TorchEncoder(mlp().train())
    before = digest(encoder.fingerprint())
    encoder.transform(rows)
    assert digest(encoder.fingerprint()) == before
    encoder.module.train()
    assert digest(encoder.fingerprint()) == before
    assert digest(pickle.loads(pickle.dumps(encoder)).fingerprint()) == before
    assert digest(clone(encoder).fingerprint()) == before
    elsewhere = encoder._module_on(torch.device("meta"))
    assert elsewhere is not encoder.module
    assert digest(encoder.fingerprint()) == before


@pytest.mark.parametrize(
    "params", [{"batch_size": 7}, {"device": "cpu"}, {"n_workers": 3}]
)
def test_fingerprint__does_not_depend_on_how_it_runs(params):
    encoder = TorchEncoder(mlp())
    before = digest(encoder.fingerprint())
    assert digest(clone(encoder).set_params(**params).fingerprint()) == before


@pytest.mark.parametrize(
    "params",
    [{"module": mlp(1)}, {"layer": "2"}, {"autocast": "bfloat16"}, {"dataset": Ragged}],
)
def test_fingerprint__depends_on_what_it_makes(params):
    encoder = TorchEncoder(mlp())
    before = digest(encoder.fingerprint())
    assert digest(clone(encoder).set_params(**params).fingerprint()) != before


def test_fingerprint__changes_with_a_weight():
    encoder = TorchEncoder(seeded(Cnn))
    before = digest(encoder.fingerprint())
    with torch.no_grad():
        encoder.module.norm.running_mean[1] += 1e-6
    assert digest(encoder.fingerprint()) != before


def test_import__needs_no_torch():
    program = "import sys, jedi_sklearn.encoders; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_from_pretrained__without_transformers__error(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match=r'pip install "jedi_sklearn\[transformers]"'):
        from_pretrained("folder")


# Experts


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def logits_of(module: nn.Sequential, rows: np.ndarray) -> np.ndarray:
    """Return the logits of an `mlp` in float64."""
    weight = module[2].weight.detach().numpy().astype(float)
    bias = 0 if module[2].bias is None else module[2].bias.detach().numpy()
    return first_layer(module, rows) @ weight.T + bias


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("n_outputs", [2, 3, 7])
def test_expert__probabilities_are_the_softmax_of_the_logits(rows, n_outputs, bias):
    module = mlp(n_outputs=n_outputs, bias=bias)
    expert = torch_expert(module)
    logits = logits_of(module, rows)
    np.testing.assert_allclose(expert.predict_proba(rows), softmax(logits), atol=1e-5)
    np.testing.assert_array_equal(expert.predict(rows), logits.argmax(axis=1))
    np.testing.assert_array_equal(expert.classes_, np.arange(n_outputs))


def test_expert__one_output__sigmoid(rows):
    module = mlp(n_outputs=1)
    p = 1 / (1 + np.exp(-logits_of(module, rows)))
    expert = torch_expert(module, classes=["yes", "no"])  # not in sorted order
    assert list(expert.classes_) == ["no", "yes"]
    np.testing.assert_allclose(
        expert.predict_proba(rows), np.hstack([p, 1 - p]), atol=1e-5
    )
    squeezed = nn.Sequential(*module, nn.Flatten(0))
    np.testing.assert_array_equal(
        torch_expert(squeezed).predict(rows), (p > 0.5).ravel()
    )


def test_expert__labels_by_output_number(rows):
    module = mlp()
    labels = np.array(["eel", "cat", "dog"])
    expert = torch_expert(module, labels, batch_size=4, device="cpu")
    logits = logits_of(module, rows)
    assert list(expert.classes_) == ["cat", "dog", "eel"]
    np.testing.assert_array_equal(expert.predict(rows), labels[logits.argmax(axis=1)])
    np.testing.assert_allclose(
        expert.predict_proba(rows), softmax(logits)[:, [1, 2, 0]], atol=1e-5
    )
    pair = torch_expert(mlp(n_outputs=2), ["no", "it"])
    expected = softmax(logits_of(mlp(n_outputs=2), rows))[:, ::-1]
    np.testing.assert_allclose(pair.predict_proba(rows), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("n_outputs", "classes", "message"),
    [
        (3, ["a", "b"], r"2 labels, of which 2 .* layer '2' tells 3 classes"),
        (3, ["a", "b", "a"], r"3 labels, of which 2 are different.* 3 classes"),
        (3, [["a", "b", "c"]], r"layer '2' tells 3 classes"),
        (1, ["a"], r"1 labels.* tells 2 classes"),
    ],
)
def test_expert__wrong_classes__error(n_outputs, classes, message):
    with pytest.raises(ValueError, match=message):
        torch_expert(mlp(n_outputs=n_outputs), classes)


class Wrapped(nn.Module):
    """An `mlp` whose logits go through a function, and an unused layer after it."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.net, self.function = mlp(), function
        self.unused = nn.Linear(6, 3)

    def forward(self, rows: torch.Tensor) -> Any:
        return self.function(self.net(rows))


class Output:
    def __init__(self, logits: torch.Tensor) -> None:
        self.logits = logits


@pytest.mark.parametrize("autocast", [None, "bfloat16"])
@pytest.mark.parametrize(
    "function",
    [
        lambda logits: logits.softmax(dim=1),
        lambda logits: logits.log_softmax(dim=1),
        torch.sigmoid,
        Output,
        lambda logits: {"logits": logits},
    ],
)
def test_expert__module_returns_what_the_layer_makes__as_its_logits(
    rows, function, autocast
):
    expert = torch_expert(
        Wrapped(function), layer="net.2", autocast=autocast, device="cpu"
    )
    np.testing.assert_allclose(
        expert.predict_proba(rows),
        softmax(logits_of(mlp(), rows)),
        atol=1e-5 if autocast is None else 1e-2,
    )


@pytest.mark.parametrize(
    "function",
    [
        lambda logits: logits / 2,
        lambda logits: logits.flip(1),
        lambda logits: logits[:, :2],
        lambda logits: logits.softmax(dim=0),
        lambda logits: {"scores": logits},
        lambda logits: (logits, 0),
    ],
)
def test_expert__module_returns_something_else__error(rows, function):
    expert = torch_expert(Wrapped(function), layer="net.2")
    with pytest.raises(ValueError, match=r"does not return what its layer 'net.2'"):
        expert.predict(rows)


def test_expert__last_registered_layer_is_not_the_head__error(rows):
    module = seeded(Cnn)  # registers its head first
    assert torch_expert(module).classes_.tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match=r"layer 'unused' did not run"):
        torch_expert(Wrapped(torch.sigmoid)).predict(rows)
    inner = torch_expert(mlp(), layer="0")
    with pytest.raises(ValueError, match=r"name the linear layer"):
        inner.predict(rows)


def test_expert__rows_that_are_not_finite__left_to_others(rows):
    X = rows.copy()
    X[0, 0] = np.nan
    encoder = torch_expert(mlp()).estimator[0]
    assert np.isnan(encoder.transform(X)[0]).all()


def test_expert__module_is_a_linear_layer_itself(rows):
    module = seeded(lambda: nn.Linear(4, 3))
    weight, bias = (p.detach().numpy() for p in module.parameters())
    np.testing.assert_allclose(
        torch_expert(module).predict_proba(rows),
        softmax(rows @ weight.T + bias),
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("module", "layer", "message"),
    [
        (nn.Sequential(nn.ReLU()), None, r"Sequential has no torch.nn.Linear"),
        (mlp(), "1", r"layer='1'. It is Tanh"),
        (mlp(), "5", r"layer='5'\. Valid values"),
    ],
)
def test_expert__no_such_layer__error(module, layer, message):
    with pytest.raises(ValueError, match=message):
        torch_expert(module, layer=layer)


def test_expert__in_a_classifier():
    rng = np.random.default_rng(0)
    X = {"a": rng.normal(size=(40, 4)), "b": rng.normal(size=(30, 4)) + 1}
    y = {"a": rng.integers(3, size=40), "b": rng.integers(2, size=30)}
    modules = {"a": mlp(0), "b": mlp(1, n_outputs=2)}
    experts = [(name, torch_expert(module)) for name, module in modules.items()]
    clf = JEDIClassifier(experts, max_epochs=2, random_state=0, device="cpu")
    clf.fit(X, y)
    for name, module in modules.items():
        with torch.no_grad():
            logits = module(torch.tensor(X[name], dtype=torch.float32))
        np.testing.assert_array_equal(
            clf.experts_[name].predict(X[name]), logits.argmax(dim=1)
        )
    loaded = pickle.loads(pickle.dumps(clf))
    np.testing.assert_equal(loaded.predict(X), clf.predict(X))


def test_expert__clone_and_pickle__same_bits(rows, tmp_path):
    expert = torch_expert(mlp(), classes=["x", "z", "y"])
    expected = expert.predict_proba(rows)
    joblib.dump(expert, tmp_path / "expert")
    loaded = joblib.load(tmp_path / "expert")
    for same in (loaded, clone(expert)):
        np.testing.assert_array_equal(same.predict_proba(rows), expected)
    assert digest(loaded) == digest(expert)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["a", 1, None], r"labels of several types, \['a', 1, None\]"),
        ([0.0, np.nan, 2.0], "classes has a label NaN"),
    ],
)
def test_expert__of_labels_that_are_none__is_refused(classes, message):
    with pytest.raises(ValueError, match=message):
        torch_expert(torch.nn.Linear(4, 3), classes=classes)
