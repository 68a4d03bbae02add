"""The batched Fetch environment against Gymnasium's own, compared without tolerances."""

import threading
from types import SimpleNamespace
from typing import Any

import gymnasium
import gymnasium_robotics
import mujoco
import numpy as np
import pytest
import torch
from gymnasium_robotics.utils import mujoco_utils
from tensordict import TensorDictBase
from torch import Tensor
from torchrl.collectors import Collector
from torchrl.envs.utils import check_env_specs

from rher_pl.envs.fetch import SHIPPED, FetchEnv
from rher_pl.envs.mujoco_versions import PlainJoints, mend_joint_comparisons
from tests.lockstep import (
    BATCHES,
    assert_equal_to_gymnasium,
    assert_same,
    play,
    random_actions,
    step,
)

gymnasium.register_envs(gymnasium_robotics)


@pytest.mark.parametrize(("num_envs", "episodes"), BATCHES)
@pytest.mark.parametrize("task", SHIPPED)
def test_equals_gymnasium_bit_for_bit(task: str, num_envs: int, episodes: int) -> None:
    assert_equal_to_gymnasium(task, num_envs, episodes)


def test_reward_is_zero_where_the_goal_is_met() -> None:
    # Random actions seldom meet a goal, so steer the gripper there.
    env, reference = FetchEnv("FetchReach-v4", 1, seed=5), gymnasium.make("FetchReach-v4")
    state, _ = reference.reset(seed=5)
    env.reset()
    rewards = []
    for _ in range(20):
        error = state["desired_goal"] - state["achieved_goal"]
        action = np.append(error / 0.05, 0.0).astype(np.float32)
        state, reward, *_ = reference.step(action)
        batch = step(env, action[None])
        assert batch["reward"].item() == reward
        rewards.append(reward)
    assert set(rewards) == {0.0, -1.0}


def test_returned_tensors_are_not_written_again() -> None:
    env = FetchEnv("FetchPush-v4", 2, dtype=torch.float64)
    start = env.reset()
    kept = start.clone()
    first = step(env, np.ones((2, 4), np.float32))
    kept_first = first.clone()
    step(env, np.ones((2, 4), np.float32))
    env.reset()
    assert (start == kept).all()
    assert (first == kept_first).all()
    assert not torch.equal(start["observation"], first["observation"])


def test_float32_is_the_float64_observation_cast_once() -> None:
    double = play(FetchEnv("FetchPush-v4", 2, dtype=torch.float64), 5)
    single = play(FetchEnv("FetchPush-v4", 2), 5)
    assert single.dtype == torch.float32
    assert torch.equal(single, double.float())


@pytest.mark.parametrize("task", ["FetchPush-v4", "FetchPickAndPlace-v4"])
@pytest.mark.parametrize("threads", [2, 5, 8])
def test_threads_do_not_change_results(task: str, threads: int) -> None:
    alone = play(FetchEnv(task, 5, seed=3, dtype=torch.float64), 50)
    threaded_env = FetchEnv(task, 5, seed=3, num_threads=threads, dtype=torch.float64)
    assert torch.equal(alone, play(threaded_env, 50))
    threaded_env.close()


@pytest.mark.parametrize("task", SHIPPED)
def test_specs(task: str) -> None:
    for num_envs, dtype in ((1, torch.float32), (3, torch.float64)):
        check_env_specs(FetchEnv(task, num_envs, dtype=dtype))


def test_set_seeds_fixes_the_next_reset_of_each_environment() -> None:
    seeds = [11, 3, 1000]
    env = FetchEnv("FetchPickAndPlace-v4", 3, dtype=torch.float64)
    env.reset()
    env.set_seeds(seeds)
    reference = gymnasium.make("FetchPickAndPlace-v4")
    assert_same(env.reset(), [reference.reset(seed=seed)[0] for seed in seeds])


def test_partial_reset_leaves_the_other_environments_alone() -> None:
    mask = torch.tensor([[False], [True], [False]])
    env = FetchEnv("FetchPush-v4", 3, seed=7, dtype=torch.float64)
    references = [gymnasium.make("FetchPush-v4") for _ in range(3)]
    for i, reference in enumerate(references):
        reference.reset(seed=7 + i)
    env.reset()
    rng = np.random.default_rng(0)
    states: list[Any] = [None] * 3

    def step_both() -> TensorDictBase:
        action = random_actions(rng, 3)
        outcomes = [reference.step(a) for reference, a in zip(references, action, strict=True)]
        states[:] = [outcome[0] for outcome in outcomes]
        batch = step(env, action)
        assert_same(batch, states)
        assert batch["truncated"].flatten().tolist() == [outcome[3] for outcome in outcomes]
        return batch

    for _ in range(20):
        batch = step_both()
    states[1] = references[1].reset()[0]
    after = env.reset(batch.exclude("reward").set("_reset", mask))
    assert_same(after, states)
    for _ in range(30):
        batch = step_both()
    assert batch["truncated"].flatten().tolist() == [True, False, True]


def test_a_row_without_a_new_seed_goes_on_with_its_generator() -> None:
    env, reference = (
        FetchEnv("FetchPush-v4", 2, dtype=torch.float64),
        gymnasium.make("FetchPush-v4"),
    )
    env.set_seeds([5, 6])
    state, starts = env.reset(), [reference.reset(seed=5)[0], reference.reset()[0]]
    assert torch.equal(state["observation"][0], torch.from_numpy(starts[0]["observation"]))
    env.set_seeds([5, 6])
    first = torch.tensor([[True], [False]])
    env.reset(state.set("_reset", first))
    state = env.reset(state.set("_reset", first))
    assert torch.equal(state["observation"][0], torch.from_numpy(starts[1]["observation"]))
    assert torch.equal(env.reset()["observation"][1], env_start(6))


def env_start(seed: int) -> Tensor:
    """Gymnasium's first observation [O] of a seed."""
    return torch.from_numpy(gymnasium.make("FetchPush-v4").reset(seed=seed)[0]["observation"])


class RandomPolicy(torch.nn.Module):
    """Uniform actions from the global generator."""

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        return tensordict.set("action", 2 * torch.rand(*tensordict.batch_size, 4) - 1)


class CountingEnv(FetchEnv):
    """Counts calls of ``_step`` and ``_reset``."""

    steps = resets = 0

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        self.steps += 1
        return super()._step(tensordict)

    def _reset(self, tensordict: TensorDictBase | None = None, **kwargs: Any) -> TensorDictBase:
        self.resets += 1
        return super()._reset(tensordict, **kwargs)


def test_collector_yields_whole_episodes_and_wastes_none() -> None:
    env = CountingEnv("FetchPush-v4", 3, seed=4)
    twin = FetchEnv("FetchPush-v4", 3, seed=4)
    collector = Collector(
        env,
        RandomPolicy(),
        frames_per_batch=3 * 50,
        total_frames=-1,
        auto_register_policy_transforms=False,
    )
    for number, batch in zip(range(1, 4), collector, strict=False):
        assert batch.batch_size == (3, 50)
        assert torch.equal(batch["observation"][:, 0], twin.reset()["observation"])
        assert torch.equal(batch["observation"][:, 1:], batch["next", "observation"][:, :-1])
        assert torch.equal(batch["desired_goals"], batch["next", "desired_goals"])
        truncated = batch["next", "truncated"].squeeze(-1)
        assert truncated[:, -1].all() and not truncated[:, :-1].any()
        # The collector has already reset for the next batch.
        assert (env.steps, env.resets) == (50 * number, number + 1)
    collector.shutdown()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"task": "FetchPsuh-v4"}, "unknown task 'FetchPsuh-v4'.*FetchPush-v4"),
        ({"num_envs": 0}, "num_envs must be at least 1, got 0"),
        ({"num_threads": 0}, "num_threads must be at least 1, got 0"),
        ({"dtype": torch.float16}, "torch.float32 or torch.float64"),
    ],
)
def test_bad_arguments_say_what_to_write(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as raised:
        FetchEnv(**({"task": "FetchPush-v4"} | arguments))
    assert "\n" not in str(raised.value)


def test_there_is_one_seed_for_each_environment() -> None:
    with pytest.raises(ValueError, match="3 seeds for 2 environments"):
        FetchEnv("FetchReach-v4", 2).set_seeds([1, 2, 3])


@pytest.mark.parametrize("size", [3, 5])
def test_actions_of_another_size_are_refused(size: int) -> None:
    env = FetchEnv("FetchReach-v4", 2)
    state = env.reset().set("action", torch.zeros(2, size))
    with pytest.raises(ValueError, match=rf"\(2, {size}\): it must be \(2, 4\)") as raised:
        env.step(state)
    assert "\n" not in str(raised.value)


def test_closing_stops_the_threads() -> None:
    before = set(threading.enumerate())
    env = FetchEnv("FetchReach-v4", num_envs=3, num_threads=3)
    env.rollout(3)
    assert len(set(threading.enumerate()) - before) == 2 and not env.is_closed
    for _ in range(2):
        env.close()
        assert set(threading.enumerate()) == before and env.is_closed


@pytest.mark.parametrize("version", ["5.0.0", "10.2.1"])
def test_untried_mujoco_version(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(mujoco, "__version__", version)
    with pytest.raises(ValueError, match=r'pip install "mujoco>=3.7,<5"'):
        FetchEnv("FetchPush-v4")


class JointType:
    """A member of ``mjtJoint`` as it is since MuJoCo 3.12: no NumPy integer is found in it."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return type(other) is int and other == self.value

    def __hash__(self) -> int:
        return self.value

    def __int__(self) -> int:
        return self.value


def test_joint_types_of_newer_mujoco_are_made_to_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = mujoco.mjtJoint.__members__
    members = {name: JointType(int(value)) for name, value in kept.items()}
    newer = SimpleNamespace(__members__=members, **members)
    monkeypatch.setattr(mujoco, "mjtJoint", newer)
    monkeypatch.setattr(mujoco_utils, "mujoco", mujoco)
    with pytest.raises(AssertionError):  # the control: this is what they break
        gymnasium.make("FetchReach-v4")
    mend_joint_comparisons(mujoco_utils)
    gymnasium.make("FetchReach-v4").reset(seed=0)
    assert mujoco.mjtJoint is newer, "only that module sees other joint types"
    assert mujoco_utils.mujoco.mj_step is mujoco.mj_step


def test_joint_types_that_compare_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mujoco, "mjtJoint", PlainJoints().mjtJoint)
    monkeypatch.setattr(mujoco_utils, "mujoco", mujoco)
    mend_joint_comparisons(mujoco_utils)
    assert mujoco_utils.mujoco is mujoco
