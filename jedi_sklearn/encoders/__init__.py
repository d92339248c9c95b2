"""Encoders: transformers that turn rows into embeddings."""

from ._hugging_face import from_pretrained
from ._mlp import MLPEncoder
from ._torch_encoder import TorchEncoder
from ._torch_expert import torch_expert

__all__ = ["MLPEncoder", "TorchEncoder", "from_pretrained", "torch_expert"]
