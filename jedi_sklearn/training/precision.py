"""Precision of the matrix products."""

from __future__ import annotations

import torch

# Number of features of all experts from which on faster products outweigh the casts
# around them (measured in docs/performance.md).
WIDE = 1024


def dtype_of(precision: str, device: str, n_features: int) -> torch.dtype:
    """Return the dtype of the features, in which their products are taken.

    Parameters
    ----------
    precision : {"auto", "float32", "bfloat16"}
        "auto" is bfloat16 for wide features on hardware that multiplies it faster than
        float32. float16 is no choice: processors emulate it.
    device : str
        Device of the training.
    n_features : int
        Number of features of all experts.
    """
    if precision != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
    if n_features < WIDE:
        return torch.float32
    # Without instructions for it bfloat16 is emulated, which is slower.
    has_instructions = False
    kind = torch.device(device).type
    if kind == "cuda":
        has_instructions = torch.cuda.is_bf16_supported(including_emulation=False)
    elif kind == "cpu" and hasattr(torch.cpu, "get_capabilities"):
        able = torch.cpu.get_capabilities()
        has_instructions = any(able.get(k) for k in ("avx512_bf16", "amx_bf16"))
    return torch.bfloat16 if has_instructions else torch.float32
