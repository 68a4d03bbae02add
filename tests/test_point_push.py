"""The task without a simulator."""

from __future__ import annotations

import pytest
import torch
from torchrl.envs.utils import check_env_specs

from rher_pl.envs.point_push import CONTACT_RADIUS, STEP_LENGTH, PointPushEnv
from rher_pl.errors import ConfigError


def test_specs_are_those_of_torchrl():
    check_env_specs(PointPushEnv(3, seed=0))


def test_the_puck_moves_with_the_point_only_in_contact():
    env = PointPushEnv(2, seed=0)
    state = env.reset()
    env._state[0, 1] = env._state[0, 0] + CONTACT_RADIUS / 2
    env._state[1, 1] = env._state[1, 0] + CONTACT_RADIUS * 2
    before = env._state.clone()
    state["action"] = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    env.step(state)
    moved = env._state - before
    assert moved[0, 1].tolist() == pytest.approx([STEP_LENGTH, 0.0], abs=1e-6)
    assert moved[1, 1].tolist() == [0.0, 0.0]


def test_reward_is_zero_exactly_within_the_threshold():
    env = PointPushEnv(2, seed=0)
    state = env.reset()
    env._state[0, 1] = env._state[0, 2] + torch.tensor([env.distance_threshold * 0.9, 0.0])
    env._state[1, 1] = env._state[1, 2] + torch.tensor([env.distance_threshold * 1.1, 0.0])
    env._state[:, 0] = -0.9
    state["action"] = torch.zeros(2, 2)
    assert env.step(state)["next", "reward"].view(-1).tolist() == [0.0, -1.0]


def test_the_state_of_an_unplayed_episode_gives_exactly_that_episode():
    env = PointPushEnv(2, seed=0)
    env.reset()
    saved = env.rng_state()
    expected = env._state.clone()
    env.reset()
    assert not torch.equal(env._state, expected)
    env.set_rng_state(saved)
    env.reset()
    assert torch.equal(env._state, expected)


def test_num_envs_below_one_is_refused():
    with pytest.raises(ConfigError, match="num_envs must be at least 1"):
        PointPushEnv(0)
