"""Who acts while episodes are collected, and what depends on an episode's seed alone."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict
from torch import Tensor

from rher_pl.collect.behavior import BehaviorPolicy, Chooser, Exploration
from rher_pl.collect.progress import MovingSuccess
from rher_pl.networks.actor_critic import Actor, NetworkSizes
from rher_pl.networks.encoder import InputEncoder
from rher_pl.networks.policy import RelayPolicy
from rher_pl.relay import Relay, fetch_layout

ONE, TWO = Relay(("push",)), Relay(("a", "b"))
STEPS = 50
ROWS = 400


def behavior(relay: Relay, success: list[float] | None = None, **options) -> BehaviorPolicy:
    encoder = InputEncoder(relay, fetch_layout(relay.num_objects))
    torch.manual_seed(0)
    policy = RelayPolicy(encoder, Actor(NetworkSizes(encoder.size, 4, 16, 1)))
    moving = MovingSuccess(relay.num_subtasks)
    if success is not None:
        moving.record(success)
    return BehaviorPolicy(policy, moving, Exploration(**options), STEPS)


def states(gripper: float, objects: list[float], count: int = ROWS) -> TensorDict:
    """All on a line; the goal of object i is at i + 1 metres."""
    achieved = torch.zeros(count, 1 + len(objects), 3)
    achieved[..., 0] = torch.tensor([gripper, *objects])
    desired = torch.zeros(count, len(objects), 3)
    desired[..., 0] = torch.arange(1.0, 1 + len(objects))
    observation = torch.zeros(count, len(fetch_layout(len(objects))))
    keys = {"observation": observation, "achieved_goals": achieved, "desired_goals": desired}
    return TensorDict(keys, batch_size=[count])


def shares(policy: BehaviorPolicy, state: TensorDict, steps: int = STEPS) -> list[float]:
    """Of guide, learner and random actions, over many steps of many episodes."""
    policy.begin(range(len(state)))
    chosen = torch.cat([policy(state.clone())["chooser"] for _ in range(steps)])
    return [(chosen == who).float().mean().item() for who in Chooser]


def test_the_guide_acts_until_the_object_is_reached():
    policy = behavior(ONE, guide_share=0.5, random_share=0.2)
    assert shares(policy, states(0.0, [0.5])) == pytest.approx([0.5, 0.3, 0.2], abs=0.02)
    assert shares(policy, states(0.46, [0.5])) == pytest.approx([0.0, 0.8, 0.2], abs=0.02)


def test_the_guide_goes_on_to_the_reached_distance():
    policy = behavior(ONE, guide_share=0.5, reached_distance=0.03)
    assert shares(policy, states(0.46, [0.5]))[0] == pytest.approx(0.5, abs=0.02)


def test_nobody_is_guided_to_an_object_that_is_home():
    policy = behavior(ONE, guide_share=0.5)
    assert shares(policy, states(0.0, [1.0]))[0] == 0.0


def test_each_object_has_a_guide_of_its_own():
    policy = behavior(TWO, guide_share=0.5)
    for objects, reach in (([0.5, 0.6], 0), ([1.0, 0.6], 2)):
        policy.begin(range(ROWS))
        played = policy(states(0.0, objects))
        assert (played["subtask"] == reach).all()
        assert (played["chooser"] == Chooser.GUIDE).any()


def test_a_chain_of_one_has_no_guide():
    policy = behavior(ONE.only_last(), guide_share=0.5)
    assert shares(policy, states(0.0, [0.5])) == pytest.approx([0.0, 0.8, 0.2], abs=0.02)


def test_a_guide_fades_with_the_success_of_the_object_being_served():
    success = [1.0, 0.8, 1.0, 0.2]
    policy = behavior(TWO, success, guide_share=0.5, fading_guide=True)
    first, second = states(0.0, [0.5, 0.6]), states(0.0, [1.0, 0.6])
    assert shares(policy, first)[0] == pytest.approx(0.1, abs=0.02)
    assert shares(policy, second)[0] == pytest.approx(0.4, abs=0.02)
    steady = behavior(TWO, success, guide_share=0.5)
    assert shares(steady, first)[0] == pytest.approx(0.5, abs=0.02)


def test_random_actions_and_noise_fade_with_the_same_success():
    success = [0.0, 0.75, 0.0, 0.25]
    policy = behavior(TWO, success, guide_share=0.0, random_share=0.4, fading_noise=True)
    first, second = states(0.0, [0.5, 0.5]), states(0.0, [1.0, 0.5])
    assert shares(policy, first)[2] == pytest.approx(0.4 * 0.25, abs=0.02)
    assert shares(policy, second)[2] == pytest.approx(0.4 * 0.75, abs=0.02)
    mastered = behavior(TWO, [1.0] * 4, guide_share=0.0, exploration_noise=1.0, fading_noise=True)
    mastered.begin(range(ROWS))
    acted = mastered(first.clone())["action"]
    assert torch.equal(acted, acted[:1].expand_as(acted))


def actions(policy: BehaviorPolicy, seeds: list[int], only_random: bool = False) -> Tensor:
    """Of all steps of each episode, [N, T, A]."""
    policy.begin(seeds, only_random)
    state = states(0.0, [0.5], len(seeds))
    return torch.stack([policy(state.clone())["action"] for _ in range(STEPS)], dim=1)


@pytest.mark.parametrize("only_random", [True, False])
def test_an_episode_is_explored_alike_whichever_row_plays_it(only_random):
    policy = behavior(ONE)
    three = actions(policy, [7, 8, 9], only_random)
    two = actions(policy, [9, 7], only_random)
    assert torch.equal(three[2], two[0])
    assert torch.equal(three[0], two[1])
    assert not torch.equal(three[0], three[1])


def test_random_actions_are_uniform_and_others_carry_gaussian_noise():
    policy = behavior(ONE, random_share=0.0, guide_share=0.0, exploration_noise=0.1)
    played = actions(policy, list(range(200)))
    assert played.flatten(0, 1).std(0) == pytest.approx([0.1] * 4, rel=0.05)
    uniform = actions(policy, list(range(200)), only_random=True)
    assert uniform.flatten().mean().item() == pytest.approx(0.0, abs=0.02)
    assert uniform.flatten().var().item() == pytest.approx(1 / 3, rel=0.02)
    assert uniform.abs().max() <= 1.0


def test_it_acts_with_the_policy_as_it_was_when_the_episodes_began():
    policy = behavior(ONE, random_share=0.0, guide_share=0.0, exploration_noise=0.0)
    trained, _ = policy._trained
    before = actions(policy, [1])
    policy.begin([1])
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.mul_(2.0)
    state = states(0.0, [0.5], 1)
    assert torch.equal(policy(state.clone())["action"], before[:, 0])
    assert not torch.equal(actions(policy, [1]), before)


def test_what_is_drawn_is_held_for_some_steps() -> None:
    """Shares stay as they are; who acts and the random action change every third step only."""
    policy = behavior(ONE, random_share=0.5, guide_share=0.5, hold_steps=3)
    policy.begin(range(ROWS))
    uniform, action, noise = policy._draws
    for start in range(0, STEPS - 3, 3):
        for drawn in (uniform, action, noise):
            assert torch.equal(drawn[start], drawn[start + 1])
            assert torch.equal(drawn[start], drawn[start + 2])
            assert not torch.equal(drawn[start], drawn[start + 3])
    assert (uniform < 0.5).float().mean() == pytest.approx(0.5, abs=0.02)
    single = behavior(ONE, random_share=0.5, guide_share=0.5)
    single.begin(range(ROWS))
    assert torch.equal(uniform[0], single._draws[0][0]), "the first draw is the same"
