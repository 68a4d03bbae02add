"""Pictures of the paper's eight tasks say what is where, and show it where the simulator has it."""

from __future__ import annotations

from typing import Any

import gymnasium
import mujoco
import numpy as np
import pytest
import torch
from PIL import ImageColor
from tensordict import TensorDict

from rher_pl.envs.suite.registration import SUITE, gymnasium_id
from rher_pl.pictures import palette
from rher_pl.pictures.inspection import inspect_episode
from rher_pl.pictures.inspection_figure import inspection_figure
from rher_pl.pictures.names import active_text
from rher_pl.pictures.plan import Plan
from rher_pl.pictures.rendering import working_backend
from rher_pl.pictures.scenes import make_scene
from rher_pl.pictures.standing import Standing, standing
from rher_pl.replay.sampling import SamplingRule
from rher_pl.tasks import get_task

FURNISHED = ("FetchObstaclePush-v0", "FetchInsert-v0", "FetchDrawer-v0", "FetchDrawerBox-v0")
SEED = 3


def started(name: str) -> tuple[TensorDict, torch.Tensor]:
    """The state [1] at the start of an episode, and the layout's places [K, 3]."""
    task = get_task(name)
    env = task.make_env(1, SEED)
    env.set_seeds([SEED])
    state = env.reset()
    columns = torch.tensor(task.layout.places, dtype=torch.long).view(-1, 3)
    places = state["observation"][0][columns]
    env.close()
    return state, places


def found(name: str) -> dict[str, Standing]:
    task = get_task(name)
    state, places = started(name)
    points, goals = state["achieved_goals"][0], state["desired_goals"][0]
    return {
        one.footprint.name: one
        for one in standing(task.look, task.relay, points, points, goals, places)
    }


def box_of_body(env: Any, name: str) -> np.ndarray:
    """Least and greatest x and y of a body's boxes in the world, [2, 2]; not of a handle."""
    model, data = env.model, env.data
    corners = []
    for geom in range(model.ngeom):
        if model.geom_bodyid[geom] == model.body(name).id and model.geom(geom).name != "handle":
            assert model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_BOX
            reach = np.abs(data.geom_xmat[geom].reshape(3, 3)) @ model.geom_size[geom]
            corners += [data.geom_xpos[geom] - reach, data.geom_xpos[geom] + reach]
    return np.array([np.min(corners, 0)[:2], np.max(corners, 0)[:2]])


@pytest.mark.parametrize("name", FURNISHED)
def test_what_stands_around_is_drawn_where_the_simulator_has_it(name: str) -> None:
    env = gymnasium.make(gymnasium_id(name))
    env.reset(seed=SEED)
    drawn = found(name)
    bodies = [body for body in drawn if body != "hole"]
    assert bodies
    for body in bodies:
        corners = np.array(drawn[body].corners)[:, :2]
        np.testing.assert_allclose(corners, box_of_body(env.unwrapped, body), atol=0.004)
    env.close()


def test_the_hole_is_around_its_goal_and_a_drawer_goes_with_its_handle() -> None:
    hole = np.array(found("FetchInsert-v0")["hole"].corners)[:, :2]
    state, _ = started("FetchInsert-v0")
    goal = state["desired_goals"][0, 0, :2].numpy()
    np.testing.assert_allclose(hole, [goal - 0.02, goal + 0.02], atol=1e-6)
    task, (state, places) = get_task("FetchDrawerBox-v0"), started("FetchDrawerBox-v0")
    start = state["achieved_goals"][0]
    moved = start.clone()
    moved[1, 0] -= 0.1
    before, after = (
        {
            one.footprint.name: one.x
            for one in standing(
                task.look, task.relay, start, now, state["desired_goals"][0], places
            )
        }
        for now in (start, moved)
    )
    assert after["case"] == before["case"]
    assert after["drawer"] == pytest.approx(before["drawer"] - 0.1, abs=1e-6)


@pytest.mark.parametrize("name", SUITE)
def test_a_plan_shows_every_object_every_goal_and_what_stands_around(name: str) -> None:
    task, (state, places) = get_task(name), started(name)
    points, goals = state["achieved_goals"][0], state["desired_goals"][0]
    plan = Plan(task.relay, points, goals, (240, 180), task.look, places)
    picture = plan.draw(points.unsqueeze(0))
    drawn = {tuple(pixel) for pixel in picture.reshape(-1, 3)}
    wanted = [palette.of_point(point, task.relay.reach) for point in range(len(points))]
    assert {ImageColor.getrgb(colour) for colour in [*wanted, palette.GOAL]} <= drawn
    assert (ImageColor.getrgb(palette.STANDING[0]) in drawn) == (name in FURNISHED)
    away = plan.draw(points.unsqueeze(0) + 9.0)  # the rings alone, of epsilon
    rings = wanted[1:] if len(goals) > 1 else [palette.GOAL]
    for colour in rings:
        assert (away == ImageColor.getrgb(colour)).all(-1).sum() > 80


@pytest.mark.parametrize("name", SUITE)
def test_the_caption_calls_things_by_their_names(name: str) -> None:
    task = get_task(name)
    texts = [active_text(task.relay, i, task.look) for i in range(task.relay.num_subtasks)]
    assert len(set(texts)) == 2 * task.relay.num_objects
    assert not [text for text in texts if "object" in text]
    if name == "FetchDrawerBox-v0":
        assert texts[1:3] == ["open: handle to its goal", "reach_1: gripper to box"]


def test_an_inspected_episode_shows_what_stands_around_and_the_other_goals() -> None:
    task, (state, places) = get_task("FetchDrawerBox-v0"), started("FetchDrawerBox-v0")
    length = 4
    episode = TensorDict(
        {
            "observation": state["observation"].expand(length + 1, -1).clone(),
            "achieved_goals": state["achieved_goals"].expand(length + 1, -1, -1).clone(),
            "desired_goals": state["desired_goals"][0],
            "action": torch.zeros(length, 4),
            "length": torch.tensor([length]),
            "ending": torch.ones(1, dtype=torch.uint8),
        },
        batch_size=[],
    )
    rule = SamplingRule(0.8)
    one = inspect_episode(task.relay, episode, 1, rule, 0, task.look, places)
    figure = inspection_figure([one], "DrawerBox")
    said = [text.get_text() for axes in figure.axes for text in axes.texts]
    labels = [text.get_text() for axes in figure.axes for text in axes.get_legend().get_texts()]
    assert {"case", "drawer"} <= set(said)
    assert "goal of box, not needed here" in labels
    assert not [label for label in labels if "goal of handle, not" in label]


@pytest.mark.parametrize("name", ["FetchThreeStack-v0", "FetchInsert-v0"])
def test_the_camera_shows_the_batched_episode(name: str) -> None:
    """Frame by frame the arm moves, and the states stay those of the batched environment."""
    if working_backend() is None:
        pytest.skip("no OpenGL back end draws here")
    task = get_task(name)
    env = task.make_env(1, SEED)
    env.set_seeds([SEED])
    state, scene = env.reset(), make_scene(task, "camera", (96, 72))
    seen, before = scene.reset(SEED), None
    for _ in range(3):
        for key in ("observation", "achieved_goals", "desired_goals"):
            assert torch.equal(state[key], seen[key]), key
        picture = scene.draw()
        assert before is None or np.abs(picture.astype(int) - before).max() > 30
        before = picture
        state["action"] = torch.full((1, 4), 0.5)
        seen, state = scene.step(state["action"]), env.step(state)["next"]
    scene.close()
    env.close()


@pytest.mark.parametrize("name", FURNISHED)
def test_what_stands_around_is_in_the_camera_picture(name: str) -> None:
    """The picture of a video is Gymnasium's own, but for what drags the arm."""
    if working_backend() is None:
        pytest.skip("no OpenGL back end draws here")
    env = gymnasium.make(gymnasium_id(name), render_mode="rgb_array", width=160, height=120)
    env.reset(seed=SEED)
    scene = make_scene(get_task(name), "camera", (160, 120))
    scene.reset(SEED)
    differs = np.abs(scene.draw().astype(int) - env.render()).max(-1) > 20
    assert differs.mean() < 0.001
    scene.close()
    env.close()
