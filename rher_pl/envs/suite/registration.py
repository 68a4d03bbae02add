"""The suite's names in Gymnasium. Nothing heavy is imported before an environment is made."""

from __future__ import annotations

import gymnasium

NAMESPACE = "rher_pl"
_PACKAGE = "rher_pl.envs.suite"
_ENTRIES = {
    # name: (class, steps of an episode)
    "FetchObstaclePush-v0": ("obstacle_push:ObstaclePushEnv", 50),
    "FetchInsert-v0": ("insert:InsertEnv", 50),
    "FetchDrawer-v0": ("drawer:DrawerEnv", 50),
    "FetchDoublePush-v0": ("push:DoublePushEnv", 60),
    "FetchStack-v0": ("stack:StackEnv", 60),
    "FetchDrawerBox-v0": ("drawer_box:DrawerBoxEnv", 60),
    "FetchThreePush-v0": ("push:ThreePushEnv", 70),
    "FetchThreeStack-v0": ("stack:ThreeStackEnv", 70),
}
SUITE = tuple(_ENTRIES)
"""Names of the tasks, without the namespace."""


def gymnasium_id(name: str) -> str:
    """The id under which Gymnasium knows a task of the suite."""
    return f"{NAMESPACE}/{name}"


def register_suite() -> None:
    """Make all tasks known to ``gymnasium.make``; a second time changes nothing."""
    for name, (place, steps) in _ENTRIES.items():
        if gymnasium_id(name) not in gymnasium.registry:
            gymnasium.register(
                id=gymnasium_id(name),
                entry_point=f"{_PACKAGE}.{place}",
                max_episode_steps=steps,
            )
