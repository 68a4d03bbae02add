"""The registered tasks. A task is an environment plus one relay; nothing else knows task names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rher_pl.errors import ConfigError
from rher_pl.relay.chain import Relay
from rher_pl.relay.chains import object_relay, reach_relay

if TYPE_CHECKING:
    from torchrl.envs import EnvBase


@dataclass(frozen=True)
class Task:
    """What the trainer needs to know of a task.

    Args:
        name: as written in a config.
        make_relay: builds the chain of subtasks; keyword ``relative_goals``.
        make_env: builds a batched environment from ``num_envs``, ``seed`` and ``num_threads``.
        observation_size, action_size: lengths of an observation and of an action.
        gripper_in_observation: the task is registered with Gymnasium under its name, where the
            gripper's position begins the observation and ``achieved_goal`` holds the objects only;
            else ``achieved_goal`` holds all points, gripper first.
    """

    name: str
    make_relay: Callable[..., Relay]
    make_env: Callable[..., EnvBase]
    observation_size: int
    action_size: int
    gripper_in_observation: bool = True


_TASKS: dict[str, Task] = {}


def register_task(task: Task) -> None:
    """Make a task known by its name; a second registration of a name replaces the first."""
    _TASKS[task.name] = task


def known_tasks() -> list[str]:
    """Names of all registered tasks, sorted."""
    return sorted(_TASKS)


def get_task(name: str) -> Task:
    """The task of that name; a ConfigError lists the known ones."""
    if name not in _TASKS:
        raise ConfigError(f"unknown task {name!r}: choose one of {', '.join(known_tasks())}")
    return _TASKS[name]


def _fetch(name: str) -> Callable[..., EnvBase]:
    def make_env(num_envs: int, seed: int, num_threads: int = 1) -> EnvBase:
        from rher_pl.envs.fetch import FetchEnv

        return FetchEnv(name, num_envs=num_envs, seed=seed, num_threads=num_threads)

    return make_env


def _point_push(num_envs: int, seed: int, num_threads: int = 1) -> EnvBase:
    from rher_pl.envs.point_push import PointPushEnv

    return PointPushEnv(num_envs, seed)


def _object_relay(bring: str, epsilon: float = 0.05) -> Callable[..., Relay]:
    def make_relay(**options: Any) -> Relay:
        return object_relay([bring], epsilon, **options)

    return make_relay


for _task in (
    Task("FetchReach-v4", reach_relay, _fetch("FetchReach-v4"), 10, 4),
    Task("FetchPush-v4", _object_relay("push"), _fetch("FetchPush-v4"), 25, 4),
    Task("FetchPickAndPlace-v4", _object_relay("place"), _fetch("FetchPickAndPlace-v4"), 25, 4),
    Task("FetchSlide-v4", _object_relay("slide"), _fetch("FetchSlide-v4"), 25, 4),
    Task("PointPush-v0", _object_relay("push", epsilon=0.07), _point_push, 6, 2, False),
):
    register_task(_task)
