"""What a physicist would ask of the suite: nothing overlaps, rests stay, energy is not made."""

from functools import cache
from itertools import combinations
from typing import Any

import gymnasium
import mujoco
import numpy as np
import pytest

import rher_pl  # noqa: F401  registers the suite
from rher_pl.envs.suite.registration import SUITE, gymnasium_id

GRAVITY = 9.81
DEPTH = 0.001  # metres that soft contacts may overlap
FINGERS = {"robot0:r_gripper_finger_link", "robot0:l_gripper_finger_link"}
STILL = np.zeros(4, np.float32)


@cache
def made(name: str) -> Any:
    """The environment itself, without a time limit; each test resets it."""
    return gymnasium.make(gymnasium_id(name)).unwrapped


def body(env: Any, geom: int) -> str:
    return str(env.model.body(env.model.geom_bodyid[geom]).name)


def scene_geoms(env: Any) -> list[int]:
    """Geoms of the task: neither the robot's nor the floor's."""
    bodies = [body(env, geom) for geom in range(env.model.ngeom)]
    return [i for i, name in enumerate(bodies) if not name.startswith("robot0") and name != "world"]


def overlaps(env: Any) -> list[tuple[str, str, float]]:
    """Pairs of bodies that cut into each other, with a scene's body among them; metres.

    Measured between shapes, so that pairs count which the simulation is told to let through.
    """
    found = []
    model, scene = env.model, scene_geoms(env)
    others = [i for i in range(model.ngeom) if model.geom_contype[i] and i not in scene]
    pairs = [*combinations(scene, 2), *((i, j) for i in scene for j in others)]
    for one, other in pairs:
        names = body(env, one), body(env, other)
        # Fingers that start on the table press on it, in FetchPush as well.
        if (
            names[0] == names[1]
            or "world" in names
            or (names[0] == "table0" and names[1] in FINGERS)
        ):
            continue
        gap = mujoco.mj_geomDistance(model, env.data, one, other, 0.01, None)
        if gap < -DEPTH:
            found.append((*names, gap))
    return found


def contacts(env: Any) -> list[tuple[str, str, float]]:
    """Contacts of this state that go deeper than soft contacts do."""
    found = []
    for contact in env.data.contact[: env.data.ncon]:
        names = body(env, contact.geom1), body(env, contact.geom2)
        pressing = "table0" in names and not FINGERS.isdisjoint(names)
        if contact.dist < -DEPTH and not pressing:
            found.append((*names, float(contact.dist)))
    return found


@pytest.mark.parametrize("resets", [60, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", SUITE)
def test_nothing_overlaps_at_reset(name: str, resets: int) -> None:
    env = made(name)
    for seed in range(resets):
        env.reset(seed=seed)
        assert not contacts(env), seed
        if seed % 20 == 0:
            assert not overlaps(env), seed


@pytest.mark.parametrize("name", ["FetchDrawer-v0", "FetchDrawerBox-v0"])
def test_nothing_overlaps_when_the_drawer_is_open(name: str) -> None:
    env = made(name)
    env.reset(seed=0)
    for opening in (0.05, 0.1, 0.2):
        env.data.qpos[env.model.joint("drawer:joint").qposadr[0]] = -opening
        if name == "FetchDrawerBox-v0":
            env.data.qpos[env.model.joint("box:joint").qposadr[0]] -= 0.05
        mujoco.mj_forward(env.model, env.data)
        assert not overlaps(env)


def test_the_checks_see_an_overlap() -> None:
    env = made("FetchStack-v0")
    env.reset(seed=0)
    first, second = (env.data.joint(f"object{i}:joint").qpos for i in range(2))
    second[:3] = first[:3] + np.array([0.04, 0.0, 0.0])
    mujoco.mj_forward(env.model, env.data)
    assert {pair[:2] for pair in contacts(env)} == {("object0", "object1")}
    assert {pair[:2] for pair in overlaps(env)} == {("object0", "object1")}


@pytest.mark.parametrize("name", [name for name in SUITE if name != "FetchInsert-v0"])
def test_what_rests_stays_at_rest(name: str) -> None:
    env = made(name)
    for seed in range(3):
        start = env.reset(seed=seed)[0]["achieved_goal"]
        for _ in range(50):
            state = env.step(STILL)[0]
        assert np.abs(state["achieved_goal"] - start).max() < 5e-4
        speed = max(np.abs(env.data.joint(i).qvel).max() for i in range(15, env.model.njnt))
        assert speed < 1e-3


def energy(env: Any) -> float:
    """Of all that can be moved beside the robot, joules: kinetic, and potential above z = 0."""
    total, spin = 0.0, np.zeros(6)
    for i in range(env.model.nbody):
        name = str(env.model.body(i).name)
        if name.startswith("robot0") or not env.model.body_mass[i] or not env.model.body_weldid[i]:
            continue
        mujoco.mj_objectVelocity(env.model, env.data, mujoco.mjtObj.mjOBJ_BODY, i, spin, 1)
        inertia, mass = env.model.body_inertia[i], env.model.body_mass[i]
        total += 0.5 * (inertia * spin[:3] ** 2).sum() + 0.5 * mass * (spin[3:] ** 2).sum()
        total += mass * GRAVITY * env.data.xipos[i, 2]
    return total


def energies(env: Any, steps: int) -> list[float]:
    """The energy now and after each step of 2 ms in which nothing acts."""
    found = [energy(env)]
    for _ in range(steps):
        mujoco.mj_step(env.model, env.data)
        found.append(energy(env))
    return found


def throw(env: Any) -> float:
    """Set all that can move in motion, cubes from above the table; returns the energy given."""
    rest = energy(env)
    rng = np.random.default_rng(0)
    for i in range(env.model.njnt):
        joint = env.model.joint(i)
        if str(joint.name).startswith("robot0"):
            continue
        free = joint.type[0] == mujoco.mjtJoint.mjJNT_FREE
        speed = rng.uniform(-1, 1, 6) * [0.5, 0.5, 0.5, 5, 5, 5] if free else [-0.5]
        env.data.joint(i).qvel[:] = speed
        if free and env.lift == 0.0:
            env.data.joint(i).qpos[2] += 0.1
    mujoco.mj_forward(env.model, env.data)
    env._set_action(STILL)  # the arm holds its place
    return energy(env) - rest


@pytest.mark.parametrize("name", [name for name in SUITE if name != "FetchInsert-v0"])
def test_energy_does_not_come_from_nowhere(name: str) -> None:
    env = made(name)
    for seed in range(2):
        env.reset(seed=seed)
        given = throw(env)
        assert given > 0.1
        found = energies(env, 800)
        # What a soft contact stores comes back, but never more than there was at first.
        assert max(found) - found[0] < 1e-3 * given
        assert max(found[-100:]) - min(found[-100:]) < 1e-3 * given  # all has come to rest


def test_the_energy_check_sees_a_push() -> None:
    env = made("FetchDoublePush-v0")
    env.reset(seed=0)
    env._set_action(STILL)
    env.data.xfrc_applied[env.model.body("object0").id, 0] = 30.0  # N, more than friction holds
    found = energies(env, 100)
    assert max(found) - found[0] > 0.1


def held(env: Any, action: list[float], steps: int = 50) -> Any:
    """The last state after the same action all the time."""
    for _ in range(steps):
        state = env.step(np.array(action, np.float32))[0]
    return state


def test_fingers_of_the_drawer_cannot_be_moved() -> None:
    env = made("FetchDrawer-v0")
    ends = []
    for grip in (-1.0, 1.0):
        env.reset(seed=0)
        ends.append(held(env, [0.1, -0.2, 0.1, grip])["observation"])
    assert np.array_equal(*ends)


def test_the_drawer_keeps_the_gripper_at_its_handle() -> None:
    env = made("FetchDrawer-v0")
    env.reset(seed=0)
    assert held(env, [-0.2, 0, -1, 0])["observation"][2] > 0.445
    free = made("FetchDrawerBox-v0")
    free.reset(seed=0)
    assert held(free, [-0.2, 0, -1, 0])["observation"][2] < 0.44


def test_the_hole_is_a_hole_and_the_block_is_solid() -> None:
    env = made("FetchInsert-v0")
    tips = []
    for beside in (0.0, 0.05):
        goal = np.array([1.3, 0.7, 0.37])
        env.reset(seed=0, options={"goal": goal})
        for _ in range(50):
            gripper = env._get_obs()["observation"][:3]
            error = goal + np.array([beside, 0.0, 0.02]) - gripper
            if np.linalg.norm(error[:2]) > 0.004 and gripper[2] > 0.48:
                error[2] = 0.0  # first above it
            state = env.step(np.append(np.clip(error / 0.05, -1, 1), 0).astype(np.float32))[0]
        tips.append(state["observation"][12])
    assert tips[0] < 0.38
    assert 0.43 < tips[1] < 0.45


def test_the_wall_stops_a_cube() -> None:
    env = made("FetchObstaclePush-v0")
    reached = []
    for aside in (0.0, 0.1):
        env.reset(seed=0, options={"objects": [1.2, 0.749, 0.425]})
        env._wall()[1] += aside
        mujoco.mj_forward(env.model, env.data)
        env.data.joint("object0:joint").qvel[0] = 1.2
        mujoco.mj_step(env.model, env.data, nstep=200)
        reached.append(env.data.site("object0").xpos[0] - env._wall()[0])
    assert reached[0] < -0.034
    assert reached[1] > -0.03
