"""Video classifiers of the transformers library as experts."""

from __future__ import annotations

import os
import re
from typing import Any

import numpy.typing as npt
from sklearn.frozen import FrozenEstimator
from torch import Tensor, nn

from .._hugging_face import ModelFiles, files_of, load_model
from ._expert import expert_of
from .reading._views import ViewProtocol, check_protocol

# What a model's preparation is where its file is silent, by the type of the model that
# the preparation was made for; the defaults of transformers.
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
# In the order of transformers: the first that is there counts.
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
    """Make an expert of a video classifier of transformers; its samples are paths.

    Parameters
    ----------
    folder_or_name : str or path
        A folder with a VideoMAE, TimeSformer, ViViT or V-JEPA 2 model that classifies
        videos, or the name of one on huggingface.co. Its weights must be safetensors:
        other formats can hold code. Code that comes with a model is never run.
    classes : array-like of shape (n_classes,), optional
        Labels in the order of the model's outputs; by default the str that its
        configuration has for them.
    protocol : ViewProtocol, optional
        What the model sees of a video. By default one view as the model's
        preprocessor_config.json makes it, of as many frames as the model was trained
        on, spread over the video: that file does not say which frames. Papers average
        several views, as in ``n_clips=5, interval=4, crop="three"``.
    batch_size : int, default=1
        See `video_expert`.
    device : str, default="auto"
        See `video_expert`.
    autocast : str or None, default=None
        See `video_expert`. Weights become float32.
    n_workers : int, default=0
        See `video_expert`.
    **kwargs
        Passed on to ``from_pretrained`` of transformers, such as revision, token and
        local_files_only.

    Returns
    -------
    expert : FrozenEstimator
        See `video_expert`. The features are what enters the model's ``classifier``.

    Raises
    ------
    ImportError
        If transformers is not installed.
    OSError
        If there is no such model, or no safetensors.
    ValueError
        If the model is not of one of these types, weights are missing, it cannot take
        the views of the protocol, or its files ask for steps that are not known here.

    See Also
    --------
    video_expert : An expert of a checkpoint of MMAction2 and others.

    Examples
    --------
    This one downloads a model of 350 MB.

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
    _check_type(files)
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
        batch_size=batch_size,
        device=device,
        autocast=autocast,
        n_workers=n_workers,
    )


class TransformersNetwork(nn.Module):
    """A video classifier of transformers with its last layer apart.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        It is changed, and its ``classifier`` gone.

    Attributes
    ----------
    n_features : int
    head : torch.nn.Linear
        What was its classifier.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.head = model.classifier.float()
        self.n_features = int(model.config.hidden_size)
        # What entered it is now what the model calls its logits.
        model.classifier = nn.Identity()
        self.model = model.float()

    def features(self, clips: Tensor) -> Tensor:
        """Return what enters the head.

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


def _check_type(files: ModelFiles) -> None:
    """Raise ValueError where there is no model of videos."""
    config = files.read("config.json")
    if config is None:
        raise ValueError(f"The model {str(files.name)!r} has no config.json.")
    found = config.get("model_type")
    if found not in _DEFAULTS:
        raise ValueError(
            f"The model {str(files.name)!r} is of type {found!r}; it must be a "
            f"classifier of videos, of type {', '.join(map(repr, _DEFAULTS))}."
        )


def _check_views(protocol: ViewProtocol, config: Any, files: ModelFiles) -> None:
    """Raise ValueError where a model cannot take the views of a protocol."""
    right_size = _size_of(config) in (protocol.crop_size, [protocol.crop_size] * 2)
    takes = f"n_frames={_n_frames_of(config)}"
    right_frames = protocol.n_frames == _n_frames_of(config)
    if config.model_type == "vjepa2":  # which has no table of positions
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
    """Return the side of the frames of a model; a list where there are two."""
    return config.crop_size if config.model_type == "vjepa2" else config.image_size


def _protocol_of(files: ModelFiles, config: Any) -> ViewProtocol:
    """Return what a model sees of a video by its own files."""
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
        protocol = ViewProtocol(
            n_frames=_n_frames_of(config),
            interpolation=_interpolation_of(settings),
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
    """Return the settings of a file, and the defaults of those that it leaves out."""
    keys = ("video_processor_type", "image_processor_type", "feature_extractor_type")
    names = [given[key] for key in keys if given.get(key)]
    kind = model_type
    if names:
        suffix = r"(VideoProcessor|ImageProcessor|FeatureExtractor)(Fast|Pil)?$"
        kind = re.sub(suffix, "", names[0]).lower()
        if kind not in _DEFAULTS:
            raise ValueError(f"It is for a {names[0]}.")
    settings = _DEFAULTS[kind] | {k: v for k, v in given.items() if v is not None}
    if kind == "vjepa2":  # whose own size transformers ignores
        crop_size = _side_of(settings, "crop_size")
        settings["size"] = {"shortest_edge": int(crop_size * 256 / 224)}
    for key, value in settings.items():
        if key.startswith("do_") and value and key not in _COMMON:
            raise ValueError(f"It has {key}={value}.")
    return settings


def _interpolation_of(settings: dict[str, Any]) -> str:
    resample = settings["resample"]
    if resample not in _INTERPOLATIONS:
        raise ValueError(
            f"It has resample={resample!r}; known are 2 (bilinear) and 3 (bicubic)."
        )
    return _INTERPOLATIONS[resample]


def _sizes_of(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the sizes of frames, before and after they are cropped."""
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
    """Return the length of the sides of a square."""
    size = settings[name]
    sides = size if isinstance(size, dict) else {"height": size, "width": size}
    side = sides.get("height")
    if not isinstance(side, int) or sides != {"height": side, "width": side}:
        raise ValueError(f"It has {name}={size}; known are squares.")
    return side


def _moments_of(settings: dict[str, Any]) -> dict[str, Any]:
    """Return mean and standard deviation of colours on the scale of 0 to 255."""
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
