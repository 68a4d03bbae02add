"""Single episodes to look at: an environment, and a picture of its present state."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.envs import EnvBase

from rher_pl.envs.given_start import GivenStart
from rher_pl.errors import require
from rher_pl.look import Look
from rher_pl.pictures.plan import Plan
from rher_pl.pictures.rendering import use_backend, working_backend
from rher_pl.tasks import Points, Task, fitted, make_env

Picture = NDArray[np.uint8]
"""[H, W, 3], RGB."""

VIEWS = ("camera", "top")
CAMERA = {"distance": 1.1, "azimuth": 145.0, "elevation": -30.0, "lookat": (1.31, 0.75, 0.47)}
"""Camera on the table, from the robot's right front, for tasks of gymnasium-robotics; ours have
their own. Metres and degrees."""

DRAGS_THE_ARM = "robot0:mocap"


class Scene(Protocol):
    """One episode at a time, with the keys of the batched environments at batch size [1]."""

    max_episode_steps: int
    look: Look

    def reset(self, seed: int) -> TensorDictBase:
        """Start the episode of that seed."""
        ...

    def step(self, action: Tensor) -> TensorDictBase:
        """Apply an action [1, A] and return the next state."""
        ...

    def draw(self) -> Picture:
        """A picture of the present state."""
        ...

    def close(self) -> None:
        """Free what drawing holds."""
        ...


def make_scene(task: Task, view: str, size: tuple[int, int]) -> Scene:
    """A scene of a task.

    Args:
        view: ``camera`` is the simulator's picture where Gymnasium knows the task; ``top`` is a
            plan of all points from above, which needs no graphics at all.
        size: width and height in pixels.

    Raises:
        ConfigError: for another view, and if no graphics work here.
    """
    require(view in VIEWS, f"unknown view {view!r}: choose one of {', '.join(VIEWS)}")
    if view == "top" or not has_camera(task):
        return TopScene(task, size)
    return CameraScene(task, size) if task.make_drawn is None else OwnScene(task, size)


def has_camera(task: Task) -> bool:
    """Whether Gymnasium can draw the task."""
    return task.gymnasium_id is not None or task.make_drawn is not None


class CameraScene:
    """The simulator's own picture, by Gymnasium; the physics are those of the batched environment.

    Args:
        task: known to Gymnasium.
        size: width and height in pixels.
    """

    mode = "rgb_array"

    def __init__(self, task: Task, size: tuple[int, int]) -> None:
        self._choose_backend()
        import gymnasium

        from rher_pl.envs import fetch_sim  # noqa: F401 registers the environments

        assert task.gymnasium_id is not None
        width, height = size
        env: Any = gymnasium.make(
            task.gymnasium_id,
            max_episode_steps=task.max_episode_steps,
            render_mode=self.mode,
            width=width,
            height=height,
        )
        if env.spec.namespace is None:  # gymnasium-robotics' own; ours have a camera
            env.unwrapped.mujoco_renderer.default_cam_config = CAMERA
        # Hide the long green bars of the motion-capture body that drags the arm.
        model = env.unwrapped.model
        model.geom_rgba[model.geom_bodyid == model.body(DRAGS_THE_ARM).id, 3] = 0.0
        self.look = task.look
        self._gripper: list[int] = []
        if task.relay.reach:  # the achieved goal leaves it out
            layout = task.layout
            self._gripper = [c for c in layout.columns_of("gripper") if layout.axis(c)]
        self.max_episode_steps = int(task.max_episode_steps or env.spec.max_episode_steps)
        self._env, self._given = env, dict(task.given)

    def _choose_backend(self) -> None:
        use_backend()

    def reset(self, seed: int) -> TensorDict:
        # Environments of gymnasium-robotics itself take no options.
        if self._given and self._env.spec.namespace is None:
            self._env.reset(seed=seed)
            return self._state(put(self._env.unwrapped, **self._given))
        return self._state(self._env.reset(seed=seed, options=self._given)[0])

    def step(self, action: Tensor) -> TensorDict:
        return self._state(self._env.step(action[0].numpy())[0])

    def _state(self, observed: dict[str, NDArray[Any]]) -> TensorDict:
        values = {key: torch.tensor(observed[key]).float() for key in observed}
        points = torch.cat([values["observation"][self._gripper], values["achieved_goal"]])
        return TensorDict(
            {
                "observation": values["observation"],
                "achieved_goals": points.view(-1, 3),
                "desired_goals": values["desired_goal"].view(-1, 3),
            },
            batch_size=[],
        ).unsqueeze(0)

    def draw(self) -> Picture:
        return np.asarray(self._env.render(), dtype=np.uint8)

    def close(self) -> None:
        self._env.close()


def put(env: Any, goal: Points | None = None, objects: Points | None = None) -> dict[str, Any]:
    """Start a Fetch environment of gymnasium-robotics from a scene; returns its observation."""
    start = GivenStart(env)
    if objects is not None:
        start.set_objects(objects)
        env.goal = env._sample_goal()
    if goal is not None:
        env.goal = start.set_goal(goal)
    observed: dict[str, Any] = env._get_obs()
    return observed


class TopScene:
    """A plan from above, drawn from the positions alone.

    Args:
        task: any.
        size: width and height in pixels.
    """

    def __init__(self, task: Task, size: tuple[int, int]) -> None:
        self._env = self._make_env(task)
        self._relay, self.look = task.relay, task.look
        self._places = torch.tensor(task.layout.places, dtype=torch.long).view(-1, 3)
        self._size = size
        self.max_episode_steps = int(self._env.max_episode_steps)

    def _make_env(self, task: Task) -> EnvBase:
        return make_env(task, 1, 0)

    def reset(self, seed: int) -> TensorDictBase:
        self._env.set_seeds([seed])
        self._state = self._env.reset()
        first, goals = (self._state[key][0] for key in ("achieved_goals", "desired_goals"))
        self._trails = [first]
        places = self._state["observation"][0][self._places]
        self._plan = Plan(self._relay, first, goals, self._size, self.look, places)
        return self._state

    def step(self, action: Tensor) -> TensorDictBase:
        self._state["action"] = action
        self._state = self._env.step(self._state)["next"]
        self._trails.append(self._state["achieved_goals"][0])
        return self._state

    def draw(self) -> Picture:
        return self._plan.draw(torch.stack(self._trails))

    def close(self) -> None:
        self._env.close()


class OwnScene(TopScene):
    """The pictures of an environment's own ``render``, fitted into the size."""

    def _make_env(self, task: Task) -> EnvBase:
        if working_backend() is not None:  # for environments on MuJoCo; others need none
            use_backend()
        assert task.make_drawn is not None
        return fitted(task.make_drawn(), task)

    def draw(self) -> Picture:
        image = Image.fromarray(self._env.render())
        if image.size != self._size:
            image = ImageOps.pad(image, self._size)
        return np.asarray(image, dtype=np.uint8)
