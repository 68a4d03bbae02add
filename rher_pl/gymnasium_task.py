"""A task that is any goal environment of Gymnasium, with a relay written in the config."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from rher_pl.errors import ConfigError, require
from rher_pl.relay import Layout, Relay
from rher_pl.tasks import Task

if TYPE_CHECKING:
    from rher_pl.envs.gymnasium_env import GoalSpace
    from rher_pl.envs.gymnasium_make import Recipe
    from rher_pl.envs.gymnasium_probe import Probe

MOST_NUMBERS = 3
"""Of a position; a longer goal is no position."""
EVALUATION_ENVS = 10
"""Each is a simulator of its own, with tens of megabytes."""


class GymnasiumTask:
    """A goal environment of Gymnasium, stepped as it is; slower than a batched one.

    Args:
        id: as Gymnasium knows it; ``my_package:MyEnv-v0`` imports ``my_package`` first.
        objects: one name for each; ``achieved_goal`` and ``desired_goal`` hold their positions one
            after the other, 1 to 3 numbers each. One name and more than 3 numbers (a hand's pose)
            is plain HER on the environment's own ``compute_reward``.
        gripper: columns of ``observation`` that hold its position, 1 to 3; each object is then
            reached before it is brought. Left out, objects are brought without reaching.
        object_columns: of ``observation``, for each object its own columns, as many for each and
            in the same order: what is learned of one object then holds for all.
        epsilon: distance within which learning counts a goal as met; left out, it is the
            environment's own.
        max_episode_steps: env steps in an episode; left out, what the environment is registered
            with.
        make_kwargs: arguments of the environment.
        wrappers: import paths of functions that take an environment and return one.
        reset_options: ``options`` of every reset, such as a fixed scene.
        vectorization: sync steps the copies one after the other, async each in a process of its
            own, which pays where a step takes more than a few milliseconds.
    """

    def __init__(
        self,
        id: str,
        objects: list[str],
        gripper: list[int] | None = None,
        object_columns: list[list[int]] | None = None,
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
            "epsilon": epsilon,
            "max_episode_steps": max_episode_steps,
            "make_kwargs": make_kwargs or {},
            "wrappers": wrappers or [],
            "reset_options": reset_options or {},
            "vectorization": vectorization,
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain types, as a config has them."""
        return {"class_path": "rher_pl.GymnasiumTask", "init_args": self.options}

    def task(self) -> Task:
        """The task; asked again, the same one.

        Raises:
            ConfigError: if the environment is not what the options say.
        """
        try:
            return _task(json.dumps(self.options, sort_keys=True))
        except TypeError as error:
            raise ConfigError(f"task {self.options['id']}: {error}: write numbers, names, lists") from error


@lru_cache(maxsize=8)
def _task(options: str) -> Task:
    from rher_pl.envs.gymnasium_make import Recipe, find_spec
    from rher_pl.envs.gymnasium_probe import probe

    given = json.loads(options)
    spec = find_spec(given["id"])
    steps = given["max_episode_steps"] or spec.max_episode_steps
    require(
        steps is not None and steps >= 2,
        f"task {spec.id}: episodes of {steps} env steps: write max_episode_steps, at least 2",
    )
    recipe = Recipe(
        spec, given["make_kwargs"], tuple(given["wrappers"]), given["reset_options"]
    )
    return _built(recipe, probe(recipe), int(steps), given)


def _built(recipe: Recipe, seen: Probe, steps: int, given: Mapping[str, Any]) -> Task:
    from torchrl.envs import EnvBase

    from rher_pl.envs.gymnasium_env import GymnasiumEnv
    from rher_pl.envs.gymnasium_reward import OwnReward

    goals = _goal_space(seen, given, recipe.spec.id)
    relay = _relay(seen, goals, given, recipe.spec.id)
    reward = getattr(relay, "reward", None)
    first = int(relay.reach)

    def near(desired: Any, achieved: Any) -> Any:
        return (desired - achieved).norm(dim=-1).le(relay.epsilon).all(-1)

    judge = reward if isinstance(reward, OwnReward) else near

    def make(
        num_envs: int, seed: int, num_threads: int = 1, render_mode: str | None = None
    ) -> EnvBase:
        return GymnasiumEnv(
            recipe, goals, judge, steps, num_envs, seed, given["vectorization"], render_mode
        )

    action_size = int(seen.env.action_space.shape[0])  # type: ignore[index]
    if reward is None:
        seen.env.close()
    return Task(recipe.spec.id, relay, _layout(seen, goals, given), make, action_size)


def _goal_space(seen: Probe, given: Mapping[str, Any], name: str) -> GoalSpace:
    """Where the numbers of a goal go."""
    from rher_pl.envs.gymnasium_env import GoalSpace

    objects, size = given["objects"], seen.goal_size
    gripper = tuple(given["gripper"] or ())
    require(
        bool(objects) and len(set(objects)) == len(objects),
        f"task {name}: objects must be different names, one for each object, got {objects!s:.60}",
    )
    each, rest = divmod(size, len(objects))
    if rest == 0 and each <= MOST_NUMBERS:
        check_columns(gripper, "gripper", seen, name)
        require(
            not gripper or (len(gripper) <= MOST_NUMBERS and seen.moves(gripper)),
            f"task {name}: columns {list(gripper)} of observation do not move with the actions: "
            "write in gripper the 1 to 3 columns that hold its position, or leave it out",
        )
        return GoalSpace((each,) * len(objects), gripper)
    require(
        len(objects) == 1 and not gripper,
        f"task {name}: achieved_goal has {size} numbers, which are no positions of "
        f"{len(objects)} object{'s' * (len(objects) > 1)}, 1 to 3 each: name as many objects as it "
        "holds; or for plain HER on the whole goal, one, and leave out gripper",
    )
    full, last = divmod(size, MOST_NUMBERS)
    return GoalSpace((MOST_NUMBERS,) * full + ((last,) if last else ()))


def check_columns(columns: Sequence[int], option: str, seen: Probe, name: str) -> None:
    """Different columns that the observation has."""
    size = seen.observation.shape[1]
    require(
        len(set(columns)) == len(columns) and all(0 <= column < size for column in columns),
        f"task {name}: {option} must be different columns of observation, 0 to {size - 1}, "
        f"got {list(columns)!s:.80}",
    )


def _relay(seen: Probe, goals: GoalSpace, given: Mapping[str, Any], name: str) -> Relay:
    from rher_pl.envs.gymnasium_reward import OwnReward, RewardedRelay

    objects, epsilon = given["objects"], given["epsilon"]
    require(
        epsilon is None or epsilon > 0, f"task {name}: epsilon must be above 0, got {epsilon}"
    )
    if len(goals.numbers) == len(objects):
        epsilon = own_epsilon(seen, goals, name) if epsilon is None else epsilon
        return Relay(tuple(objects), float(epsilon), reach=bool(goals.gripper))
    # The goal's numbers fill the slots of so many "objects", all of which the one link is about.
    parts = tuple(f"{objects[0]} part {i}" for i in range(len(goals.numbers) - 1))
    reward = OwnReward(seen.env, goals, seen.achieved, seen.desired)
    return RewardedRelay(
        (*parts, objects[0]), epsilon or 0.05, reach=False, last_only=True, reward=reward
    )


def own_epsilon(seen: Probe, goals: GoalSpace, name: str) -> float:
    """The distance up to which the environment's own reward takes a goal for met."""
    from rher_pl.envs.gymnasium_reward import OwnReward

    try:
        reward = OwnReward(seen.env, goals, seen.achieved, seen.desired)
        distance = float(f"{reward.threshold(seen.achieved[0]):.4g}")
    except ConfigError as error:
        raise ConfigError(f"task {name}: write epsilon, in metres ({error!s:.200})") from error
    require(
        0.0 < distance < float("inf"),
        f"task {name}: compute_reward does not tell how far a goal may be off: write epsilon, in "
        "metres",
    )
    return distance


def _layout(seen: Probe, goals: GoalSpace, given: Mapping[str, Any]) -> Layout:
    """Whose the columns are, as far as the options and equal numbers say."""
    labels = ["-"] * seen.observation.shape[1]
    own: list[list[int]] = given["object_columns"] or []
    if own:
        _check_object_columns(own, goals, seen, given)
    for index, columns in enumerate(own):
        for column in columns:
            labels[column] = f"object {index}"
    if len(goals.numbers) == len(given["objects"]):
        for index, count in enumerate(goals.numbers):
            start = sum(goals.numbers[:index])
            numbers = seen.achieved[:, start : start + count]
            among = own[index] if own else [c for c in range(len(labels)) if c not in goals.gripper]
            for axis, column in zip("xyz", seen.position_columns(numbers, among)):
                labels[column] = f"object {index} {axis}"
    for axis, column in zip("xyz", goals.gripper):
        labels[column] = f"gripper {axis}"
    return Layout(tuple(labels))


def _check_object_columns(
    own: list[list[int]], goals: GoalSpace, seen: Probe, given: Mapping[str, Any]
) -> None:
    name, count = given["id"], len(given["objects"])
    require(
        len(own) == count and len({len(columns) for columns in own}) == 1,
        f"task {name}: object_columns must be {count} lists of the same length, one for each of "
        f"{', '.join(given['objects'])!s:.60}, got lists of {[len(c) for c in own]!s:.60}",
    )
    check_columns([*goals.gripper, *sum(own, [])], "gripper and object_columns", seen, name)
