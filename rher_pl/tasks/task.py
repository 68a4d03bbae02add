"""A task: an environment, a relay and a layout, and what else the trainer knows of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from rher_pl.choices import RelayMode
from rher_pl.envs.mirrors import Mirror
from rher_pl.errors import ConfigError, require
from rher_pl.look import Look
from rher_pl.relay import Interface, Layout, Relay
from rher_pl.relay.numbering import ObjectNumbers

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
        if mode == RelayMode.none:
            return self.relay.only_last()
        return self.relay if mode == RelayMode.full else self.relay.in_order()

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
        if self.relay.any_order:
            try:
                ObjectNumbers(self.layout, self.relay.num_objects)
            except ValueError as error:
                raise ConfigError(f"task {self.name}: {error}") from error
        actions = tuple(env.action_spec.shape[1:])
        require(
            actions == (self.action_size,),
            f"task {self.name}: the environment takes actions of shape {actions}, "
            f"the task says action_size {self.action_size}: make them agree",
        )
        for mirror in self.mirrors:
            sizes = len(mirror.observation), len(mirror.action)
            require(
                sizes == (len(self.layout), self.action_size),
                f"task {self.name}: its mirror {mirror.axes} is for {sizes[0]} numbers and "
                f"{sizes[1]} actions, the task has "
                f"{len(self.layout)} and {self.action_size}: make them agree",
            )


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
