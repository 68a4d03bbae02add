"""The suite's Gymnasium environments as their users meet them."""

import pickle
import subprocess
import sys
import warnings
from functools import cache
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from numpy.typing import NDArray

import rher_pl  # noqa: F401  registers the suite
from rher_pl.envs.suite.insert import InsertEnv
from rher_pl.envs.suite.registration import SUITE, gymnasium_id
from rher_pl.pictures.rendering import working_backend
from rher_pl.relay import fetch_layout

OBJECTS = {
    "FetchObstaclePush-v0": 1,
    "FetchInsert-v0": 0,
    "FetchDrawer-v0": 1,
    "FetchDoublePush-v0": 2,
    "FetchStack-v0": 2,
    "FetchDrawerBox-v0": 2,
    "FetchThreePush-v0": 3,
    "FetchThreeStack-v0": 3,
}


@cache
def made(name: str) -> Any:
    """One environment of a task for all tests; each resets it."""
    return gymnasium.make(gymnasium_id(name))


def actions(steps: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(-1, 1, (steps, 4)).astype(np.float32)


def play(env: Any, seed: int | None, steps: int = 12) -> NDArray[np.float64]:
    states = [env.reset(seed=seed)[0]] + [env.step(a)[0] for a in actions(steps)]
    return np.array([np.concatenate([state[key] for key in sorted(state)]) for state in states])


def test_the_suite_is_complete() -> None:
    assert sorted(SUITE) == sorted(OBJECTS)


@pytest.mark.parametrize("name", SUITE)
def test_gymnasium_has_no_objection(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(made(name).unwrapped, skip_render_check=True)


@pytest.mark.parametrize("name", SUITE)
def test_shapes_and_length(name: str) -> None:
    env, objects = made(name), OBJECTS[name]
    state, info = env.reset(seed=0)
    goals = max(1, objects)
    places = len(env.unwrapped.places)
    columns = 13 if name == "FetchInsert-v0" else len(fetch_layout(objects, places))
    assert state["observation"].shape == (columns,)
    assert state["achieved_goal"].shape == state["desired_goal"].shape == (3 * goals,)
    assert info["success"].shape == (goals,)
    if objects:
        assert np.array_equal(state["observation"][3 : 3 + 3 * objects], state["achieved_goal"])
    steps = {0: 50, 1: 50, 2: 60, 3: 70}[objects]
    ends = [env.step(np.zeros(4, np.float32))[2:4] for _ in range(steps)]
    assert ends == [(False, False)] * (steps - 1) + [(False, True)]


@pytest.mark.parametrize("name", SUITE)
def test_the_seed_decides_everything(name: str) -> None:
    env = made(name)
    first, continued = play(env, 4), play(env, None)
    copied = pickle.loads(pickle.dumps(env.unwrapped))
    assert np.array_equal(first, play(copied, 4))
    assert np.array_equal(continued, play(copied, None))
    assert not np.array_equal(first, continued)
    assert not np.array_equal(first, play(env, 5))


@pytest.mark.parametrize("name", SUITE)
def test_drawing_a_picture_changes_nothing(name: str) -> None:
    env = made(name)
    plain = play(env, 1)
    env.reset(seed=1)
    for action in actions(12):
        env.unwrapped._render_callback()
        last = env.step(action)[0]
    assert np.array_equal(plain[-1], np.concatenate([last[key] for key in sorted(last)]))
    env.unwrapped._render_callback()
    goals = env.unwrapped.goal.reshape(-1, 3)
    drawn = [env.unwrapped.data.site(f"target{i}").xpos for i in range(len(goals))]
    assert np.array_equal(drawn, goals)


def test_a_window_is_drawn_at_reset_and_step() -> None:
    env = gymnasium.make(gymnasium_id("FetchStack-v0"), render_mode="human")
    drawn = []
    window = SimpleNamespace(
        render=lambda mode: drawn.append((mode, env.unwrapped.goal.tolist())), close=lambda: None
    )
    env.unwrapped.mujoco_renderer = window
    goal = [1.3, 0.7, 0.425, 1.3, 0.7, 0.475]
    env.reset(seed=0, options={"goal": goal})
    env.step(np.zeros(4, np.float32))
    env.close()
    assert drawn[-2:] == [("human", goal)] * 2


@pytest.mark.parametrize("name", ["FetchInsert-v0", "FetchThreeStack-v0"])
def test_a_picture_shows_the_goals(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = working_backend()
    if backend is None:
        pytest.skip("nothing draws here: EGL or OSMesa is needed")
    monkeypatch.setenv("MUJOCO_GL", backend)
    env = gymnasium.make(gymnasium_id(name), render_mode="rgb_array", width=96, height=80)
    env.reset(seed=0)
    picture = env.render()
    assert picture.shape == (80, 96, 3)
    assert picture.dtype == np.uint8
    env.unwrapped.goal = env.unwrapped.goal - 5.0  # out of sight
    changed = (picture != env.render()).any(-1)
    assert 0 < changed.sum() < 0.05 * changed.size
    env.close()


@pytest.mark.parametrize("name", SUITE)
def test_reward_of_any_batch(name: str) -> None:
    env = made(name).unwrapped
    goals, epsilon = max(1, OBJECTS[name]), env.distance_threshold
    rng = np.random.default_rng(0)
    desired = rng.uniform(size=(5, 4, goals, 3))
    error = rng.normal(size=desired.shape)
    error /= np.linalg.norm(error, axis=-1, keepdims=True)
    near = rng.random((5, 4, goals)) < 0.7  # some batches are met, some in part
    error *= np.where(near, 0.99, 1.01)[..., None] * epsilon
    achieved, desired = (desired + error).reshape(5, 4, -1), desired.reshape(5, 4, -1)
    reward = env.compute_reward(achieved, desired, {})
    assert reward.dtype == np.float32
    assert np.array_equal(reward, near.all(-1) - 1.0)
    assert len(np.unique(reward)) == 2
    assert env.compute_reward(achieved[0, 0], desired[0, 0], {}) == reward[0, 0]
    assert np.array_equal(env.success(achieved, desired), near)
    with pytest.raises(ValueError, match="same"):
        env.compute_reward(achieved, desired[0], {})


@pytest.mark.parametrize("name", SUITE)
def test_a_scene_can_be_given_again(name: str) -> None:
    """What was drawn from one seed, given under another, is the same scene."""
    env = made(name)
    drawn, _ = env.reset(seed=8)
    options = {"goal": drawn["desired_goal"]}
    if OBJECTS[name]:
        options["objects"] = drawn["achieved_goal"]
    again, _ = env.reset(seed=9, options=options)
    for key in drawn:
        assert np.allclose(drawn[key], again[key], atol=1e-9), key
    other, _ = env.reset(seed=9)
    assert not np.allclose(drawn["desired_goal"], other["desired_goal"])


def test_success_of_each_object_is_told() -> None:
    env = made("FetchDoublePush-v0")
    cubes = [[1.25, 0.6, 0.425], [1.25, 0.9, 0.425]]
    goals = [[1.25, 0.63, 0.425], [1.3, 0.7, 0.425]]
    _, info = env.reset(seed=0, options={"objects": cubes, "goal": goals})
    assert info["success"].tolist() == [True, False]
    assert info["is_success"] == 0.0
    _, reward, _, _, info = env.step(np.zeros(4, np.float32))
    assert (reward, info["success"].tolist(), info["is_success"]) == (-1.0, [True, False], 0.0)
    _, info = env.reset(options={"objects": cubes, "goal": cubes})
    assert info["is_success"] == 1.0


HANDLE, BOX = [1.28, 0.775, 0.45], [1.38, 0.775, 0.391]
CUBES = [[1.25, 0.6, 0.425], [1.25, 0.9, 0.425]]
MISTAKES = [
    ("FetchStack-v0", {"goals": CUBES}, "did you mean goal"),
    ("FetchStack-v0", {"goal": [1.3, 0.7, 0.5]}, r"\(2, 3\)"),
    ("FetchStack-v0", {"goal": "here"}, r"\(2, 3\)"),
    ("FetchStack-v0", {"goal": [[1.3, np.nan, 0.5]] * 2}, "finite"),
    ("FetchStack-v0", {"goal": [[1.9, 0.7, 0.425], [1.3, 0.7, 0.5]]}, "object0: x is 1.9 .* 1.525"),
    ("FetchStack-v0", {"goal": [[1.3, 0.7, 0.425], [1.3, 0.7, 1.5]]}, "object1: z is 1.5"),
    ("FetchDoublePush-v0", {"goal": [[1.3, 0.7, 0.6], [1.3, 0.8, 0.425]]}, "z is 0.6"),
    ("FetchStack-v0", {"objects": [CUBES[0], [1.26, 0.63, 0.425]]}, "object0 at .* inside object1"),
    ("FetchDoublePush-v0", {"objects": [CUBES[0], [1.37, 0.75, 0.425]]}, "inside the robot"),
    ("FetchObstaclePush-v0", {"objects": [1.38, 0.86, 0.425]}, "inside the wall"),
    (
        "FetchObstaclePush-v0",
        {"objects": [1.2, 0.75, 0.425], "goal": [1.29, 0.76, 0.425]},
        "goal of object0 .* inside the wall",
    ),
    ("FetchInsert-v0", {"objects": [[1.3, 0.7, 0.4]]}, "leave option 'objects' out"),
    ("FetchInsert-v0", {"goal": [1.3, 0.9, 0.37]}, "y is 0.9 m, must be 0.5 to 0.85"),
    ("FetchDrawer-v0", {"goal": [1.0, 0.63, 0.45]}, "x is 1 m, must be 1.176 to 1.376"),
    ("FetchDrawer-v0", {"goal": [1.3, 0.6, 0.45]}, "y is 0.6 m, must be 0.62 to 0.64"),
    ("FetchDrawer-v0", {"objects": [1.3, 0.7, 0.45]}, "y is 0.7 m, must be 0.63"),
    ("FetchDrawerBox-v0", {"objects": [HANDLE, [1.28, 0.775, 0.391]]}, "box in the drawer: x"),
    ("FetchDrawerBox-v0", {"objects": [[1.2, 0.775, 0.45], BOX]}, "closed drawer: x"),
    ("FetchDrawerBox-v0", {"goal": [[1.15, 0.775, 0.45], BOX]}, "goal of the box .* z"),
]


@pytest.mark.parametrize(("name", "options", "line"), MISTAKES)
def test_what_cannot_be_names_the_limit(name: str, options: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line) as caught:
        made(name).reset(seed=0, options=options)
    assert len(str(caught.value)) <= 300


def test_a_misspelt_id_names_the_nearest() -> None:
    with pytest.raises(gymnasium.error.NameNotFound, match="FetchStack"):
        gymnasium.make("rher_pl/FetchStak-v0")


def test_options_of_the_drawers() -> None:
    drawer = made("FetchDrawer-v0")
    state, _ = drawer.reset(seed=0, options={"objects": [1.3, 0.63, 0.45]})  # 0.076 m open
    assert np.allclose(state["achieved_goal"], [1.3, 0.63, 0.45])
    with_box = made("FetchDrawerBox-v0")
    state, _ = with_box.reset(seed=0, options={"objects": [HANDLE, BOX]})
    assert np.allclose(state["achieved_goal"], [*HANDLE, *BOX])
    out = np.array(HANDLE)[0] - state["desired_goal"][0]
    assert 0.15 <= out <= 0.18  # drawn for the drawer that was given
    again, _ = with_box.reset(seed=3)
    assert not np.allclose(again["achieved_goal"][:3], HANDLE)


def test_what_insert_achieves() -> None:
    hole = np.array([1.3, 0.7, 0.37])
    above = [1.3, 0.7, 0.44]
    gripper = hole + np.array([[0, 0, 0.02], [0.008, 0, 0.08], [0.012, 0, 0.08], [0, 0, 0.12]])
    points = InsertEnv.achieved_points(gripper, hole)
    assert np.allclose(points, [hole, gripper[1] - [0, 0, 0.02], above, above])
    assert np.allclose(InsertEnv.achieved_points(gripper[0], hole), hole)
    state, _ = made("FetchInsert-v0").reset(seed=0, options={"goal": hole})
    assert np.allclose(state["achieved_goal"], above)
    assert np.allclose(state["observation"][10:], state["observation"][:3] - [0, 0, 0.02])


def test_a_vector_of_environments() -> None:
    envs = gymnasium.make_vec(gymnasium_id("FetchStack-v0"), 2, vectorization_mode="sync")
    envs.reset(seed=0)
    _, reward, _, _, info = envs.step(np.zeros((2, 4), np.float32))
    assert reward.shape == (2,)
    assert info["success"].shape == (2, 2)
    envs.close()


def test_registering_imports_nothing_heavy() -> None:
    line = (
        "import sys, gymnasium, rher_pl; gymnasium.spec('rher_pl/FetchInsert-v0'); "
        "print([m for m in ('torch', 'mujoco', 'gymnasium_robotics') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
