"""The batched Fetch environment and Gymnasium's, played side by side."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from tensordict import TensorDict, TensorDictBase
from torch import Tensor

from rher_pl.envs.fetch import FetchEnv

# Each task plays 8 + 28 + 80 + 84 = 200 episodes; each environment plays two or more.
BATCHES = [(1, 8), (7, 4), (16, 5), (28, 3)]


def random_actions(rng: np.random.Generator, num_envs: int) -> NDArray[np.float32]:
    """Beyond [-1, 1], so that clipping is compared as well."""
    return rng.uniform(-1.2, 1.2, (num_envs, 4)).astype(np.float32)


def step(env: FetchEnv, action: NDArray[np.float32]) -> TensorDictBase:
    return env.step(TensorDict({"action": torch.from_numpy(action)}, [env.num_envs]))["next"]


def play(env: FetchEnv, steps: int, action_seed: int = 0) -> Tensor:
    """Reset, then take random actions; all observations ``[steps + 1, N, O]``."""
    rng = np.random.default_rng(action_seed)
    observations = [env.reset()["observation"]]
    for _ in range(steps):
        observations.append(step(env, random_actions(rng, env.num_envs))["observation"])
    return torch.stack(observations)


def assert_same(batch: TensorDictBase, expected: list[dict[str, NDArray[np.float64]]]) -> None:
    """The batch equals Gymnasium's observations, one dictionary for each environment."""

    def stacked(key: str) -> Tensor:
        return torch.from_numpy(np.stack([observation[key] for observation in expected]))

    desired = batch["desired_goals"]
    brought = batch["achieved_goals"][:, -desired.shape[1] :]
    assert torch.equal(batch["observation"], stacked("observation"))
    assert torch.equal(brought.flatten(1), stacked("achieved_goal"))
    assert torch.equal(desired.flatten(1), stacked("desired_goal"))


def assert_steps_alike(
    env: FetchEnv, references: list[Any], action: NDArray[np.float32]
) -> TensorDictBase:
    """Take a step [N, 4] in both, which must agree; what the batch gives."""
    batch = step(env, action)
    outcomes = [reference.step(a) for reference, a in zip(references, action, strict=True)]
    assert_same(batch, [outcome[0] for outcome in outcomes])
    for position, key in enumerate(("reward", "terminated", "truncated"), start=1):
        assert batch[key].flatten().tolist() == [outcome[position] for outcome in outcomes]
    assert torch.equal(batch["done"], batch["truncated"] | batch["terminated"])
    return batch


def assert_equal_to_gymnasium(
    task: str, num_envs: int, episodes: int, num_threads: int = 1
) -> None:
    """Play whole episodes of random actions; the fingers go down to the objects in the first."""
    seed = 100 * num_envs
    env = FetchEnv(task, num_envs, seed=seed, num_threads=num_threads, dtype=torch.float64)
    references = [gymnasium.make(task) for _ in range(num_envs)]
    rng = np.random.default_rng(seed)
    rewards = set()
    for episode in range(episodes):
        # Only the first reset is seeded: later episodes continue each generator.
        starts = [
            reference.reset(seed=seed + i if episode == 0 else None)[0]
            for i, reference in enumerate(references)
        ]
        assert_same(env.reset(), starts)
        for _ in range(env.max_episode_steps):
            action = random_actions(rng, num_envs) - [0.0, 0.0, 0.4 * (episode == 0), 0.0]
            batch = assert_steps_alike(env, references, action.astype(np.float32))
            rewards |= set(batch["reward"].flatten().tolist())
        assert batch["truncated"].all()
    env.close()
    assert -1.0 in rewards
