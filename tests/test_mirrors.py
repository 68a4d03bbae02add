"""Mirror images: the simulator as oracle for what a reflection does, and what the replay shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import gymnasium
import mujoco
import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from tensordict import TensorDict
from torch import Tensor

from rher_pl.envs.mirrors import Mirror, fetch_mirrors
from rher_pl.errors import ConfigError
from rher_pl.relay import fetch_layout
from rher_pl.replay.mirroring import MirrorImages
from rher_pl.replay.relabel import relabel
from rher_pl.tasks import Task, get_task, known_tasks, make_env
from rher_pl.training.datamodule import RelayDataModule
from rher_pl.training.module import RHERModule

MIRRORED = [name for name in known_tasks() if get_task(name).mirrors]
PUSHED = ("FetchPush-v4", "FetchDoublePush-v0")
DOWN_THEN_ALONG = [(0.0, 0.8, -1.0)] * 3 + [(0.0, 0.0, -1.0)] * 3 + [(0.35, 0.0, 0.0)] * 7
"""Beside the cube, then against one side of it, so that it turns."""


def reflected(points: Tensor, mirror: Mirror, centre: Tensor) -> Tensor:
    """Points [*, 3] across planes through ``centre``."""
    return centre + (points - centre) * torch.tensor(mirror.points)


def played(task: Task, objects: Tensor, goal: Tensor, signs: Tensor) -> Tensor:
    """Observations [14, O] of :data:`DOWN_THEN_ALONG`, from a given scene."""
    env = make_env(task.starting(goal.tolist(), objects.tolist()), 1, 0)
    seen = [env.reset()["observation"][0]]
    for move in DOWN_THEN_ALONG:
        action = torch.tensor([[*move, 0.2]]) * signs
        seen.append(env.step(TensorDict({"action": action}, [1]))["next", "observation"][0])
    env.close()
    return torch.stack(seen)


@pytest.mark.parametrize("name", PUSHED)
def test_the_simulator_agrees_with_its_mirror_images(name: str) -> None:
    task = get_task(name)
    env = make_env(task, 1, 0)
    start = env.reset()
    env.close()
    centre, goal = start["observation"][0, :3], start["desired_goals"][0]
    objects = start["achieved_goals"][0][1:].clone()
    objects[0, :2] = centre[:2] + torch.tensor([0.10, 0.02])
    objects[1:, :2] = centre[:2] - torch.tensor([0.10, 0.10])
    before = played(task, objects, goal, torch.ones(4))
    turned = 3 * (1 + 2 * len(objects)) + 2 + 2  # yaw of the first object
    assert before[-1, turned].abs() > 0.05, "it must turn, or its sign is not seen"
    for mirror in task.mirrors:
        scene = [reflected(points, mirror, centre) for points in (objects, goal)]
        found = played(task, *scene, torch.tensor(mirror.action))
        expected = before[:, mirror.columns] * torch.tensor(mirror.observation)
        for column in range(expected.shape[1]):
            if (axis := task.layout.axis(column)) and axis in mirror.axes:
                expected[:, column] += 2 * centre["xyz".index(axis)]
        wrong = (expected - found).abs().amax(0)
        places = [c for c in range(len(task.layout)) if task.layout.axis(c)]
        assert wrong[places].max() < 0.004, f"{mirror.axes}: {wrong[places]}"
        assert wrong[turned] < 0.06, f"{mirror.axes}: yaw {wrong[turned]}"


@pytest.mark.parametrize("name", MIRRORED)
def test_a_mirror_fits_its_task_and_undoes_itself(name: str) -> None:
    task = get_task(name)
    for mirror in task.mirrors:
        twice = mirror.then(mirror)
        assert (
            len(mirror.observation) == len(task.layout) and len(mirror.action) == task.action_size
        )
        assert set(twice.observation) == set(twice.action) == {1}
        assert twice.columns == tuple(range(len(task.layout)))
        for column in range(len(task.layout)):
            axis = task.layout.axis(column)
            assert not axis or (mirror.observation[column] == -1) == (axis in mirror.axes)


def test_fingers_are_swapped_across_y_alone() -> None:
    x, y, both = fetch_mirrors(fetch_layout(1))
    straight = list(range(25))
    assert list(x.columns) == straight
    swapped = [c for c, source in enumerate(y.columns) if source != c]
    assert swapped == [9, 10, 23, 24] and both.columns == y.columns


def occupied(env: Any, bodies: set[str], points: np.ndarray) -> np.ndarray:
    """Which points [K, 3] are inside a box of these bodies, [K] bool."""
    inside = np.zeros(len(points), bool)
    for geom in range(env.model.ngeom):
        if env.model.body(env.model.geom_bodyid[geom]).name in bodies:
            turned = env.data.geom_xmat[geom].reshape(3, 3)
            local = (points - env.data.geom_xpos[geom]) @ turned
            inside |= (np.abs(local) <= env.model.geom_size[geom]).all(-1)
    return inside


@pytest.mark.parametrize(
    ("name", "bodies", "centre"),
    [
        ("FetchObstaclePush-v0", {"wall"}, "wall"),
        ("FetchInsert-v0", {"block"}, "block"),
        ("FetchDrawer-v0", {"case", "drawer"}, "drawer"),
        ("FetchDrawerBox-v0", {"case", "drawer"}, "drawer"),
    ],
)
def test_what_stands_on_the_table_is_its_own_mirror_image(
    name: str, bodies: set[str], centre: str
) -> None:
    task = get_task(name)
    env = gymnasium.make(task.gymnasium_id or "").unwrapped
    env.reset(seed=0)
    mujoco.mj_forward(env.model, env.data)
    away = np.random.default_rng(0).uniform(-0.15, 0.15, (20_000, 3))
    place = env.data.body(centre).xpos.copy()
    before = occupied(env, bodies, place + away)
    assert before.sum() > 10
    for axis in "xy":
        signs = [-1 if each == axis else 1 for each in "xyz"]
        same = np.array_equal(before, occupied(env, bodies, place + away * signs))
        assert same == any(mirror.axes == axis for mirror in task.mirrors), axis
    env.close()


@pytest.mark.parametrize(
    ("columns", "action", "says"),
    [((0, 0), (1,), "once"), ((0, 1), (2,), "1 or -1")],
)
def test_a_wrong_mirror_is_refused(columns: tuple, action: tuple, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Mirror("x", (1, -1), columns, action)


@pytest.mark.parametrize("subtask", [0, 1, 2, 3])
def test_images_take_turns_with_originals_and_keep_their_rewards(
    make_pools: Callable, subtask: int
) -> None:
    """What is mirrored afterwards is what relabelling a mirrored world would have given."""
    pools = make_pools(num_objects=2, scale=0.05)
    size = pools.storage.get(torch.tensor([[0, 0, -1]]))["observation"].shape[-1]
    actions = pools.data["action"].shape[-1]
    flips = torch.tensor([-1, 1]).repeat(size)[:size]
    order = torch.randperm(size, generator=torch.Generator().manual_seed(0))
    straight = Mirror("x", tuple(flips.tolist()), tuple(order.tolist()), (-1,) * actions)
    index = pools.buffers[subtask]._sampler.sample(pools.storage, 64)[0]
    plain = relabel(pools.relay, pools.storage.get(index), subtask)
    world = pools.storage.get(index)
    for state in (world, world["next"]):
        state["observation"] = state["observation"][:, order] * flips
    for points in (
        "achieved_goals",
        "desired_goals",
        "hindsight_goals",
        ("next", "achieved_goals"),
    ):
        world[points] = world[points] * torch.tensor([-1, 1, 1])
    world["action"] = -world["action"]
    image = relabel(pools.relay, world, subtask)
    before = {k: v.clone() for k, v in pools.storage._data.items()}
    found = MirrorImages([straight])(plain.clone())
    for key in plain.keys(True, True):
        assert torch.equal(found[key][0::2], plain[key][0::2]), key
        assert torch.equal(found[key][1::2], image[key][1::2]), key
    assert (image["next", "reward"] == plain["next", "reward"]).all()
    assert all(torch.equal(v, pools.storage._data[k]) for k, v in before.items())


def test_what_the_replay_gives_is_mirrored(make_pools: Callable) -> None:
    shapes = make_pools(num_objects=2).data
    seen, actions = shapes["observation"].shape[-1], shapes["action"].shape[-1]
    mirror = Mirror("x", (-1,) * seen, tuple(range(seen)), (-1,) * actions)
    plain, found = (
        make_pools(num_objects=2, mirrors=mirrors).buffers[1].sample(64)
        for mirrors in ((), (mirror,))
    )
    for key in ("action", "observation", ("next", "observation")):
        assert torch.equal(found[key][0::2], plain[key][0::2])
        assert torch.equal(found[key][1::2], -plain[key][1::2])


def test_no_mirrors_change_nothing(make_pools: Callable) -> None:
    sample = make_pools().buffers[0].sample(16)
    assert (MirrorImages(())(sample.clone()) == sample).all()


def test_a_task_without_mirrors_is_refused() -> None:
    plain = replace(get_task("FetchPush-v4"), name="FetchPlain", mirrors=())
    with pytest.raises(ConfigError, match="FetchPlain defines no mirror images"):
        RelayDataModule(SimpleNamespace(task=lambda: plain), mirror=True)
    short = replace(plain, mirrors=get_task("PointPush-v0").mirrors)
    with pytest.raises(ConfigError, match="its mirror x is for 6 numbers and 2 actions"):
        make_env(short, 1, 0)
    assert len(RelayDataModule("FetchDrawer-v0", mirror=True).rule.mirrors) == 1
    (ahead,) = RelayDataModule("FetchSlide-v4", mirror=True).rule.mirrors
    assert ahead == fetch_mirrors(fetch_layout(1), "y")[0]  # its goals stay ahead of the robot
    assert RelayDataModule("FetchPush-v4").rule.mirrors == ()


def test_places_on_the_table_are_not_mirrored() -> None:
    module = RHERModule("PointPush-v0", absolute_positions=True)
    datamodule = RelayDataModule("PointPush-v0", mirror=True, updates_per_episode=1)
    with pytest.raises(ConfigError, match="set one of them to false"):
        Trainer(logger=False, enable_checkpointing=False, max_epochs=1).fit(module, datamodule)
