"""Whole episodes as they are stored, and how they are made of an environment's frames.

A row holds an episode of at most T env steps: ``observation [T+1, O]``, ``achieved_goals
[T+1, P, 3]``, ``desired_goals [D, 3]``, ``action [T, A]``, all float32; ``length [1]`` int64, its
env steps, at least one; and ``ending [1]`` uint8, an :class:`~rher_pl.envs.contract.Ending`. What
comes after its ``length`` steps is never read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.envs import EnvBase

from rher_pl.envs.contract import Ending
from rher_pl.errors import require

EPISODE_KEYS = ("observation", "achieved_goals", "desired_goals", "action", "length", "ending")


def empty_episode(env: EnvBase) -> TensorDict:
    """A row of zeros, in the shapes of ``env``'s episodes."""
    steps, spec = env.max_episode_steps, env.observation_spec
    return TensorDict(
        {
            "observation": torch.zeros(steps + 1, *spec["observation"].shape[1:]),
            "achieved_goals": torch.zeros(steps + 1, *spec["achieved_goals"].shape[1:]),
            "desired_goals": torch.zeros(spec["desired_goals"].shape[1:]),
            "action": torch.zeros(steps, *env.action_spec.shape[1:]),
            "length": torch.zeros(1, dtype=torch.int64),
            "ending": torch.zeros(1, dtype=torch.uint8),
        },
        batch_size=[],
    )


def whole_episodes(frames: TensorDictBase, extra: Iterable[str] = ()) -> TensorDict:
    """Rows [N] from frames [N, T], a whole episode in each row; ``extra`` keys are kept as is."""
    length, ending = ends(frames["next"])
    return TensorDict(
        {
            "observation": _states(frames, "observation"),
            "achieved_goals": _states(frames, "achieved_goals"),
            "desired_goals": frames["desired_goals"][:, 0].float(),
            "action": frames["action"].float(),
            "length": length,
            "ending": ending,
            **{key: frames[key] for key in extra},
        },
        batch_size=frames.batch_size[:1],
    )


def _states(frames: TensorDictBase, key: str) -> Tensor:
    """All T + 1 states of each episode, [N, T+1, ...]: the T current ones and the final one."""
    return torch.cat([frames[key], frames["next", key][:, -1:]], dim=1).float()


def ends(states: TensorDictBase) -> tuple[Tensor, Tensor]:
    """Length [N, 1] int64 and ending [N, 1] uint8 of episodes; by time where nothing else is said.

    Args:
        states: those after each of T steps, [N, T]; the key ``ending`` is optional.
    """
    steps = states.batch_size[1]
    if "ending" not in states.keys():
        shape = (len(states), 1)
        return torch.full(shape, steps), torch.full(shape, int(Ending.TIME), dtype=torch.uint8)
    # Worked example, T = 4: 0 2 2 2 has one running state, so the second step is the last one.
    running = states["ending"] == Ending.RUNNING
    last = states["ending"][:, -1]
    return (
        (running.sum(1) + 1).clamp(max=steps),
        last.masked_fill(last == Ending.RUNNING, int(Ending.TIME)),
    )


def require_episodes(rows: Any, example: TensorDictBase) -> int:
    """Check ``rows`` of a checkpoint, and return how many episodes they hold.

    Args:
        rows: episodes by key.
        example: one episode of the task, see :func:`empty_episode`.

    Raises:
        ConfigError: names what is missing or does not fit.
    """
    name = "the checkpoint's replay"
    require(isinstance(rows, dict), f"{name} holds no episodes: begin a new run")
    count = None
    for key in EPISODE_KEYS:
        value, own = rows.get(key), example[key]
        require(
            isinstance(value, Tensor) and value.ndim > 0, f"{name} lacks {key}: begin a new run"
        )
        count = len(value) if count is None else count
        require(
            tuple(value.shape) == (count, *own.shape),
            f"{name} holds {key} of shape {tuple(value.shape)}, this task needs "
            f"{(count, *own.shape)}: go on with the task that it was made with",
        )
    possible = (rows["length"] >= 1) & (rows["length"] <= len(example["action"]))
    require(bool(possible.all()), f"{name} holds episodes of impossible length: begin a new run")
    return count or 0
