"""Our own Fetch tasks in the batched environment, against Gymnasium's without tolerances."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from rher_pl.envs.fetch import SHIPPED, TASKS, FetchEnv
from rher_pl.envs.suite.insert import TOP
from rher_pl.envs.suite.registration import SUITE, gymnasium_id
from tests.lockstep import (
    BATCHES,
    assert_equal_to_gymnasium,
    assert_same,
    assert_steps_alike,
    random_actions,
    step,
)

OURS = [gymnasium_id(name) for name in SUITE]
NOTHING = np.zeros((1, 4), np.float32)


def scene(task: str, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A goal [D, 3] that is drawn, and objects [D, 3] as they are at the start."""
    state = FetchEnv(task, 1, seed=seed, dtype=torch.float64).reset()
    goal = state["desired_goals"][0]
    return goal, state["achieved_goals"][0, -len(goal) :]


@pytest.mark.parametrize("task", OURS)
def test_equals_gymnasium_bit_for_bit(task: str) -> None:
    assert_equal_to_gymnasium(task, num_envs=2, episodes=1, num_threads=2)


@pytest.mark.slow
@pytest.mark.parametrize(("num_envs", "episodes"), BATCHES)
@pytest.mark.parametrize("task", OURS)
def test_equals_gymnasium_over_200_episodes(task: str, num_envs: int, episodes: int) -> None:
    assert_equal_to_gymnasium(task, num_envs, episodes, num_threads=min(num_envs, 4))


@pytest.mark.parametrize("task", OURS)
def test_a_row_that_is_reset_takes_its_fixtures_along_and_no_others(task: str) -> None:
    """Walls, holes and cases differ between the rows, which share one model."""
    env = FetchEnv(task, 3, seed=7, dtype=torch.float64)
    references = [gymnasium.make(task) for _ in range(3)]
    states = [reference.reset(seed=7 + i)[0] for i, reference in enumerate(references)]
    assert_same(env.reset(), states)
    rng = np.random.default_rng(0)
    for _ in range(5):
        batch = assert_steps_alike(env, references, random_actions(rng, 3))
    mask = torch.tensor([[False], [True], [False]])
    start = references[1].reset()[0]
    after = env.reset(batch.exclude("reward").set("_reset", mask))
    assert_same(after[1:2], [start])
    assert torch.equal(after["observation"][[0, 2]], batch["observation"][[0, 2]])
    for _ in range(5):
        batch = step(env, action := random_actions(rng, 3))
        assert_same(batch, [each.step(a)[0] for each, a in zip(references, action, strict=True)])


def test_the_tip_in_the_hole_is_what_is_achieved_in_both() -> None:
    env = FetchEnv("rher_pl/FetchInsert-v0", 1, seed=3, dtype=torch.float64)
    reference = gymnasium.make("rher_pl/FetchInsert-v0")
    reference.reset(seed=3)
    state, heights, rewards = env.reset(), [], []
    for _ in range(45):
        tip, achieved = state["achieved_goals"][0].numpy()
        away = achieved - tip
        over = np.linalg.norm(away[:2]) < 0.008
        away[2] = -0.04 if over else TOP + 0.02 - tip[2]
        action = np.append(np.clip(away / 0.05, -1.0, 1.0), 0.0)[None].astype(np.float32)
        state = assert_steps_alike(env, [reference], action)
        heights.append(float(achieved[2]))
        rewards.append(state["reward"].item())
    assert heights[0] == TOP and min(heights) < 0.4, "it never went in: nothing was compared"
    assert rewards[0] == -1.0 and rewards[-1] == 0.0


@pytest.mark.parametrize("task", OURS)
def test_a_given_scene_is_that_of_gymnasium(task: str) -> None:
    goal, objects = scene(task, seed=5)
    given: dict[str, Any] = {"goal": goal.numpy()}
    if "Insert" not in task:
        given["objects"] = objects.numpy()
    env = FetchEnv(task, 2, seed=11, dtype=torch.float64)
    references = [gymnasium.make(task) for _ in range(2)]
    starts = [each.reset(seed=11 + i, options=given)[0] for i, each in enumerate(references)]
    state = env.reset(**given)
    assert_same(state, starts)
    assert (state["desired_goals"] == goal).all()
    for _ in range(3):
        assert_steps_alike(env, references, random_actions(np.random.default_rng(0), 2))


@pytest.mark.parametrize("task", [task for task in TASKS if "Reach" not in task])
def test_a_scene_whose_objects_are_given_forgets_what_was_drawn(task: str) -> None:
    """Nothing of a draw is left, the solver's warm start neither."""
    goal, objects = scene(task, seed=5)
    given = {"goal": goal} if "Insert" in task else {"goal": goal, "objects": objects}
    env = FetchEnv(task, 2, seed=11, dtype=torch.float64)
    state = env.reset(**given)
    if "Insert" not in task:
        assert torch.allclose(state["achieved_goals"][:, 1:], objects.expand(2, -1, -1), atol=1e-9)
    for _ in range(3):
        assert torch.equal(state["observation"][0], state["observation"][1])
        state = step(env, np.full((2, 4), 0.5, np.float32))


@pytest.mark.parametrize("task", SHIPPED[1:])
def test_a_goal_where_the_object_is_given_is_met(task: str) -> None:
    _, objects = scene(task, seed=5)
    env, away = FetchEnv(task, 2), torch.tensor([-0.1, 0.0, 0.0])
    env.reset(objects=objects, goal=torch.stack([objects, objects + away]))
    assert step(env, NOTHING.repeat(2, 0))["reward"].flatten().tolist() == [0.0, -1.0]
    goals = env.reset()["desired_goals"]
    assert not torch.equal(goals[0], goals[1]), "what is given holds for one reset"


def test_the_goal_of_the_gripper_can_be_given() -> None:
    env = FetchEnv("FetchReach-v4", 2, dtype=torch.float64)
    state = env.reset(goal=[[1.3, 0.8, 0.5]])
    assert state["desired_goals"].tolist() == [[[1.3, 0.8, 0.5]]] * 2


@pytest.mark.parametrize(
    ("task", "given", "words"),
    [
        ("FetchPush-v4", {"goal": [[2.0, 0.7, 0.425]]}, "goal: x is 2 m, must be 1.05 to 1.55"),
        ("FetchPush-v4", {"goal": [[1.3, 0.7, 0.8]]}, "goal: z is 0.8 m, must be 0.41"),
        ("FetchPush-v4", {"objects": [[1.34, 0.75, 0.425]]}, "object0 at .* is inside the robot"),
        ("FetchPush-v4", {"objects": [[1.3, 0.7]]}, r"has shape \(1, 2\): give \(1, 3\)"),
        (
            "FetchPush-v4",
            {"goal": np.zeros((3, 1, 3))},
            "given for 3 environments, but there are 2",
        ),
        ("FetchPush-v4", {"gaol": [[1.3, 0.7, 0.425]]}, "unknown option 'gaol' .* mean goal"),
        ("FetchReach-v4", {"objects": [[1.3, 0.7, 0.425]]}, "has no objects"),
        ("rher_pl/FetchStack-v0", {"goal": [[2.0, 0.7, 0.425]] * 2}, "goal of object0: x is 2 m"),
        ("rher_pl/FetchStack-v0", {"objects": [[1.2, 0.7, 0.425]] * 2}, "is inside object"),
    ],
)
def test_a_scene_that_cannot_be_names_the_limit(
    task: str, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words) as refused:
        FetchEnv(task, 2).reset(**given)
    assert "\n" not in str(refused.value) and len(str(refused.value)) <= 300
