"""Deterministic evaluation on fixed seeds, batched."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from tensordict import TensorDict
from torch import Tensor
from torchrl.envs import EnvBase

from rher_pl.policy import RelayPolicy

QFunction = Callable[[Tensor, Tensor], Tensor]
"""Network inputs [N, I] and actions [N, A] to Q values [N]."""


@torch.no_grad()
def evaluate(
    env: EnvBase,
    policy: RelayPolicy,
    seeds: Sequence[int],
    subtask: int,
    gamma: float,
    q_function: QFunction,
) -> TensorDict:
    """Run one noise-free episode per seed under one subtask's policy.

    Returns:
        TensorDict [len(seeds)], one row per episode:
        ``success`` [S]: the last subtask at the final state, every other one at any state;
        ``solved_at_reset``: the task was solved before the first action;
        ``contact``: an object moved by more than a centimetre (scaled with epsilon);
        ``steps_to_success``: first step from which the task stays solved, -1 if it does not;
        ``q`` and ``monte_carlo_return``: of the first state and action. The return continues the
        last reward for ever, as the critic does: episodes are cut by time, they do not end.
    """
    episodes: list[TensorDict] = []
    size = env.num_envs
    for start in range(0, len(seeds), size):
        chunk = list(seeds[start : start + size])
        padded = chunk + chunk[-1:] * (size - len(chunk))
        episodes.append(_rollout(env, policy, padded, subtask, gamma, q_function)[: len(chunk)])
    return torch.cat(episodes)


def _rollout(
    env: EnvBase,
    policy: RelayPolicy,
    seeds: Sequence[int],
    subtask: int,
    gamma: float,
    q_function: QFunction,
) -> TensorDict:
    env.set_seeds(seeds)
    state = env.reset()
    index = torch.full((env.num_envs,), subtask)
    inputs = policy.inputs(state, index)
    q = q_function(inputs, policy.actor(inputs))
    solved, achieved = [policy.relay.solved(state["achieved_goals"], state["desired_goals"])], []
    achieved.append(state["achieved_goals"])
    for _ in range(env.max_episode_steps):
        state["action"] = policy(state, index)
        state = env.step(state)["next"]
        solved.append(policy.relay.solved(state["achieved_goals"], state["desired_goals"]))
        achieved.append(state["achieved_goals"])
    return _summarise(torch.stack(solved, 1), torch.stack(achieved, 1), q, subtask, gamma, policy)


def _summarise(
    solved: Tensor, achieved: Tensor, q: Tensor, subtask: int, gamma: float, policy: RelayPolicy
) -> TensorDict:
    """Per-episode figures from solved [N, T+1, S] and achieved [N, T+1, P, 3]."""
    success = solved.any(1)
    success[:, -1] = solved[:, -1, -1]
    steps = solved.shape[1] - 1
    reward = solved[:, 1:, subtask].float() - 1.0  # [N, T]
    discount = gamma ** torch.arange(steps)
    tail = gamma**steps / (1.0 - gamma) * reward[:, -1]
    solved_since = solved[:, :, -1].flip(1).long().cumprod(1).sum(1)  # states solved at the end
    moved = torch.linalg.vector_norm(achieved[:, :, 1:] - achieved[:, :1, 1:], dim=-1)
    return TensorDict(
        {
            "success": success,
            "solved_at_reset": solved[:, 0, -1],
            "contact": (moved > contact_distance(policy)).any(-1).any(-1),
            "steps_to_success": torch.where(solved_since > 0, steps + 1 - solved_since, -1),
            "q": q,
            "monte_carlo_return": (reward * discount).sum(1) + tail,
        },
        batch_size=[len(solved)],
    )


def contact_distance(policy: RelayPolicy) -> float:
    """An object that moved further than a fifth of the task's epsilon has been touched, metres."""
    return policy.relay.subtasks[-1].epsilon / 5.0
