"""Seconds of a whole training, ours and stable-baselines3's, for the same work.

The same number of episodes, updates and samples in a batch, networks of the same sizes, the same
learning rates; no evaluation, no records. Both update from the first episode on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np

from benchmarks.learning_settings import build
from rher_pl.learner.precision import compute_type, default_precision
from rher_pl.tasks import get_task


def train_ours(
    config: Path, episodes: int, updates_per_episode: int, overrides: tuple[str, ...] = ()
) -> tuple[float, int]:
    """Seconds of ``Trainer.fit``, and the updates that were done."""
    arguments = ["--config", str(config), *overrides, "--data.random_episodes=0"]
    arguments.append(f"--data.updates_per_episode={updates_per_episode}")
    cli: Any = build(arguments, seed=0)
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        precision=default_precision(),  # type: ignore[arg-type]
        max_epochs=-1,
        max_steps=episodes // cli.datamodule.hparams["num_envs"],  # iterations
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    cli.model.td3.compute_in(compute_type(trainer.precision))  # as fit will, or it builds anew
    cli.model.warm_up(cli.datamodule.batch_sizes)
    begin = time.perf_counter()
    trainer.fit(cli.model, cli.datamodule)
    return time.perf_counter() - begin, cli.model.updates


def train_sb3(
    task: str,
    model: Mapping[str, Any],
    batch_size: int,
    episodes: int,
    updates_per_episode: int,
) -> tuple[float, int]:
    """The same with TD3 and HerReplayBuffer of stable-baselines3.

    Args:
        task: a Fetch id of Gymnasium.
        model: options of ``RHERModule`` that both have.
        batch_size: samples in a batch.
        episodes: to collect.
        updates_per_episode: after each of them.
    """
    import gymnasium
    from stable_baselines3 import TD3, HerReplayBuffer
    from stable_baselines3.common.noise import NormalActionNoise

    length = int(get_task(task).make_env(1, 0).max_episode_steps)
    hidden = [model["hidden_size"]] * model["hidden_layers"]
    actions = get_task(task).action_size
    begin = time.perf_counter()
    learner = TD3(
        "MultiInputPolicy",
        gymnasium.make(task),
        learning_rate=model["learning_rate"],
        batch_size=batch_size,
        gamma=model["gamma"],
        tau=model["tau"],
        policy_delay=model["policy_delay"],
        train_freq=(1, "episode"),
        gradient_steps=updates_per_episode,
        learning_starts=length - 1,
        action_noise=NormalActionNoise(np.zeros(actions), np.full(actions, 0.2)),
        replay_buffer_class=HerReplayBuffer,
        policy_kwargs={"net_arch": hidden},
        device="cpu",
        seed=0,
    )
    learner.learn(episodes * length)
    return time.perf_counter() - begin, learner._n_updates
