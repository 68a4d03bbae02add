"""What an evaluation says of hand-made episodes."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from rich.console import Console
from tensordict import TensorDict

from rher_pl.collect.behavior import Chooser
from rher_pl.evaluation.judging import Fate, Played, judge, objects_moved
from rher_pl.evaluation.report import report, report_markdown, report_table
from rher_pl.evaluation.statistics import (
    episode_statistics,
    evaluation_statistics,
    success_when_served,
    update_statistics,
)
from rher_pl.networks.policy import RelayPolicy
from rher_pl.relay import Relay
from rher_pl.tasks import get_task, make_env
from rher_pl.training.module import RHERModule

GAMMA = 0.5
RELAY = Relay(("push",), epsilon=0.05)


def summary(*rows: list[int]) -> TensorDict:
    """Of episodes given as solved or not at each of their states; the gripper stays away."""
    solved = torch.tensor(rows, dtype=torch.bool)
    achieved = torch.zeros(len(rows), solved.shape[1], 2, 3)
    achieved[:, :, 0] = 5.0
    achieved[:, :, 1, 0] = 1.0 - solved.float()
    return judged(achieved, RELAY)["push"]


def judged(
    achieved: torch.Tensor, relay: Relay, released: torch.Tensor | None = None
) -> dict[str, TensorDict]:
    """Of paths of the points [N, T+1, P, 3] to goals at the origin."""
    count, states = achieved.shape[:2]
    desired = torch.zeros(count, states, relay.num_objects, 3)
    nothing = torch.zeros(count, states - 1, 1)
    failed = torch.zeros(count, dtype=torch.bool)
    played = Played(achieved, desired, failed, nothing, nothing, released=released)
    return judge(played, relay, GAMMA, lambda inputs, action: inputs[:, 0])


def test_success_is_that_of_the_final_state():
    result = summary([0, 1, 1, 0], [0, 0, 0, 1], [1, 1, 1, 1])
    assert result["success"].tolist() == [False, True, True]
    assert result["solved_at_reset"].tolist() == [False, False, True]


def test_steps_to_success_is_the_first_step_from_which_it_stays_solved():
    result = summary([0, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1])
    assert result["steps_to_success"].tolist() == [3, -1, 0]


def test_monte_carlo_return_continues_the_last_reward_for_ever():
    result = summary([0, 0, 1, 1], [0, 0, 0, 0], [0, 1, 1, 0])
    never = -1 / (1 - GAMMA)
    last_lost = -(GAMMA**2) / (1 - GAMMA)
    assert result["monte_carlo_return"].tolist() == pytest.approx([-1.0, never, last_lost])


def test_an_object_counts_as_moved_beyond_the_distance_at_any_time():
    achieved = torch.zeros(3, 4, 2, 3)
    achieved[0, 2, 1, 0] = 0.02  # there and back
    achieved[1, 2, 1, 0] = 0.005
    achieved[2, :, 0, 0] = torch.arange(4.0)  # only the gripper
    assert objects_moved(achieved, RELAY).tolist() == [True, False, False]


def test_episodes_solved_at_reset_do_not_flatter_the_figure():
    metrics = evaluation_statistics({"push": summary([1, 1], [1, 1], [0, 1], [0, 0])})
    assert metrics["eval/success"].item() == 0.75
    assert metrics["eval/success_not_solved_at_reset"].item() == 0.5
    assert metrics["eval/solved_at_reset"].item() == 0.5


def test_reached_is_near_the_object_or_in_contact_with_it_at_any_time():
    achieved = torch.zeros(3, 4, 2, 3)
    achieved[:, :, 0] = 5.0
    achieved[:, :, 1, 0] = 1.0
    achieved[0, 2, 0] = torch.tensor([1.0, 0.0, 0.04])  # near, and gone again
    achieved[1, 1:, 1, 0] = 1.1  # struck from afar
    result = judged(achieved, RELAY)["reach"]
    assert result["success"].tolist() == [True, True, False]
    assert result["steps_to_success"].tolist() == [2, 1, -1]


def test_nothing_needs_to_be_reached_that_is_home() -> None:
    achieved = torch.zeros(1, 4, 2, 3)  # the goal is at the origin
    achieved[:, :, 0] = 5.0
    result = judged(achieved, RELAY)["reach"]
    assert result["success"].tolist() == result["solved_at_reset"].tolist() == [True]


def chain_of_two() -> torch.Tensor:
    """Paths [N, 4, 3, 3] of gripper and two objects, which end in different ways."""
    achieved = torch.zeros(6, 4, 3, 3)
    achieved[:, :, 0] = 5.0
    achieved[:, :, 1:, 0] = 1.0  # both away, at rest
    achieved[1:, 1:, 1, 0] = 0.02  # the first is home from step 1 on
    achieved[1, 2:, 2, 0] = 0.06  # the second is a little short
    achieved[2, 2, 2, 2], achieved[2, 3, 2, 2] = 0.3, 0.0  # lifted, and fell
    achieved[3, 2:, 2, 0] = 0.0  # both solved
    achieved[4, 3, 1, 0] = 0.5  # the first is carried off again
    return achieved


def test_what_became_of_each_object_is_told_from_one_rollout():
    results = judged(chain_of_two(), Relay(("a", "b")))
    F = Fate
    told = [F.UNTOUCHED, F.SOLVED, F.SOLVED, F.SOLVED, F.DISTURBED, F.SOLVED]
    assert results["a"]["fate"].tolist() == told
    told = [F.WAITING, F.SHORT, F.DROPPED, F.SOLVED, F.UNTOUCHED, F.UNTOUCHED]
    assert results["b"]["fate"].tolist() == told
    assert list(results) == ["reach_0", "a", "reach_1", "b"]
    assert results["b"]["served"].tolist() == [False] + [True] * 5
    assert results["reach_1"]["success"].tolist() == [False, True, True, True, False, False]


def test_values_count_from_a_subtasks_first_turn():
    results = judged(chain_of_two(), Relay(("a", "b")))
    never = -1 / (1 - GAMMA)
    # The second object's turn begins at step 1; in row 3 it is solved one step later.
    assert results["b"]["monte_carlo_return"][3].item() == pytest.approx(0.0)
    assert results["b"]["monte_carlo_return"][1].item() == pytest.approx(never)
    metrics = evaluation_statistics(results)
    assert metrics["eval/monte_carlo_return/b"].item() == pytest.approx(never * 4 / 5)
    assert "eval/q/reach_0" not in metrics
    assert metrics["eval/fate/b/waiting"].item() == pytest.approx(1 / 6)


def test_success_of_a_subtask_counts_where_it_had_its_turn():
    results = judged(chain_of_two(), Relay(("a", "b")))
    _, a, _, b = success_when_served(results)
    assert (a, b) == (pytest.approx(4 / 6), pytest.approx(1 / 5))


def episodes(chooser: list[int], subtask: list[int], length: int | None = None) -> TensorDict:
    """One collected episode of a still object, by who acted and what came next at each step."""
    told = {"chooser": torch.tensor([chooser]), "subtask": torch.tensor([subtask])}
    rows = {key: value.unsqueeze(-1) for key, value in told.items()}
    rows["length"] = torch.tensor([[len(chooser) if length is None else length]])
    return TensorDict(rows | {"achieved_goals": torch.zeros(1, len(chooser) + 1, 2, 3)}, [1])


def test_who_acted_is_told_by_the_subtask_to_work_on():
    guide, learner, random = Chooser
    played = episodes([guide, guide, random, learner], subtask=[0, 0, 0, 1])
    metrics = episode_statistics(played, RELAY)
    assert metrics["relay/guide_share"].item() == 0.5
    assert metrics["relay/guide_share/reach"].item() == pytest.approx(2 / 3)
    assert metrics["relay/learner_share/reach"].item() == 0.0
    assert metrics["relay/learner_share/push"].item() == 1.0
    never = episode_statistics(episodes([random], subtask=[0]), RELAY)
    assert "relay/random_share/push" not in never  # no state to tell of, so no share of them


def test_q_is_told_of_each_subtask_whether_they_are_mixed_or_come_in_turn():
    """Two updates, two critics, one sample of reach and two of push in a batch."""
    mixed = torch.tensor([[1.0, 2, 4, 3, 4, 6], [1.0, 2, 4, 3, 4, 6]])
    joint = [{"q": mixed, "critic_loss": torch.tensor([1.0, 3.0])}]
    metrics = update_statistics(joint, [1, 2], RELAY)
    assert metrics["train/q/reach"].item() == 2.0
    assert metrics["train/q/push"].item() == 4.0
    assert metrics["train/critic_loss"].item() == 2.0
    assert "train/actor_loss" not in metrics
    in_turn = [
        {"q": torch.tensor([[1.0, 3.0]]), "critic_loss": torch.tensor([1.0, 1.0])},
        {"q": torch.tensor([[2.0, 4, 4, 6]]), "critic_loss": torch.tensor([3.0, 3.0])},
    ]
    assert update_statistics(in_turn, [1, 2], RELAY) == metrics


def test_steps_after_an_episodes_end_are_nobodys():
    guide, learner, _ = Chooser
    ended = episodes([guide, learner, learner, learner], subtask=[0, 1, 1, 1], length=2)
    metrics = episode_statistics(ended, RELAY)
    assert metrics["relay/guide_share"].item() == 0.5


def test_the_last_policy_alone_acts_by_the_last_subtask_in_every_state(monkeypatch):
    """As a control: serving acts by the first object, which is not home yet."""
    module = RHERModule("FetchDoublePush-v0", hidden_size=8, hidden_layers=1)
    env = make_env(module.task, 2, 0)
    env.max_episode_steps = 3
    acted: list[Any] = []
    inputs = RelayPolicy.inputs
    monkeypatch.setattr(
        RelayPolicy, "inputs", lambda *each: acted.append(each[-1]) or inputs(*each)
    )
    module.evaluate(env, [0, 1], last_policy=True)
    assert acted == [module.relay.last] * 3
    acted.clear()
    module.evaluate(env, [0, 1])
    assert all((subtask == module.relay.brings[0]).all() for subtask in acted)
    env.close()


def test_what_falls_once_the_hand_opens_does_not_stand() -> None:
    relay = Relay(("lower", "upper"))
    achieved = torch.zeros(3, 2, 3, 3)
    achieved[2, :, 2] = 1.0  # never solved, whatever comes after
    released = torch.zeros(3, 3, 3)
    released[1, 2, 2] = -0.06  # fell from its goal
    figures = judged(achieved, relay, released)["upper"]
    assert figures["success"].tolist() == [True, True, False]
    assert figures["standing"].tolist() == [True, False, False]
    assert evaluation_statistics({"upper": figures})["eval/success_standing"] == pytest.approx(
        1 / 3
    )
    told = report_markdown(report({"upper": figures}))
    assert "1 of 2 solved episodes stay solved after the gripper opens" in told


def test_a_held_cube_is_let_go_after_the_episode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Played on the simulator: the last ten actions open the hand and rise."""
    env = make_env(get_task("FetchStack-v0"), 2, 0)
    module = RHERModule("FetchStack-v0", hidden_size=8, hidden_layers=1)
    actions: list[torch.Tensor] = []
    advance = env._advance
    monkeypatch.setattr(env, "_advance", lambda a: (actions.append(a.clone()), advance(a))[1])
    results = module.evaluate(env, [0, 1])
    assert len(actions) == env.max_episode_steps + 10
    assert all(a.tolist() == [[0.0, 0.0, 1.0, 1.0]] * 2 for a in actions[-10:])
    assert "standing" in results["stack_1"].keys() and "standing" not in results["stack_0"].keys()
    assert "standing" not in next(iter(judged(torch.zeros(1, 2, 2, 3), RELAY).values())).keys()


def test_the_table_is_whole_in_80_columns() -> None:
    group = {"solved": 87, "episodes": 100, "success": 0.87, "interval_95": [0.79, 0.93]}
    group["mean_steps_to_success"] = 29.5
    fates = {"solved": 87, "disturbed": 11, "untouched": 2}
    row = {name: group for name in ("not_solved_at_reset", "solved_at_reset", "all")}
    table = report_table(
        {"stack_0": {**row, "fates": fates}, "stack_1": {**row, "fates": fates}}, ""
    )
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table)
    text = console.export_text()
    assert text.count("11 disturbed") == text.count("2 untouched") == 2
    assert "…" not in text and max(map(len, text.splitlines())) <= 80
