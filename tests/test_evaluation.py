"""What an evaluation says of hand-made episodes."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from rher_pl.collect.behavior import Chooser
from rher_pl.evaluation.rollout import _summarise, objects_moved
from rher_pl.evaluation.statistics import (
    episode_statistics,
    evaluation_statistics,
    update_statistics,
)
from rher_pl.relay import Relay

GAMMA = 0.5
RELAY = Relay(("push",), epsilon=0.05)


def summary(*rows: list[int]) -> TensorDict:
    """Of episodes given as solved or not at each of their states; nothing moves."""
    solved = torch.tensor(rows, dtype=torch.bool)
    achieved = torch.zeros(len(rows), solved.shape[1], 2, 3)
    return _summarise(solved, achieved, torch.zeros(len(rows)), GAMMA, RELAY)


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


def test_contact_is_told_of_each_policy():
    touched, untouched = summary([0, 1], [0, 1]), summary([0, 0], [0, 0])
    touched["contact"] = torch.tensor([True, False])
    metrics = evaluation_statistics({"reach": touched, "push": untouched})
    assert metrics["eval/contact_rate/reach"].item() == 0.5
    assert metrics["eval/contact_rate/push"].item() == metrics["eval/contact_rate"].item() == 0.0


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
