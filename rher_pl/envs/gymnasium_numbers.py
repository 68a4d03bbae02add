"""Which numbers of a user's environment belong to what, from the options and from some states."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rher_pl.envs.gymnasium_probe import Probe
from rher_pl.envs.gymnasium_reward import OwnReward, RewardedRelay
from rher_pl.errors import ConfigError, require
from rher_pl.relay import Interface, Layout, Relay

MOST_NUMBERS = 3
"""Numbers that a position has at most; a longer goal is not a position."""
Given = Mapping[str, Any]
"""The options of a ``GymnasiumTask`` by name."""


def make_interface(seen: Probe, given: Given, name: str) -> Interface:
    """How a goal's numbers become points, and actions in [-1, 1] the environment's own.

    Raises:
        ConfigError: for options that do not fit the environment.
    """
    objects, size = given["objects"], seen.goal_size
    gripper = tuple(given["gripper"] or ())
    require(
        bool(objects) and len(set(objects)) == len(objects),
        f"task {name}: objects must be different names, one for each object, got {objects!s:.60}",
    )
    for each_name in objects:
        require(
            bool(re.fullmatch(r"[\w.\- ]{1,40}", each_name)),
            f"task {name}: {each_name!r:.60} in objects is no name for a metric: write 1 to 40 "
            "letters, digits, _, -, . and spaces",
        )
    each, rest = divmod(size, len(objects))
    if rest == 0 and each <= MOST_NUMBERS:
        check_columns(gripper, "gripper", seen, name)
        require(
            len(gripper) <= MOST_NUMBERS,
            f"task {name}: gripper has {len(gripper)} columns: write the 1 to 3 columns of "
            "observation that hold its position",
        )
        require(
            not gripper or seen.moves(gripper),
            f"task {name}: columns {list(gripper)} of observation do not move with the actions: "
            "write in gripper the 1 to 3 columns that hold its position, or leave it out",
        )
        return Interface((each,) * len(objects), gripper, False, *_bounds(seen))
    require(
        len(objects) == 1 and not gripper,
        f"task {name}: achieved_goal has {size} numbers, which cannot be positions of "
        f"{len(objects)} object{'s' * (len(objects) > 1)}, 1 to 3 each: name as many objects as it "
        "holds; or, for plain HER on the whole goal, name one and leave out gripper",
    )
    for option in ("epsilon", "object_columns", "any_order", "lowest"):
        require(
            given[option] is None or given[option] is False,
            f"task {name}: {option} has no effect on a goal that is not a position, which "
            "compute_reward judges: leave it out",
        )
    full, last = divmod(size, MOST_NUMBERS)
    numbers = (MOST_NUMBERS,) * full + ((last,) if last else ())
    return Interface(numbers, (), False, *_bounds(seen))


def _bounds(seen: Probe) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Least and greatest value of each number of an action; both empty for [-1, 1]."""
    space: Any = seen.env.action_space
    if (space.low == -1.0).all() and (space.high == 1.0).all():
        return (), ()
    return tuple(map(float, space.low)), tuple(map(float, space.high))


def check_columns(columns: Sequence[int], option: str, seen: Probe, name: str) -> None:
    """Check that ``columns`` are different columns of the observation."""
    size = seen.observation.shape[1]
    require(
        len(set(columns)) == len(columns) and all(0 <= column < size for column in columns),
        f"task {name}: {option} must be different columns of observation, 0 to {size - 1}, "
        f"got {list(columns)!s:.80}",
    )


def make_relay(seen: Probe, interface: Interface, given: Given, name: str) -> Relay:
    objects, epsilon = given["objects"], given["epsilon"]
    require(
        epsilon is None or 0 < epsilon < float("inf"),
        f"task {name}: epsilon must be above 0, in metres, got {epsilon}",
    )
    if len(interface.numbers) == len(objects):
        require(
            not given["any_order"] or bool(interface.gripper and given["object_columns"]),
            f"task {name}: any_order brings the nearest object first and gives it other numbers: "
            "write gripper and object_columns",
        )
        require(
            given["lowest"] is None or set(interface.numbers) == {MOST_NUMBERS},
            f"task {name}: lowest is a height, and goals of fewer than 3 numbers have none: leave "
            "it out",
        )
        epsilon = own_epsilon(seen, interface, name) if epsilon is None else epsilon
        try:
            return Relay(
                tuple(objects),
                float(epsilon),
                reach=bool(interface.gripper),
                any_order=given["any_order"],
                lowest=given["lowest"],
            )
        except ValueError as error:
            raise ConfigError(f"task {name}: {error}") from error
    # The goal's numbers fill the slots of several "objects"; the only subtask is about all of them.
    parts = tuple(f"{objects[0]} part {i}" for i in range(len(interface.numbers) - 1))
    reward = OwnReward(seen.env, interface, seen.achieved, seen.desired)
    return RewardedRelay((*parts, objects[0]), reach=False, last_only=True, reward=reward)


def own_epsilon(seen: Probe, interface: Interface, name: str) -> float:
    """The distance in metres up to which the environment's own reward counts a goal as met."""
    try:
        reward = OwnReward(seen.env, interface, seen.achieved, seen.desired)
        distance = float(f"{reward.threshold(seen.achieved[0]):.4g}")
    except ConfigError as error:
        raise ConfigError(f"task {name}: write epsilon, in metres: {error}") from error
    require(
        0.0 < distance < float("inf"),
        f"task {name}: compute_reward does not tell how far a goal may be off: write epsilon, in "
        "metres",
    )
    return distance


def make_layout(seen: Probe, interface: Interface, given: Given) -> Layout:
    """Label columns by the options, and by numbers that equal those of an achieved goal."""
    labels = ["-"] * seen.observation.shape[1]
    own: list[list[int]] = given["object_columns"] or []
    if own:
        _check_object_columns(own, interface, seen, given)
    for index, columns in enumerate(own):
        for column in columns:
            labels[column] = f"object {index}"
    if len(interface.numbers) == len(given["objects"]):
        for index, count in enumerate(interface.numbers):
            start = sum(interface.numbers[:index])
            numbers = seen.achieved[:, start : start + count]
            among = (
                own[index] if own else [c for c in range(len(labels)) if c not in interface.gripper]
            )
            found = seen.position_columns(numbers, among)
            if own and not found:
                _require_nowhere(numbers, seen, given, index)
            for axis, column in zip("xyz", found):
                labels[column] = f"object {index} {axis}"
    for axis, column in zip("xyz", interface.gripper):
        labels[column] = f"gripper {axis}"
    return Layout(tuple(labels))


def _require_nowhere(numbers: Any, seen: Probe, given: Given, index: int) -> None:
    """Refuse an object's columns that lack its position, if the observation holds it elsewhere."""
    where = seen.position_columns(numbers, range(seen.observation.shape[1]))
    require(
        not where,
        f"task {given['id']}: the position of {given['objects'][index]} is in columns {where} of "
        f"observation, and not in its object_columns {given['object_columns'][index]!s:.60}: list "
        "each object's own columns, in the order of the goals",
    )


def _check_object_columns(
    own: list[list[int]], interface: Interface, seen: Probe, given: Given
) -> None:
    name, count = given["id"], len(given["objects"])
    require(
        len(own) == count and len({len(columns) for columns in own}) == 1 and bool(own[0]),
        f"task {name}: object_columns must be {count} lists of the same length, one for each of "
        f"{', '.join(given['objects'])!s:.60}, got lists of {[len(c) for c in own]!s:.60}",
    )
    check_columns(
        [*interface.gripper, *(c for columns in own for c in columns)],
        "gripper and object_columns",
        seen,
        name,
    )
