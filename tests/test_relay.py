"""The relay on hand-worked examples with one, two and three objects."""

from __future__ import annotations

import pytest
import torch

from rher_pl.collect.progress import RelayProgress
from rher_pl.relay.chain import Position, Relay, Subtask, Unused
from rher_pl.relay.chains import object_relay, reach_relay

ZERO = [0.0, 0.0, 0.0]


def points(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float32)


def encoded(relay: Relay, achieved: torch.Tensor, desired: torch.Tensor, subtask: int):
    """Slots of one subtask as nested lists."""
    goals = relay.goals(achieved, desired, torch.tensor(subtask))
    return goals.tolist()


def test_reach_is_a_chain_of_one_whose_goal_is_the_desired_point():
    relay = reach_relay()
    assert relay.names == ("reach",)
    assert encoded(relay, points([1, 2, 3]), points([4, 5, 6]), 0) == [[4, 5, 6]]


def test_one_object():
    relay = object_relay(["push"])
    achieved, desired = points([1, 1, 1], [2, 2, 2]), points([3, 3, 3])
    assert encoded(relay, achieved, desired, 0) == [[2, 2, 2], ZERO]
    assert encoded(relay, achieved, desired, 1) == [ZERO, [3, 3, 3]]


def test_two_objects():
    relay = object_relay(["push_0", "push_1"])
    achieved = points([1, 1, 1], [2, 2, 2], [3, 3, 3])
    desired = points([7, 7, 7], [8, 8, 8])
    assert encoded(relay, achieved, desired, 0) == [[2, 2, 2], ZERO, [3, 3, 3]]
    assert encoded(relay, achieved, desired, 1) == [ZERO, [7, 7, 7], [3, 3, 3]]
    assert encoded(relay, achieved, desired, 2) == [[3, 3, 3], [7, 7, 7], ZERO]
    assert encoded(relay, achieved, desired, 3) == [ZERO, [7, 7, 7], [8, 8, 8]]


def test_three_objects():
    relay = object_relay(["a", "b", "c"])
    achieved = points([1, 1, 1], [2, 2, 2], [3, 3, 3], [4, 4, 4])
    desired = points([7, 7, 7], [8, 8, 8], [9, 9, 9])
    assert encoded(relay, achieved, desired, 2) == [[3, 3, 3], [7, 7, 7], ZERO, [4, 4, 4]]
    assert encoded(relay, achieved, desired, 3) == [ZERO, [7, 7, 7], [8, 8, 8], [4, 4, 4]]
    assert encoded(relay, achieved, desired, 4) == [[4, 4, 4], [7, 7, 7], [8, 8, 8], ZERO]
    assert encoded(relay, achieved, desired, 5) == [ZERO, [7, 7, 7], [8, 8, 8], [9, 9, 9]]


def test_hindsight_goals_of_two_objects_take_later_positions_where_a_goal_was_wanted():
    relay = object_relay(["push_0", "push_1"])
    now = points([1, 1, 1], [2, 2, 2], [3, 3, 3])
    later = points([10, 10, 10], [20, 20, 20], [30, 30, 30])

    def hindsight(subtask: int):
        return relay.hindsight_goals(now, later, torch.tensor(subtask)).tolist()

    assert hindsight(0) == [[10, 10, 10], ZERO, [3, 3, 3]]  # object 1 must not be disturbed
    assert hindsight(1) == [ZERO, [20, 20, 20], [3, 3, 3]]
    assert hindsight(2) == [[10, 10, 10], [20, 20, 20], ZERO]
    assert hindsight(3) == [ZERO, [20, 20, 20], [30, 30, 30]]


def test_met_needs_every_slot_in_use_within_epsilon():
    relay = object_relay(["push_0", "push_1"], epsilon=0.05)
    goals = points(ZERO, [1, 0, 0], [0, 1, 0])
    close = points([9, 9, 9], [1.049, 0, 0], [0, 1, 0])
    far = points([9, 9, 9], [1.051, 0, 0], [0, 1, 0])
    assert relay.met(goals, close, torch.tensor(3))
    assert not relay.met(goals, far, torch.tensor(3))


@pytest.mark.parametrize(
    ("gripper", "objects", "expected"),
    [
        ([5, 5, 5], [[2, 2, 2], [3, 3, 3]], 0),  # nothing done
        ([2, 2, 2], [[2, 2, 2], [3, 3, 3]], 1),  # at object 0
        ([2, 2, 2], [[7, 7, 7], [3, 3, 3]], 2),  # object 0 is home, the gripper may leave it
        ([3, 3, 3], [[7, 7, 7], [3, 3, 3]], 3),  # at object 1
        ([3, 3, 3], [[2, 2, 2], [3, 3, 3]], 0),  # at object 1 too early
        ([9, 9, 9], [[7, 7, 7], [8, 8, 8]], 3),  # all solved: hold the last one
    ],
)
def test_first_unsolved_of_two_objects(gripper, objects, expected):
    relay = object_relay(["push_0", "push_1"])
    desired = points([7, 7, 7], [8, 8, 8])
    assert relay.first_unsolved(points(gripper, *objects), desired).item() == expected


def test_a_reached_distance_replaces_epsilon_for_the_gripper_only():
    relay = object_relay(["push"], epsilon=0.05)
    desired = points([1, 1, 1])
    near = points([0.04, 0, 0], [0, 0, 0])
    assert relay.first_unsolved(near, desired).item() == 1
    assert relay.reaching(0.03).first_unsolved(near, desired).item() == 0
    home = points([5, 5, 5], [1.04, 1, 1])
    assert relay.reaching(0.03).solved(home, desired).tolist() == [False, True]


def test_encoding_tells_subtasks_apart_and_relative_slots_are_goal_minus_position():
    relay = object_relay(["push"], relative_goals=True)
    achieved, desired = points([1, 1, 1], [2, 2, 2]), points([3, 3, 3])
    subtask = torch.tensor(1)
    goals = relay.goals(achieved, desired, subtask)
    code = relay.encode(goals, achieved, subtask)
    assert code.tolist() == [0, 0, 0, 3, 3, 3, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    assert (relay.goal_size, relay.num_absolute) == (15, 6)
    assert relay.active_numbers.tolist() == [
        [True, True, True, False, False, False] * 2 + [True] * 3,
        [False, False, False, True, True, True] * 2 + [True] * 3,
    ]


def test_a_batch_may_mix_subtasks():
    relay = object_relay(["push"])
    achieved = points([1, 1, 1], [2, 2, 2]).expand(2, 2, 3)
    desired = points([3, 3, 3]).expand(2, 1, 3)
    goals = relay.goals(achieved, desired, torch.tensor([1, 0]))
    assert goals.tolist() == [[ZERO, [3, 3, 3]], [[2, 2, 2], ZERO]]


def test_a_subtask_needs_one_slot_per_point():
    with pytest.raises(ValueError, match="one slot per point"):
        Relay((Subtask("odd", (Unused(), Position(1))),), num_points=3, num_desired=1)


def test_progress_moves_guide_and_learner_along_the_chain():
    progress = RelayProgress(4, threshold=0.8, window=2)
    assert (progress.guide_subtask, progress.learner_subtask) == (0, 1)
    progress.record([1.0, 0.9, 0.1, 0.0])
    assert (progress.guide_subtask, progress.learner_subtask) == (1, 2)
    progress.record([1.0, 0.5, 0.1, 0.0])  # moving success of subtask 1 falls to 0.7
    assert (progress.guide_subtask, progress.learner_subtask) == (0, 1)
    restored = RelayProgress(4, threshold=0.8, window=2)
    restored.load_state_dict(progress.state_dict())
    assert restored.success == progress.success


@pytest.mark.parametrize("names", [["a"], ["a", "b"], ["a", "b", "c"]], ids=len)
def test_one_subtask_for_all_is_the_same_as_naming_it_for_each(names: list[str]) -> None:
    relay, generator = object_relay(names), torch.Generator().manual_seed(0)
    achieved, later = (torch.randn(20, len(names) + 1, 3, generator=generator) for _ in range(2))
    desired = torch.randn(20, len(names), 3, generator=generator)
    for one in range(relay.num_subtasks):
        each = torch.full((20,), one)
        goals, hindsight = (
            function(achieved, positions, each)
            for function, positions in ((relay.goals, desired), (relay.hindsight_goals, later))
        )
        assert torch.equal(relay.goals(achieved, desired, one), goals)
        assert torch.equal(relay.hindsight_goals(achieved, later, one), hindsight)
        near = hindsight + 0.03 * torch.randn(hindsight.shape, generator=generator)
        met = relay.met(hindsight, near, each)
        assert met.any() and not met.all()
        assert torch.equal(relay.met(hindsight, near, one), met)
        encoded = relay.encode(goals, achieved, each)
        assert torch.equal(relay.encode(goals, achieved, one), encoded)


def test_a_relay_of_one_has_no_guide():
    progress = RelayProgress(1)
    assert (progress.guide_subtask, progress.learner_subtask) == (None, 0)
