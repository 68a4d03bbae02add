"""Every registered task: its sizes, its relay, its layout and its environment fit together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rher_pl.errors import ConfigError
from rher_pl.relay import Layout, Relay
from rher_pl.tasks import get_task, known_tasks, make_env


@pytest.mark.parametrize("name", known_tasks())
def test_a_task_declares_what_its_environment_gives(name):
    task = get_task(name)
    env = make_env(task, 2, 0)
    state = env.reset()
    assert state["observation"].shape == (2, len(task.layout))
    assert state["achieved_goals"].shape == (2, task.relay.num_points, 3)
    assert state["desired_goals"].shape == (2, task.relay.num_desired, 3)
    assert env.action_spec.shape == (2, task.action_size)
    env.close()


@pytest.mark.parametrize("name", known_tasks())
def test_positions_in_an_observation_are_those_of_the_points(name):
    """What a layout calls the gripper's or an object's position is where achieved_goals say."""
    task = get_task(name)
    env = make_env(task, 3, 0)
    state = env.reset()
    for column in range(len(task.layout)):
        owner, axis = task.layout.owner(column), task.layout.axis(column)
        if axis:
            point = 0 if owner == "gripper" else int(task.relay.reach) + int(owner.split()[1])
            expected = state["achieved_goals"][:, point, "xyz".index(axis)]
            assert state["observation"][:, column].tolist() == expected.tolist()
    env.close()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"layout": Layout(("-",) * 5)}, "observation of shape (6,)"),
        ({"relay": Relay(("a", "b"))}, "achieved_goals of shape (2, 3)"),
        ({"relay": Relay(("a", "b"), reach=False)}, "desired_goals of shape (1, 3)"),
        ({"action_size": 3}, "actions of shape (2,)"),
        ({"layout": Layout(("object 1",) * 6)}, "names object 1"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(change, words):
    with pytest.raises(ConfigError) as refused:
        make_env(replace(get_task("PointPush-v0"), **change), 1, 0)
    assert words in str(refused.value)


def test_an_unknown_task_lists_the_known_ones():
    with pytest.raises(ConfigError, match="FetchPickAndPlace-v4, FetchPush-v4, FetchReach-v4"):
        get_task("FetchPsuh-v4")
