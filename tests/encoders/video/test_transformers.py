"""Video classifiers of the transformers library, small and with random weights."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("transformers", reason="an optional dependency")
pytest.importorskip("av", reason="an optional dependency")

from transformers import (
    AutoModelForVideoClassification,
    BertConfig,
    BertModel,
    TimesformerConfig,
    TimesformerForVideoClassification,
    VideoMAEConfig,
    VideoMAEForPreTraining,
    VideoMAEForVideoClassification,
    VideoMAEImageProcessorPil,
    ViTConfig,
    ViTForImageClassification,
    VivitConfig,
    VivitForVideoClassification,
    VivitImageProcessor,
    VJEPA2Config,
    VJEPA2ForVideoClassification,
)

from benchmarks.video_files import barcode_frames, write_video
from jedi_sklearn.encoders import from_pretrained
from jedi_sklearn.encoders.video import (
    VideoReader,
    ViewProtocol,
    read_views,
    transformers_video_expert,
)

N_FRAMES, SIZE = 4, 16

pytestmark = pytest.mark.usefixtures("quiet_transformers")

SMALL = {
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_labels": 3,
}
VIT = SMALL | {"image_size": SIZE, "num_frames": N_FRAMES, "intermediate_size": 16}
MODELS: dict[str, tuple[Any, Any]] = {
    "videomae": (VideoMAEForVideoClassification, VideoMAEConfig(**VIT, patch_size=8)),
    "timesformer": (
        TimesformerForVideoClassification,
        TimesformerConfig(**VIT, patch_size=8),
    ),
    "vivit": (
        VivitForVideoClassification,
        VivitConfig(**VIT, tubelet_size=[2, 8, 8]),
    ),
    "vjepa2": (
        VJEPA2ForVideoClassification,
        VJEPA2Config(
            **SMALL,
            crop_size=SIZE,
            patch_size=8,
            frames_per_clip=N_FRAMES,
            num_pooler_layers=1,
            pred_hidden_size=12,
            pred_num_attention_heads=2,
            pred_num_hidden_layers=1,
        ),
    ),
}
# As the hub has them, but smaller.
PREPARATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "videomae": (
        "preprocessor_config.json",
        {
            "crop_size": {"height": SIZE, "width": SIZE},
            "do_center_crop": True,
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": [0.485, 0.456, 0.406],
            "image_processor_type": "VideoMAEImageProcessor",
            "image_std": [0.229, 0.224, 0.225],
            "resample": 2,
            "rescale_factor": 0.00392156862745098,
            "size": {"shortest_edge": SIZE},
        },
    ),
    "vivit": (
        "preprocessor_config.json",
        {
            "crop_size": {"height": SIZE, "width": SIZE},
            "do_center_crop": True,
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": [0.5, 0.5, 0.5],
            "image_processor_type": "VivitImageProcessor",
            "image_std": [0.5, 0.5, 0.5],
            "offset": True,
            "resample": 2,
            "rescale_factor": 0.00784313725490196,
            "size": {"shortest_edge": 20},
        },
    ),
    "vjepa2": (
        "video_preprocessor_config.json",
        {
            "crop_size": {"height": SIZE, "width": SIZE},
            "data_format": "channels_first",
            "default_to_square": True,
            "do_center_crop": True,
            "do_convert_rgb": None,
            "do_normalize": True,
            "do_pad": None,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": [0.485, 0.456, 0.406],
            "image_std": [0.229, 0.224, 0.225],
            "resample": 2,
            "rescale_factor": 0.00392156862745098,
            "size": {"shortest_edge": 18},
            "video_processor_type": "VJEPA2VideoProcessor",
        },
    ),
}
PREPARATIONS["timesformer"] = (
    "preprocessor_config.json",
    PREPARATIONS["videomae"][1] | {"image_mean": [0.45] * 3, "image_std": [0.225] * 3},
)
ALL = sorted(MODELS)
# Standard deviations of red that processors have where files say nothing.
SCALE = {
    "timesformer": 0.229 * 255,
    "videomae": 0.5 * 255,
    "vivit": 0.5 * 127.5,
    "vjepa2": 0.229 * 255,
}


def seeded(make: Any, config: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = make(config)
        # Wide apart, so that a mistake shows.
        for weights in model.parameters():
            torch.nn.init.normal_(weights, std=0.5)
    return model.eval()


def write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def save(folder: Path, kind: str, **preparation: Any) -> Path:
    """Save a model of a type, and how frames are prepared for it."""
    seeded(*MODELS[kind]).save_pretrained(folder)
    file, settings = PREPARATIONS[kind]
    write_json(folder / file, settings | preparation)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    return {kind: save(tmp_path_factory.mktemp(kind), kind) for kind in ALL}


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    return write_video(path, barcode_frames(11, height=46, width=68))


def network_of(expert: Any) -> Any:
    return expert.estimator[0].module.network


def protocol_of(expert: Any) -> ViewProtocol:
    return expert.estimator[0].dataset.protocol


def prepared(path: Path, protocol: ViewProtocol) -> Any:
    """Return the one view of a video as a network gets it, frames first."""
    view = read_views(path, protocol)[0].numpy().astype(np.float64)
    return ((view - protocol.mean) / protocol.std).transpose(0, 3, 1, 2)


def middle_frames(path: Path) -> Any:
    """Return the frames that a view has by default."""
    reader = VideoReader(path)
    numbers = [int((i + 0.5) * len(reader) / N_FRAMES) for i in range(N_FRAMES)]
    return reader[numbers]


@pytest.mark.parametrize("kind", ALL)
def test_the_head_makes_the_models_own_logits_of_the_features(folders, kind):
    expert = transformers_video_expert(folders[kind])
    model = AutoModelForVideoClassification.from_pretrained(folders[kind]).eval()
    generator = torch.Generator().manual_seed(1)
    clips = torch.randn(2, 3, N_FRAMES, SIZE, SIZE, generator=generator)

    network = network_of(expert)
    with torch.no_grad():
        expected = model(clips.transpose(1, 2).contiguous()).logits
        features = network.features(clips)
        logits = network.head(features)

    assert features.shape == (2, network.n_features)
    assert expected.std() > 0.1
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(network(clips), logits)


@pytest.mark.parametrize("kind", ALL)
def test_an_expert_predicts_what_the_model_says_of_the_prepared_video(
    folders, clip, kind
):
    expert = transformers_video_expert(folders[kind])
    model = AutoModelForVideoClassification.from_pretrained(folders[kind]).eval()
    view = prepared(clip, protocol_of(expert))
    with torch.no_grad():
        logits = model(torch.from_numpy(view[None]).float()).logits
    expected = logits.softmax(dim=1).numpy()

    probabilities = expert.predict_proba([clip, str(clip)])

    np.testing.assert_allclose(probabilities[0], expected[0], atol=1e-4)
    np.testing.assert_allclose(probabilities[1], expected[0], atol=1e-4)
    np.testing.assert_allclose(
        expert.estimator[0].predict_proba([clip]), expected, atol=1e-4
    )
    assert expert.predict([clip]) == [f"LABEL_{expected.argmax()}"]


@pytest.mark.parametrize(
    ("kind", "preparation"),
    [
        ("videomae", {}),
        ("videomae", {"size": {"height": SIZE, "width": SIZE}}),
        ("videomae", {"resample": 3, "size": {"shortest_edge": 20}}),
        ("videomae", {"do_normalize": False}),
        ("videomae", {"do_rescale": False, "image_mean": [100.0, 90.0, 80.0]}),
        ("vivit", {}),
        ("vivit", {"offset": False, "rescale_factor": 1 / 255}),
        ("vivit", {"do_normalize": False}),
    ],
)
def test_frames_are_prepared_as_transformers_does_it(tmp_path, clip, kind, preparation):
    folder = save(tmp_path / kind, kind, **preparation)
    protocol = protocol_of(transformers_video_expert(folder))
    processors = {"videomae": VideoMAEImageProcessorPil, "vivit": VivitImageProcessor}
    processor = processors[kind].from_pretrained(folder)
    expected = processor(list(middle_frames(clip)), return_tensors="np")["pixel_values"]

    found = prepared(clip, protocol)

    # On the scale of 0 to 255. Pillow rounds, and cuts off what exceeds the scale,
    # after each of two directions, which shows beside sharp edges.
    distance = np.abs(found - expected[0]) * np.reshape(protocol.std, (3, 1, 1))
    assert distance.mean() < 0.5
    assert distance.max() < (10 if protocol.interpolation == "bicubic" else 1.1)
    assert np.ptp(found * np.reshape(protocol.std, (3, 1, 1))) > 100


def test_frames_keep_their_colours_in_numpys_arithmetic(tmp_path):
    # Frames of one colour: no resizing, no cropping, and no file's loss counts.
    settings = {"offset": True, "rescale_factor": 1 / 64, "image_mean": [0.1, 0.2, 0.3]}
    settings |= {"image_std": [0.4, 0.5, 0.6]}
    protocol = protocol_of(
        transformers_video_expert(save(tmp_path / "m", "vivit", **settings))
    )
    frame = np.array([[[0, 100, 255]]], dtype=np.float64)
    expected = (frame / 64 - 1 - [0.1, 0.2, 0.3]) / [0.4, 0.5, 0.6]

    np.testing.assert_allclose((frame - protocol.mean) / protocol.std, expected)


@pytest.mark.parametrize(
    ("kind", "short_side"), [("videomae", 16), ("timesformer", 16), ("vivit", 20)]
)
def test_the_protocol_is_that_of_the_files(folders, kind, short_side):
    protocol = protocol_of(transformers_video_expert(folders[kind]))

    assert protocol[:2] == (N_FRAMES, SIZE)
    assert protocol.short_side == short_side
    assert protocol.antialias
    assert protocol.rounding == "down"
    assert protocol.interpolation == "bilinear"
    assert protocol.interval is None


def test_v_jepas_own_size_is_ignored_as_transformers_does(folders):
    # 256 * 256 / 224 = 292 for its crop of 256, whatever the file says.
    protocol = protocol_of(transformers_video_expert(folders["vjepa2"]))

    assert protocol.short_side == int(SIZE * 256 / 224)
    np.testing.assert_allclose(protocol.mean, np.array([0.485, 0.456, 0.406]) * 255)


@pytest.mark.parametrize("kind", ALL)
def test_what_a_file_leaves_out_is_the_default_of_its_processor(tmp_path, kind):
    folder = save(tmp_path / kind, kind)
    file, settings = PREPARATIONS[kind]
    kept = {"crop_size": SIZE, "size": settings["size"]}
    write_json(folder / file, kept)  # The type is the model's, too.

    protocol = protocol_of(transformers_video_expert(folder))

    imagenet = np.array([0.485, 0.456, 0.406])
    expected = {  # of colours that are 0, and standardised
        "timesformer": -imagenet / [0.229, 0.224, 0.225],
        "videomae": [-1, -1, -1],
        "vivit": [-3, -3, -3],
        "vjepa2": -imagenet / [0.229, 0.224, 0.225],
    }
    found = (0 - np.array(protocol.mean)) / protocol.std
    np.testing.assert_allclose(found, expected[kind])
    np.testing.assert_allclose(np.array(protocol.std)[0], SCALE[kind])


def test_files_of_old_releases_are_understood(tmp_path):
    folder = save(tmp_path / "model", "videomae")
    old = {"feature_extractor_type": "VideoMAEFeatureExtractor", "size": 20}
    write_json(folder / "preprocessor_config.json", old | {"crop_size": SIZE})

    protocol = protocol_of(transformers_video_expert(folder))

    assert (protocol.short_side, protocol.crop_size) == (20, SIZE)
    np.testing.assert_allclose(protocol.std, [127.5] * 3)


def test_labels_are_those_of_the_configuration_or_given_ones(folders, tmp_path, clip):
    folder = shutil.copytree(folders["videomae"], tmp_path / "model")
    unnamed = transformers_video_expert(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    names = ["run", "jump", "eat"]
    config["id2label"] = {str(i): name for i, name in enumerate(names)}
    write_json(folder / "config.json", config)
    named = transformers_video_expert(folder)
    given = transformers_video_expert(folder, classes=[7, 3, 5])

    assert list(unnamed.classes_) == ["LABEL_0", "LABEL_1", "LABEL_2"]
    assert list(named.classes_) == sorted(names)
    assert list(given.classes_) == [3, 5, 7]
    probabilities = unnamed.predict_proba([clip])
    for expert, order in [(named, [2, 1, 0]), (given, [1, 2, 0])]:
        expected = probabilities[:, order]
        np.testing.assert_allclose(expert.predict_proba([clip]), expected, rtol=1e-6)
        np.testing.assert_allclose(
            expert.estimator[0].predict_proba([clip]), expected, rtol=1e-4
        )


def test_a_protocol_replaces_the_files(folders, tmp_path, clip):
    folder = shutil.copytree(folders["vjepa2"], tmp_path / "model")
    (folder / "video_preprocessor_config.json").unlink()
    protocol = ViewProtocol(
        n_frames=6, crop_size=SIZE, n_clips=2, interval=1, short_side=20, crop="three"
    )

    expert = transformers_video_expert(folder, protocol=protocol)

    assert protocol_of(expert) == protocol
    assert expert.predict_proba([clip]).shape == (1, 3)
    with pytest.raises(ValueError, match="has neither") as error:
        transformers_video_expert(folder)
    assert str(error.value) == (
        f"The model {str(folder)!r} has neither video_preprocessor_config.json nor "
        "preprocessor_config.json, to say how frames are prepared; give a protocol, as "
        "in ViewProtocol(n_frames=4, crop_size=16)."
    )


@pytest.mark.parametrize(
    ("kind", "change", "takes"),
    [
        ("videomae", {"n_frames": 8}, "n_frames=4"),
        ("timesformer", {"n_frames": 3}, "n_frames=4"),
        ("vivit", {"n_frames": 2}, "n_frames=4"),
        ("vjepa2", {"n_frames": 3}, "n_frames a multiple of 2"),
        ("vjepa2", {"crop_size": 24}, "n_frames a multiple of 2"),
        ("timesformer", {"crop_size": 8}, "n_frames=4"),
    ],
)
def test_a_protocol_whose_views_do_not_fit_is_refused(folders, kind, change, takes):
    protocol = ViewProtocol(n_frames=N_FRAMES, crop_size=SIZE)._replace(**change)

    with pytest.raises(ValueError, match="takes views of") as error:
        transformers_video_expert(folders[kind], protocol=protocol)

    assert str(error.value) == (
        f"The model {str(folders[kind])!r} takes views of {takes}, crop_size=16; the "
        "protocol, given or of its own files, has "
        f"n_frames={protocol.n_frames}, crop_size={protocol.crop_size}."
    )


@pytest.mark.parametrize(
    ("settings", "cause"),
    [
        ({"crop_size": {"height": 16, "width": 20}}, "It has crop_size={'height'"),
        ({"size": {"height": 16, "width": 20}}, "It has size={'height'"),
        ({"size": {"height": 20, "width": 20}}, "another crop_size="),
        ({"size": {"shortest_edge": 16, "longest_edge": 20}}, "known are squares"),
        ({"size": {"shortest_edge": "16"}}, "protocol.short_side='16'"),
        ({"size": {"shortest_edge": 10}}, "a shorter side of 10 pixels"),
        ({"do_center_crop": False}, "frames that are not square"),
        ({"do_resize": False}, "do_resize=False, which leaves frames of any size"),
        ({"do_pad": True}, "It has do_pad=True."),
        ({"do_sample_frames": True}, "It has do_sample_frames=True."),
        ({"resample": 1}, "It has resample=1; known are 2 (bilinear) and 3 (bicubic)."),
        ({"image_processor_type": "ViTImageProcessor"}, "for a ViTImageProcessor."),
        ({"rescale_factor": 0}, "division by zero"),
        ({"image_std": [1, 2]}, "protocol.std"),
        ({"image_mean": {}}, "float"),
    ],
)
def test_steps_that_are_not_known_are_refused(tmp_path, settings, cause):
    folder = save(tmp_path / "model", "videomae", **settings)

    with pytest.raises(ValueError, match="a step not known here") as error:
        transformers_video_expert(folder)

    message = str(error.value)
    assert message.startswith(
        f"The preprocessor_config.json of {str(folder)!r} asks for a step not known "
        "here; give a protocol instead. "
    )
    assert cause in message


def test_a_file_that_is_no_json_is_named(folders, tmp_path):
    folder = shutil.copytree(folders["videomae"], tmp_path / "model")
    file = folder / "preprocessor_config.json"
    file.write_text("{", encoding="utf-8")

    with pytest.raises(ValueError, match="is no JSON") as error:
        transformers_video_expert(folder)

    assert str(file) in str(error.value)


@pytest.mark.parametrize(
    ("model", "config"),
    [
        (BertModel, BertConfig(**SMALL, intermediate_size=8, vocab_size=9)),
        (
            ViTForImageClassification,
            ViTConfig(**SMALL, intermediate_size=8, image_size=8, patch_size=4),
        ),
    ],
)
def test_other_types_of_models_are_refused(tmp_path, model, config):
    seeded(model, config).save_pretrained(tmp_path)

    with pytest.raises(ValueError, match="it must be a classifier") as error:
        transformers_video_expert(tmp_path)

    assert str(error.value) == (
        f"The model {str(tmp_path)!r} is of type {config.model_type!r}; it must be a "
        "classifier of videos, of type 'timesformer', 'videomae', 'vivit', 'vjepa2'."
    )


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"has no config\.json") as error:
        transformers_video_expert(tmp_path)
    assert repr(str(tmp_path)) in str(error.value)
    missing = tmp_path / "nowhere"
    with pytest.raises(OSError, match="nowhere"):
        transformers_video_expert(missing, local_files_only=True)


def test_a_backbone_without_a_classifier_is_refused(tmp_path):
    config = MODELS["videomae"][1]
    seeded(VideoMAEForPreTraining, config).save_pretrained(tmp_path)

    with pytest.raises(ValueError, match="which would be random") as error:
        transformers_video_expert(tmp_path)

    assert "classifier.bias" in str(error.value)


def test_a_pooler_that_is_missing_is_refused(tmp_path):
    model = seeded(*MODELS["vjepa2"])
    kept = {k: v for k, v in model.state_dict().items() if not k.startswith("pooler.")}
    model.save_pretrained(tmp_path, state_dict=kept)

    with pytest.raises(ValueError, match=r"'pooler.*which would be random"):
        transformers_video_expert(tmp_path)


def test_a_head_of_another_size_is_random_too(folders):
    with pytest.raises(ValueError, match=r"'classifier.*which would be random"):
        transformers_video_expert(
            folders["vivit"], num_labels=5, ignore_mismatched_sizes=True
        )


@pytest.mark.parametrize("make", [transformers_video_expert, from_pretrained])
def test_code_is_never_trusted(folders, make):
    with pytest.raises(ValueError, match="trust_remote_code=True"):
        make(folders["videomae"], trust_remote_code=True)


def test_weights_of_half_precision_become_float32(folders, tmp_path, clip):
    model = seeded(*MODELS["videomae"]).half()
    folder = shutil.copytree(folders["videomae"], tmp_path / "model")
    model.save_pretrained(folder)

    expert = transformers_video_expert(folder)

    assert {p.dtype for p in network_of(expert).parameters()} == {torch.float32}
    expected = transformers_video_expert(folders["videomae"]).predict_proba([clip])
    np.testing.assert_allclose(expert.predict_proba([clip]), expected, atol=0.05)


def test_autocast_is_close(folders, clip):
    expert = transformers_video_expert(folders["vjepa2"], autocast="bfloat16")
    expected = transformers_video_expert(folders["vjepa2"]).predict_proba([clip])
    np.testing.assert_allclose(expert.predict_proba([clip]), expected, atol=0.1)


@pytest.mark.parametrize("kind", ALL)
def test_an_expert_survives_pickling(folders, clip, kind):
    expert = transformers_video_expert(folders[kind])
    again = pickle.loads(pickle.dumps(expert))
    np.testing.assert_allclose(
        again.predict_proba([clip]), expert.predict_proba([clip]), rtol=1e-4
    )


def test_the_same_model_elsewhere_is_the_same_encoder(folders, tmp_path):
    from jedi_sklearn.embeddings._fingerprints import fingerprint

    def digest(folder: Path) -> str:
        return fingerprint(transformers_video_expert(folder).estimator[0])

    copied = shutil.copytree(folders["videomae"], tmp_path / "copy")
    other = save(tmp_path / "other", "videomae", image_mean=[0.1, 0.2, 0.3])

    assert digest(copied) == digest(folders["videomae"])
    assert digest(other) != digest(copied)


def test_threads_share_an_expert(folders, clip):
    expert = transformers_video_expert(folders["vivit"])
    expected = expert.predict_proba([clip])
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: expert.predict_proba([clip]), range(8)):
            np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_loading_leaves_the_random_state(folders, global_random_states_stay):
    transformers_video_expert(folders["timesformer"])


def test_transformers_is_asked_for_where_it_is_missing(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError) as error:
        transformers_video_expert(tmp_path)
    assert str(error.value) == (
        "transformers_video_expert needs transformers: "
        'pip install "jedi_sklearn[video,transformers]"'
    )
