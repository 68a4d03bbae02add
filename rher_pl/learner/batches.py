"""Batches for a learner: encoded samples [U, B], a batch of B for each of U updates."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from rher_pl.networks.actor_critic import NetworkSizes

Batch = Mapping[str, Tensor]
"""Encoded samples by name, each [B, ...] or [U, B, ...]; for one sample

- inputs, next_inputs [I]: of the networks, in the state and in the next one;
- action [A]; noise [A], which is added to the target policy's action;
- reward []; terminated [] bool;
- subset [SUBSET] int64: indices of the critics that give the target, only if there are more than
  SUBSET critics; the same for all samples of a batch.
"""

SUBSET = 2
"""How many critics a target takes the smallest value of."""


def sound_batches(batches: Batch, sizes: NetworkSizes, device: torch.device) -> dict[str, Tensor]:
    """The same batches with all floats in float32; environments may give other types.

    Raises:
        ValueError: if one is missing, or has not the shape, dtype and device that networks of
            ``sizes`` on ``device`` need.
    """
    batches = {k: v.float() if v.is_floating_point() else v for k, v in batches.items()}
    rows = tuple(batches["inputs"].shape[:2]) if "inputs" in batches else (0, 0)
    if len(rows) != 2 or 0 in rows:
        raise ValueError(f"inputs must be [updates, batch, {sizes.inputs}], at least one of each")
    for name, size in _row_sizes(sizes).items():
        if name not in batches:
            raise ValueError(f"batches lack {name}")
        value, wanted = batches[name], _types.get(name, torch.float32)
        if (value.shape, value.dtype, value.device) != ((*rows, *size), wanted, device):
            raise ValueError(
                f"{name} is {value.dtype} {tuple(value.shape)} on {value.device}, "
                f"must be {wanted} {(*rows, *size)} on {device}"
            )
    return batches


_types = {"terminated": torch.bool, "subset": torch.int64}


def _row_sizes(sizes: NetworkSizes) -> dict[str, tuple[int, ...]]:
    """Shape of each part of one sample, by name."""
    width, actions = (sizes.inputs,), (sizes.actions,)
    shapes: dict[str, tuple[int, ...]] = {"inputs": width, "next_inputs": width}
    shapes |= {"action": actions, "noise": actions, "reward": (), "terminated": ()}
    return shapes | ({"subset": (SUBSET,)} if sizes.critics > SUBSET else {})


def draw_subsets(critics: int, updates: int, batch_size: int) -> Tensor:
    """For each update, ``SUBSET`` of the critics' indices: int64 [updates, batch_size, SUBSET]."""
    drawn = torch.rand(updates, critics).argsort(-1)[:, :SUBSET]
    return drawn.unsqueeze(1).expand(-1, batch_size, -1)


def random_batches(
    sizes: NetworkSizes, updates: int, batch_size: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """Random batches [updates, batch_size], some noise beyond its clip, some samples terminated."""
    batches = {
        name: torch.randn(updates, batch_size, *size, generator=generator)
        for name, size in _row_sizes(sizes).items()
    }
    batches["action"].clamp_(-1.0, 1.0)
    batches["reward"] = -(batches["reward"] > 0.0).float()
    batches["terminated"] = batches["terminated"] > 0.5
    if "subset" in batches:
        first = batches["subset"][:, :1].argsort(-1)  # 0 and 1 in either order
        batches["subset"] = first.expand(-1, batch_size, -1).contiguous()
    return batches
