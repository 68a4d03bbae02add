"""A checkpoint of a tiny run, shared by the tests of what is done with trained policies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from rher_pl.checkpoints.file import SealedCheckpointIO
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
