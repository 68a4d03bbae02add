"""Training where the trainer puts it: on the GPU if there is one, else on the CPU.

Without one, PyTorch's device "meta" stands in for parts of it: it holds shapes only, is there on
every machine, and refuses to be mixed with others, as a GPU does.
"""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict
from trained import quiet_trainer

from rher_pl.callbacks.trained_model import save_checked
from rher_pl.checkpoints.file import read_checkpoint_file, write_checkpoint
from rher_pl.checkpoints.policy import read_policy
from rher_pl.choices import Mixing
from rher_pl.learner.td3 import TD3
from rher_pl.replay.relabel import relabel
from rher_pl.replay.storage import EpisodeStorage
from rher_pl.training.batches import encode, rounds
from rher_pl.training.datamodule import RelayDataModule
from rher_pl.training.module import RHERModule

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def test_buffers_and_batches_are_where_the_networks_are(tmp_path, monkeypatch):
    engine = "compile" if DEVICE == "cuda" else "eager"
    module = RHERModule("PointPush-v0", hidden_size=16, hidden_layers=1, engine=engine)
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
        reward_radius=0.6,
        fading_guide=True,
    )
    trainer = quiet_trainer(
        max_epochs=2,
        accelerator="auto",
        devices=1,
        num_sanity_val_steps=0,
    )
    seen: dict[str, set[torch.device]] = {}
    original = TD3.learn

    def learn(self: TD3, batches: dict) -> dict:
        loader = data.loader
        assert loader is not None and loader.storage is not None
        seen["storage"] = {loader.storage.episode(0)["observation"].device}
        seen["samples"] = {v.device for v in loader.sample()[0].values(True, True)}
        seen["batches"] = {value.device for value in batches.values()}
        return original(self, batches)

    monkeypatch.setattr(TD3, "learn", learn)
    trainer.fit(module, data)
    device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    assert seen == {name: {device} for name in ("storage", "samples", "batches")}
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    content = torch.load(tmp_path / "last.ckpt", weights_only=True, map_location="cpu")
    state = content["rher_pl"]["rng_state"]
    assert state.device.type == "cpu", "the generator that a checkpoint restores"
    write_checkpoint(content, tmp_path / "sealed.ckpt")
    stored = read_policy(read_checkpoint_file(tmp_path / "sealed.ckpt"), "a file")
    assert stored.entry.env_steps == module.env_steps
    save_checked(module, tmp_path / "policy")  # as the run's MLflow model


def made_module(device: str) -> RHERModule:
    module = RHERModule("FetchPush-v4", hidden_size=16, hidden_layers=2)
    kept = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)  # as moving to a GPU: in place
    try:
        return module.to(device)
    finally:
        torch.__future__.set_swap_module_params_on_conversion(kept)


def made_episodes(count: int, device: str, length: int = 50) -> TensorDict:
    return TensorDict(
        {
            "observation": torch.rand(count, length + 1, 25, device=device),
            "achieved_goals": torch.rand(count, length + 1, 2, 3, device=device),
            "desired_goals": torch.rand(count, 1, 3, device=device),
            "action": torch.rand(count, length, 4, device=device),
            "length": torch.full((count, 1), length, device=device),
            "ending": torch.ones(count, 1, dtype=torch.uint8, device=device),
        },
        batch_size=[count],
    )


def gathered(episodes: TensorDict, samples: int) -> TensorDict:
    """Transitions from a storage that lives where the episodes are."""
    storage = EpisodeStorage(4, episodes[0])
    device = episodes["action"].device
    storage.set(torch.arange(len(episodes), device=device), episodes)
    index = torch.ones(samples, 3, dtype=torch.int64, device=device)
    return storage.get(index)


def iterate(device: str) -> dict[str, torch.Tensor]:
    """What one iteration does with tensors, without drawing indices; returns the batches."""
    module = made_module(device)
    samples = relabel(module.relay, gathered(made_episodes(2, device), 8), 0)
    parts = [encode(module.encoder, samples.unsqueeze(0), 0, 0.95)]
    (batches,) = rounds(parts, Mixing.joint, 0.1, module.td3.sizes)
    return batches


@pytest.mark.parametrize("device", [DEVICE, "meta"])
def test_an_iteration_stays_on_the_device(device: str) -> None:
    assert {value.device.type for value in iterate(device).values()} == {device}
