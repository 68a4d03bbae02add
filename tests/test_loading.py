"""Trained policies from files, and their portable form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tensordict import TensorDict

from rher_pl.checkpoints.file import write_checkpoint
from rher_pl.deploy.portable import PortablePolicy, load_portable, save_portable
from rher_pl.deploy.trained import load_policy, policy_content
from rher_pl.networks.actor_critic import Actor
from rher_pl.networks.policy import InputEncoder, RelayPolicy
from rher_pl.relay.chain import Relay
from rher_pl.relay.chains import object_relay, reach_relay
from rher_pl.training.module import RHERModule


def random_policy(relay: Relay, observation_size: int = 12) -> RelayPolicy:
    """Untrained, with normalisers that are not the identity."""
    torch.manual_seed(0)
    encoder = InputEncoder(relay, observation_size, absolute_positions=not relay.relative_goals)
    for normalizer in (encoder.observations, encoder.goals):
        normalizer.shift.uniform_(-1.0, 1.0)
        normalizer.scale.uniform_(0.5, 3.0)
    return RelayPolicy(encoder, Actor(encoder.size, 4, 32, 2), 4)


def random_states(relay: Relay, count: int, observation_size: int = 12) -> TensorDict:
    points = torch.randn(count, relay.num_points, 3)
    observation = torch.randn(count, observation_size)
    observation[:, :3] = points[:, 0]
    return TensorDict(
        {
            "observation": observation,
            "achieved_goals": points,
            "desired_goals": torch.randn(count, relay.num_desired, 3),
        },
        batch_size=[count],
    )


RELAYS = [
    reach_relay(relative_goals=True),
    object_relay(["push"], relative_goals=True),
    object_relay(["push"], relative_goals=False),
    object_relay(["a", "b", "c"], relative_goals=True),
]


@pytest.mark.parametrize("relay", RELAYS, ids=lambda r: f"{r.num_subtasks}-{r.relative_goals}")
@pytest.mark.parametrize("gripper_in_observation", [True, False])
def test_the_portable_form_acts_as_the_live_policy(
    relay: Relay, gripper_in_observation: bool
) -> None:
    policy, states = random_policy(relay), random_states(relay, 1000)
    portable = PortablePolicy.of(policy, gripper_in_observation)
    points = states["achieved_goals"]
    if gripper_in_observation and relay.num_points > 1:
        points = points[:, 1:]
    inputs = (states["observation"], points.flatten(1), states["desired_goals"].flatten(1))
    assert list(portable.sizes.values()) == [value.shape[1] for value in inputs]
    with torch.no_grad():
        live = policy(states, torch.full((1000,), relay.last))
        carried = portable(*inputs)
        assert (carried - live).abs().max() < 1e-5
        assert torch.allclose(portable(*(value[7] for value in inputs)), carried[7], atol=1e-6)
        # The comparison can fail: another subtask's policy differs.
        if relay.num_subtasks > 1:
            assert (policy(states, torch.zeros(1000).long()) - carried).abs().max() > 1e-2


def test_the_portable_form_survives_a_file_of_tensors(tmp_path: Path) -> None:
    portable = PortablePolicy.of(random_policy(RELAYS[1]), True)
    save_portable(portable, tmp_path / "policy.pt")
    again = load_portable(tmp_path / "policy.pt")
    inputs = [torch.randn(5, size) for size in portable.sizes.values()]
    assert torch.equal(again(*inputs), portable(*inputs))


def test_the_loaded_policy_is_the_evaluated_one(checkpoint: Path) -> None:
    before = torch.get_rng_state()
    trained = load_policy(checkpoint)
    assert torch.equal(torch.get_rng_state(), before)
    module = RHERModule.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True)
    states = random_states(module.relay, 100, observation_size=6)
    subtask = torch.tensor([0, 1] * 50)
    expected = module.evaluated_policy(states, subtask)
    assert torch.equal(trained.policy(states, subtask), expected)
    assert not torch.equal(module.policy(states, subtask), expected)
    assert trained.counters == {"env_steps": 500, "episodes": 20, "updates": 160}
    assert not any(p.requires_grad for p in trained.policy.parameters())


def test_a_policy_cut_out_of_a_checkpoint_is_the_same(checkpoint: Path, tmp_path: Path) -> None:
    trained = load_policy(checkpoint)
    write_checkpoint(policy_content(trained.content), tmp_path / "small.ckpt")
    assert (tmp_path / "small.ckpt").stat().st_size < checkpoint.stat().st_size / 4
    small = load_policy(tmp_path / "small.ckpt")
    observation = {
        "observation": np.ones((2, 6)),
        "achieved_goal": np.ones((2, 6)),
        "desired_goal": np.zeros((2, 3)),
    }
    assert np.array_equal(small(observation), trained(observation))
    assert small.exploration == trained.exploration != {}
    single = {key: value[0] for key, value in observation.items()}
    assert np.allclose(small(single), small(observation)[0], atol=1e-6)


def test_what_a_file_names_is_never_called(checkpoint: Path, tmp_path: Path) -> None:
    content = torch.load(checkpoint, weights_only=True)
    content["hyper_parameters"]["_instantiator"] = "os.abort"
    write_checkpoint(content, tmp_path / "odd.ckpt")
    assert load_policy(tmp_path / "odd.ckpt").task.name == "PointPush-v0"
