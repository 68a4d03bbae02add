"""The registered tasks: each an environment, a relay and a layout, known by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol

from rher_pl.choices import RelayMode
from rher_pl.envs.mirrors import Mirror, fetch_mirrors, plane_mirrors
from rher_pl.envs.suite.looks import LOOKS
from rher_pl.envs.suite.registration import NAMESPACE, SUITE, gymnasium_id
from rher_pl.errors import ConfigError, fault, require, warn
from rher_pl.look import Look
from rher_pl.relay import Interface, Layout, Relay, fetch_layout
from rher_pl.relay.layout import position
from rher_pl.suggest import did_you_mean

if TYPE_CHECKING:
    from torchrl.envs import EnvBase


Points = Sequence[Sequence[float]]
"""Positions [*, 3] (metres)."""


@dataclass(frozen=True)
class Task:
    """What the trainer needs to know of a task.

    Args:
        name: as written in a config.
        relay: the chain of subtasks, see :class:`Relay`.
        layout: what each number of an observation belongs to, see :class:`Layout`.
        make_env: builds a batched environment from ``num_envs``, ``seed`` and ``num_threads``.
        action_size: A, length of an action.
        gymnasium_id: of the task in Gymnasium, if it has one; the task can then be rendered, and
            the goals in Gymnasium's observations are those of the objects alone.
        look: names of its objects, and what is drawn around them in a plan from above.
        interface: how Gymnasium's numbers become points; None if as in Gymnasium's Fetch.
        written: description of the task in a config, in plain types; None for a registered task.
        make_drawn: builds one environment that its own ``render`` draws.
        max_episode_steps: env steps in an episode; None keeps the number that ``make_env`` sets.
        release: action [A] that opens the hand and withdraws it, for a task whose objects must
            stand by themselves: evaluation checks that they do.
        actions: what the numbers of an action do, with their units, in a sentence.
        given: ``goal`` and ``objects`` that every episode starts with, see :meth:`starting`.
        mirrors: reflections under which the task stays the same, see :class:`Mirror`; all that
            ``data.mirror`` learns from.
    """

    name: str
    relay: Relay
    layout: Layout
    make_env: Callable[..., EnvBase]
    action_size: int
    gymnasium_id: str | None = None
    look: Look = field(default_factory=Look)
    interface: Interface | None = None
    written: Mapping[str, Any] | None = None
    make_drawn: Callable[[], EnvBase] | None = None
    max_episode_steps: int | None = None
    release: tuple[float, ...] | None = None
    actions: str = ""
    given: Mapping[str, Points] = field(default_factory=dict)
    mirrors: tuple[Mirror, ...] = ()

    def varied(self, epsilon: float | None, max_episode_steps: int | None) -> Task:
        """The same task with another epsilon or length of episodes; None keeps the present one."""
        relay = self.relay if epsilon is None else replace(self.relay, epsilon=epsilon)
        steps = self.max_episode_steps if max_episode_steps is None else max_episode_steps
        return replace(self, relay=relay, max_episode_steps=steps)

    def starting(self, goal: Points | None, objects: Points | None) -> Task:
        """The same task from a given scene; None leaves each to the seed of the episode.

        Args:
            goal: desired goals [D, 3] (metres).
            objects: positions of the objects [N, 3] (metres).

        Raises:
            ConfigError: if the task cannot be given a scene, or not this one; names the limit.
        """
        given = {k: v for k, v in {"goal": goal, "objects": objects}.items() if v is not None}
        if not given:
            return self
        require(
            self.gymnasium_id is not None and self.written is None,
            f"{self.name} draws its own scenes: goal and objects are for Fetch tasks, others have "
            "their own reset_options",
        )
        task = replace(self, given=given)
        env = make_env(task, 1, 0)
        try:
            env.reset()
        except ValueError as error:
            raise ConfigError(f"{self.name}: {error}") from error
        finally:
            env.close()
        return task

    def trained_relay(self, mode: RelayMode) -> Relay:
        """The part of the relay that is trained."""
        return self.relay if mode == RelayMode.full else self.relay.only_last()

    def check(self, env: EnvBase) -> None:
        """Check that an environment has the shapes that relay and layout say.

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


GROUP = "rher_pl.tasks"
_TASKS: dict[str, Task] = {}


def register_task(task: Task) -> None:
    """Make a task known by its name; a second registration of a name replaces the first."""
    _TASKS[task.name] = task


def known_tasks() -> list[str]:
    """Names of all registered tasks, sorted; those of installed packages too."""
    load_entry_points()
    return sorted(_TASKS)


@lru_cache(maxsize=1)
def load_entry_points() -> None:
    """Import what installed packages offer in the entry-point group ``rher_pl.tasks``: modules
    that register tasks. One that fails is reported and left out.
    """
    for point in entry_points(group=GROUP):
        try:
            point.load()
        except Exception as error:  # another package's code may raise anything
            warn(f"{GROUP} of {point.value}: {fault(error)}")


class WrittenTask(Protocol):
    """A task that a config describes, in place of the name of one that is registered."""

    def task(self) -> Task:
        """The task; raises :class:`ConfigError` if it cannot be what the config says."""
        ...


def get_task(choice: str | WrittenTask) -> Task:
    """A registered task by its name, or one that a config describes.

    Args:
        choice: a name, with or without Gymnasium's namespace before it, or a description.

    Raises:
        ConfigError: names the nearest known tasks, or all of them.
    """
    if not isinstance(choice, str):
        return choice.task()
    short = choice.removeprefix(f"{NAMESPACE}/")
    if short not in _TASKS and short not in (known := known_tasks()):
        hint = did_you_mean(short, known, f"choose one of {', '.join(known)}", most=3)
        raise ConfigError(f"unknown task {choice!r:.40}: {hint}")
    return _TASKS[short]


def make_env(task: Task, num_envs: int, seed: int, num_threads: int = 1) -> EnvBase:
    """The task's environment, checked against its relay and layout.

    Raises:
        ConfigError: if they do not agree.
    """
    env = fitted(task.make_env(num_envs, seed, num_threads), task)
    task.check(env)
    return env


def fitted(env: EnvBase, task: Task) -> EnvBase:
    """Set in an environment what a config may have changed in its task; returns it."""
    env.max_episode_steps = task.max_episode_steps or env.max_episode_steps
    env.epsilon, env.release = task.relay.epsilon, task.release
    env.given = task.given
    return env


FETCH_ACTIONS = (
    "Its first three numbers, in [-1, 1], move the gripper along x, y and z, by {step} m a step at "
    "most (25 steps a second); the fourth opens the fingers, where they are free."
)
OPEN_AND_RISE = (0.0, 0.0, 1.0, 1.0)
TOWER = 0.5
"""Share of epsilon within which a cube of a tower of three counts as home. A cube that is let go
4 cm beside the one below falls, so each must be nearer to its goal than success asks for.
"""


def _fetch(
    name: str,
    relay: Relay,
    layout: Layout | None = None,
    release: tuple[float, ...] | None = None,
    step: float = 0.05,
    mirrored: str = "xy",
) -> Task:
    known_as = gymnasium_id(name) if name in SUITE else name

    def make(num_envs: int, seed: int, num_threads: int = 1) -> EnvBase:
        from rher_pl.envs.fetch import FetchEnv

        return FetchEnv(known_as, num_envs=num_envs, seed=seed, num_threads=num_threads)

    layout = layout or fetch_layout(relay.num_objects if relay.reach else 0)
    return Task(
        name,
        relay,
        layout,
        make,
        4,
        known_as,
        LOOKS.get(name, Look()),
        release=release,
        actions=FETCH_ACTIONS.format(step=step),
        mirrors=fetch_mirrors(layout, mirrored),
    )


def _point_push(num_envs: int, seed: int, num_threads: int = 1) -> EnvBase:
    from rher_pl.envs.point_push import PointPushEnv

    return PointPushEnv(num_envs, seed)


_POINT_PUSH = Layout.of(
    ["gripper x", "gripper y", "object 0 x", "object 0 y"],
    ["object 0", "object 0"],  # relative to the point
)

# The gripper's point is the fingers' tip, which ends the observation; the grip site is labelled a
# place, which the networks see relative to that point.
_INSERT = Layout.of(position("place 0"), ["gripper"] * 7, position("gripper"))

for _task in (
    _fetch("FetchReach-v4", Relay(("reach",), reach=False)),
    _fetch("FetchPush-v4", Relay(("push",))),
    _fetch("FetchPickAndPlace-v4", Relay(("place",))),
    _fetch("FetchSlide-v4", Relay(("slide",))),
    _fetch("FetchObstaclePush-v0", Relay(("push",)), fetch_layout(1, places=1)),
    _fetch("FetchInsert-v0", Relay(("insert",), epsilon=0.02), _INSERT),
    _fetch("FetchDrawer-v0", Relay(("open",), epsilon=0.02), step=0.04, mirrored="y"),
    _fetch("FetchDoublePush-v0", Relay(("push_0", "push_1"))),
    _fetch("FetchStack-v0", Relay(("stack_0", "stack_1")), release=OPEN_AND_RISE),
    _fetch("FetchDrawerBox-v0", Relay(("open", "place")), release=OPEN_AND_RISE, mirrored="y"),
    _fetch("FetchThreePush-v0", Relay(("push_0", "push_1", "push_2"))),
    _fetch(
        "FetchThreeStack-v0",
        Relay(("stack_0", "stack_1", "stack_2"), handover=TOWER),
        release=OPEN_AND_RISE,
    ),
    Task(
        "PointPush-v0",
        Relay(("push",), epsilon=0.07),
        _POINT_PUSH,
        _point_push,
        2,
        mirrors=plane_mirrors(numbers=6),
    ),
):
    register_task(_task)
