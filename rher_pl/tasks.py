"""The registered tasks: an environment, a relay and a layout; nothing else knows task names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rher_pl.choices import RelayMode
from rher_pl.envs.suite.looks import LOOKS
from rher_pl.envs.suite.registration import NAMESPACE, SUITE, gymnasium_id
from rher_pl.errors import ConfigError, require
from rher_pl.look import Look
from rher_pl.relay import Layout, Relay, fetch_layout
from rher_pl.relay.layout import position
from rher_pl.suggest import did_you_mean

if TYPE_CHECKING:
    from torchrl.envs import EnvBase


@dataclass(frozen=True)
class Task:
    """What the trainer needs to know of a task.

    Args:
        name: as written in a config.
        relay: the chain of subtasks.
        layout: whose the numbers of an observation are.
        make_env: builds a batched environment from ``num_envs``, ``seed`` and ``num_threads``.
        action_size: A, length of an action.
        gymnasium_id: under which Gymnasium knows the task, if it does: then it can be rendered, and
            the goals of its observations are those of the objects alone.
        look: names of its objects, and what is drawn around them in a plan from above.
    """

    name: str
    relay: Relay
    layout: Layout
    make_env: Callable[..., EnvBase]
    action_size: int
    gymnasium_id: str | None = None
    look: Look = field(default_factory=Look)

    def check(self, env: EnvBase) -> None:
        """Whether an environment gives what relay and layout say.

        Raises:
            ConfigError: names the first size that does not fit.
        """
        shapes = {
            "observation": (len(self.layout),),
            "achieved_goals": (self.relay.num_points, 3),
            "desired_goals": (self.relay.num_desired, 3),
        }
        for key, shape in shapes.items():
            found = tuple(env.observation_spec[key].shape[1:])
            require(
                found == shape,
                f"task {self.name}: the environment gives {key} of shape {found} for each row, "
                f"its relay and layout say {shape}: make them agree",
            )
        owners = {self.layout.owner(c) for c in range(len(self.layout))}
        known = {"gripper", "-", *(f"object {i}" for i in range(self.relay.num_objects))}
        unknown = sorted(o for o in owners - known if o.startswith("object"))
        require(
            not unknown,
            f"task {self.name}: its layout names {', '.join(unknown)}, but its relay has "
            f"{self.relay.num_objects} objects, counted from 0",
        )
        actions = tuple(env.action_spec.shape[1:])
        require(
            actions == (self.action_size,),
            f"task {self.name}: the environment takes actions of shape {actions}, "
            f"the task says action_size {self.action_size}: make them agree",
        )


_TASKS: dict[str, Task] = {}


def register_task(task: Task) -> None:
    """Make a task known by its name; a second registration of a name replaces the first."""
    _TASKS[task.name] = task


def known_tasks() -> list[str]:
    """Names of all registered tasks, sorted."""
    return sorted(_TASKS)


def get_task(name: str) -> Task:
    """The task of that name, with or without Gymnasium's namespace before it.

    Raises:
        ConfigError: names the nearest known ones, or all.
    """
    short, known = name.removeprefix(f"{NAMESPACE}/"), known_tasks()
    if short not in _TASKS:
        hint = did_you_mean(short, known, f"choose one of {', '.join(known)}", most=3)
        raise ConfigError(f"unknown task {name!r:.40}: {hint}")
    return _TASKS[short]


def task_relay(name: str, mode: RelayMode) -> Relay:
    """As much of a task's relay as is trained."""
    relay = get_task(name).relay
    return relay if mode == RelayMode.full else relay.only_last()


def make_env(task: Task, num_envs: int, seed: int, num_threads: int = 1) -> EnvBase:
    """The task's environment, checked against its relay and layout.

    Raises:
        ConfigError: if they do not fit.
    """
    env = task.make_env(num_envs, seed, num_threads)
    task.check(env)
    return env


def _fetch(name: str, relay: Relay, layout: Layout | None = None) -> Task:
    known_as = gymnasium_id(name) if name in SUITE else name

    def make(num_envs: int, seed: int, num_threads: int = 1) -> EnvBase:
        from rher_pl.envs.fetch import FetchEnv

        return FetchEnv(known_as, num_envs=num_envs, seed=seed, num_threads=num_threads)

    layout = layout or fetch_layout(relay.num_objects if relay.reach else 0)
    return Task(name, relay, layout, make, 4, gymnasium_id=known_as, look=LOOKS.get(name, Look()))


def _point_push(num_envs: int, seed: int, num_threads: int = 1) -> EnvBase:
    from rher_pl.envs.point_push import PointPushEnv

    return PointPushEnv(num_envs, seed)


_POINT_PUSH = Layout.of(
    ["gripper x", "gripper y", "object 0 x", "object 0 y"],
    ["object 0", "object 0"],  # seen from the point
)

# The gripper's point is its tip, which ends the observation; where it is held is seen from there.
_INSERT = Layout.of(position("place 0"), ["gripper"] * 7, position("gripper"))

for _task in (
    _fetch("FetchReach-v4", Relay(("reach",), reach=False)),
    _fetch("FetchPush-v4", Relay(("push",))),
    _fetch("FetchPickAndPlace-v4", Relay(("place",))),
    _fetch("FetchSlide-v4", Relay(("slide",))),
    _fetch("FetchObstaclePush-v0", Relay(("push",)), fetch_layout(1, places=1)),
    _fetch("FetchInsert-v0", Relay(("insert",), epsilon=0.02), _INSERT),
    _fetch("FetchDrawer-v0", Relay(("open",), epsilon=0.02)),
    _fetch("FetchDoublePush-v0", Relay(("push_0", "push_1"))),
    _fetch("FetchStack-v0", Relay(("stack_0", "stack_1"))),
    _fetch("FetchDrawerBox-v0", Relay(("open", "place"))),
    _fetch("FetchThreePush-v0", Relay(("push_0", "push_1", "push_2"))),
    _fetch("FetchThreeStack-v0", Relay(("stack_0", "stack_1", "stack_2"))),
    Task("PointPush-v0", Relay(("push",), epsilon=0.07), _POINT_PUSH, _point_push, 2),
):
    register_task(_task)
