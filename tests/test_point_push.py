"""The task without a simulator, and what all batched environments share."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torchrl.envs.utils import check_env_specs

from rher_pl.envs.point_push import CONTACT_RADIUS, STEP_LENGTH, PointPushEnv
from rher_pl.errors import ConfigError


def test_specs_are_those_of_torchrl(edge_ends_env):
    check_env_specs(PointPushEnv(3, seed=0))
    check_env_specs(edge_ends_env(3, seed=0))


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


def test_a_seed_is_used_by_the_next_reset_of_its_row_alone():
    first_row = torch.tensor([[True], [False], [False]])

    twin = PointPushEnv(3, seed=5)
    first, second = (twin.reset()["observation"] for _ in range(2))
    env = PointPushEnv(3, seed=0)
    assert not torch.equal(env.reset()["observation"], first)
    env.set_seeds([5, 6, 7])
    assert torch.equal(env.reset()["observation"], first)
    assert torch.equal(env.reset()["observation"], second), "without a seed a generator goes on"

    state = env.reset()
    env.set_seeds([5, 6, 7])
    state = env.reset(state.set("_reset", first_row))
    assert torch.equal(state["observation"][0], first[0])
    state = env.reset(state.set("_reset", first_row))
    assert torch.equal(state["observation"][0], second[0])
    state = env.reset(state.set("_reset", ~first_row))
    assert torch.equal(state["observation"][1:], first[1:]), "their seeds were kept till now"
    assert torch.equal(state["observation"][0], second[0]), "it was not reset"


def test_there_is_one_seed_for_each_row():
    with pytest.raises(ValueError, match="3 seeds for 2 environments"):
        PointPushEnv(2).set_seeds([1, 2, 3])


@pytest.mark.parametrize("shape", [(2, 3), (2, 1), (2,)])
def test_actions_of_another_shape_are_refused(shape):
    env = PointPushEnv(2)
    state = env.reset()
    with pytest.raises(ValueError, match=r"action has shape .*: it must be \(2, 2\)"):
        env.step(state.set("action", torch.zeros(shape)))


def test_inference_mode_and_normal_steps_may_alternate(edge_ends_env):
    """As ``fit``, ``validate`` and ``fit`` do with the environment of evaluation."""

    def play(env: Any) -> torch.Tensor:
        state, seen = env.reset(), []
        for _ in range(25):
            state["action"] = torch.full((2, 2), 0.3)
            state = env.step(state)["next"]
            seen.append(state["observation"])
        return torch.stack(seen)

    for make in (PointPushEnv, edge_ends_env):
        env, reference = make(2), make(2)
        for episode in range(4):
            expected = play(reference)
            with torch.inference_mode(episode % 2 == 1):
                assert torch.equal(play(env), expected)
                state = env.reset()
            env.step(
                state.set("action", torch.zeros(2, 2))
            )  # begun in one mode, stepped in another
            reference.reset()
            env.reset(env.reset().set("_reset", torch.tensor([[True], [False]])))
            reference.reset(reference.reset().set("_reset", torch.tensor([[True], [False]])))


@pytest.mark.parametrize("options", [{"num_envs": 0}, {"max_episode_steps": 0}])
def test_sizes_below_one_are_refused(options):
    with pytest.raises(ConfigError, match=f"{next(iter(options))} must be at least 1, got 0"):
        PointPushEnv(**options)
