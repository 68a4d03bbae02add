"""Episodes played by Ray actors: the same ones however many there are, and whichever die."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from rher_pl.collect.behavior import BehaviorPolicy, Exploration
from rher_pl.collect.collector import EpisodeCollector, PipelinedCollector
from rher_pl.collect.players import LocalPlayer
from rher_pl.collect.progress import MovingSuccess
from rher_pl.collect.shards import ShardPlayer, ShardWorker
from rher_pl.collect.workers import Cluster, Workers
from rher_pl.envs.episodes import EPISODE_KEYS
from rher_pl.errors import ConfigError, TrainingError
from rher_pl.networks.actor_critic import Actor, NetworkSizes
from rher_pl.networks.encoder import InputEncoder
from rher_pl.networks.policy import RelayPolicy
from rher_pl.tasks import Task, get_task, make_env
from rher_pl.training.datamodule import RelayDataModule

TASK = get_task("PointPush-v0")
EXPLORATION = Exploration(guide_share=0.3)
NUM_ENVS = 4


class Dies(ShardWorker):
    """A worker that kills itself when it is to play, once for each file in ``folder``."""

    def __init__(self, folder: str, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.folder = folder

    def play(self, policy: Any, exploration_seeds: Sequence[int], *rest: Any) -> TensorDict:
        lives = sorted(os.listdir(self.folder))
        if lives:
            os.unlink(os.path.join(self.folder, lives[0]))
            os.kill(os.getpid(), signal.SIGKILL)
        return super().play(policy, exploration_seeds, *rest)


class Refuses(ShardWorker):
    def play(self, *arguments: Any) -> TensorDict:
        raise ZeroDivisionError("in the simulator")


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """One for all: a start takes seconds."""
    from rher_pl.cluster.joining import joined

    with joined(None, 2, ()):
        yield


@pytest.fixture
def acting() -> tuple[RelayPolicy, MovingSuccess]:
    torch.manual_seed(0)
    encoder = InputEncoder(TASK.relay, TASK.layout)
    policy = RelayPolicy(encoder, Actor(NetworkSizes(encoder.size, TASK.action_size, 16, 1)))
    return policy, MovingSuccess(TASK.relay.num_subtasks)


def local(acting: tuple[RelayPolicy, MovingSuccess], num_envs: int = NUM_ENVS) -> LocalPlayer:
    env = make_env(TASK, num_envs, 0)
    return LocalPlayer(env, BehaviorPolicy(*acting, EXPLORATION, env.max_episode_steps))


def sharded(
    acting: tuple[RelayPolicy, MovingSuccess],
    shards: int,
    workers: int,
    kind: type = ShardWorker,
    first: tuple[Any, ...] = (),
    task: Task = TASK,
) -> ShardPlayer:
    policy, success = acting
    rows = NUM_ENVS // shards
    arguments = (*first, task, rows, policy.to_dict(), asdict(EXPLORATION))
    made = Workers(Cluster(workers), shards, rows, kind, arguments)
    return ShardPlayer(make_env(task, 1, 0), NUM_ENVS, made, policy, success)


def same(one: TensorDictBase, other: TensorDictBase) -> bool:
    return all(torch.equal(one[key], other[key]) for key in (*EPISODE_KEYS, "chooser", "subtask"))


def three(
    player: Any,
    policy: RelayPolicy,
    kind: type[EpisodeCollector] = EpisodeCollector,
    change: float = 1.5,
) -> Any:
    """Three iterations, the first random, after each of which the weights change."""
    before = [parameter.clone() for parameter in policy.parameters()]
    collector, found = kind(player, run_seed=7, random_episodes=NUM_ENVS), []
    for _ in range(3):
        found.append(collector.collect())
        with torch.no_grad():
            for parameter in policy.parameters():
                parameter.mul_(change)
    collector.close()
    with torch.no_grad():
        for parameter, value in zip(policy.parameters(), before, strict=True):
            parameter.copy_(value)
    return torch.cat(found)


@pytest.mark.parametrize("kind", [EpisodeCollector, PipelinedCollector])
def test_one_shard_plays_what_is_played_here(acting: Any, kind: type[EpisodeCollector]) -> None:
    here = three(local(acting), acting[0], kind)
    assert same(here, three(sharded(acting, 1, 1), acting[0], kind))
    assert not same(here, three(local(acting), acting[0], kind, change=1.0)), "weights go out anew"


def test_the_number_of_workers_and_their_deaths_change_nothing(acting: Any, tmp_path: Any) -> None:
    one = three(sharded(acting, 2, 1), acting[0])
    for death in range(2):
        (tmp_path / str(death)).touch()
    two = three(sharded(acting, 2, 2, Dies, (str(tmp_path),)), acting[0])
    assert same(one, two) and not list(tmp_path.iterdir())


@pytest.mark.slow
def test_what_kills_every_worker_ends_the_run_in_one_line(acting: Any, tmp_path: Any) -> None:
    for death in range(50):
        (tmp_path / str(death)).touch()
    player = sharded(acting, 1, 1, Dies, (str(tmp_path),))
    with pytest.raises(TrainingError, match="a worker died, and all that replaced it") as raised:
        three(player, acting[0])
    assert "\n" not in str(raised.value)
    player.close()


def test_a_failing_simulator_is_told_as_if_it_were_here(acting: Any) -> None:
    player = sharded(acting, 2, 2, Refuses)
    with pytest.raises(TrainingError, match="ZeroDivisionError: in the simulator"):
        three(player, acting[0])
    player.close()


def test_workers_that_cannot_be_built_are_refused(acting: Any) -> None:
    def broken(num_envs: int, seed: int, num_threads: int = 1) -> Any:
        raise ConfigError("no licence for the simulator")

    from dataclasses import replace

    policy, _ = acting
    task = replace(TASK, make_env=broken)
    arguments = (task, 2, policy.to_dict(), asdict(EXPLORATION))
    with pytest.raises(ConfigError, match=r"2 workers could not be started.*no licence"):
        Workers(Cluster(2), 2, 2, ShardWorker, arguments)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"shards": 3, "num_envs": 10}, r"must divide data.num_envs 10: write --data.num_envs 9"),
        ({"workers": 2}, r"without shards: add --data.shards 2"),
        ({"shards": -1}, "shards"),
        ({"shards": 2, "num_envs": 2, "workers": 0}, "workers"),
    ],
)
def test_mistakes_say_what_to_write(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        RelayDataModule("PointPush-v0", **options)
