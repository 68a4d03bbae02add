"""What several test files share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tensordict import TensorDict, TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torchrl.data import Bounded, TensorDictReplayBuffer
from trained import tiny_checkpoint

from rher_pl.envs.contract import STATE_KEYS, Ending
from rher_pl.envs.point_push import PointPushEnv
from rher_pl.learner.native.library import is_available
from rher_pl.relay import Relay
from rher_pl.replay.sampling import SamplingRule, make_replay_buffers
from rher_pl.replay.storage import EpisodeStorage

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def no_store_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test records stays in its own folder, whatever environment variables are set."""
    for name in ("TRACKING_URI", "EXPERIMENT_NAME", "EXPERIMENT_ID", "RUN_ID"):
        monkeypatch.delenv(f"MLFLOW_{name}", raising=False)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a tiny run on PointPush."""
    return tiny_checkpoint(tmp_path_factory.mktemp("trained"))


# --- stored episodes ---------------------------------------------------------------------------

LENGTH = 6


def made_relay(num_objects: int) -> Relay:
    return Relay(tuple(f"push_{i}" for i in range(num_objects)))


def made_episodes(
    count: int,
    num_objects: int = 1,
    lengths: Sequence[int] = (LENGTH,),
    endings: Sequence[Ending] = (Ending.TIME,),
    seed: int = 0,
    scale: float = 0.05,
) -> TensorDict:
    """Random walks of at most six steps: every state differs from the one before.

    The observation at time t of row i is 7 i + t, the action 6 i + t, so that indices can be read
    off; after an episode's end both are NaN. ``lengths`` and ``endings`` repeat over the rows.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(count, *shape, generator=generator)

    def repeated(values: Sequence[int]) -> torch.Tensor:
        return torch.tensor(values).repeat(count)[:count].unsqueeze(-1)

    length, time = repeated(lengths), torch.arange(LENGTH + 1)
    achieved = (normal(LENGTH + 1, num_objects + 1, 3) * scale).cumsum(1)
    frozen = torch.minimum(time, length)  # [N, T+1]: time of the state that is seen at each time
    achieved = achieved[torch.arange(count).unsqueeze(-1), frozen]
    observation = torch.arange(count * (LENGTH + 1)).view(count, LENGTH + 1).float()
    action = torch.arange(count * LENGTH).view(count, LENGTH).float()
    return TensorDict(
        {
            "observation": observation.masked_fill(time > length, torch.nan).unsqueeze(-1),
            "achieved_goals": achieved,
            "desired_goals": normal(num_objects, 3) * scale,
            "action": action.masked_fill(time[1:] > length, torch.nan).unsqueeze(-1),
            "length": length,
            "ending": repeated(endings).to(torch.uint8),
        },
        batch_size=[count],
    )


@dataclass(frozen=True)
class Pools:
    """Episodes, where they are stored, and one replay buffer for each subtask."""

    relay: Relay
    data: TensorDict
    storage: EpisodeStorage
    buffers: list[TensorDictReplayBuffer]


@pytest.fixture
def make_relay() -> Callable[..., Relay]:
    return made_relay


@pytest.fixture
def make_episodes() -> Callable[..., TensorDict]:
    return made_episodes


@pytest.fixture
def make_pools() -> Callable[..., Pools]:
    """Pools of ``count`` made episodes; ``options`` go to these or to ``SamplingRule``."""

    def make(count: int = 40, num_objects: int = 1, **options: Any) -> Pools:
        of_episodes = {k: options.pop(k) for k in ("lengths", "endings", "scale") if k in options}
        data = made_episodes(count, num_objects, **of_episodes)
        relay = made_relay(num_objects)
        storage = EpisodeStorage(count, data[0], relay)
        storage.extend(data)
        generator = torch.Generator().manual_seed(1)
        buffers = make_replay_buffers(storage, relay, SamplingRule(**options), generator)
        return Pools(relay, data, storage, buffers)

    return make


# --- environments and who acts in them ---------------------------------------------------------


class RandomBehavior(TensorDictModuleBase):
    """Uniform actions, each row's from a generator of its own; also writes the key ``step``."""

    def __init__(self, action_size: int) -> None:
        super().__init__()
        self.in_keys, self.out_keys = STATE_KEYS, ("action", "step")
        self.action_size = action_size
        self.only_random: list[bool] = []

    def begin(self, seeds: Sequence[int], only_random: bool) -> None:
        self.rows = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.only_random.append(only_random)
        self.step = 0

    @torch.inference_mode()
    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        drawn = [torch.rand(self.action_size, generator=row) for row in self.rows]
        tensordict["action"] = 2 * torch.stack(drawn) - 1
        tensordict["step"] = torch.full((len(self.rows), 1), self.step)
        self.step += 1
        return tensordict


@pytest.fixture
def make_behavior_policy() -> Callable[[int], RandomBehavior]:
    return RandomBehavior


class EdgeEndsEnv(PointPushEnv):
    """An episode fails where the point touches the left edge, and succeeds at the right one."""

    def __init__(self, num_envs: int = 1, seed: int = 0, max_episode_steps: int = 25) -> None:
        super().__init__(num_envs, seed, max_episode_steps)
        shape = (num_envs, 1)
        self.observation_spec["ending"] = Bounded(0, 3, shape, dtype=torch.uint8)
        self._ending = torch.zeros(shape, dtype=torch.uint8)

    def _start(self, seeds: Any) -> None:
        super()._start(seeds)
        self._ending = self._ending.clone()
        self._ending[list(seeds)] = Ending.RUNNING

    def _advance(self, action: torch.Tensor) -> torch.Tensor:
        before, over = self._state, self._ending != Ending.RUNNING
        reward = super()._advance(action)
        self._state = torch.where(over.unsqueeze(-1), before, self._state)  # frozen
        x = self._state[:, 0, :1]
        reached = (x <= -1) * Ending.FAILURE + (x >= 1) * Ending.SUCCESS
        self._ending = torch.where(over, self._ending, reached.to(torch.uint8))
        return reward

    def _observe(self) -> dict[str, torch.Tensor]:
        return super()._observe() | {"ending": self._ending}


@pytest.fixture
def edge_ends_env() -> type[EdgeEndsEnv]:
    """A planar task whose episodes end early, by success or failure."""
    return EdgeEndsEnv


# --- learners ----------------------------------------------------------------------------------


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Sets PyTorch's number of threads, which is put back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def library() -> None:
    """Of the learner in C++; tests that need it are skipped where it cannot be built."""
    if not is_available():
        pytest.skip("there is no C++ compiler")


# --- benchmarks --------------------------------------------------------------------------------


@pytest.fixture
def small_config(tmp_path: Path) -> Path:
    """configs/point_push.yaml, shrunk to a second of training: 100 env steps in an epoch."""
    config = yaml.safe_load((ROOT / "configs" / "point_push.yaml").read_text())
    config["data"] |= {"num_envs": 2, "batch_size": 8, "updates_per_episode": 1}
    config["data"] |= {"eval_every_env_steps": 100, "eval_episodes": 4, "random_episodes": 2}
    config["model"] |= {"hidden_size": 8, "hidden_layers": 1}
    config["trainer"] |= {"precision": "32-true"}
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture
def make_record() -> Callable[..., dict[str, Any]]:
    """Makes a line of a benchmark's records."""

    def make(seed: int, env_steps: int, success: float = 0.5, **changes: Any) -> dict[str, Any]:
        metrics = {"eval/q/push": -2.0, "eval/monte_carlo_return/push": -5.0}
        metrics |= {"relay/innr_share/push": 0.25, "relay/contact_rate": 0.75}
        return {
            "task": "FetchPush-v4",
            "seed": seed,
            "env_steps": env_steps,
            "updates": 2 * env_steps,
            "seconds": float(env_steps),
            "success": success,
            "success_not_solved_at_reset": success,
            "success_per_subtask": {"reach": 1.0, "push": success},
            "commit": "abc",
            "versions": {"torch": "0"},
            "metrics": metrics,
        } | changes

    return make


@pytest.fixture
def make_records(tmp_path: Path, make_record: Callable[..., dict[str, Any]]) -> Callable[..., Any]:
    """Makes a folder of records: one list of successes for each seed, at 10, 20, ... env steps."""
    from benchmarks.learning.records import Records

    def make(folder: str, *seeds: Sequence[float], **changes: Any) -> Records:
        records = Records(tmp_path / folder)
        settings = {"data": {"eval_episodes": 7, "eval_every_env_steps": 10}}
        for seed, values in enumerate(seeds):
            steps = range(10, 10 * len(values) + 1, 10)
            lines = [make_record(seed, *pair, **changes) for pair in zip(steps, values)]
            records.update(seed, lines, settings)
        return records

    return make
