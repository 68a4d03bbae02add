"""A checkpoint of a tiny run, shared by the tests of what is done with trained policies."""

from __future__ import annotations

from pathlib import Path

import lightning.pytorch as pl
import torch

from rher_pl.checkpoint_io import SealedCheckpointIO
from rher_pl.datamodule import RelayDataModule
from rher_pl.module import RHERModule


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
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        plugins=[SealedCheckpointIO()],
    )
    trainer.fit(module, datamodule)
    path = folder / "tiny.ckpt"
    trainer.save_checkpoint(path)
    return path
