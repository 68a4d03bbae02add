"""Deterministic evaluation on fixed seeds, batched."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.envs import EnvBase

from rher_pl.collect.threads import one_torch_thread
from rher_pl.envs.checks import STATE_KEYS, check_finite, check_states
from rher_pl.envs.contract import Ending
from rher_pl.networks.policy import RelayPolicy
from rher_pl.relay import Relay

QFunction = Callable[[Tensor, Tensor], Tensor]
"""Network inputs [N, I] and actions [N, A] to Q values [N]."""


class EvaluationBatch:
    """What an evaluation is given: where to play, and the seeds of the episodes.

    No dataclass: Lightning would copy one.

    Args:
        env: batched environment.
        seeds: one for each episode.
    """

    def __init__(self, env: EnvBase, seeds: Sequence[int]) -> None:
        self.env, self.seeds = env, seeds


@torch.no_grad()
def evaluate(
    env: EnvBase,
    policy: RelayPolicy,
    seeds: Sequence[int],
    subtask: int | None,
    gamma: float,
    q_function: QFunction,
) -> TensorDict:
    """Run one noise-free episode per seed.

    Args:
        env: batched environment.
        policy: acts.
        seeds: of the episodes.
        subtask: acted by and judged, once the objects before its own are home; None is the whole
            task, where each state is served by the subtask of its first object that is not home.
        gamma: discount of the return.
        q_function: a critic.

    Returns:
        TensorDict [len(seeds)], one row per episode:
        ``success``: the subtask is solved in the final state; of the whole task, where the
        environment itself judges that (``is_success``), it is its word;
        ``within_epsilon``: solved in the final state as the relay measures it, only beside that;
        ``solved_at_reset``: it was solved before the first action;
        ``contact``: an object moved by more than :func:`contact_distance`;
        ``steps_to_success``: first step from which it stays solved, -1 if it does not;
        ``q`` and ``monte_carlo_return``: of the first state and action. The return continues the
        last reward for ever, as the critic does: episodes are cut by time, they do not end.
    """
    episodes: list[TensorDict] = []
    size = env.num_envs
    for start in range(0, len(seeds), size):
        chunk = list(seeds[start : start + size])
        padded = chunk + chunk[-1:] * (size - len(chunk))
        with one_torch_thread():
            played = _rollout(env, policy, padded, subtask, gamma, q_function)
        episodes.append(played[: len(chunk)])
    return torch.cat(episodes)


def _rollout(
    env: EnvBase,
    policy: RelayPolicy,
    seeds: Sequence[int],
    subtask: int | None,
    gamma: float,
    q_function: QFunction,
) -> TensorDict:
    env.set_seeds(seeds)
    state = env.reset()
    device = policy.encoder.goals.shift.device  # of the networks; the environment is on the CPU
    inputs = _inputs(policy, state, subtask, device)
    action = policy.actor(inputs)
    q = q_function(inputs, action).cpu()
    states = [state]
    for step in range(env.max_episode_steps):
        if step > 0:
            action = policy.actor(_inputs(policy, state, subtask, device))
        state["action"] = action.cpu()
        state = env.step(state)["next"]
        states.append(state)
    visited: TensorDict = torch.stack([s.select(*STATE_KEYS, strict=False) for s in states], dim=1)
    check_states(visited, env)
    check_finite(visited)
    achieved, desired = (visited[key].float() for key in STATE_KEYS[1:])  # [N, T+1, P, 3]
    judged = policy.relay.last if subtask is None else subtask
    goals = policy.relay.goals(achieved, desired, judged)
    solved = policy.relay.met(goals, achieved, judged)
    measured, judges = solved[:, -1], subtask is None and "is_success" in state.keys()
    if judges:
        solved = torch.stack([s["is_success"].squeeze(-1) for s in states], dim=1)
    if "ending" in state.keys():  # a failed episode has solved nothing, wherever things lie
        solved = solved.clone()
        solved[:, -1] &= state["ending"].squeeze(-1) != Ending.FAILURE
    figures = _summarise(solved, achieved, q, gamma, policy.relay)
    return figures.set("within_epsilon", measured) if judges else figures


def _inputs(
    policy: RelayPolicy, state: TensorDictBase, subtask: int | None, device: torch.device
) -> Tensor:
    observation, achieved, desired = (state[key].float().to(device) for key in STATE_KEYS)
    acting: Tensor | int = 0 if subtask is None else subtask
    if subtask is None or policy.relay.num_objects > 1:
        acting = policy.relay.serving(achieved, desired)
        if subtask is not None:  # objects that come before are brought first, or nobody would
            before = acting < policy.relay.bring_of(subtask)
            acting = torch.where(before, acting, subtask)
    return policy.inputs(observation, achieved, desired, acting)


def _summarise(
    solved: Tensor, achieved: Tensor, q: Tensor, gamma: float, relay: Relay
) -> TensorDict:
    """Per-episode figures from solved [N, T+1] and achieved [N, T+1, P, 3]."""
    steps = solved.shape[1] - 1
    reward = solved[:, 1:].float() - 1.0  # [N, T]
    discount = gamma ** torch.arange(steps)
    tail = gamma**steps / (1.0 - gamma) * reward[:, -1]
    stays = solved.flip(1).long().cumprod(1).sum(1)  # states solved up to the end
    return TensorDict(
        {
            "success": solved[:, -1],
            "solved_at_reset": solved[:, 0],
            "contact": objects_moved(achieved, relay),
            "steps_to_success": torch.where(stays > 0, steps + 1 - stays, -1),
            "q": q,
            "monte_carlo_return": (reward * discount).sum(1) + tail,
        },
        batch_size=[len(solved)],
    )


def objects_moved(achieved: Tensor, relay: Relay) -> Tensor:
    """In which episodes any object was touched: moved by more than :func:`contact_distance`, [N].

    Args:
        achieved: positions of the points, [N, T+1, P, 3] (metres).
        relay: tells whether the first point is the gripper.
    """
    objects = achieved[:, :, int(relay.reach) :]
    moved = torch.linalg.vector_norm(objects - objects[:, :1], dim=-1)
    return (moved > contact_distance(relay)).any(-1).any(-1)


def contact_distance(relay: Relay) -> float:
    """An object that moved further than a fifth of the task's epsilon has been touched, metres."""
    return relay.epsilon / 5.0
