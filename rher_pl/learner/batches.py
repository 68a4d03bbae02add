"""What a learner is given: batches [U, B] of encoded samples, U of them for as many updates."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from rher_pl.networks.actor_critic import NetworkSizes

Batch = Mapping[str, Tensor]
"""Of encoded samples, each [B, ...] or [U, B, ...]:

- inputs, next_inputs: of the networks, [I].
- action [A]; noise [A] of the target policy's action.
- reward []; terminated [] bool.
- subset [SUBSET] int64: critics that give the target, where there are more; the same in a batch.
"""

SUBSET = 2
"""Critics whose smallest value is the target."""


def sound_batches(batches: Batch, sizes: NetworkSizes, device: torch.device) -> dict[str, Tensor]:
    """The same with all floats in float32, as environments may give others.

    Raises:
        ValueError: one is missing, or not what networks of ``sizes`` on ``device`` learn from.
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
    """Shape of one sample's part by name."""
    width, actions = (sizes.inputs,), (sizes.actions,)
    shapes: dict[str, tuple[int, ...]] = {"inputs": width, "next_inputs": width}
    shapes |= {"action": actions, "noise": actions, "reward": (), "terminated": ()}
    return shapes | ({"subset": (SUBSET,)} if sizes.critics > SUBSET else {})


def draw_subsets(critics: int, updates: int, batch_size: int) -> Tensor:
    """For each update, ``SUBSET`` different ones of ``critics``: [updates, batch_size, SUBSET]."""
    drawn = torch.rand(updates, critics).argsort(-1)[:, :SUBSET]
    return drawn.unsqueeze(1).expand(-1, batch_size, -1)


def random_batches(
    sizes: NetworkSizes, updates: int, batch_size: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """Batches [updates, batch_size] with noise beyond its clip and with terminated samples."""
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
