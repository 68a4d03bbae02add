"""Training where the trainer puts it: on the GPU if there is one, else on the CPU."""

from __future__ import annotations

import lightning.pytorch as pl
import torch

from rher_pl.datamodule import RelayDataModule
from rher_pl.loader import RelayLoader
from rher_pl.module import RHERModule


def test_buffers_and_batches_are_where_the_networks_are(tmp_path):
    module = RHERModule("PointPush-v0", hidden_size=16, hidden_layers=1)
    data = RelayDataModule(
        "PointPush-v0",
        num_envs=2,
        updates_per_episode=2,
        batch_size=16,
        random_episodes=2,
        eval_episodes=4,
        eval_envs=4,
        eval_every_env_steps=100,
        pipelined=True,
    )
    trainer = pl.Trainer(
        max_epochs=2,
        accelerator="auto",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, data)
    device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    loader = data.loader
    assert isinstance(loader, RelayLoader) and loader.storage is not None
    assert module.device == device
    assert loader.storage.episode(0)["observation"].device == device
    samples = loader.sample(1)
    assert {value.device for value in samples.values(True, True)} == {device}
    assert module.encode(samples)["inputs"].device == device
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    content = torch.load(tmp_path / "last.ckpt", weights_only=True, map_location="cpu")
    state = content["rher_pl"]["rng_state"]
    assert state.device.type == "cpu", "the generator that a checkpoint restores"
