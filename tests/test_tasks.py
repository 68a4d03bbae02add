"""Every registered task: its sizes, its relay and its environment fit together."""

from __future__ import annotations

import pytest

from rher_pl.errors import ConfigError
from rher_pl.tasks import get_task, known_tasks


@pytest.mark.parametrize("name", known_tasks())
def test_a_task_declares_what_its_environment_gives(name):
    task = get_task(name)
    env = task.make_env(2, 0)
    state = env.reset()
    relay = task.make_relay()
    assert state["observation"].shape == (2, task.observation_size)
    assert state["achieved_goals"].shape == (2, relay.num_points, 3)
    assert state["desired_goals"].shape == (2, relay.num_desired, 3)
    assert env.action_spec.shape == (2, task.action_size)
    env.close()


def test_an_unknown_task_lists_the_known_ones():
    with pytest.raises(ConfigError, match="FetchPickAndPlace-v4, FetchPush-v4, FetchReach-v4"):
        get_task("FetchPsuh-v4")
