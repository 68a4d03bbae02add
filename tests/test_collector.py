"""Whole episodes: the same ones whoever plays them, however they end, and closed when closed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from rher_pl.collect.collector import EpisodeCollector, PipelinedCollector
from rher_pl.collect.players import LocalPlayer, logged_only
from rher_pl.collect.seeds import Stream, episode_seed
from rher_pl.envs.contract import Ending
from rher_pl.envs.episodes import EPISODE_KEYS, empty_episode
from rher_pl.envs.fetch import FetchEnv
from rher_pl.envs.point_push import PointPushEnv
from rher_pl.errors import ConfigError, TrainingError

COLLECTORS = pytest.mark.parametrize("kind", [EpisodeCollector, PipelinedCollector])
Kind = type[EpisodeCollector]


@pytest.fixture
def make_collector(make_behavior_policy: Callable[[int], Any]) -> Any:
    """Of an environment, with uniform actions; closes all that it made."""
    made: list[EpisodeCollector] = []

    def make(env: Any, kind: Kind = EpisodeCollector, **options: Any) -> EpisodeCollector:
        policy = make_behavior_policy(env.action_spec.shape[-1])
        made.append(kind(LocalPlayer(env, policy), **({"run_seed": 7} | options)))
        return made[-1]

    yield make
    for collector in made:
        collector.close()


def same(one: TensorDictBase, other: TensorDictBase) -> bool:
    return all(torch.equal(one[key], other[key]) for key in EPISODE_KEYS)


# --- seeds -------------------------------------------------------------------------------------


def test_episode_seeds_are_above_all_others_and_differ():
    seeds = {
        episode_seed(run, episode, stream)
        for run in (0, 1, 2**32 - 1)
        for episode in range(200)
        for stream in Stream
    }
    assert len(seeds) == 3 * 200 * len(Stream)
    assert min(seeds) >= 2**31 and max(seeds) < 2**32
    assert episode_seed(3, 5) == episode_seed(3, 5, Stream.ENVIRONMENT)


@COLLECTORS
@pytest.mark.parametrize("env_name", ["point push", "edge ends"])
def test_episodes_do_not_depend_on_how_many_are_played_at_a_time(
    make_collector, edge_ends_env, env_name, kind
):
    """Nor on the seed that the environment was made with, nor on what was played in it before."""
    make_env = PointPushEnv if env_name == "point push" else edge_ends_env

    def twelve(num_envs: int) -> TensorDict:
        env = make_env(num_envs, seed=num_envs)
        env.reset()
        collector = make_collector(env, kind)
        return torch.cat([collector.collect() for _ in range(12 // num_envs)])

    first = twelve(3)
    assert same(first, twelve(4)) and same(first, twelve(12))
    starts = {tuple(row.tolist()) for row in first["observation"][:, 0]}
    actions = {tuple(row.tolist()) for row in first["action"][:, 0]}
    assert len(starts) == len(actions) == 12, "no episode is played twice"


def test_starts_are_those_of_the_episodes_own_seeds(make_collector):
    collector, env = make_collector(PointPushEnv(2)), PointPushEnv(2)
    for batch in range(3):
        env.set_seeds([episode_seed(7, episode) for episode in (2 * batch, 2 * batch + 1)])
        assert torch.equal(collector.collect()["observation"][:, 0], env.reset()["observation"])


def test_another_run_seed_gives_other_episodes(make_collector):
    one, other = (make_collector(PointPushEnv(2), run_seed=seed).collect() for seed in (0, 1))
    assert not torch.isclose(one["observation"][:, 0], other["observation"][:, 0]).any()


@COLLECTORS
@pytest.mark.parametrize("num_envs", [3, 4])
def test_a_collector_goes_on_from_its_state(make_collector, kind, num_envs):
    whole, first = make_collector(PointPushEnv(3), kind), make_collector(PointPushEnv(3), kind)
    expected = torch.cat([whole.collect() for _ in range(10)])
    for _ in range(2):
        first.collect()
    state = first.state_dict()
    pending = state["episodes"] - 6
    assert pending == (0 if kind is EpisodeCollector else 3)
    resumed = make_collector(PointPushEnv(num_envs, seed=99), kind)
    resumed.load_state_dict(state)
    found = torch.cat([resumed.collect() for _ in range(5)])
    assert same(found, expected[6 : 6 + len(found)])


def test_a_state_of_another_task_is_refused(make_collector):
    collector = make_collector(PointPushEnv(2, max_episode_steps=20), PipelinedCollector)
    collector.collect()
    other = make_collector(PointPushEnv(2), PipelinedCollector)
    with pytest.raises(ConfigError, match="observation of shape"):
        other.load_state_dict(collector.state_dict())


def test_the_first_episodes_are_random_and_the_policy_is_told(make_collector):
    collector = make_collector(PointPushEnv(2), random_episodes=3)
    for _ in range(3):
        collector.collect()
    assert collector.player.behavior_policy.only_random == [True, True, False]


# --- what is returned --------------------------------------------------------------------------


def test_rows_are_as_in_an_empty_episode_and_other_keys_are_only_logged(make_collector):
    env = PointPushEnv(2)
    collector = make_collector(env)
    rows, empty = collector.collect(), empty_episode(env)
    for key in EPISODE_KEYS:
        assert rows[key].shape == (2, *empty[key].shape) and rows[key].dtype == empty[key].dtype
    assert rows["length"].tolist() == [[25], [25]]
    assert rows["ending"].tolist() == [[Ending.TIME], [Ending.TIME]]
    assert logged_only(collector.player.behavior_policy) == ["step"]
    assert rows["step"].squeeze(-1).tolist() == [list(range(25))] * 2
    assert not any(value.is_inference() for value in rows.values())


def test_rows_hold_what_happened(make_collector):
    """Playing the actions again from the same seeds gives the same states."""
    rows, env = make_collector(PointPushEnv(2)).collect(), PointPushEnv(2)
    env.set_seeds([episode_seed(7, 0), episode_seed(7, 1)])
    state = env.reset()
    for time in range(25):
        assert torch.equal(rows["observation"][:, time], state["observation"])
        assert torch.equal(rows["achieved_goals"][:, time], state["achieved_goals"])
        assert torch.equal(rows["desired_goals"], state["desired_goals"])
        state["action"] = rows["action"][:, time]
        state = env.step(state)["next"]
    assert torch.equal(rows["observation"][:, 25], state["observation"])


def test_float64_environments_are_stored_as_float32(make_collector):
    rows = make_collector(FetchEnv("FetchPush-v4", 2, dtype=torch.float64)).collect()
    expected = make_collector(FetchEnv("FetchPush-v4", 2)).collect()
    assert rows["observation"].dtype == torch.float32
    assert same(rows, expected)


# --- episodes that end early -------------------------------------------------------------------


def test_lengths_and_endings_are_those_of_rows_that_end_early(make_collector, edge_ends_env):
    collector = make_collector(edge_ends_env(8))
    rows = torch.cat([collector.collect() for _ in range(10)])
    x, length = rows["observation"][..., 0], rows["length"].squeeze(-1)  # [N, T+1], [N]
    assert {int(ending) for ending in rows["ending"]} == {1, 2, 3}
    for row in range(80):
        steps, ending = int(length[row]), rows["ending"][row].item()
        assert (x[row, :steps].abs() < 1.0).all(), "it had not ended before"
        edge = {Ending.FAILURE: -1.0, Ending.SUCCESS: 1.0}.get(ending)
        assert steps == 25 if edge is None else x[row, steps] == edge
        frozen = rows["observation"][row, steps:]
        assert torch.equal(frozen, frozen[:1].expand_as(frozen))


class SpoiledEnv(PointPushEnv):
    """Breaks the contract: ``spoil`` changes what each step returns."""

    spoil: Callable[[Any, TensorDictBase, int], None]

    def _step(self, tensordict: TensorDictBase) -> TensorDict:
        outcome = super()._step(tensordict)
        self.spoil(outcome, int(self._elapsed.max()))
        return outcome


def _ends_after_ten(outcome: TensorDictBase, step: int) -> None:
    if step == 10:
        outcome["terminated"] = torch.tensor([[False], [True]])
        outcome["done"] = outcome["terminated"].clone()


def _never_done(outcome: TensorDictBase, step: int) -> None:
    outcome["done"] = outcome["truncated"] = torch.zeros(2, 1, dtype=torch.bool)


def _new_goal(outcome: TensorDictBase, step: int) -> None:
    if step == 4:
        outcome["desired_goals"] = outcome["desired_goals"] + 1.0


@pytest.mark.parametrize(
    ("spoil", "hint"),
    [
        (_ends_after_ten, r"environment 1 is done before .* 25 env steps.*`ending`.*after step 10"),
        (_never_done, "environment 0 is not done after 25 env steps, its max_episode_steps"),
        (_new_goal, "environment 0 changes desired_goals"),
    ],
)
def test_what_breaks_the_contract_is_one_line(make_collector, spoil, hint):
    env = SpoiledEnv(2)
    env.spoil = spoil
    with pytest.raises(TrainingError, match=hint) as raised:
        make_collector(env).collect()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("what", ["state", "ending"])
def test_a_row_that_has_ended_must_stay_as_it_is(make_collector, edge_ends_env, what):
    class MovesOn(edge_ends_env):  # type: ignore[misc]
        def _observe(self) -> dict[str, torch.Tensor]:
            state = super()._observe()
            over = state["ending"] != Ending.RUNNING
            if what == "state":
                state["observation"] = state["observation"] + over * self._elapsed
            else:
                state["ending"] = torch.where(over & (self._elapsed % 2 == 0), 0, state["ending"])
            return state

    collector = make_collector(MovesOn(8))
    key = "observation" if what == "state" else "ending"
    with pytest.raises(TrainingError, match=f"has ended, but its {key} goes on changing"):
        for _ in range(10):
            collector.collect()


# --- the end -----------------------------------------------------------------------------------


@COLLECTORS
@pytest.mark.parametrize("collected", [0, 1, 2])
def test_closing_leaves_no_thread_and_may_be_done_twice(make_behavior_policy, kind, collected):
    before = set(threading.enumerate())
    env = FetchEnv("FetchReach-v4", num_envs=3, num_threads=3)
    collector = kind(LocalPlayer(env, make_behavior_policy(4)), run_seed=0)
    for _ in range(collected):
        collector.collect()
    assert (set(threading.enumerate()) > before) == (collected > 0)
    for _ in range(2):
        collector.close()
        assert set(threading.enumerate()) == before and env.is_closed


def test_an_environment_that_torchrl_takes_for_closed_is_closed_all_the_same(make_behavior_policy):
    before = set(threading.enumerate())
    env = FetchEnv("FetchReach-v4", num_envs=3, num_threads=3)
    collector = EpisodeCollector(LocalPlayer(env, make_behavior_policy(4)), run_seed=0)
    collector.collect()
    env.is_closed = True
    collector.close()
    assert set(threading.enumerate()) == before


def test_a_failing_environment_is_one_line_and_still_closes(make_behavior_policy):
    class Fails(FetchEnv):
        def _advance(self, action: torch.Tensor) -> torch.Tensor:
            if (self._elapsed == 30).any():
                raise ZeroDivisionError("in the simulator")
            return super()._advance(action)

    before = set(threading.enumerate())
    env = Fails("FetchReach-v4", num_envs=3, num_threads=3)
    collector = PipelinedCollector(LocalPlayer(env, make_behavior_policy(4)), run_seed=0)
    with pytest.raises(TrainingError, match="ZeroDivisionError: in the simulator") as raised:
        collector.collect()
    assert "\n" not in str(raised.value)
    collector.close()
    assert set(threading.enumerate()) == before
