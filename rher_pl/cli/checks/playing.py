"""Random episodes of an environment, and whether the same seeds give them again."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Sequence

import torch
from tensordict import TensorDict
from torch import Tensor
from torchrl.envs import EnvBase

from rher_pl.cli.checks.finding import Finding, Level
from rher_pl.envs.checks import STATE_KEYS, check_episodes, check_finite, check_states
from rher_pl.tasks import WrittenTask, get_task, make_env

SEED = 5_000_000
"""Of the first episode; nothing else plays these seeds."""
KEPT = (*STATE_KEYS, "ending", "is_success", "done", "truncated", "terminated")


def play(env: EnvBase, first: int) -> TensorDict:
    """One random episode in each row, as frames [N, T] of TorchRL; seeds go on from ``first``.

    Raises:
        TrainingError: if the environment fails, or breaks the contract of ``envs/contract.py``.
    """
    generator = torch.Generator().manual_seed(first)
    env.set_seeds(range(first, first + env.num_envs))
    state = env.reset()
    frames: list[TensorDict] = []
    for _ in range(env.max_episode_steps):
        shape = env.action_spec.shape
        state["action"] = torch.empty(shape).uniform_(-1.0, 1.0, generator=generator)
        after = env.step(state)["next"]
        frame = state.select(*KEPT, strict=False)
        frames.append(frame.set("next", after.select(*KEPT, strict=False)))
        check_states(after, env)
        check_finite(after)
        state = after
    played: TensorDict = torch.stack(frames, dim=1)
    check_episodes(played)
    return played


def states(frames: TensorDict, key: str) -> Tensor:
    """All states of each episode, [N, T+1, ...]."""
    return torch.cat([frames[key], frames["next", key][:, -1:]], dim=1)


def digest(frames: TensorDict) -> str:
    """SHA-256 of all numbers in the states of some episodes."""
    numbers = [states(frames, key).numpy().tobytes() for key in STATE_KEYS]
    return hashlib.sha256(b"".join(numbers)).hexdigest()


def reproduces(env: EnvBase, frames: TensorDict) -> Finding:
    """Whether the episodes are the same when they are played again, after others."""
    again = play(env, SEED)
    return _reproduced(digest(again) == digest(frames), "in this process")


def reproduces_afresh(
    choice: str | WrittenTask, modules: Sequence[str], frames: TensorDict
) -> Finding:
    """Whether the episodes are the same in a fresh process.

    Args:
        choice: the task.
        modules: of the user, to be imported first.
        frames: of episodes that were played here.
    """
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.apply(_digest_of, (choice, list(modules), len(frames), frames.shape[1]))
    return _reproduced(there == digest(frames), "in a fresh process")


def _digest_of(choice: str | WrittenTask, modules: list[str], count: int, steps: int) -> str:
    import importlib

    for module in modules:
        importlib.import_module(module)
    env = make_env(get_task(choice).varied(None, steps), count, SEED)
    try:
        return digest(play(env, SEED))
    finally:
        env.close()


def _reproduced(same: bool, where: str) -> Finding:
    if same:
        return Finding("seeds", Level.OK, f"the same seeds give the same episodes {where}")
    return Finding(
        "seeds",
        Level.SLOW,
        f"the same seeds give different episodes {where}: a resumed run will differ",
        "draw everything in reset from np_random, and reset the whole simulator",
    )
