"""Hindsight substitution and reward, on fixtures whose next state differs from the current one."""

from __future__ import annotations

import pytest
import torch

from rher_pl.envs.contract import Ending
from rher_pl.replay.relabel import relabel
from rher_pl.replay.storage import KEEP_GOAL

OBJECTS = pytest.mark.parametrize("num_objects", [1, 2, 3])
LENGTHS = pytest.mark.parametrize("lengths", [[6], [1, 6, 3, 4, 2]], ids=["equal", "mixed"])


@pytest.mark.parametrize("radius", [1.0, 0.5])
@LENGTHS
@OBJECTS
def test_reward_is_zero_exactly_where_the_next_state_meets_every_slot_in_use(
    make_pools, num_objects, lengths, radius
):
    pools = make_pools(num_objects=num_objects, lengths=lengths, reward_radius=radius)
    seen = set()
    for subtask, buffer in enumerate(pools.buffers):
        sample = buffer.sample(2000)
        row, time, _ = sample["index"].unbind(-1)
        following = pools.data["achieved_goals"][row, time + 1]
        limit = torch.full((num_objects + 1,), 0.05)
        limit[0 if subtask % 2 == 0 else 1 + subtask // 2] *= radius  # of the active slot alone
        assert torch.equal(sample["next", "achieved"], following)
        goals = sample["goals"]
        close = (goals - following).norm(dim=-1) <= limit
        unused = (goals == 0).all(-1)
        met = (close | unused).all(-1)
        reward = sample["next", "reward"].squeeze(-1)
        assert torch.equal(reward == 0, met)
        assert set(reward.unique().tolist()) <= {0.0, -1.0}
        seen |= set(reward.unique().tolist())
    assert seen == {0.0, -1.0}, "the fixture must produce both outcomes"


@LENGTHS
@OBJECTS
def test_hindsight_goals_come_from_a_strictly_later_state_of_the_same_episode(
    make_pools, num_objects, lengths
):
    pools = make_pools(num_objects=num_objects, lengths=lengths)
    achieved, relay = pools.data["achieved_goals"], pools.relay
    for subtask, buffer in enumerate(pools.buffers):
        sample = buffer.sample(2000)
        row, time, later = sample["index"].unbind(-1)
        relabeled = sample["relabeled"].squeeze(-1)
        assert torch.equal(relabeled, later != KEEP_GOAL)
        length = pools.data["length"][row, 0]
        assert (later > time)[relabeled].all() and (later <= length)[relabeled].all()
        assert {1, max(lengths)} <= set((later - time)[relabeled].tolist())
        now, following = achieved[row, time], achieved[row, time + 1]
        hindsight = relay.hindsight_goals(now, achieved[row, later.clamp(min=0)], subtask)
        desired, choose = pools.data["desired_goals"][row], relabeled.view(-1, 1, 1)
        goals = hindsight.where(choose, relay.goals(now, desired, subtask))
        hindsight = relay.hindsight_goals(following, achieved[row, later.clamp(min=0)], subtask)
        next_goals = hindsight.where(choose, relay.goals(following, desired, subtask))
        assert torch.equal(sample["goals"], goals)
        assert torch.equal(sample["next", "goals"], next_goals)
        assert torch.equal(sample["achieved"], now)


def test_original_goals_that_move_with_a_point_are_those_of_each_state(make_pools):
    """Reaching an object: its goal is where the object is, now and in the next state."""
    pools = make_pools(relabel_ratio=0.0)
    sample = pools.buffers[0].sample(500)
    assert torch.equal(sample["goals"][:, 0], sample["achieved"][:, 1])
    assert torch.equal(sample["next", "goals"][:, 0], sample["next", "achieved"][:, 1])
    assert not torch.equal(sample["goals"], sample["next", "goals"])


@LENGTHS
def test_transitions_are_gathered_from_the_right_place(make_pools, lengths):
    pools = make_pools(lengths=lengths)
    sample = pools.buffers[0].sample(2000)
    row, time, _ = sample["index"].unbind(-1)
    assert torch.equal(sample["observation"].squeeze(-1), (row * 7 + time).float())
    assert torch.equal(sample["next", "observation"], sample["observation"] + 1)
    assert torch.equal(sample["action"].squeeze(-1), (row * 6 + time).float())


def test_a_sentinel_goal_proves_that_the_reward_is_recomputed(make_pools):
    pools = make_pools()
    transitions = pools.storage.get(torch.tensor([[0, 2, 3]]))
    assert relabel(pools.relay, transitions, 1)["next", "reward"].item() == 0.0
    transitions["hindsight_goals"] = transitions["hindsight_goals"] + 1.0
    assert relabel(pools.relay, transitions, 1)["next", "reward"].item() == -1.0


def test_inert_samples_have_a_hindsight_goal_that_is_met_before_and_after(make_pools):
    pools = make_pools(count=200)
    for subtask, buffer in enumerate(pools.buffers):
        sample = buffer.sample(5000)
        before = pools.relay.met(sample["goals"], sample["achieved"], subtask)
        after = pools.relay.met(sample["goals"], sample["next", "achieved"], subtask)
        inert = sample["relabeled"].squeeze(-1) & before & after
        assert torch.equal(sample["inert"].squeeze(-1), inert)
        assert 0 < inert.sum() < (before & after).sum() < before.sum()


# --- where nothing follows ---------------------------------------------------------------------


@pytest.mark.parametrize("num_objects", [1, 2])
def test_an_episode_that_failed_is_terminal_at_its_last_transition_for_every_subtask(
    make_pools, num_objects
):
    pools = make_pools(num_objects=num_objects, lengths=[2, 6, 4], endings=[Ending.FAILURE])
    for buffer in pools.buffers:
        sample = buffer.sample(2000)
        row, time, _ = sample["index"].unbind(-1)
        is_last = time + 1 == pools.data["length"][row, 0]
        assert torch.equal(sample["next", "terminated"].squeeze(-1), is_last)
        assert (sample["next", "reward"].squeeze(-1)[is_last] == -1.0).all()  # the crash is no goal
        assert 0 < is_last.sum() < len(is_last)


def test_a_success_is_terminal_for_the_last_subtask_where_the_goal_in_use_is_met(make_pools):
    pools = make_pools(
        count=200, num_objects=2, lengths=[2, 6, 4], endings=[Ending.SUCCESS], scale=0.02
    )
    for subtask, buffer in enumerate(pools.buffers):
        sample = buffer.sample(20_000)
        row, time, _ = sample["index"].unbind(-1)
        is_last = time + 1 == pools.data["length"][row, 0]
        met, terminated = sample["next", "reward"] == 0, sample["next", "terminated"]
        assert (met.squeeze(-1) & is_last).any() and (~met.squeeze(-1) & is_last).any()
        if subtask == pools.relay.last:
            assert torch.equal(terminated.squeeze(-1), is_last & met.squeeze(-1))
            for relabeled in (True, False):
                assert terminated[sample["relabeled"] == relabeled].any()
        else:
            assert not terminated.any()


def test_what_is_cut_off_by_time_is_never_terminal(make_pools):
    pools = make_pools(lengths=[2, 6, 4], endings=[Ending.TIME])
    assert not any(buffer.sample(2000)["next", "terminated"].any() for buffer in pools.buffers)
