"""The tasks that come with the package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rher_pl.envs.mirrors import fetch_mirrors, plane_mirrors
from rher_pl.envs.suite.looks import LOOKS
from rher_pl.envs.suite.registration import SUITE, gymnasium_id
from rher_pl.look import Look
from rher_pl.relay import Layout, Relay, fetch_layout
from rher_pl.relay.layout import position
from rher_pl.tasks.registry import register_task
from rher_pl.tasks.task import Task

if TYPE_CHECKING:
    from torchrl.envs import EnvBase


FETCH_ACTIONS = (
    "Its first three numbers, in [-1, 1], move the gripper along x, y and z, by {step} m a step at "
    "most (25 steps a second); the fourth opens the fingers, where they are free."
)
FALLEN = 0.3
"""Height, in metres, of what fell off the table, whose top is at 0.4."""
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
    _fetch("FetchSlide-v4", Relay(("slide",)), mirrored="y"),
    _fetch("FetchObstaclePush-v0", Relay(("push",)), fetch_layout(1, places=1)),
    _fetch("FetchInsert-v0", Relay(("insert",), epsilon=0.02), _INSERT),
    _fetch("FetchDrawer-v0", Relay(("open",), epsilon=0.02), step=0.04, mirrored="y"),
    _fetch("FetchDoublePush-v0", Relay(("push_0", "push_1"), any_order=True, lowest=FALLEN)),
    _fetch("FetchStack-v0", Relay(("stack_0", "stack_1")), release=OPEN_AND_RISE),
    _fetch("FetchDrawerBox-v0", Relay(("open", "place")), release=OPEN_AND_RISE, mirrored="y"),
    _fetch(
        "FetchThreePush-v0", Relay(("push_0", "push_1", "push_2"), any_order=True, lowest=FALLEN)
    ),
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
