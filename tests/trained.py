"""Short runs on PointPush that several test files share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from rher_pl.checkpoints.trainer_io import SealedCheckpointIO
from rher_pl.training.datamodule import RelayDataModule
from rher_pl.training.module import RHERModule


def quiet_trainer(**options: Any) -> pl.Trainer:
    """On the CPU unless told otherwise; logs, saves and shows nothing by itself."""
    quiet: dict[str, Any] = {"accelerator": "cpu", "logger": False}
    shown = ("checkpointing", "progress_bar", "model_summary")
    return pl.Trainer(**(quiet | {f"enable_{name}": False for name in shown} | options))


def tiny_checkpoint(folder: Path) -> Path:
    """Train for a second on PointPush, and save."""
    torch.set_num_threads(1)
    pl.seed_everything(0)
    module = RHERModule("PointPush-v0", hidden_size=16, hidden_layers=2, average_rate=0.1)
    datamodule = RelayDataModule(
        "PointPush-v0",
        num_envs=5,
        batch_size=16,
        updates_per_episode=8,
        random_episodes=5,
        eval_every_env_steps=500,
        eval_episodes=10,
    )
    trainer = quiet_trainer(
        max_epochs=1,
        num_sanity_val_steps=0,
        plugins=[SealedCheckpointIO()],
    )
    trainer.fit(module, datamodule)
    path = folder / "tiny.ckpt"
    trainer.save_checkpoint(path)
    return path


def train(
    epochs: int,
    ckpt_path: Path | None = None,
    save: Path | None = None,
    model: dict[str, Any] | None = None,
    precision: Any = "32-true",
    task: str = "PointPush-v0",
    **data: Any,
) -> RHERModule:
    """A short single-threaded run with options of the data module and, by ``model``, of the
    learner; returns the trained module."""
    module, datamodule = made_run(model, task, **data)
    trainer = quiet_trainer(max_epochs=epochs, num_sanity_val_steps=0, precision=precision)
    trainer.fit(module, datamodule, ckpt_path=ckpt_path, weights_only=True)
    if save is not None:
        trainer.save_checkpoint(save)
    return module


def made_run(
    model: dict[str, Any] | None = None, task: str = "PointPush-v0", **data: Any
) -> tuple[RHERModule, RelayDataModule]:
    """Module and data module of such a run, from the same seed each time."""
    torch.set_num_threads(1)
    pl.seed_everything(0)
    learner: dict[str, Any] = {
        "gamma": 0.9,
        "tau": 0.02,
        "learning_rate": 2e-3,
        "policy_delay": 1,
        "action_l2": 0.1,
        "hidden_size": 64,
        "hidden_layers": 2,
        "average_rate": 0.02,
    }
    settings: dict[str, Any] = {
        "num_envs": 10,
        "batch_size": 64,
        "updates_per_episode": 40,
        "guide_share": 0.5,
        "eval_every_env_steps": 1_500,
        "replay_capacity": 100_000,
    }
    return (
        RHERModule(task, **(learner | (model or {}))),
        RelayDataModule(task, **(settings | data)),
    )
