"""Where tensors live: with an accelerator, batches and networks stay on it from end to end.

PyTorch's device "meta", which holds shapes only, is there on every machine; it refuses to be mixed
with others, as a GPU does.
"""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from rher_pl.module import RHERModule
from rher_pl.relabel import relabel
from rher_pl.replay import EpisodeStorage

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


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
        },
        batch_size=[count],
    )


def gathered(episodes: TensorDict, samples: int) -> TensorDict:
    """Transitions from a storage that lives where the episodes are."""
    storage = EpisodeStorage(4, episodes[0])
    storage.extend(episodes)
    device = episodes["action"].device
    index = torch.ones(samples, 3, dtype=torch.int64, device=device)
    return storage.get(index)


def iterate(device: str) -> TensorDict:
    """What one iteration does with tensors, without drawing indices; returns the samples."""
    module = made_module(device)
    episodes = made_episodes(2, device)
    module.policy.encoder.update(episodes)
    subtask = torch.zeros(8, dtype=torch.int64, device=device)
    samples = relabel(module.relay, gathered(episodes, 8), subtask)
    encoded = module.encode(samples.unsqueeze(0))[0]
    for number in (1, 2):  # without the actor, and with it
        module.td3.update(encoded, number, lambda gradients: None, lambda gradients: None)
    return encoded


@pytest.mark.parametrize("device", [DEVICE, "meta"])
def test_an_iteration_stays_on_the_device(device: str) -> None:
    assert {value.device.type for value in iterate(device).values()} == {device}
