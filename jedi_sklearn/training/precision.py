"""In which numbers a network multiplies."""

from __future__ import annotations

import torch

# From so many features of all experts on, products are worth more than the casts
# around them (docs/performance.md has the measurement).
WIDE = 1024


def dtype_of(precision: str, device: str, n_features: int) -> torch.dtype:
    """Return the dtype of the features, in which their products are taken.

    Parameters
    ----------
    precision : {"auto", "float32", "bfloat16"}
        "auto" is bfloat16 for wide features on hardware that multiplies it faster than
        float32. float16 is no choice: processors emulate it.
    device : str
        Of the training.
    n_features : int
        Of all experts.
    """
    if precision != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
    faster = n_features >= WIDE and _multiplies_bfloat16(device)
    return torch.bfloat16 if faster else torch.float32


def _multiplies_bfloat16(device: str) -> bool:
    """Say whether a device has instructions for products of bfloat16."""
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if kind == "cpu" and hasattr(torch.cpu, "get_capabilities"):
        able = torch.cpu.get_capabilities()
        return any(able.get(name) for name in ("avx512_bf16", "amx_bf16"))
    return False
