"""Checks of what an environment returns, before anything is learned from it or judged by it."""

from __future__ import annotations

import torch
from tensordict import TensorDictBase
from torch import Tensor
from torchrl.envs import EnvBase

from rher_pl.envs.contract import STATE_KEYS, Ending
from rher_pl.errors import TrainingError


def check_states(states: TensorDictBase, env: EnvBase) -> None:
    """Check shape and dtype of states against the environment's own specification.

    Args:
        states: [N, *], with the keys of ``STATE_KEYS``.
        env: batched environment [N] that returned them.

    Raises:
        TrainingError: for a missing key, or another shape or dtype; names the key.
    """
    for key in STATE_KEYS:
        value, spec = states.get(key, None), env.observation_spec[key]
        if value is None:
            raise TrainingError(f"the environment gives no {key}: return it from resets and steps")
        shape = tuple(states.batch_size) + tuple(spec.shape[1:])
        if tuple(value.shape) != shape or value.dtype != spec.dtype:
            raise TrainingError(
                f"the environment gives {key} of shape {tuple(value.shape)} and {value.dtype}, "
                f"its specification says {shape} and {spec.dtype}"
            )


def check_finite(states: TensorDictBase) -> None:
    """Raise :class:`TrainingError` for NaN or Inf in states [N], or [N, T+1] that begin at a reset.

    It names key, environment and env step.
    """
    for key in STATE_KEYS:
        value = states[key]
        wrong = ~torch.isfinite(value)
        if wrong.any():
            row, *step = wrong.flatten(states.batch_dims).any(-1).nonzero()[0].tolist()
            kind = "NaN" if torch.isnan(value).any() else "Inf"
            when = f" after env step {step[0]}" if step else ""
            raise TrainingError(f"{kind} in {key} of environment {row}{when}")


def check_episodes(frames: TensorDictBase) -> None:
    """Check that each row of frames [N, T] is one whole episode, see :mod:`~rher_pl.envs.contract`.

    Raises:
        TrainingError: if not; names environment and env step, and says what to do.
    """
    after, steps = frames["next"], frames.batch_size[1]
    flags = (after[key] for key in ("done", "terminated", "truncated") if key in after.keys())
    ended = torch.stack(list(flags)).any(0).squeeze(-1)  # [N, T]
    _refuse(
        ended[:, :-1],
        f"is done before the last of {steps} env steps, so a collector would reset it alone: to "
        "end an episode early, keep its state and set the key `ending`, see "
        "rher_pl/envs/contract.py",
    )
    _refuse(~ended[:, -1:], f"is not done after {steps} env steps, its max_episode_steps", steps)
    goals = frames["desired_goals"]
    _refuse(_differ(goals[:, 1:], goals[:, :-1]), "changes desired_goals within an episode")
    if "ending" in after.keys():
        _check_frozen(after)


def _check_frozen(states: TensorDictBase) -> None:
    """Check that rows of states [N, T] that have ended stay as they are."""
    ending = states["ending"]
    if ending.dtype != torch.uint8 or ending.shape[2:] != (1,) or ending.max() > max(Ending):
        raise TrainingError(
            f"the environment gives `ending` of shape {tuple(ending.shape)} and {ending.dtype} up "
            f"to {ending.max()}: it must be [N, 1] uint8, at most {max(Ending)}"
        )
    over = ending[:, :-1, 0] != Ending.RUNNING
    for key in ("ending", "observation", "achieved_goals"):
        value = states[key]
        _refuse(
            over & _differ(value[:, 1:], value[:, :-1]),
            f"has ended, but its {key} goes on changing: keep it until max_episode_steps",
        )


def _differ(one: Tensor, other: Tensor) -> Tensor:
    """In which frames [N, T] two values [N, T, *] differ; NaN and Inf: see ``check_finite``."""
    numbers = one.isfinite() & other.isfinite()
    return ((one != other) & numbers).flatten(2).any(-1)


def _refuse(wrong: Tensor, what: str, first_step: int = 1) -> None:
    """Raise :class:`TrainingError` if ``wrong [N, T]`` has a True; column 0 is ``first_step``."""
    if wrong.any():
        row, time = wrong.nonzero()[0].tolist()
        raise TrainingError(f"environment {row} {what} (after step {time + first_step})")
