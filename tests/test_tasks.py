"""Every registered task: its sizes, its relay, its layout and its environment fit together."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from rher_pl.envs.suite.registration import SUITE, gymnasium_id
from rher_pl.errors import ConfigError
from rher_pl.relay import Layout, Relay, input_columns
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
        if axis and not owner.startswith("place"):
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


@pytest.mark.parametrize("name", ["FetchObstaclePush-v0", "FetchInsert-v0"])
def test_places_stay_where_they_are_seen_from_what_acts_or_on_the_table(name):
    """A wall does not move in an episode; the wrist moves along with the tip."""
    task = get_task(name)
    env = make_env(task, 2, 0)
    state = env.reset()
    columns = torch.tensor(task.layout.places)  # [1, 3]

    def places():
        seen = state["observation"][:, columns[0]]
        return seen if "Insert" not in name else seen - state["achieved_goals"][:, 0]

    before = places()
    state = env.step(state.set("action", torch.full((2, 4), 0.5)))["next"]
    assert torch.allclose(places(), before, atol=1e-6)
    assert not torch.equal(before[0], before[1]) or "Insert" in name
    env.close()


@pytest.mark.parametrize("name", SUITE)
def test_a_task_of_our_own_is_known_by_both_its_names(name):
    task = get_task(name)
    assert get_task(gymnasium_id(name)) is task and task.gymnasium_id == gymnasium_id(name)


@pytest.mark.parametrize("name", [name for name in known_tasks() if get_task(name).gymnasium_id])
def test_a_goal_counts_as_met_where_gymnasium_says_so(name):
    task = get_task(name)
    env = make_env(task, 1, 0)
    assert env.distance_threshold == task.relay.epsilon
    env.close()


def test_networks_do_not_see_where_on_the_table_things_are():
    """By default; a tip that is labelled as nobody's would tell."""
    for name in SUITE:
        task = get_task(name)
        columns = input_columns(task.relay, task.layout, True, False).observed
        assert all(task.layout.axis(c) in ("", "z") for each in columns for c in each), name


def test_an_unknown_task_shows_the_nearest_ones_or_all():
    with pytest.raises(ConfigError, match="did you mean FetchPush-v4, FetchReach-v4 or "):
        get_task("FetchPsuh-v4")
    with pytest.raises(ConfigError, match="did you mean FetchStack-v0"):
        get_task("rher_pl/FetchStck-v0")
    with pytest.raises(ConfigError, match="choose one of FetchDoublePush-v0, ") as refused:
        get_task("x" * 100)
    assert all(name in str(refused.value) for name in known_tasks())
    assert len(str(refused.value)) <= 300
