"""Models of the transformers library as modules that return one vector per sample.

A module of its own because it imports torch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class TextModel(nn.Module):
    """Model of texts, with pooling of its tokens to one vector.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    pooling : {"mean", "max", "cls"}
        Mean or maximum over all tokens but padding, or the first token.
    normalize : bool
        Whether vectors are scaled to length 1.
    """

    def __init__(self, model: Any, pooling: str, normalize: bool) -> None:
        super().__init__()
        self.model = model
        self.pooling = pooling
        self.normalize = normalize

    def forward(self, attention_mask: Tensor, **tokens: Tensor) -> Tensor:
        """Return the vectors of texts.

        Parameters
        ----------
        attention_mask : tensor of shape (n_texts, n_tokens)
            0 where a token is padding.
        **tokens : tensor of shape (n_texts, n_tokens)
            Other tensors of the tokenizer.

        Returns
        -------
        vectors : tensor of shape (n_texts, n_features), float32
        """
        output = self.model(attention_mask=attention_mask, **tokens)
        hidden = output.last_hidden_state.float()
        mask = attention_mask.unsqueeze(-1).bool()
        if self.pooling == "cls":
            vectors = hidden[:, 0]
        elif self.pooling == "max":
            vectors = hidden.masked_fill(~mask, -torch.inf).amax(dim=1)
        else:
            n_tokens = mask.sum(dim=1).clamp(min=1)
            vectors = hidden.masked_fill(~mask, 0).sum(dim=1) / n_tokens
        return F.normalize(vectors, dim=1) if self.normalize else vectors


class ImageModel(nn.Module):
    """Model of images, with pooling of its output to one vector.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Return the vectors of images.

        Parameters
        ----------
        pixel_values : tensor of shape (n_images, 3, height, width)

        Returns
        -------
        vectors : tensor of shape (n_images, n_features) or (n_images, n_features, 1, 1)
        """
        output = self.model(pixel_values=pixel_values.to(self.model.dtype))
        pooled: Tensor | None = getattr(output, "pooler_output", None)
        if pooled is not None:
            return pooled
        hidden: Tensor = output.last_hidden_state
        return hidden[:, 0] if hidden.ndim == 3 else hidden.mean(dim=(2, 3))
