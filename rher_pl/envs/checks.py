"""What an environment hands out is looked at before anything is learned or concluded from it."""

from __future__ import annotations

import torch
from tensordict import TensorDictBase
from torchrl.envs import EnvBase

from rher_pl.errors import TrainingError

STATE_KEYS = ("observation", "achieved_goals", "desired_goals")


def check_states(states: TensorDictBase, env: EnvBase) -> None:
    """Shape and dtype of states, against the environment's own specification.

    Args:
        states: [N, *], with the keys of ``STATE_KEYS``.
        env: batched environment [N] that made them.

    Raises:
        TrainingError: names the key, what it is and what it must be.
    """
    for key in STATE_KEYS:
        value, spec = states.get(key, None), env.observation_spec[key]
        if value is None:
            raise TrainingError(f"the environment gives no {key}")
        shape = tuple(states.batch_size) + tuple(spec.shape[1:])
        if tuple(value.shape) != shape or value.dtype != spec.dtype:
            raise TrainingError(
                f"the environment gives {key} of shape {tuple(value.shape)} and {value.dtype}, "
                f"its specification says {shape} and {spec.dtype}"
            )


def check_finite(states: TensorDictBase) -> None:
    """Raise :class:`TrainingError` for NaN or Inf in states [N, *]; names key and environment."""
    for key in STATE_KEYS:
        value = states[key]
        if not torch.isfinite(value).all():
            row = int((~torch.isfinite(value)).flatten(1).any(1).nonzero()[0])
            kind = "NaN" if torch.isnan(value).any() else "Inf"
            raise TrainingError(f"{kind} in {key} of environment {row}")
