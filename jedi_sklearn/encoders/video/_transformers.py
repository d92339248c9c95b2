"""Experts from video classifiers of the transformers library."""

from __future__ import annotations

import os
import re
from typing import Any

import numpy.typing as npt
from sklearn.frozen import FrozenEstimator
from torch import Tensor, nn

from .._hugging_face import ModelFiles, files_of, load_model
from ._encoder import expert_of
from .reading._protocol import ViewProtocol, check_protocol
from .reading._views import VideoViews

# Defaults of transformers for the settings of a preprocessor, by type of model.
_COMMON = {
    "do_resize": True,
    "size": {"shortest_edge": 224},
    "resample": 2,
    "do_center_crop": True,
    "crop_size": 224,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "offset": False,
    "do_normalize": True,
    "image_mean": 0.5,
    "image_std": 0.5,
    "do_convert_rgb": True,
}
_OF_IMAGENET = {
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "timesformer": _COMMON | _OF_IMAGENET,
    "videomae": _COMMON,
    "vivit": _COMMON
    | {"size": {"shortest_edge": 256}, "rescale_factor": 1 / 127.5, "offset": True},
    "vjepa2": _COMMON | _OF_IMAGENET | {"crop_size": 256},
}
# In the order of transformers: the first that exists is used.
_PREPARATION_FILES = ("video_preprocessor_config.json", "preprocessor_config.json")
_INTERPOLATIONS = {2: "bilinear", 3: "bicubic"}


def transformers_video_expert(
    folder_or_name: str | os.PathLike[str],
    *,
    classes: npt.ArrayLike | None = None,
    protocol: ViewProtocol | None = None,
    batch_size: int = 1,
    device: str = "auto",
    autocast: str | None = None,
    n_workers: int = 0,
    **kwargs: Any,
) -> FrozenEstimator:
    """Make an expert from a video classifier of transformers; its samples are paths.

    Parameters
    ----------
    folder_or_name : str or path
        Folder with a VideoMAE, TimeSformer, ViViT or V-JEPA 2 model that classifies
        videos, or the name of one on huggingface.co. Its weights must be safetensors:
        other formats can hold code. Code that comes with a model is never run.
    classes : array-like of shape (n_classes,), optional
        Labels in the order of the model's outputs; by default the names (str) in its
        configuration.
    protocol : ViewProtocol, optional
        Test protocol. By default one view, prepared as in the model's
        preprocessor_config.json, with the model's number of frames spread over the
        video: that file does not say which frames. Papers average several views, as in
        ``n_clips=5, interval=4, crop="three"``.
    batch_size : int, default=1
        See `video_expert`.
    device : str, default="auto"
        See `video_expert`.
    autocast : str or None, default=None
        See `video_expert`. Weights are converted to float32.
    n_workers : int, default=0
        See `video_expert`.
    **kwargs
        Keywords for ``from_pretrained`` of transformers, such as revision, token and
        local_files_only.

    Returns
    -------
    expert : FrozenEstimator
        See `video_expert`. The features are the input of the model's ``classifier``.

    Raises
    ------
    ImportError
        If transformers is not installed.
    OSError
        If there is no such model, or no safetensors.
    ValueError
        If the model is of another type, weights are missing, it cannot take the views
        of the protocol, or its files ask for steps that are not supported.

    See Also
    --------
    video_expert : Expert from a checkpoint of MMAction2 and others.

    Examples
    --------
    This downloads a model of 350 MB.

    >>> from jedi_sklearn.encoders.video import transformers_video_expert
    >>> name = "MCG-NJU/videomae-base-finetuned-kinetics"
    >>> expert = transformers_video_expert(name)  # doctest: +SKIP
    >>> str(expert.predict(["clip.mp4"])[0])  # doctest: +SKIP
    'abseiling'
    """
    try:
        import transformers  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "transformers_video_expert needs transformers: "
            'pip install "jedi_sklearn[video,transformers]"'
        ) from error
    files = files_of(folder_or_name, kwargs)
    config = files.read("config.json")
    if config is None:
        raise ValueError(f"The model {str(files.name)!r} has no config.json.")
    found = config.get("model_type")
    if found not in _DEFAULTS:
        raise ValueError(
            f"The model {str(files.name)!r} is of type {found!r}; it must be a "
            f"classifier of videos, of type {', '.join(map(repr, _DEFAULTS))}."
        )
    model = load_model("AutoModelForVideoClassification", folder_or_name, kwargs)
    if protocol is None:
        protocol = _protocol_of(files, model.config)
    else:
        check_protocol(protocol)
    _check_views(protocol, model.config, files)
    if classes is None:
        classes = [str(label) for _, label in sorted(model.config.id2label.items())]
    return expert_of(
        TransformersNetwork(model),
        classes,
        protocol,
        dataset=VideoViews(protocol),
        batch_size=batch_size,
        device=device,
        autocast=autocast,
        n_workers=n_workers,
    )


class TransformersNetwork(nn.Module):
    """Video classifier of transformers whose last layer is a separate head.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        Changed in place: its ``classifier`` is removed.

    Attributes
    ----------
    n_features : int
        Length of a feature vector.
    head : torch.nn.Linear
        The former ``classifier``.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.head = model.classifier.float()
        self.n_features = int(model.config.hidden_size)
        # The model's "logits" are the features now.
        model.classifier = nn.Identity()
        self.model = model.float()

    def features(self, clips: Tensor) -> Tensor:
        """Return the input of the head.

        Parameters
        ----------
        clips : tensor of shape (n_clips, 3, n_frames, height, width), float32

        Returns
        -------
        features : tensor of shape (n_clips, n_features), float32
        """
        frames_first = clips.transpose(1, 2)
        features: Tensor = self.model(frames_first, return_dict=True).logits
        return features

    def forward(self, clips: Tensor) -> Tensor:
        """Return the scores of the classes, before the softmax.

        Parameters
        ----------
        clips
            See `features`.

        Returns
        -------
        scores : tensor of shape (n_clips, n_classes), float32
        """
        scores: Tensor = self.head(self.features(clips))
        return scores


def _check_views(protocol: ViewProtocol, config: Any, files: ModelFiles) -> None:
    """Raise ValueError if a model cannot take the views of a protocol."""
    right_size = _size_of(config) in (protocol.crop_size, [protocol.crop_size] * 2)
    takes = f"n_frames={_n_frames_of(config)}"
    right_frames = protocol.n_frames == _n_frames_of(config)
    if config.model_type == "vjepa2":  # without a table of positions
        takes = f"n_frames a multiple of {config.tubelet_size}"
        right_frames = protocol.n_frames % config.tubelet_size == 0
    if not right_size or not right_frames:
        raise ValueError(
            f"The model {str(files.name)!r} takes views of {takes}, "
            f"crop_size={_size_of(config)}; the protocol, given or of its own files, "
            f"has n_frames={protocol.n_frames}, crop_size={protocol.crop_size}."
        )


def _n_frames_of(config: Any) -> int:
    name = "frames_per_clip" if config.model_type == "vjepa2" else "num_frames"
    return int(getattr(config, name))


def _size_of(config: Any) -> Any:
    """Return the side length of a model's frames, or a list of height and width."""
    return config.crop_size if config.model_type == "vjepa2" else config.image_size


def _protocol_of(files: ModelFiles, config: Any) -> ViewProtocol:
    """Return the protocol given by the preprocessor file of a model."""
    for file in _PREPARATION_FILES:
        given = files.read(file)
        if given is not None:
            break
    else:
        raise ValueError(
            f"The model {str(files.name)!r} has neither "
            f"{' nor '.join(_PREPARATION_FILES)}, to say how frames are prepared; give "
            f"a protocol, as in ViewProtocol(n_frames={_n_frames_of(config)}, "
            f"crop_size={_size_of(config)})."
        )
    try:
        settings = _settings_of(given, config.model_type)
        resample = settings["resample"]
        if resample not in _INTERPOLATIONS:
            raise ValueError(
                f"It has resample={resample!r}; known are 2 (bilinear) and 3 (bicubic)."
            )
        protocol = ViewProtocol(
            n_frames=_n_frames_of(config),
            interpolation=_INTERPOLATIONS[resample],
            antialias=True,
            rounding="down",
            **_sizes_of(settings),
            **_moments_of(settings),
        )
        protocol.check()
    except (ArithmeticError, TypeError, ValueError) as error:
        raise ValueError(
            f"The {file} of {str(files.name)!r} asks for a step not known here; give a "
            f"protocol instead. {error}"
        ) from error
    return protocol


def _settings_of(given: dict[str, Any], model_type: str) -> dict[str, Any]:
    """Return the settings of a file, completed by defaults."""
    keys = ("video_processor_type", "image_processor_type", "feature_extractor_type")
    names = [given[key] for key in keys if given.get(key)]
    kind = model_type
    if names:
        suffix = r"(VideoProcessor|ImageProcessor|FeatureExtractor)(Fast|Pil)?$"
        kind = re.sub(suffix, "", names[0]).lower()
        if kind not in _DEFAULTS:
            raise ValueError(f"It is for a {names[0]}.")
    settings = _DEFAULTS[kind] | {k: v for k, v in given.items() if v is not None}
    if kind == "vjepa2":  # transformers ignores its size
        crop_size = _side_of(settings, "crop_size")
        settings["size"] = {"shortest_edge": int(crop_size * 256 / 224)}
    for key, value in settings.items():
        if key.startswith("do_") and value and key not in _COMMON:
            raise ValueError(f"It has {key}={value}.")
    return settings


def _sizes_of(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the sizes of frames before and after cropping."""
    if not settings["do_resize"]:
        raise ValueError("It has do_resize=False, which leaves frames of any size.")
    cropped = settings["do_center_crop"]
    size = settings["size"]
    if isinstance(size, dict) and set(size) != {"shortest_edge"}:
        side = _side_of(settings, "size")
        if cropped and _side_of(settings, "crop_size") != side:
            raise ValueError(
                f"It has size={size} and another "
                f"crop_size={settings['crop_size']}; known are the same."
            )
        return {"short_side": None, "crop_size": side}
    if not cropped:
        raise ValueError(
            f"It has size={size} and do_center_crop=False, which leaves frames that "
            "are not square."
        )
    short_side = size["shortest_edge"] if isinstance(size, dict) else size
    return {"short_side": short_side, "crop_size": _side_of(settings, "crop_size")}


def _side_of(settings: dict[str, Any], name: str) -> int:
    """Return the side length of a square."""
    size = settings[name]
    sides = size if isinstance(size, dict) else {"height": size, "width": size}
    side = sides.get("height")
    if not isinstance(side, int) or sides != {"height": side, "width": side}:
        raise ValueError(f"It has {name}={size}; known are squares.")
    return side


def _moments_of(settings: dict[str, Any]) -> dict[str, Any]:
    """Return mean and standard deviation of colours, on the scale of 0 to 255."""
    factor, shift = 1.0, 0.0
    if settings["do_rescale"]:
        factor, shift = float(settings["rescale_factor"]), float(settings["offset"])
    mean, std = _colours(0), _colours(1)
    if settings["do_normalize"]:
        mean, std = _colours(settings["image_mean"]), _colours(settings["image_std"])
    return {
        "mean": tuple((value + shift) / factor for value in mean),
        "std": tuple(value / factor for value in std),
    }


def _colours(value: Any) -> tuple[float, ...]:
    values = value if isinstance(value, list) else [value] * 3
    return tuple(map(float, values))
