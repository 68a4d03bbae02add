"""Who plays the episodes of a run: this process, or Ray actors."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from torchrl.envs import EnvBase

from rher_pl.collect.behavior import BehaviorPolicy, Exploration
from rher_pl.collect.players import LocalPlayer, Player
from rher_pl.collect.progress import MovingSuccess
from rher_pl.networks.policy import RelayPolicy
from rher_pl.own_modules import OWN
from rher_pl.tasks import Task, make_env

Acting = tuple[RelayPolicy, MovingSuccess, Exploration]


def make_player(
    task: Task, options: Mapping[str, Any], acting: Acting, threads: int, like: EnvBase
) -> Player:
    """Make the player of N = ``num_envs`` environments; see ``RelayDataModule`` for the options.

    Args:
        task: to play.
        options: of the data module, by name.
        acting: policy, success of each subtask, and how it explores.
        threads: number of threads that step environments in this process.
        like: an environment of the same task, which gives the shapes of episodes.

    Raises:
        ConfigError: if the environments or workers cannot be made.
    """
    if not options["shards"]:
        env = make_env(task, options["num_envs"], options["seed"], threads)
        return LocalPlayer(env, BehaviorPolicy(*acting, env.max_episode_steps))
    from rher_pl.collect.shards import ShardPlayer, ShardWorker
    from rher_pl.collect.workers import Cluster, Workers

    policy, success, exploration = acting
    rows = options["num_envs"] // options["shards"]
    workers = Workers(
        Cluster(options["workers"], os.environ.get("RAY_ADDRESS"), tuple(OWN)),
        options["shards"],
        rows,
        ShardWorker,
        (task, rows, policy.to_dict(), asdict(exploration)),
    )
    return ShardPlayer(like, options["num_envs"], workers, policy, success)
