"""Encoders: transformers that turn rows into embeddings."""

from ._mlp import MLPEncoder
from ._pretrained import from_pretrained
from ._torch import TorchEncoder
from ._torch_expert import torch_expert

__all__ = ["MLPEncoder", "TorchEncoder", "from_pretrained", "torch_expert"]
