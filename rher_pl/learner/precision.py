"""Which precision suits the device that trains."""

from __future__ import annotations

import torch

PRECISIONS = ("32-true", "bf16-mixed")
"""Lightning's names of the precisions that the learner supports."""


def default_precision(accelerator: object = "cpu") -> str:
    """``bf16-mixed`` where the device computes in bfloat16 natively, else ``32-true``.

    Args:
        accelerator: Lightning's name of the device; ``auto`` is a GPU if there is one, else a CPU.
    """
    if accelerator in ("auto", "cuda", "gpu") and torch.cuda.is_available():
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = accelerator in ("auto", "cpu") and cpu_has_bfloat16()
    return "bf16-mixed" if native else "32-true"


def cpu_has_bfloat16() -> bool:
    """Whether this CPU has instructions for bfloat16 products; emulated, they are far slower."""
    features = torch.cpu.get_capabilities()
    return bool(features.get("avx512_bf16") or features.get("amx_bf16"))


def is_reduced(precision: object) -> bool:
    """Whether hidden layers compute in bfloat16 under a trainer's ``precision``."""
    return precision in ("bf16-mixed", "bf16-true")


def compute_type(precision: object) -> torch.dtype:
    """Dtype of the hidden layers under a trainer's ``precision``; all else is float32."""
    return torch.bfloat16 if is_reduced(precision) else torch.float32
