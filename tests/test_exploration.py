"""Self-guided exploration: who acts where, and how often."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from rher_pl.collect.behavior import Actor, BehaviorPolicy
from rher_pl.collect.progress import RelayProgress
from rher_pl.training.module import RHERModule

COUNT = 40_000


def behavior(
    progress: RelayProgress, guide: float = 0.4, random: float = 0.2, fading: bool = False
) -> BehaviorPolicy:
    module = RHERModule("PointPush-v0", hidden_size=8)
    generator = torch.Generator().manual_seed(0)
    return BehaviorPolicy(module.policy, progress, guide, random, 0.2, None, generator, fading)


def shares(policy: BehaviorPolicy, unsolved: int) -> list[float]:
    actor, subtask = policy.choose(torch.full((COUNT,), unsolved))
    guide, learner = policy.guide_subtask, policy.learner_subtask
    if guide is not None:
        assert (subtask[actor == Actor.GUIDE] == guide).all()
    assert (subtask[actor == Actor.LEARNER] == learner).all()
    return [(actor == a).float().mean().item() for a in Actor]


def test_one_object_before_the_object_is_reached():
    assert shares(behavior(RelayProgress(2)), 0) == pytest.approx([0.4, 0.4, 0.2], abs=0.01)


def test_one_object_once_the_object_is_reached():
    assert shares(behavior(RelayProgress(2)), 1) == pytest.approx([0.0, 0.8, 0.2], abs=0.01)


def test_a_relay_of_one_has_learner_and_random_only():
    assert shares(behavior(RelayProgress(1)), 0) == pytest.approx([0.0, 0.8, 0.2], abs=0.01)


@pytest.mark.parametrize(("unsolved", "guided"), [(0, True), (1, True), (2, False), (3, False)])
def test_the_guide_carries_the_learned_prefix_of_a_longer_relay(unsolved, guided):
    progress = RelayProgress(4)
    progress.record([1.0, 1.0, 0.0, 0.0])
    assert (progress.guide_subtask, progress.learner_subtask) == (1, 2)
    guide = shares(behavior(progress), unsolved)[0]
    assert guide == pytest.approx(0.4 if guided else 0.0, abs=0.01)


def test_a_fading_guide_leaves_its_share_to_a_learner_that_succeeds():
    progress = RelayProgress(2)
    policy = behavior(progress, fading=True)
    assert shares(policy, 0) == pytest.approx([0.4, 0.4, 0.2], abs=0.01)
    progress.record([1.0, 0.75])
    assert shares(policy, 0) == pytest.approx([0.4, 0.4, 0.2], abs=0.01)  # until it synchronizes
    policy.synchronize()
    assert shares(policy, 0) == pytest.approx([0.1, 0.7, 0.2], abs=0.01)


def states(count: int, gripper_at_object: bool) -> TensorDict:
    achieved = torch.zeros(count, 2, 3)
    achieved[:, 1, 0] = 0.0 if gripper_at_object else 0.5
    desired = torch.full((count, 1, 3), -0.5)
    return TensorDict(
        {
            "observation": torch.zeros(count, 6),
            "achieved_goals": achieved,
            "desired_goals": desired,
        },
        batch_size=[count],
    )


def test_random_actions_are_uniform_and_others_carry_gaussian_noise():
    policy = behavior(RelayProgress(2))
    policy.only_random = False
    out = policy(states(COUNT, gripper_at_object=True))
    random = out["actor"].squeeze(-1) == Actor.RANDOM
    assert out["action"][random].std().item() == pytest.approx((1 / 3) ** 0.5, abs=0.01)
    subtask = torch.ones(COUNT, dtype=torch.int64)
    noise = out["action"] - policy.policy(out, subtask)
    assert noise[~random].std().item() == pytest.approx(0.2, abs=0.01)
    assert out["action"].abs().max() <= 1.0


def test_first_episodes_are_random():
    policy = behavior(RelayProgress(2))
    policy.only_random = True
    out = policy(states(100, gripper_at_object=False))
    assert (out["actor"] == Actor.RANDOM).all()
