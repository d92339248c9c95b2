"""Encoders: transformers that turn rows into embeddings."""

from ._mlp import MLPEncoder

__all__ = ["MLPEncoder"]
