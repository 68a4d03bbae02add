"""Deterministic evaluation on fixed seeds, batched."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.envs import EnvBase

from rher_pl.collect.threads import one_torch_thread
from rher_pl.envs.checks import STATE_KEYS, check_finite, check_states
from rher_pl.envs.contract import Ending
from rher_pl.evaluation.judging import Played, QFunction, judge
from rher_pl.networks.policy import RelayPolicy

RELEASE_STEPS = 10
"""Env steps after an episode in which the hand opens and withdraws, if the task defines that."""


class EvaluationBatch:
    """Input of an evaluation: where to play, and the seeds of the episodes.

    It is no dataclass, because Lightning would copy one.

    Args:
        env: batched environment.
        seeds: one for each episode.
        last_policy: whether to evaluate with the last subtask's policy alone as well.
    """

    def __init__(self, env: EnvBase, seeds: Sequence[int], last_policy: bool = False) -> None:
        self.env, self.seeds, self.last_policy = env, seeds, last_policy


@torch.no_grad()
def evaluate(
    env: EnvBase,
    policy: RelayPolicy,
    seeds: Sequence[int],
    gamma: float,
    q_function: QFunction,
    last_policy: bool = False,
) -> dict[str, TensorDict]:
    """Run one noise-free episode of the whole task per seed, and judge all subtasks in it.

    Args:
        env: batched environment.
        policy: to evaluate; on the CPU, where the environments are.
        seeds: of the episodes.
        gamma: discount of the return.
        q_function: the critic.
        last_policy: act under the last subtask in all states, as published for RHER. Else act under
            the subtask that brings the first object that is not home (``Relay.serving``).

    Returns:
        By name of the subtask, the task itself last: figures [len(seeds)], one row per episode;
        see :func:`rher_pl.evaluation.judging.judge`.
    """
    chunks: list[dict[str, TensorDict]] = []
    size, acting = env.num_envs, policy.relay.last if last_policy else None
    for start in range(0, len(seeds), size):
        chunk = list(seeds[start : start + size])
        padded = chunk + chunk[-1:] * (size - len(chunk))
        with one_torch_thread():
            played = _rollout(env, policy, padded, acting)
            results = judge(played, policy.relay, gamma, q_function)
        chunks.append({name: result[: len(chunk)] for name, result in results.items()})
    return {name: torch.cat([chunk[name] for chunk in chunks]) for name in chunks[0]}


def _rollout(
    env: EnvBase, policy: RelayPolicy, seeds: Sequence[int], subtask: int | None
) -> Played:
    env.set_seeds(seeds)
    state = env.reset()
    states, inputs, actions = [state], [], []
    for _ in range(env.max_episode_steps):
        inputs.append(_inputs(policy, state, subtask))
        actions.append(policy.actor(inputs[-1]))
        state["action"] = actions[-1]
        state = env.step(state)["next"]
        states.append(state)
    for each in states:  # one by one: stacking would turn integers into floats
        check_states(each, env)
    visited: TensorDict = torch.stack([s.select(*STATE_KEYS) for s in states], dim=1)
    check_finite(visited)
    failed = torch.zeros(len(seeds), dtype=torch.bool)
    if "ending" in state.keys():
        failed = state["ending"].squeeze(-1) == Ending.FAILURE
    achieved, desired = (visited[key].float() for key in STATE_KEYS[1:])
    own = None
    if "is_success" in state.keys():
        own = torch.stack([s["is_success"].squeeze(-1) for s in states], dim=1)
    released = _release(env, state)
    acted = torch.stack(inputs, 1), torch.stack(actions, 1)
    return Played(achieved, desired, failed, *acted, own, released)


def _release(env: EnvBase, state: TensorDictBase) -> Tensor | None:
    """Positions [N, P, 3] after the hand was opened and withdrawn; None if it cannot be."""
    release = getattr(env, "release", None)
    if release is None:
        return None
    action = torch.tensor(release).expand(env.num_envs, -1)
    for _ in range(RELEASE_STEPS):
        state["action"] = action
        state = env.step(state)["next"]
    return state["achieved_goals"].float()


def _inputs(policy: RelayPolicy, state: TensorDictBase, subtask: int | None) -> Tensor:
    numbered = policy.numbered(*(state[key].float() for key in STATE_KEYS))
    acting: Tensor | int = policy.relay.last if subtask is None else subtask
    if subtask is None and policy.relay.num_objects > 1:
        acting = policy.relay.serving(*numbered[1:])
    return policy.inputs(*numbered, acting)
