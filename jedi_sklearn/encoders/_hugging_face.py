"""Models of the transformers library as encoders of texts and images."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..utils.accepted import unsuitable
from ._sample_batches import SampleDataset
from ._torch_encoder import TorchEncoder

# Keywords that locate files; all others concern the model alone.
_HUB = {
    "cache_dir",
    "force_download",
    "local_files_only",
    "proxies",
    "revision",
    "subfolder",
    "token",
}


def from_pretrained(
    folder_or_name: str | os.PathLike[str],
    *,
    batch_size: int = 64,
    device: str = "auto",
    autocast: str | None = None,
    n_workers: int = 0,
    **kwargs: Any,
) -> TorchEncoder:
    """Make an encoder from a pretrained model of the transformers library.

    A text becomes the mean of its tokens, or is pooled as sentence-transformers' files
    in the folder say. An image becomes the model's ``pooler_output``; if there is
    none, its first token, or the mean over space for a model without tokens. Texts
    are truncated and images preprocessed as the folder says.

    Parameters
    ----------
    folder_or_name : str or path
        A folder with a model, or the name of one on huggingface.co. Its weights
        must be safetensors: other formats can hold code. Code that comes with a
        model is never run.
    batch_size : int, default=64
        See `TorchEncoder`.
    device : str, default="auto"
        See `TorchEncoder`.
    autocast : str or None, default=None
        See `TorchEncoder`.
    n_workers : int, default=0
        See `TorchEncoder`.
    **kwargs
        Keywords for ``from_pretrained`` of transformers, such as revision, token and
        local_files_only.

    Returns
    -------
    encoder : TorchEncoder
        Its samples are str for a model of texts; for a model of images they are paths
        of image files and uint8 arrays of shape (height, width, 3), RGB.

    Raises
    ------
    ImportError
        If transformers is not installed, or pillow for images.
    OSError
        If there is no such model, or no safetensors.
    ValueError
        If the model is of neither texts nor images, or the folder lacks weights or
        asks for a step that is not supported.

    See Also
    --------
    TorchEncoder : Encoder from any torch module.
    jedi_sklearn.encoders.video.transformers_video_expert : Expert from a model of
        videos.

    Examples
    --------
    This downloads a model of 90 MB.

    >>> from jedi_sklearn.encoders import from_pretrained
    >>> name = "sentence-transformers/all-MiniLM-L6-v2"
    >>> encoder = from_pretrained(name)  # doctest: +SKIP
    >>> encoder.transform(["A cat.", "A kitten."]).shape  # doctest: +SKIP
    (2, 384)
    """
    try:
        import transformers
    except ImportError as error:
        raise ImportError(
            "from_pretrained needs transformers: "
            'pip install "jedi_sklearn[transformers]"'
        ) from error
    from ._hugging_face_modules import ImageModel, TextModel

    # A checkpoint with a head of its own has no pooler.
    model = load_model("AutoModel", folder_or_name, kwargs, optional="pooler")
    files = files_of(folder_or_name, kwargs)
    module: TextModel | ImageModel
    dataset: TextSamples | ImageSamples
    kind = _kind_of(model, folder_or_name)
    if kind == "image":
        # The other backend needs torchvision, and rounds differently.
        processor = transformers.AutoImageProcessor.from_pretrained(
            files.name, backend="pil", trust_remote_code=False, **files.hub
        )  # nosec B615 - users choose the revision; no code comes with a model
        module, dataset = ImageModel(model), ImageSamples(processor)
    else:
        module = TextModel(model, *_pooling(files))
        dataset = _text_samples(files, model.config)
    return TorchEncoder(
        module,
        layer="",
        batch_size=batch_size,
        device=device,
        autocast=autocast,
        n_workers=n_workers,
        dataset=dataset,
    )


class TextSamples:
    """Makes datasets of texts, which are tokenised in batches.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
    max_length : int or None
        Number of tokens after which a text is cut.
    lower : bool
        Whether texts are lower-cased.
    """

    def __init__(self, tokenizer: Any, max_length: int | None, lower: bool) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.lower = lower
        # A tokenizer stores the padding and truncation of its first call. Calling it
        # here keeps threads that share it from changing them at the same time.
        self.collate(["one", "and another"])

    def fingerprint(self) -> tuple[Any, ...]:
        """Return everything that affects the tokens, without paths of files."""
        tokenizer: Any = self.tokenizer
        if getattr(tokenizer, "backend_tokenizer", None) is not None:
            sides = tokenizer.padding_side, tokenizer.truncation_side
            tokenizer = (tokenizer.backend_tokenizer.to_str(), *sides)
        return tokenizer, self.max_length, self.lower

    def __call__(self, samples: Any) -> SampleDataset:
        """Return a dataset of texts."""
        return SampleDataset(samples, self.load, self.collate)

    def load(self, text: Any) -> str:
        """Return a text, or raise ValueError for any other sample."""
        if not isinstance(text, str):
            raise ValueError(
                f"The sample {text!r} is of type {type(text).__name__}; the samples of "
                "a model of texts are str."
            )
        return str(text)

    def collate(self, texts: list[str]) -> dict[str, Any]:
        """Tokenise texts to the tensors that the model takes."""
        if self.lower:
            texts = [text.lower() for text in texts]
        tokens = self.tokenizer(
            texts,
            padding=True,
            truncation=self.max_length is not None,
            max_length=self.max_length,
            return_tensors="pt",
        )
        return dict(tokens)


class ImageSamples:
    """Makes datasets of images, preprocessed as the model expects.

    Parameters
    ----------
    processor : transformers.BaseImageProcessor
    """

    def __init__(self, processor: Any) -> None:
        self.processor = processor

    def __call__(self, samples: Any) -> SampleDataset:
        """Return a dataset of paths and arrays of images."""
        return SampleDataset(samples, self.load)

    def load(self, sample: Any) -> Any:
        """Return the tensor of an upright image, of shape (3, height, width)."""
        from PIL import Image, ImageOps

        if isinstance(sample, str | os.PathLike):
            with Image.open(sample) as opened:
                if opened.format == "EPS":
                    raise ValueError(
                        f"{sample} is PostScript, a program that Pillow would have "
                        "Ghostscript run."
                    )
                image = ImageOps.exif_transpose(opened).convert("RGB")
        elif (
            isinstance(sample, np.ndarray)
            and sample.dtype == np.uint8
            and sample.shape[2:] == (3,)
        ):
            image = Image.fromarray(np.ascontiguousarray(sample))
        else:
            found = type(sample).__name__
            if isinstance(sample, np.ndarray):
                found = f"{sample.dtype} array of shape {sample.shape}"
            raise ValueError(
                f"The sample is of type {found}; the samples of a model of images are "
                "paths of image files and uint8 arrays of shape (height, width, 3)."
            )
        return self.processor(images=image, return_tensors="pt")["pixel_values"][0]


class ModelFiles(NamedTuple):
    """Files of a model, local or on the hub."""

    name: str | os.PathLike[str]
    hub: dict[str, Any]

    def read(self, path: str) -> Any:
        """Return the content of a JSON file, or None if it does not exist."""
        from transformers.utils.hub import cached_file

        found = cached_file(
            self.name, path, _raise_exceptions_for_missing_entries=False, **self.hub
        )
        if found is None:
            return None
        try:
            return json.loads(Path(found).read_text("utf-8"))
        except ValueError as error:
            raise ValueError(f"The file {found!r} is no JSON: {error}.") from error


def files_of(name: str | os.PathLike[str], kwargs: dict[str, Any]) -> ModelFiles:
    """Return the files of a model.

    Parameters
    ----------
    name, kwargs
        See `load_model`.
    """
    return ModelFiles(name, {key: kwargs[key] for key in _HUB & set(kwargs)})


def load_model(
    auto: str,
    name: str | os.PathLike[str],
    kwargs: dict[str, Any],
    optional: str | None = None,
) -> Any:
    """Load a model, all of whose weights must come from its files.

    Parameters
    ----------
    auto : str
        Name of a class of transformers that detects the type of a model.
    name : str or path
        Name or folder of the model.
    kwargs : dict
        Keywords for ``from_pretrained`` of transformers.
    optional : str or None, default=None
        Name of a submodule that is set to None if the files lack weights of it.

    Raises
    ------
    ValueError
        If weights are not in the files, or code is to be trusted.
    """
    import torch
    import transformers

    if kwargs.get("trust_remote_code"):
        why = "Code that comes with a model is never run; valid values are False."
        raise unsuitable("trust_remote_code", True, why)
    safe = {"trust_remote_code": False, "use_safetensors": True}
    # Weights that are not in the files are drawn from the global random state.
    with torch.random.fork_rng(devices=[]):
        model, report = getattr(transformers, auto).from_pretrained(
            name, output_loading_info=True, **(kwargs | safe)
        )
    # Weights whose shape differs from that in the files are random, too.
    mismatched = {key for key, *_ in report["mismatched_keys"]}
    missing = sorted(mismatched.union(report["missing_keys"]))
    lacking = [key for key in missing if key.partition(".")[0] != optional]
    if lacking:
        raise ValueError(
            f"The model {str(name)!r} lacks {len(lacking)} of its weights "
            f"({lacking[0]!r} is the first), which would be random."
        )
    if optional is not None and missing:
        setattr(model, optional, None)
    # The same weights in another folder are the same model.
    for part in model.modules():
        if hasattr(part, "name_or_path"):
            part.name_or_path = part.config.name_or_path = ""
    return model


def _kind_of(model: Any, name: str | os.PathLike[str]) -> str:
    config = model.config
    kind = {"pixel_values": "image", "input_ids": "text"}.get(model.main_input_name)
    joint = hasattr(config, "text_config") and hasattr(config, "vision_config")
    if kind is None or joint or getattr(config, "is_encoder_decoder", False):
        raise ValueError(
            f"The model {str(name)!r} is of type {config.model_type!r}; it must be an "
            "encoder of texts or one of images, such as 'bert' or 'vit'."
        )
    return kind


def _text_samples(files: ModelFiles, config: Any) -> TextSamples:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(
        files.name, trust_remote_code=False, **files.hub
    )  # nosec B615 - users choose the revision; no code comes with a model
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    settings = files.read("sentence_bert_config.json") or {}
    longest = settings.get("max_seq_length")
    if longest is None:
        positions = getattr(config, "max_position_embeddings", None)
        longest = min(tokenizer.model_max_length, positions or np.inf)
    max_length = None if longest > 1e9 else int(longest)
    return TextSamples(tokenizer, max_length, bool(settings.get("do_lower_case")))


def _pooling(files: ModelFiles) -> tuple[str, bool]:
    """Return the pooling of tokens, and whether vectors are scaled to length 1."""
    steps = files.read("modules.json") or []
    kinds = [step["type"].rpartition(".")[2] for step in steps]
    for kind in kinds:
        if kind not in ("Transformer", "Pooling", "Normalize"):
            raise ValueError(
                f"The modules.json of {str(files.name)!r} has a step {kind!r}; known "
                "are Transformer, Pooling and Normalize."
            )
    settings = files.read("1_Pooling/config.json") or {"pooling_mode": "mean"}
    modes_of = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens"}
    known = {setting: mode for mode, setting in modes_of.items()}
    modes = [
        key.removeprefix("pooling_mode_")
        for key, value in settings.items()
        if key.startswith("pooling_mode_") and value is True
    ]
    modes = [known.get(mode, mode) for mode in modes]
    mode = settings.get("pooling_mode", modes[0] if len(modes) == 1 else modes)
    if mode not in known.values():
        raise ValueError(
            f"The 1_Pooling/config.json of {str(files.name)!r} asks for pooling "
            f"{mode!r}; known is one of 'cls', 'mean' and 'max'."
        )
    return mode, "Normalize" in kinds
