"""Single episodes that can be looked at: an environment, and a picture of its present state."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from tensordict import TensorDict, TensorDictBase
from torch import Tensor

from rher_pl.errors import require
from rher_pl.pictures.rendering import use_backend
from rher_pl.tasks import Task

Picture = NDArray[np.uint8]
"""[H, W, 3], RGB."""

VIEWS = ("camera", "top")
CAMERA = {"distance": 1.1, "azimuth": 145.0, "elevation": -30.0, "lookat": (1.31, 0.75, 0.47)}
"""Looks at the table from the robot's right front; metres and degrees."""
BACKGROUND, GRID = (250, 250, 248), (228, 228, 224)
GRIPPER, GOAL = (30, 30, 30), (0, 158, 115)
OBJECTS = ((213, 94, 0), (0, 114, 178), (204, 121, 167), (230, 159, 0))
"""Colours that stay apart for colour-blind readers (Okabe and Ito)."""


class Scene(Protocol):
    """One episode at a time, with the keys of the batched environments at batch size [1]."""

    max_episode_steps: int

    def reset(self, seed: int) -> TensorDictBase:
        """Start the episode of that seed."""
        ...

    def step(self, action: Tensor) -> TensorDictBase:
        """Apply an action [1, A] and return the next state."""
        ...

    def draw(self) -> Picture:
        """The present state."""
        ...

    def close(self) -> None:
        """Free what drawing holds."""
        ...


def make_scene(task: Task, view: str, size: tuple[int, int]) -> Scene:
    """A scene of a task.

    Args:
        view: ``camera`` is the simulator's picture where the task has a simulator; ``top`` is a
            plan of all points from above, which needs no graphics at all.
        size: width and height in pixels.

    Raises:
        ConfigError: for another view, and if no graphics work here.
    """
    require(view in VIEWS, f"unknown view {view!r}: choose one of {', '.join(VIEWS)}")
    if view == "camera" and task.gymnasium_id is not None:
        return CameraScene(task, size)
    return TopScene(task, size)


class CameraScene:
    """The simulator's own picture, by Gymnasium; the physics are those of the batched one.

    Args:
        task: registered with Gymnasium under its name.
        size: width and height in pixels.
    """

    def __init__(self, task: Task, size: tuple[int, int]) -> None:
        use_backend()
        import gymnasium

        from rher_pl.envs import fetch_sim  # noqa: F401 registers the environments

        env: Any = gymnasium.make(task.name, render_mode="rgb_array", width=size[0], height=size[1])
        env.unwrapped.mujoco_renderer.default_cam_config = CAMERA
        # The long green bars of the motion-capture body that drags the arm: out of the picture.
        model = env.unwrapped.model
        model.geom_rgba[model.body_mocapid[model.geom_bodyid] >= 0, 3] = 0.0
        self._num_points = task.relay.num_points
        self.max_episode_steps = int(env.spec.max_episode_steps)
        self._env = env

    def reset(self, seed: int) -> TensorDict:
        return self._state(self._env.reset(seed=seed)[0])

    def step(self, action: Tensor) -> TensorDict:
        return self._state(self._env.step(action[0].numpy())[0])

    def _state(self, observation: dict[str, NDArray[Any]]) -> TensorDict:
        values = {key: torch.tensor(observation[key]).float() for key in observation}
        points = [values["observation"][:3], values["achieved_goal"]]
        return TensorDict(
            {
                "observation": values["observation"],
                # With one point the achieved goal is the gripper itself.
                "achieved_goals": torch.cat(points[-self._num_points :]).view(-1, 3),
                "desired_goals": values["desired_goal"].view(-1, 3),
            },
            batch_size=[],
        ).unsqueeze(0)

    def draw(self) -> Picture:
        return np.asarray(self._env.render(), dtype=np.uint8)

    def close(self) -> None:
        self._env.close()


class TopScene:
    """A plan from above, drawn from the positions alone.

    Args:
        task: any.
        size: width and height in pixels.
    """

    def __init__(self, task: Task, size: tuple[int, int]) -> None:
        self._env = task.make_env(1, 0)
        self._size = size
        self._epsilon = task.relay.epsilon
        self.max_episode_steps = int(self._env.max_episode_steps)

    def reset(self, seed: int) -> TensorDictBase:
        self._env.set_seeds([seed])
        self._state = self._env.reset()
        self._trails = [self._state["achieved_goals"][0, :, :2]]
        shown = torch.cat([self._trails[0], self._state["desired_goals"][0, :, :2]])
        low, high = shown.amin(0), shown.amax(0)
        self._centre = ((low + high) / 2).tolist()
        self._reach = max(0.75 * float((high - low).max()), 4.0 * self._epsilon)
        return self._state

    def step(self, action: Tensor) -> TensorDictBase:
        self._state["action"] = action
        self._state = self._env.step(self._state)["next"]
        self._trails.append(self._state["achieved_goals"][0, :, :2])
        return self._state

    def draw(self) -> Picture:
        image = Image.new("RGB", self._size, BACKGROUND)
        pen = ImageDraw.Draw(image)
        self._draw_grid(pen)
        epsilon = self._epsilon * self._scale
        for index, goal in enumerate(self._state["desired_goals"][0, :, :2]):
            self._circle(pen, goal, epsilon, outline=GOAL, width=3)
            self._circle(pen, goal, 3, fill=GOAL)
            if len(self._state["desired_goals"][0]) > 1:
                x, y = self._pixel(goal)
                pen.text((x + 6, y - 14), str(index), fill=GOAL)
        for index, path in enumerate(torch.stack(self._trails).unbind(1)):
            colour = GRIPPER if index == 0 else OBJECTS[(index - 1) % len(OBJECTS)]
            pen.line([self._pixel(point) for point in path], fill=colour, width=2)
            self._circle(pen, path[-1], 5 if index == 0 else max(0.4 * epsilon, 6), fill=colour)
            pen.text((6, 4 + 14 * index), f"object {index - 1}" if index else "gripper", colour)
        pen.text((6, 4 + 14 * (index + 1)), "goal (within epsilon); grid 10 cm", GOAL)
        return np.asarray(image, dtype=np.uint8)

    @property
    def _scale(self) -> float:
        """Pixels in a metre."""
        return min(self._size) / (2.0 * self._reach)

    def _pixel(self, point: Tensor) -> tuple[float, float]:
        x, y = ((float(p) - c) * self._scale for p, c in zip(point, self._centre, strict=True))
        return self._size[0] / 2 + x, self._size[1] / 2 - y

    def _circle(self, pen: ImageDraw.ImageDraw, at: Tensor, radius: float, **style: Any) -> None:
        x, y = self._pixel(at)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), **style)

    def _draw_grid(self, pen: ImageDraw.ImageDraw) -> None:
        """Lines a tenth of a metre apart."""
        step = 0.1 * self._scale
        for extent, centre, other in zip(self._size, self._centre, self._size[::-1], strict=True):
            offset = (extent / 2 - centre * self._scale) % step
            for at in np.arange(offset, extent, step):
                ends = [(at, 0), (at, other)] if extent is self._size[0] else [(0, at), (other, at)]
                pen.line(ends, fill=GRID)

    def close(self) -> None:
        self._env.close()
