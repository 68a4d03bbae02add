"""Anybody's goal environment, from a config alone: an odd one that lies beside these tests."""

from __future__ import annotations

import time
from typing import Any

import odd_gymnasium
import pytest
import torch
from tensordict import TensorDict
from trained import train

from rher_pl import GymnasiumTask
from rher_pl.cli.checks.playing import play
from rher_pl.cli.described_task import as_plain, as_written
from rher_pl.envs.contract import Ending
from rher_pl.envs.episodes import ends
from rher_pl.envs.gymnasium_reward import OwnReward
from rher_pl.errors import ConfigError, TrainingError
from rher_pl.gymnasium_task import completed
from rher_pl.relay import Interface
from rher_pl.replay.relabel import relabel
from rher_pl.tasks import fitted, get_task, make_env

ODD = {
    "id": "odd_gymnasium:Odd-v0",
    "objects": ["first", "second"],
    "gripper": [3, 4],
    "object_columns": [[6, 7], [1, 2]],
}
POSE = {"id": "odd_gymnasium:Pose-v0", "objects": ["pose"]}


def odd(**options: Any) -> GymnasiumTask:
    return GymnasiumTask(**(ODD | options))


def pose(**options: Any) -> GymnasiumTask:
    return GymnasiumTask(**(POSE | options))


# --- what it is ----------------------------------------------------------------------------------


def test_columns_bounds_and_epsilon_come_from_options_and_environment() -> None:
    task = odd().task()
    assert task.relay.names == ("reach_0", "first", "reach_1", "second")
    assert task.relay.epsilon == odd_gymnasium.EPSILON  # as its compute_reward has it
    x, y = "gripper x", "gripper y"
    first, second = (("object 0 x", "object 0 y"), ("object 1 x", "object 1 y"))
    assert task.layout.labels == ("-", *second, x, y, "-", *first)
    assert task.interface == Interface(
        (2, 2), (3, 4), False, (odd_gymnasium.LOW,) * 3, (odd_gymnasium.HIGH,) * 3
    )
    assert odd(epsilon=0.05).task().relay.epsilon == 0.05
    assert odd(any_order=True).task().relay.any_order and not task.relay.any_order
    push = GymnasiumTask("FetchPush-v4", ["push"], gripper=[0, 1, 2], lowest=0.3).task()
    assert push.relay.lowest == 0.3


def test_a_description_by_an_earlier_version_is_the_same_task() -> None:
    now = odd().to_dict()
    options = {k: v for k, v in now["init_args"].items() if k not in ("any_order", "lowest")}
    assert completed({"class_path": now["class_path"], "init_args": options}) == now


def test_a_height_of_zero_is_kept() -> None:
    push = GymnasiumTask("FetchPush-v4", ["push"], gripper=[0, 1, 2], lowest=0.0)
    assert as_plain(as_written(push.to_dict())) == push.to_dict()
    assert "lowest=0.0" in repr(push) and "any_order" not in repr(push)


def test_the_batched_fetch_environment_is_matched_bit_for_bit() -> None:
    """Any difference of the adapter's, in resets, actions or rounding, would show."""
    own = GymnasiumTask("FetchPush-v4", ["push"], gripper=[0, 1, 2]).task()
    envs = [make_env(task, 2, 0) for task in (own, get_task("FetchPush-v4"))]
    played = [play(env, 7) for env in envs]
    for key in ("observation", "achieved_goals", "desired_goals"):
        assert torch.equal(*(frames["next", key].float() for frames in played))
    for env in envs:
        env.close()


def test_rows_freeze_when_they_end_and_say_why() -> None:
    """``play`` checks the contract, too."""
    env = make_env(odd(make_kwargs={"table": 0.4}).task(), 20, 0)
    frames = play(env, 0)
    length, ending = ends(frames["next"])
    assert {Ending.FAILURE, Ending.TIME} <= set(ending.flatten().tolist())
    assert len(set(length.flatten().tolist())) > 3
    assert frames["observation"].dtype == torch.float64
    env.close()


def test_success_ends_an_episode_and_is_the_environments_word() -> None:
    env = make_env(odd(reset_options={"near": odd_gymnasium.EPSILON}).task(), 20, 0)
    frames = play(env, 0)
    _, ending = ends(frames["next"])
    success = frames["next", "is_success"][:, -1]
    assert torch.equal(success, ending == Ending.SUCCESS)
    assert 0.2 < success.float().mean() < 0.95
    env.close()


def test_a_scene_can_be_fixed() -> None:
    goals = [[0.1, 0.2], [0.3, -0.1]]
    env = make_env(odd(reset_options={"goals": goals}).task(), 3, 0)
    expected = torch.tensor([goals] * 3, dtype=torch.float64)
    assert torch.equal(env.reset()["desired_goals"][:, :, :2], expected)
    env.close()


def test_each_episode_has_its_seed_and_workers_change_nothing() -> None:
    def observed(seeds: list[int], **options: Any) -> torch.Tensor:
        env = make_env(odd(**options).task(), len(seeds), 0)
        env.set_seeds(seeds)
        state = env.reset()
        states = [state["observation"]]
        for step in range(5):
            state["action"] = torch.full((len(seeds), 3), 0.2 * step)
            state = env.step(state)["next"]
            states.append(state["observation"])
        env.close()
        return torch.stack(states, dim=1)

    there = observed([5, 6, 7], vectorization="async")
    assert torch.equal(there, observed([7, 5, 6])[[1, 2, 0]])


def test_actions_reach_both_bounds() -> None:
    stretched = odd().task().interface.stretched
    assert stretched(torch.tensor([-1.0, 0.0, 1.0])).tolist() == [-3.0, 2.0, 7.0]


def test_a_worker_that_dies_ends_the_run_with_its_name() -> None:
    task = odd(vectorization="async", make_kwargs={"dies_at": 4}).task()
    env = make_env(task, 3, 0)
    env.set_seeds([3, 4, 5])
    state = env.reset()
    state["action"] = torch.zeros(3, 3)
    with pytest.raises(TrainingError, match=r"worker of environment 2 \(exit status 7\) of Odd-v0"):
        for _ in range(4):
            begin = time.monotonic()
            state = env.step(state)["next"]
            state["action"] = torch.zeros(3, 3)
    assert time.monotonic() - begin < 5.0
    env.close()
    assert not any(process.is_alive() for process in env._vector.processes)


# --- goals that are no positions -----------------------------------------------------------------


def test_a_pose_is_rewarded_by_the_environment_itself() -> None:
    task = pose().task()
    reward = task.relay.reward  # type: ignore[attr-defined]
    assert isinstance(reward, OwnReward) and not reward.batched
    assert task.relay.names == ("pose",) and task.interface.numbers == (3, 3, 1)
    torch.manual_seed(0)
    before, after, later, desired = (0.2 * torch.rand(4, 64, 7)).unbind()
    slots = task.interface.goals
    transitions = TensorDict(
        {
            "observation": before,
            "achieved_goals": slots(before),
            "desired_goals": slots(desired),
            "action": torch.zeros(64, 7),
            "hindsight_goals": slots(later),
            "relabeled": (torch.arange(64) % 2 == 0).unsqueeze(-1),
            "next": {
                "observation": after,
                "achieved_goals": slots(after),
                "ending": torch.zeros(64, 1, dtype=torch.uint8),
            },
        },
        batch_size=[64],
    )
    samples = relabel(task.relay, transitions, 0)
    goal = torch.where(transitions["relabeled"], later, desired)
    expected = -((after - goal).norm(dim=-1) > 0.3).float()
    assert torch.equal(samples["next", "reward"].squeeze(-1), expected)
    assert 0.0 < -expected.mean() < 1.0


def test_a_pose_trains_and_is_reported_by_its_reward() -> None:
    module = train(
        1,
        task=pose(),
        updates_per_episode=2,
        batch_size=16,
        eval_episodes=10,
        eval_every_env_steps=400,
        model={"absolute_positions": True},
    )
    assert "eval/success_within_epsilon" in module.metrics_eval
    with pytest.raises(ConfigError, match="reward_radius must be 1"):
        train(1, task=pose(), reward_radius=0.5)


# --- mistakes ------------------------------------------------------------------------------------


def faulty(fault: str) -> dict[str, Any]:
    return {"id": "odd_gymnasium:Faulty-v0", "make_kwargs": {"fault": fault}}


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"id": "Nowhere-v0"}, "no environment 'Nowhere-v0'"),
    ({"id": "no_such_package:Odd-v0"}, "no module 'no_such_package'"),
    ({"id": "CartPole-v1"}, "is no goal environment: its observation must be a Dict"),
    ({"id": "odd_gymnasium:Endless-v0"}, "write max_episode_steps, at least 2"),
    ({"max_episode_steps": 1}, "write max_episode_steps, at least 2"),
    ({"gripper": [3, 40]}, "columns of observation, 0 to 7"),
    ({"gripper": [0, 1, 2, 3]}, "write the 1 to 3 columns"),
    ({"objects": ["a\nb", "c"]}, "is no name for a metric"),
    ({"objects": ["a", "reach_0"]}, "rename an object"),
    ({"max_episode_steps": 0}, "write max_episode_steps, at least 2"),
    ({"max_episode_steps": 10**9}, "at most 1,000,000"),
    ({"make_kwargs": {"max_episode_steps": 9}}, "write max_episode_steps beside make_kwargs"),
    ({"reset_options": {"reset_mask": [1]}}, "leave it out"),
    ({"epsilon": float("inf")}, "epsilon must be above 0"),
    ({"object_columns": [[1, 2], [6, 7]]}, "list each object's own columns"),
    ({"object_columns": [[], []]}, "lists of the same length"),
    ({"wrappers": ["odd_gymnasium.raises"]}, "odd_gymnasium.raises in wrappers fails"),
    (faulty("no spaces"), "does not declare its spaces"),
    (faulty("leaves"), "cannot be made"),
    (faulty("old reset"), "step returns 5"),
    (faulty("old step"), "step returns 5"),
    (faulty("constant") | {"epsilon": None}, "whatever the goal"),
    ({"gripper": [1, 2], "object_columns": None}, "do not move with the actions"),
    ({"objects": ["a"]}, "leave out gripper"),
    ({"objects": ["a", "b", "c"]}, "achieved_goal has 4 numbers"),
    ({"objects": ["a", "a"]}, "objects must be different names"),
    ({"objects": []}, "objects must be different names"),
    ({"object_columns": [[6, 7], [1]]}, "lists of the same length"),
    ({"object_columns": [[6, 7]]}, "must be 2 lists"),
    ({"object_columns": [[6, 7], [6, 2]]}, "must be different columns"),
    ({"epsilon": 0.0}, "epsilon must be above 0"),
    ({"lowest": 0.1}, "lowest is a height"),
    ({"any_order": True, "object_columns": None}, "write gripper and object_columns"),
    ({"make_kwargs": {"colour": 1}}, "look at make_kwargs"),
    ({"wrappers": ["odd_gymnasium.nothing"]}, "has no function nothing"),
    ({"wrappers": ["odd_gymnasium.no_wrapper"]}, "returns no environment"),
    ({"reset_options": {"goals": "here"}}, "look at reset_options"),
    (POSE | {"gripper": [0], "object_columns": None}, "which cannot be positions"),
    (POSE | {"gripper": None, "object_columns": None, "any_order": True}, "has no effect"),
    (POSE | {"gripper": None, "object_columns": None, "lowest": 0.0}, "has no effect"),
    (POSE | {"gripper": None, "object_columns": None, "make_kwargs": {"informed": True}}, "info"),
    (POSE | {"gripper": None, "object_columns": None, "make_kwargs": {"dense": True}}, "sparse"),
]


@pytest.mark.parametrize("change, message", MISTAKES, ids=lambda value: str(value)[:40])
def test_a_mistake_is_one_line_that_says_what_to_write(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        odd(**change).task()
    text = str(refused.value)
    assert message in text and "\n" not in text and len(text) <= 300, text


@pytest.mark.parametrize("vectorization", ["sync", "async"])
@pytest.mark.parametrize(
    ("fault", "hint"),
    [
        ("leaves late", "SystemExit"),
        ("raises late", "the gripper is stuck"),
        ("longer", "observation has shape"),
        ("says yes", "must be true or false"),
    ],
)
def test_a_fault_in_mid_episode_is_one_line_with_its_environment(
    fault: str, hint: str, vectorization: str
) -> None:
    env = make_env(odd(**faulty(fault), vectorization=vectorization).task(), 2, 0)
    with pytest.raises(TrainingError, match=r"environment [01] \(Faulty-v0\)") as raised:
        play(env, 0)
    assert hint in str(raised.value)
    env.close()


def test_keys_that_nobody_needs_are_not_shared() -> None:
    env = make_env(odd(**faulty("extra"), vectorization="async").task(), 2, 0)
    assert {"observation", "achieved_goals", "desired_goals"} <= set(env.reset().keys())
    env.close()


def test_a_silent_environment_is_judged_by_the_epsilon_that_was_asked_for() -> None:
    task = odd(**faulty("silent"))
    for epsilon, solved in ((5.0, True), (1e-6, False)):
        env = make_env(task.task().varied(epsilon, None), 4, 0)
        assert (play(env, 0)["next", "is_success"] == solved).all()
        env.close()
        assert task.task().make_drawn is not None
        drawn = fitted(task.task().make_drawn(), task.task().varied(epsilon, None))  # type: ignore[misc]
        assert (play(drawn, 0)["next", "is_success"] == solved).all()
        drawn.close()


def test_wrappers_are_applied() -> None:
    assert odd(wrappers=["odd_gymnasium:still"]).task().action_size == 3
