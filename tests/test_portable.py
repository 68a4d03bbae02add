"""A policy outside of training acts as the live one, in states of every kind."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rher_pl.deploy.formats import FORMATS
from rher_pl.deploy.parity import TOLERANCE, parity_gap, require_parity, stratified_states
from rher_pl.deploy.portable import PortablePolicy, load_portable, save_portable
from rher_pl.errors import TrainingError
from rher_pl.networks.actor_critic import Actor, NetworkSizes
from rher_pl.networks.encoder import InputEncoder
from rher_pl.networks.policy import RelayPolicy
from rher_pl.relay import Layout, Relay, fetch_layout


def random_policy(relay: Relay, layout: Layout, **options) -> PortablePolicy:
    """Untrained, with statistics of some states on a table."""
    torch.manual_seed(0)
    encoder = InputEncoder(relay, layout, **options)
    policy = RelayPolicy(encoder, Actor(NetworkSizes(encoder.size, 4, 32, 2)))
    encoder.update(
        {
            "observation": 1.0 + 0.1 * torch.randn(5, 11, len(layout)),
            "achieved_goals": 1.0 + 0.1 * torch.randn(5, 11, relay.num_points, 3),
            "desired_goals": 1.0 + 0.1 * torch.randn(5, relay.num_desired, 3),
        }
    )
    return PortablePolicy(policy).eval().requires_grad_(False)


def fetch(count: int, **options) -> PortablePolicy:
    return random_policy(Relay(tuple("abc"[:count])), fetch_layout(count), **options)


POINT = Layout(("gripper x", "gripper y", "object 0 x", "object 0 y", "-"))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_states_are_of_every_kind(count):
    policy = fetch(count)
    relay = policy.policy.relay
    observation, achieved, desired = stratified_states(policy, 100)
    points = policy.interface.points(observation, achieved)
    goals = desired.unflatten(-1, (-1, 3))
    home = relay.home(points, goals).sum(-1)
    assert all((home == number).float().mean() > 0.1 for number in range(count + 1))
    served = relay.serving(points, goals)
    assert all((served == bring).any() for bring in relay.brings)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_format_acts_as_the_live_policy(kind, count, tmp_path: Path):
    policy, path = fetch(count), tmp_path / f"policy{FORMATS[kind].suffix}"
    FORMATS[kind].write(policy, path)
    assert parity_gap(policy, FORMATS[kind].read(path)) <= TOLERANCE


@pytest.mark.parametrize("options", [{}, {"roles": False}, {"stay": False}])
def test_a_file_of_tensors_tells_all(options, tmp_path: Path):
    policy = fetch(2, **options)
    save_portable(policy, tmp_path / "policy.pt")
    read = load_portable(tmp_path / "policy.pt")
    assert parity_gap(policy, read) == 0.0
    assert read.policy.encoder.options == policy.policy.encoder.options


def test_a_policy_that_forgets_who_is_served_is_found_out():
    """Control: the last subtask alone acts otherwise in most states."""
    policy = fetch(2)
    live = policy.policy

    def last_only(observation, achieved, desired):
        points = policy.interface.points(observation, achieved)
        return live(observation, points, desired.unflatten(-1, (-1, 3)), live.relay.last)

    assert parity_gap(policy, last_only) > 100 * TOLERANCE
    with pytest.raises(TrainingError, match="acts otherwise"):
        require_parity(policy, last_only, "this file")
    with pytest.raises(TrainingError, match="acts otherwise"):
        require_parity(policy, lambda *inputs: policy(*inputs) * float("nan"), "this file")


def test_where_the_gripper_is_in_the_observation_comes_from_the_layout():
    assert fetch(1).interface.gripper == (0, 1, 2)
    assert fetch(1).sizes == {"observation": 25, "achieved_goal": 3, "desired_goal": 3}
    planar = random_policy(Relay(("push",)), POINT)
    assert planar.interface.gripper == () and planar.interface.gripper_in_goal
    assert planar.sizes == {"observation": 5, "achieved_goal": 6, "desired_goal": 3}
    reach = random_policy(Relay(("reach",), reach=False), fetch_layout(0))
    assert reach.sizes == {"observation": 10, "achieved_goal": 3, "desired_goal": 3}


def test_one_state_without_a_batch_will_do_and_so_will_float64():
    policy = fetch(2)
    inputs = stratified_states(policy, 3)
    single = policy(*(value[1] for value in inputs))
    torch.testing.assert_close(single, policy(*inputs)[1])
    assert torch.equal(policy(*(value.double() for value in inputs)), policy(*inputs))


def test_a_portable_policy_says_what_it_is_in_one_line():
    text = repr(fetch(1))
    assert "\n" not in text
    assert "observation 25" in text
