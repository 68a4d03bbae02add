"""The job by stable-baselines3, in a process of its own: ``python -m benchmarks.whole_job.sb3``.

Settings are the public ones for Fetch with hindsight, of RL Baselines3 Zoo
(https://github.com/DLR-RM/rl-baselines3-zoo, ``hyperparams/her.yml``, commit 00aaec2): SAC as it is
for FetchPush but without the history of two states; TD3 as it is there for goal environments.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import gymnasium
import gymnasium_robotics
import numpy as np
from stable_baselines3 import SAC, TD3, HerReplayBuffer
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from benchmarks.whole_job.judging import Judge, Rule

EVERY = 10_000
"""Env steps from one evaluation to the next. Ours judges more often, as it learns in fewer."""
SHARED: dict[str, Any] = {
    "policy": "MultiInputPolicy",
    "buffer_size": 1_000_000,
    "batch_size": 256,
    "gamma": 0.95,
    "learning_starts": 1_000,
    "train_freq": (1, "episode"),
    "gradient_steps": -1,  # an update for each env step
    "replay_buffer_class": HerReplayBuffer,
    "replay_buffer_kwargs": {"n_sampled_goal": 4, "goal_selection_strategy": "future"},
    "device": "cpu",
}


def make_model(algorithm: str, task: str, seed: int) -> BaseAlgorithm:
    """A learner with its environment."""
    gymnasium.register_envs(gymnasium_robotics)
    env: Any = DummyVecEnv([lambda: gymnasium.make(task)])
    if algorithm == "sac":
        env = VecNormalize(env, norm_reward=False)
        sde = {"use_sde": True, "sde_sample_freq": 10}
        return SAC(env=env, learning_rate=7e-4, ent_coef="auto", seed=seed, **sde, **SHARED)
    size = env.action_space.shape
    return TD3(
        env=env,
        learning_rate=1e-3,
        action_noise=NormalActionNoise(np.zeros(size), np.full(size, 0.2)),
        policy_kwargs={"net_arch": [256, 256, 256]},
        seed=seed,
        **SHARED,
    )


class Judging(BaseCallback):
    """Judges, writes a line for each evaluation, and ends the job when it is done or too long.

    Args:
        task: id of Gymnasium.
        rule: when the job is done.
        path: JSON lines to write.
        begin: seconds since the epoch at which the job began.
        limit: seconds that it may take.
    """

    def __init__(self, task: str, rule: Rule, path: Path, begin: float, limit: float) -> None:
        super().__init__()
        self.env, self.path = gymnasium.make(task), path
        self.begin, self.limit = begin, limit
        self.judge, self.judging = Judge(rule, self.play), 0.0

    def play(self, episodes: int, first: int) -> float:
        solved = [self._episode(first + number) for number in range(episodes)]
        return sum(solved) / episodes

    def _episode(self, seed: int) -> bool:
        observation, _ = self.env.reset(seed=seed)
        normalizer, done, solved = self.model.get_vec_normalize_env(), False, False
        while not done:
            if normalizer is not None:
                observation = normalizer.normalize_obs(observation)
            action, _ = self.model.predict(observation, deterministic=True)
            observation, _, terminated, truncated, info = self.env.step(action)
            done, solved = terminated or truncated, bool(info["is_success"])
        return solved

    def _on_step(self) -> bool:
        if self.num_timesteps % EVERY:
            return time.time() - self.begin < self.limit
        return not self._judge()

    def _on_training_end(self) -> None:
        if self.num_timesteps % EVERY:  # the time is over
            self._judge()

    def _judge(self) -> bool:
        """Evaluate and write the line of it; whether the job is done."""
        before, confirmed = time.time(), len(self.judge.fresh)
        success, done = self.judge.evaluate()
        self.judging += time.time() - before
        line = {
            "env_steps": self.num_timesteps,
            "updates": self.model._n_updates,  # type: ignore[attr-defined]
            "seconds": time.time() - self.begin,
            "judging_seconds": self.judging,
            "success": success,
            "fresh": self.judge.fresh[confirmed:],
            "done": done,
        }
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--algorithm", choices=("td3", "sac"), required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument("--rule", type=json.loads, required=True, help="when it is done, as JSON")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--path", type=Path, required=True)
    parser.add_argument("--begin", type=float, required=True)
    parser.add_argument("--limit", type=float, required=True)
    options = parser.parse_args()
    model = make_model(options.algorithm, options.task, options.seed)
    rule = Rule(**options.rule)
    watch = Judging(options.task, rule, options.path, options.begin, options.limit)
    model.learn(1_000_000_000, callback=watch)


if __name__ == "__main__":
    main()
