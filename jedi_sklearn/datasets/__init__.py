"""Small problems with several datasets: real images, and generated embeddings."""

from ._expert_embeddings import (
    make_expert_embeddings,
    stream_expert_embeddings,
)
from ._glyphs import load_glyphs

__all__ = ["load_glyphs", "make_expert_embeddings", "stream_expert_embeddings"]
