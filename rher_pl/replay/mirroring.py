"""Mirror images of samples, as a Transform after relabelling."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tensordict import TensorDictBase
from torch import Tensor, nn
from torchrl.envs.transforms import Transform

from rher_pl.envs.mirrors import Mirror


class MirrorImages(Transform):
    """Turns samples into mirror images of what happened, in turn with the originals.

    This is kaleidoscope experience replay (Lin et al., arXiv 1909.10707), but each sample is shown
    in one way, chosen by its place in the batch. Rewards go by distances, which a reflection
    keeps, so they are right as they are.

    Args:
        mirrors: V reflections; with three, a quarter of the samples stays as it is.
    """

    def __init__(self, mirrors: Sequence[Mirror]) -> None:
        super().__init__()
        self.ways = 1 + len(mirrors)
        self.reflections = nn.ModuleList(map(_Reflection, mirrors))

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Samples [B] of ``replay.relabel``, which are changed in place."""
        for way, reflection in enumerate(self.reflections, start=1):
            rows = slice(way, None, self.ways)  # with V = 3: 1, 5, 9, then 2, 6, 10, then 3, 7, 11
            reflection(tensordict, rows)
        return tensordict


class _Reflection(nn.Module):
    """One mirror as tensors."""

    observation: Tensor
    columns: Tensor
    points: Tensor
    action: Tensor

    def __init__(self, mirror: Mirror) -> None:
        super().__init__()
        self.register_buffer("columns", torch.tensor(mirror.columns))
        for name in ("observation", "points", "action"):
            self.register_buffer(name, torch.tensor(getattr(mirror, name), dtype=torch.float32))

    def forward(self, samples: TensorDictBase, rows: slice) -> None:
        for state in (samples, samples["next"]):
            seen = state["observation"]
            seen[rows] = seen[rows].index_select(-1, self.columns) * self.observation
            for key in ("achieved", "goals"):
                state[key][rows] *= self.points
        samples["action"][rows] *= self.action
