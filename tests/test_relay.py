"""The relay on hand-worked examples with one, two and three objects."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rher_pl.relay import Relay

ZERO = [0.0, 0.0, 0.0]
PUSH, TWO, THREE = Relay(("push",)), Relay(("a", "b")), Relay(("a", "b", "c"))


def points(*rows: list[float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float32)


def goals(relay: Relay, achieved: Tensor, desired: Tensor, subtask: int) -> list:
    """Slots of one subtask as nested lists; an int and a tensor must say the same."""
    found = relay.goals(achieved, desired, subtask)
    assert torch.equal(found, relay.goals(achieved, desired, torch.tensor(subtask)))
    return found.tolist()


def test_without_reaching_the_points_are_the_objects():
    relay = Relay(("reach",), reach=False)
    assert (relay.names, relay.num_points, relay.num_subtasks) == (("reach",), 1, 1)
    assert goals(relay, points([1, 2, 3]), points([4, 5, 6]), 0) == [[4, 5, 6]]


def test_one_object():
    achieved, desired = points([1, 1, 1], [2, 2, 2]), points([3, 3, 3])
    assert PUSH.names == ("reach", "push")
    assert goals(PUSH, achieved, desired, 0) == [[2, 2, 2], ZERO]
    assert goals(PUSH, achieved, desired, 1) == [ZERO, [3, 3, 3]]


def test_two_objects():
    achieved = points([1, 1, 1], [2, 2, 2], [3, 3, 3])
    desired = points([7, 7, 7], [8, 8, 8])
    assert TWO.names == ("reach_0", "a", "reach_1", "b")
    assert goals(TWO, achieved, desired, 0) == [[2, 2, 2], ZERO, [3, 3, 3]]
    assert goals(TWO, achieved, desired, 1) == [ZERO, [7, 7, 7], [3, 3, 3]]
    assert goals(TWO, achieved, desired, 2) == [[3, 3, 3], [7, 7, 7], ZERO]
    assert goals(TWO, achieved, desired, 3) == [ZERO, [7, 7, 7], [8, 8, 8]]


def test_three_objects():
    achieved = points([1, 1, 1], [2, 2, 2], [3, 3, 3], [4, 4, 4])
    desired = points([7, 7, 7], [8, 8, 8], [9, 9, 9])
    assert goals(THREE, achieved, desired, 2) == [[3, 3, 3], [7, 7, 7], ZERO, [4, 4, 4]]
    assert goals(THREE, achieved, desired, 3) == [ZERO, [7, 7, 7], [8, 8, 8], [4, 4, 4]]
    assert goals(THREE, achieved, desired, 4) == [[4, 4, 4], [7, 7, 7], [8, 8, 8], ZERO]
    assert goals(THREE, achieved, desired, 5) == [ZERO, [7, 7, 7], [8, 8, 8], [9, 9, 9]]


def test_another_order_of_work_changes_which_objects_are_finished():
    relay = Relay(("a", "b"), order=(1, 0))
    achieved = points([1, 1, 1], [2, 2, 2], [3, 3, 3])
    desired = points([7, 7, 7], [8, 8, 8])
    assert relay.names == ("reach_1", "b", "reach_0", "a")
    assert goals(relay, achieved, desired, 1) == [ZERO, [2, 2, 2], [8, 8, 8]]
    assert goals(relay, achieved, desired, 3) == [ZERO, [7, 7, 7], [8, 8, 8]]


def test_the_last_subtask_alone_keeps_points_and_slots():
    relay = TWO.only_last()
    achieved = points([1, 1, 1], [2, 2, 2], [3, 3, 3])
    desired = points([7, 7, 7], [8, 8, 8])
    assert (relay.names, relay.num_points) == (("b",), 3)
    assert goals(relay, achieved, desired, 0) == [ZERO, [7, 7, 7], [8, 8, 8]]
    assert relay.serving(achieved, desired).item() == 0


def test_hindsight_takes_later_positions_where_a_goal_was_wanted():
    now = points([1, 1, 1], [2, 2, 2], [3, 3, 3])
    later = points([10, 10, 10], [20, 20, 20], [30, 30, 30])

    def hindsight(subtask: int) -> list:
        return TWO.hindsight_goals(now, later, torch.tensor(subtask)).tolist()

    assert hindsight(0) == [[10, 10, 10], ZERO, [3, 3, 3]]  # object 1 must not be disturbed
    assert hindsight(1) == [ZERO, [20, 20, 20], [3, 3, 3]]
    assert hindsight(2) == [[10, 10, 10], [20, 20, 20], ZERO]
    assert hindsight(3) == [ZERO, [20, 20, 20], [30, 30, 30]]
    assert all(TWO.hindsight_goals(now, later, s).tolist() == hindsight(s) for s in TWO.indices)


def test_met_needs_every_slot_in_use_within_epsilon():
    wanted = points(ZERO, [1, 0, 0], [0, 1, 0])
    close = points([9, 9, 9], [1.049, 0, 0], [0, 1, 0])
    far = points([9, 9, 9], [1.051, 0, 0], [0, 1, 0])
    assert TWO.met(wanted, close, 3)
    assert not TWO.met(wanted, far, 3)


def test_a_reward_radius_tightens_the_active_slot_alone():
    relay = TWO.rewarded(0.5)
    wanted = points(ZERO, [1, 0, 0], [0, 1, 0])
    finished_off = points([9, 9, 9], [1.04, 0, 0], [0, 1, 0])
    active_off = points([9, 9, 9], [1, 0, 0], [0, 1.04, 0])
    assert relay.met(wanted, finished_off, 3)
    assert not relay.met(wanted, active_off, 3)
    assert TWO.met(wanted, active_off, 3)


@pytest.mark.parametrize(
    ("gripper", "objects", "serving", "next_up"),
    [
        ([5, 5, 5], [[2, 2, 2], [3, 3, 3]], 1, 0),  # nothing done: reach object 0
        ([2, 2, 2], [[2, 2, 2], [3, 3, 3]], 1, 1),  # at object 0: bring it
        ([2, 2, 2], [[7, 7, 7], [3, 3, 3]], 3, 2),  # object 0 is home, the gripper may leave it
        ([3, 3, 3], [[7, 7, 7], [3, 3, 3]], 3, 3),  # at object 1
        ([3, 3, 3], [[2, 2, 2], [3, 3, 3]], 1, 0),  # at object 1 too early
        ([3, 3, 3], [[2, 2, 2], [8, 8, 8]], 1, 0),  # object 1 is home, object 0 was disturbed
        ([9, 9, 9], [[7, 7, 7], [8, 8, 8]], 3, 3),  # all are home: hold the last one
    ],
)
def test_a_state_is_served_by_its_first_object_that_is_not_home(gripper, objects, serving, next_up):
    desired = points([7, 7, 7], [8, 8, 8])
    achieved = points(gripper, *objects)
    assert TWO.serving(achieved, desired).item() == serving
    assert TWO.working_on(achieved, desired).item() == next_up


def test_a_handover_mark_keeps_serving_an_object_that_success_would_leave():
    desired = points([1, 0, 0], [2, 0, 0])
    achieved = points([9, 9, 9], [1.03, 0, 0], [3, 0, 0])
    assert TWO.serving(achieved, desired).item() == 3
    assert Relay(("a", "b"), handover=0.5).serving(achieved, desired).item() == 1


def test_learning_keeps_finished_objects_within_the_handover_mark():
    """Else a policy may leave them where serving goes back to them."""
    relay = Relay(("a", "b"), epsilon=0.1, handover=0.5)
    desired = torch.zeros(1, 2, 3)
    achieved = points([9.0, 0.0, 0.0], [0.07, 0.0, 0.0], [0.0, 0.0, 0.0])
    goals_of_last = relay.goals(achieved, desired, relay.last)
    assert relay.met(goals_of_last, achieved, relay.last)  # as judged
    assert not relay.rewarded(0.5).met(goals_of_last, achieved, relay.last)  # as rewarded


def test_a_reached_distance_replaces_epsilon_for_reaching_only():
    desired = points([1, 1, 1])
    near = points([0.04, 0, 0], [0, 0, 0])
    assert PUSH.working_on(near, desired).item() == 1
    assert PUSH.reaching(0.03).working_on(near, desired).item() == 0
    home = points([5, 5, 5], [1.04, 1, 1])
    assert PUSH.reaching(0.03).solved(home, desired).tolist() == [False, True]


def test_a_batch_may_mix_subtasks_and_has_any_leading_shape():
    generator = torch.Generator().manual_seed(0)
    achieved = torch.randn(4, 5, 4, 3, generator=generator)
    desired = torch.randn(4, 5, 3, 3, generator=generator)
    subtask = torch.randint(6, (4, 5), generator=generator)
    found = THREE.goals(achieved, desired, subtask)
    for row in range(4):
        for column in range(5):
            one = THREE.goals(
                achieved[row, column], desired[row, column], int(subtask[row, column])
            )
            assert torch.equal(found[row, column], one)
    assert THREE.serving(achieved, desired).shape == (4, 5)


def test_plain_types_tell_the_whole_relay():
    relay = Relay(("a", "b"), 0.03, order=(1, 0), handover=0.5, reached_distance=0.02)
    told = relay.to_dict()
    assert all(type(v) in (str, int, float, bool, list, type(None)) for v in told.values())
    assert Relay.from_dict(told) == relay
    with pytest.raises(ValueError, match="no argument colour"):
        Relay.from_dict(told | {"colour": 1})


@pytest.mark.parametrize("values", [{"objects": ()}, {"objects": ("a", "a")}])
def test_objects_need_names_of_their_own(values):
    with pytest.raises(ValueError, match="different names"):
        Relay(**values)


def test_an_order_names_each_object_once():
    with pytest.raises(ValueError, match="each of 2 objects once"):
        Relay(("a", "b"), order=(0, 0))


@pytest.mark.parametrize(
    "values", [{"handover": 1.5}, {"handover": 0.0}, {"reward_radius": 0.0}, {"epsilon": -1.0}]
)
def test_distances_and_shares_are_checked(values):
    with pytest.raises(ValueError, match="epsilon above 0"):
        Relay(("push",), **values)


@pytest.mark.parametrize("objects", [("reach",), ("reach_1", "b")])
def test_subtasks_need_names_of_their_own(objects):
    with pytest.raises(ValueError, match="rename an object"):
        Relay(objects)


def test_nothing_is_solved_while_an_object_is_lost():
    """Whose turn it is does not matter: one that is not to be disturbed may not fall either."""
    relay = Relay(("a", "b"), lowest=0.3)
    for height, kept in ((0.42, True), (0.29, False)):
        achieved = points([2, 0, 0.4], [1, 0, 0.4], [2, 0, height])
        for subtask in (0, 1):  # of object a; b is pending
            goals = relay.hindsight_goals(achieved, achieved, subtask)
            assert relay.met(goals, achieved, subtask).item() is kept
            assert TWO.met(goals, achieved, subtask)


def test_a_low_gripper_is_not_lost():
    relay = Relay(("a",), lowest=0.3)
    achieved = points([0, 0, 0.1], [1, 0, 0.4])
    assert relay.met(relay.hindsight_goals(achieved, achieved, 0), achieved, 0)


def test_a_height_without_end_is_refused():
    with pytest.raises(ValueError, match="lowest must be a height"):
        Relay(("a",), lowest=float("nan"))
