"""A task on any goal environment of Gymnasium, with a relay described in the config."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Literal

from rher_pl.errors import ConfigError, require
from rher_pl.own_modules import is_own
from rher_pl.tasks import Task

if TYPE_CHECKING:
    from rher_pl.envs.gymnasium_compare import Comparison
    from rher_pl.envs.gymnasium_make import Recipe
    from rher_pl.envs.gymnasium_probe import Probe
    from rher_pl.relay import Relay

MOST_STEPS = 1_000_000
"""Most env steps of an episode."""
CLASS_PATH = "rher_pl.GymnasiumTask"


class GymnasiumTask:
    """A task on a goal environment of Gymnasium, stepped as it is; slower than a batched one.

    Args:
        id: of the environment in Gymnasium; ``my_package:MyEnv-v0`` imports ``my_package`` first.
        objects: one name for each object; ``achieved_goal`` and ``desired_goal`` hold the objects'
            positions one after the other, 1 to 3 numbers each. With one name and a goal of more
            than 3 numbers (a hand's pose), training is plain HER on the environment's own
            ``compute_reward``.
        gripper: the 1 to 3 columns of ``observation`` that hold the gripper's position; each object
            is then reached before it is brought to its goal. If left out, there is no
            subtask that reaches.
        object_columns: for each object the columns of ``observation`` that belong to it, equally
            many and in the same order for all; what is learned of one object then holds for all.
        any_order: the objects may be brought in any order: the nearest comes first. It needs
            ``gripper`` and ``object_columns``.
        lowest: height (metres) below which an object is lost, as it fell off its table; nothing
            counts as solved while one is.
        epsilon: distance (metres) within which learning counts a goal as met; if left out, the
            environment's own.
        max_episode_steps: env steps in an episode; if left out, the number that the environment is
            registered with.
        make_kwargs: arguments of the environment.
        wrappers: import paths of functions that take an environment and return one.
        reset_options: ``options`` of every reset, such as a fixed scene.
        vectorization: ``sync`` steps the copies of the environment one after the other; ``async``
            steps each in its own process, which pays off if a step takes more than a few
            milliseconds.
    """

    def __init__(
        self,
        id: str,
        objects: list[str],
        gripper: list[int] | None = None,
        object_columns: list[list[int]] | None = None,
        any_order: bool = False,
        lowest: float | None = None,
        epsilon: float | None = None,
        max_episode_steps: int | None = None,
        make_kwargs: dict[str, Any] | None = None,
        wrappers: list[str] | None = None,
        reset_options: dict[str, Any] | None = None,
        vectorization: Literal["sync", "async"] = "sync",
    ) -> None:
        self.options: dict[str, Any] = {
            "id": id,
            "objects": objects,
            "gripper": gripper,
            "object_columns": object_columns,
            "any_order": any_order,
            "lowest": lowest,
            "epsilon": epsilon,
            "max_episode_steps": max_episode_steps,
            "make_kwargs": make_kwargs or {},
            "wrappers": wrappers or [],
            "reset_options": reset_options or {},
            "vectorization": vectorization,
        }

    def __repr__(self) -> str:
        usual = GymnasiumTask("", []).options
        given = {name: value for name, value in self.options.items() if value != usual[name]}
        return f"GymnasiumTask({', '.join(f'{name}={value!r}' for name, value in given.items())})"

    @property
    def modules(self) -> list[str]:
        """Names of the user's modules that it imports."""
        module = self.options["id"].rpartition(":")[0]
        wrappers = [path.replace(":", ".").rpartition(".")[0] for path in self.options["wrappers"]]
        return [*dict.fromkeys(name for name in (module, *wrappers) if name)]

    def to_dict(self) -> dict[str, Any]:
        """The task in plain types, as a config describes it."""
        return {"class_path": CLASS_PATH, "init_args": self.options}

    def compared(self, relay: Relay) -> Comparison:
        """Compare the environment's own reward with the epsilon of a relay.

        Raises:
            ConfigError: if ``compute_reward`` cannot be used.
        """
        from rher_pl.envs.gymnasium_compare import compare
        from rher_pl.envs.gymnasium_probe import probe

        interface = self.task().interface
        assert interface is not None
        seen = probe(make_recipe(self.options))
        try:
            return compare(seen, interface, relay)
        finally:
            seen.env.close()

    def task(self) -> Task:
        """The task; a second call returns the same object.

        Raises:
            ConfigError: if the environment is not what the options say.
        """
        try:
            options = json.dumps(self.options, sort_keys=True)
        except TypeError as error:
            raise ConfigError(
                f"task {self.options['id']}: {error}: write numbers, names, lists"
            ) from error
        return _task(options)


def completed(written: Mapping[str, Any]) -> dict[str, Any]:
    """What :meth:`GymnasiumTask.to_dict` gave, also by a version that had fewer options.

    Args:
        written: a description, with None where an option was left out. What is none, as in a
            damaged file, is returned as it is; see :func:`from_checkpoint`.
    """
    options = written.get("init_args")
    if not isinstance(options, dict):
        return dict(written)
    given = {name: value for name, value in options.items() if value is not None}
    return {"class_path": CLASS_PATH, "init_args": GymnasiumTask("", []).options | given}


def from_checkpoint(written: Mapping[str, Any]) -> GymnasiumTask:
    """The task that a checkpoint describes.

    No module is imported for it: it may use only modules that the user asked for, see
    :func:`rher_pl.own_modules.import_own`.

    Args:
        written: what :meth:`GymnasiumTask.to_dict` gave.

    Raises:
        ConfigError: if it needs a module that the user did not ask for, or is no such description.
    """
    options = written.get("init_args")
    require(
        written.get("class_path") == CLASS_PATH and isinstance(options, dict),
        f"the checkpoint describes a task that is no {CLASS_PATH}: give another .ckpt file",
    )
    try:
        task = GymnasiumTask(**options)  # type: ignore[arg-type]
        missing = [name for name in task.modules if not is_own(name)]
    except (AttributeError, TypeError) as error:
        raise ConfigError(f"the checkpoint's task cannot be built: {error!s:.150}") from error
    require(
        not missing,
        f"task {task.options['id']:.100} of the checkpoint needs code of yours, which a checkpoint "
        f"never starts by itself: add --import {' --import '.join(missing)!s:.100}",
    )
    return task


def make_recipe(given: Mapping[str, Any]) -> Recipe:
    """How one environment of these options is made."""
    from rher_pl.envs.gymnasium_make import Recipe, find_spec

    spec = find_spec(given["id"])
    return Recipe(spec, given["make_kwargs"], tuple(given["wrappers"]), given["reset_options"])


@lru_cache(maxsize=8)
def _task(options: str) -> Task:
    from rher_pl.envs.gymnasium_probe import probe

    given = json.loads(options)
    recipe = make_recipe(given)
    spec = recipe.spec
    chosen = given["max_episode_steps"]
    steps = spec.max_episode_steps if chosen is None else chosen
    if steps is None or not 2 <= steps <= MOST_STEPS:
        raise ConfigError(
            f"task {spec.id}: episodes of {steps} env steps: write max_episode_steps, at least 2 "
            f"and at most {MOST_STEPS:,}"
        )
    require(
        "reset_mask" not in given["reset_options"],
        f"task {spec.id}: reset_mask in reset_options is for vector environments: leave it out",
    )
    return _built(recipe, probe(recipe), int(steps), given)


def _built(recipe: Recipe, seen: Probe, steps: int, given: Mapping[str, Any]) -> Task:
    from rher_pl.envs.gymnasium_env import GymnasiumEnv
    from rher_pl.envs.gymnasium_numbers import make_interface, make_layout, make_relay

    name = recipe.spec.id
    interface = make_interface(seen, given, name)
    relay = make_relay(seen, interface, given, name)
    reward = getattr(relay, "reward", None)
    if reward is None:  # else the reward still needs this environment
        seen.env.close()

    def make(
        num_envs: int, seed: int, num_threads: int = 1, render_mode: str | None = None
    ) -> GymnasiumEnv:
        return GymnasiumEnv(
            recipe,
            interface,
            reward,
            steps,
            num_envs,
            seed,
            given["vectorization"],
            render_mode,
        )

    return Task(
        name,
        relay,
        make_layout(seen, interface, given),
        make,
        action_size=seen.action_size,
        interface=interface,
        written={"class_path": CLASS_PATH, "init_args": dict(given)},
        make_drawn=partial(make, 1, 0, render_mode="rgb_array") if seen.can_be_drawn else None,
    )
