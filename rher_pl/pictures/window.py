"""Episodes in a window of the simulator, as they happen."""

from __future__ import annotations

import os
import time
from contextlib import closing

from rher_pl.errors import ConfigError, one_line, require
from rher_pl.pictures.acting import Acting
from rher_pl.pictures.playback import episode, is_solved
from rher_pl.pictures.scenes import CameraScene, has_camera
from rher_pl.relay import Relay
from rher_pl.tasks import Task

SIZE = (960, 720)


class WindowScene(CameraScene):
    """The simulator's own window, which can be turned and zoomed with the mouse."""

    mode = "human"

    def _choose_backend(self) -> None:
        require(
            bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")),
            "--render human needs a display, and DISPLAY names none: use --video out.mp4",
        )
        os.environ["MUJOCO_GL"] = "glfw"

    def show(self) -> None:
        """Draw the present state.

        Raises:
            ConfigError: if no window can be opened.
        """
        try:
            self._env.render()
        except Exception as error:  # of GLFW, OpenGL or MuJoCo
            raise ConfigError(
                f"no window can be opened ({one_line(error)[:120]}): use --video out.mp4"
            ) from error

    @property
    def seconds(self) -> float:
        """Simulated seconds of an env step."""
        return float(self._env.unwrapped.dt)


def watch(task: Task, acting: Acting, relay: Relay, seeds: range) -> int:
    """Show episodes in real time; returns how many end solved.

    Raises:
        ConfigError: if the task has no camera, or no window can be opened.
    """
    require(
        has_camera(task) and task.make_drawn is None,
        f"{task.name} has no window of a simulator: use --video out.mp4 --view top",
    )
    solved = 0
    with closing(WindowScene(task, SIZE)) as scene:
        for seed in seeds:
            due, last = time.monotonic(), False
            for state, _ in episode(scene, acting, seed):
                scene.show()
                last = is_solved(relay, state)
                due += scene.seconds
                time.sleep(max(0.0, due - time.monotonic()))
            solved += last
    return solved
